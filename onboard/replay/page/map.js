"use strict";
// The flight over the reference imagery; drag to move, wheel to come closer, click for a moment.

const map = { canvas: at("map"), x: 0, y: 0, scale: 1, image: null };
const SIGMAS_95 = 2.4477;

const east = (i) => (isFix(i) ? column.east_m[i] : column.true_east_m[i]);
const north = (i) => (isFix(i) ? column.north_m[i] : column.true_north_m[i]);
const toX = (m) => (m - map.x) * map.scale + map.width / 2;
const toY = (m) => (map.y - m) * map.scale + map.height / 2;

function wholeMap() {
  const { west_m, south_m, east_m, north_m } = flight.shown;
  const box = map.canvas.getBoundingClientRect();
  map.x = (west_m + east_m) / 2;
  map.y = (south_m + north_m) / 2;
  map.scale = 0.95 * Math.min(box.width / (east_m - west_m), box.height / (north_m - south_m));
}

function drawMap() {
  const { pen, width, height } = sheet(map.canvas);
  Object.assign(map, { width, height });
  if (map.image) {
    const g = flight.ground;
    pen.imageSmoothingEnabled = map.scale * g.m_per_px < 3;
    pen.drawImage(map.image, toX(g.west_m), toY(g.north_m), g.width_m * map.scale, g.height_m * map.scale);
  }
  const truth = way(column.true_east_m, column.true_north_m), found = visible();
  stroke(pen, truth, "#000000", 3, 0.5);
  stroke(pen, truth, colours.truth, 1.4, 1);
  accuracies(pen, found);
  points(pen, found);
  marked(pen);
  at("scale").textContent = scaleText(width);
}

function way(xs, ys) {
  const path = new Path2D();
  let open = false, lastX = 0, lastY = 0;
  for (let i = 0; i < count; i++) {
    if (!known(xs[i])) { open = false; continue; }
    const x = toX(xs[i]), y = toY(ys[i]);
    if (open && Math.abs(x - lastX) + Math.abs(y - lastY) < 1.5) continue;
    if (open) path.lineTo(x, y); else path.moveTo(x, y);
    open = true;
    lastX = x;
    lastY = y;
  }
  return path;
}

function stroke(pen, path, colour, width, alpha) {
  Object.assign(pen, { strokeStyle: colour, lineWidth: width, globalAlpha: alpha, lineJoin: "round" });
  pen.stroke(path);
  pen.globalAlpha = 1;
}

function visible() {
  const first = frameAt(shown.from), last = frameAt(shown.to), found = [];
  const cells = new Uint8Array((Math.ceil(map.width / 3) + 1) * (Math.ceil(map.height / 3) + 1));
  const wide = Math.ceil(map.width / 3) + 1;
  for (let i = first; i <= last; i++) {
    const x = toX(east(i)), y = toY(north(i));
    if (!(x >= 0 && x <= map.width && y >= 0 && y <= map.height)) continue;
    const cell = Math.floor(y / 3) * wide + Math.floor(x / 3), bit = isFix(i) ? 1 : 2;
    if (cells[cell] & bit) continue;
    cells[cell] |= bit;
    found.push(i);
  }
  return found;
}

function points(pen, found) {
  for (const withheld of [false, true]) {
    for (const i of found) {
      if (isFix(i) === withheld) continue;
      const x = toX(east(i)), y = toY(north(i));
      pen.fillStyle = pen.strokeStyle = colourOf(i);
      pen.beginPath();
      if (!withheld) {
        pen.arc(x, y, 3, 0, 7);
        pen.fill();
        continue;
      }
      pen.moveTo(x - 3.2, y - 3.2); pen.lineTo(x + 3.2, y + 3.2);
      pen.moveTo(x - 3.2, y + 3.2); pen.lineTo(x + 3.2, y - 3.2);
      pen.lineWidth = 2;
      pen.stroke();
    }
  }
}

function accuracies(pen, found) {
  const fixes = found.filter(isFix), every = Math.max(1, Math.ceil(fixes.length / 60));
  pen.strokeStyle = colours.fix;
  pen.lineWidth = 1;
  pen.globalAlpha = 0.45;
  for (let k = 0; k < fixes.length; k += every) circle(pen, fixes[k]);
  pen.globalAlpha = 1;
}

function circle(pen, i) {
  pen.beginPath();
  pen.arc(toX(column.east_m[i]), toY(column.north_m[i]), SIGMAS_95 * column.accuracy_m[i] * map.scale, 0, 7);
  pen.stroke();
}

function marked(pen) {
  const i = shown.frame, x = toX(east(i)), y = toY(north(i));
  if (!known(x)) return;
  if (isFix(i)) {
    Object.assign(pen, { strokeStyle: colours.fix, lineWidth: 2 });
    circle(pen, i);
    if (known(column.true_east_m[i])) {
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(toX(column.true_east_m[i]), toY(column.true_north_m[i]));
      pen.stroke();
    }
  }
  for (const [colour, radius] of [["#000000", 9], ["#ffffff", 7.5], [colourOf(i), 5]]) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    pen.fillStyle = colour;
    pen.fill();
  }
}

function scaleText(width) {
  const step = niceStep(width / map.scale, 6);
  return `${Math.round(width / map.scale)} m wide, circles: 95 %`;
}

function zoom(factor, x = map.width / 2, y = map.height / 2) {
  const dx = (x - map.width / 2) / map.scale, dy = (map.height / 2 - y) / map.scale;
  map.x += dx - dx / factor;
  map.y += dy - dy / factor;
  map.scale *= factor;
  drawMap();
}

function nearestOnMap(x, y) {
  let best = -1, least = 30 ** 2;
  for (let i = 0; i < count; i++) {
    const d = (toX(east(i)) - x) ** 2 + (toY(north(i)) - y) ** 2;
    if (d < least) [best, least] = [i, d];
  }
  return best;
}

function listenOnMap() {
  let held = null;
  map.canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.offsetX, y: event.offsetY, moved: false };
  });
  map.canvas.addEventListener("pointermove", (event) => {
    if (!held || !event.buttons) return;
    const dx = event.offsetX - held.x, dy = event.offsetY - held.y;
    if (!held.moved && Math.hypot(dx, dy) < 4) return;
    map.x -= dx / map.scale;
    map.y += dy / map.scale;
    held = { x: event.offsetX, y: event.offsetY, moved: true };
    drawMap();
  });
  map.canvas.addEventListener("click", (event) => {
    if (!held || !held.moved) {
      const i = nearestOnMap(event.offsetX, event.offsetY);
      if (i >= 0) select(i);
    }
    held = null;
  });
  map.canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
  }, { passive: false });
  at("closer").onclick = () => zoom(1.6);
  at("farther").onclick = () => zoom(1 / 1.6);
  at("whole").onclick = () => { wholeMap(); drawMap(); };
}
