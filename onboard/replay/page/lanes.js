"use strict";
// Everything over time, one lane below the other; of many frames a pixel shows the least and the most.

const LEFT = 64, RIGHT = 12, STRIP = 16;
const lanes = [
  { title: "error, m", name: "error_m", colour: "fix", zero: true, over: { name: "accuracy_m", times: 2.4477, title: "what 95 % should be within, as stated" } },
  { title: "score", name: "score", colour: "earning" },
  { title: "height, m", name: "height_m", colour: "unseen" },
  { title: "speed, m/s", name: "speed_m_s", colour: "picture", zero: true },
].filter((lane) => flight.present.includes(lane.name) || (lane.over && flight.present.includes(lane.over.name)));
const timeCanvas = at("lanes");

const toTime = (x, width) => shown.from + ((x - LEFT) / (width - LEFT - RIGHT)) * (shown.to - shown.from);
const fromTime = (t, width) => LEFT + ((t - shown.from) / (shown.to - shown.from)) * (width - LEFT - RIGHT);

function drawLanes() {
  const { pen, width, height } = sheet(timeCanvas);
  const first = frameAt(shown.from), last = frameAt(shown.to);
  const top = 2 * (STRIP + 8), each = (height - top - 24) / Math.max(1, lanes.length);
  strip(pen, width, 2, first, last, "outcome", colourOf);
  strip(pen, width, STRIP + 10, first, last, "state", (i) => colours[flight.state_colours[column.state[i]]]);
  lanes.forEach((lane, k) => drawLane(pen, width, top + k * each, each - 12, first, last, lane));
  timeAxis(pen, width, height - 22);
  cursor(pen, width, height - 22);
}

// A pixel is as many frames as fall on it, each kind by its share; what is rare keeps a few pixels.
function strip(pen, width, y, first, last, title, colour) {
  pen.fillStyle = colours.dim;
  pen.textBaseline = "middle";
  pen.fillText(title, 4, y + STRIP / 2);
  let shares = new Map(), start = Math.max(LEFT, Math.floor(fromTime(column.time_s[first], width)));
  for (let i = first; i <= last; i++) {
    shares.set(colour(i), (shares.get(colour(i)) ?? 0) + 1);
    const gap = i < last ? column.time_s[i + 1] - column.time_s[i] : 0;
    const next = i < last && gap < 30 ? Math.floor(fromTime(column.time_s[i + 1], width)) : start + 3;
    if (next <= start && i < last && gap < 30) continue;
    stack(pen, start, Math.max(1, next - start), y, shares);
    start = i < last ? Math.floor(fromTime(column.time_s[i + 1], width)) : next;
    shares = new Map();
  }
}

function stack(pen, x, width, y, shares) {
  const ordered = [...shares].sort((a, b) => b[1] - a[1]), total = ordered.reduce((sum, [, n]) => sum + n, 0);
  let top = y;
  for (const [colour, n] of ordered.reverse()) {
    const height = Math.max(3, Math.round((STRIP * n) / total));
    pen.fillStyle = colour;
    pen.fillRect(x, top, width, Math.min(height, y + STRIP - top));
    top = Math.min(y + STRIP, top + height);
  }
}

function extent(first, last, lane) {
  let low = lane.zero ? 0 : Infinity, high = -Infinity;
  for (const [name, times] of [[lane.name, 1], ...(lane.over ? [[lane.over.name, lane.over.times]] : [])]) {
    const values = column[name];
    for (let i = first; i <= last; i++) {
      const value = values[i] * times;
      if (!known(value)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (!(high >= low)) return null;
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [lane.zero ? 0 : low - room, high + room];
}

function drawLane(pen, width, top, height, first, last, lane) {
  const range = extent(first, last, lane);
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1;
  pen.strokeRect(LEFT, top, width - LEFT - RIGHT, height);
  pen.textBaseline = "alphabetic";
  if (!range) { pen.fillStyle = colours.dim; pen.fillText(`${lane.title}: not known here`, LEFT + 6, top + 14); return; }
  const [low, high] = range, toPx = (value) => top + height - ((value - low) / (high - low)) * height;
  const step = niceStep(high - low, 3);
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    pen.fillStyle = colours.line;
    pen.fillRect(LEFT, toPx(value), width - LEFT - RIGHT, 0.5);
    pen.fillStyle = colours.dim;
    pen.textAlign = "right";
    pen.fillText(String(+value.toPrecision(6)), LEFT - 5, Math.max(top + 9, toPx(value) + 4));
    pen.textAlign = "left";
  }
  if (lane.over) {
    line(pen, width, first, last, column[lane.over.name], lane.over.times, toPx, colours.dim);
  }
  line(pen, width, first, last, column[lane.name], 1, toPx, colours[lane.colour]);
  const title = lane.over ? `${lane.title}; grey: ${lane.over.title}` : lane.title;
  pen.globalAlpha = 0.8;
  pen.fillStyle = colours.paper;
  pen.fillRect(LEFT + 2, top + 2, pen.measureText(title).width + 8, 15);
  pen.globalAlpha = 1;
  pen.fillStyle = colours.dim;
  pen.fillText(title, LEFT + 6, top + 13);
}

function line(pen, width, first, last, values, times, toPx, colour) {
  Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: 1.3 });
  pen.beginPath();
  const alone = [];
  let at = -1, low = 0, high = 0, open = false, run = 0, lastX = 0;
  const flush = () => {
    if (at < 0) return;
    if (open) pen.lineTo(at, toPx(low)); else pen.moveTo(at, toPx(low));
    if (high !== low) pen.lineTo(at, toPx(high));
    [open, lastX] = [true, at];
  };
  for (let i = first; i <= last; i++) {
    const value = values[i] * times, silent = i > first && column.time_s[i] - column.time_s[i - 1] > 30;
    if (!known(value) || silent) {
      flush();
      if (run === 1) alone.push([at, toPx(low)]);
      [at, open, run] = [-1, false, 0];
      if (!known(value)) continue;
    }
    const x = Math.round(2 * fromTime(column.time_s[i], width)) / 2;
    if (x !== at) { flush(); [at, low, high] = [x, value, value]; }
    low = Math.min(low, value);
    high = Math.max(high, value);
    run += 1;
  }
  flush();
  if (run === 1) alone.push([at, toPx(low)]);
  pen.stroke();
  for (const [x, y] of alone) pen.fillRect(x - 1, y - 1, 2, 2);
}

function timeAxis(pen, width, y) {
  pen.fillStyle = colours.dim;
  pen.textBaseline = "top";
  pen.textAlign = "center";
  const span = shown.to - shown.from;
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].find((s) => span / s <= width / 90) || niceStep(span, 8);
  for (let t = Math.ceil(shown.from / step) * step; t <= shown.to; t += step) {
    const x = fromTime(t, width);
    if (x < width - 24) pen.fillText(clock(t), x, y + 6);
  }
  pen.textAlign = "left";
}

function cursor(pen, width, height) {
  const x = fromTime(column.time_s[shown.frame], width);
  if (x >= LEFT && x <= width - RIGHT) {
    pen.fillStyle = colours.ink;
    pen.fillRect(x - 0.75, 0, 1.5, height);
  }
  if (dragged && dragged.to !== undefined) {
    pen.globalAlpha = 0.15;
    pen.fillRect(Math.min(dragged.from, dragged.to), 0, Math.abs(dragged.to - dragged.from), height);
    pen.globalAlpha = 1;
  }
}

let dragged = null;

function listenOnLanes() {
  const wide = () => timeCanvas.getBoundingClientRect().width;
  timeCanvas.addEventListener("pointerdown", (event) => { dragged = { from: event.offsetX }; });
  timeCanvas.addEventListener("pointermove", (event) => {
    if (!dragged || !event.buttons || Math.abs(event.offsetX - dragged.from) < 5) return;
    dragged.to = event.offsetX;
    drawLanes();
  });
  timeCanvas.addEventListener("click", (event) => {
    const drag = dragged;
    dragged = null;
    if (drag && drag.to !== undefined) {
      look(...[drag.from, drag.to].sort((a, b) => a - b).map((x) => toTime(x, wide())));
    } else {
      select(frameAt(toTime(event.offsetX, wide())));
    }
  });
  timeCanvas.addEventListener("dblclick", () => look(0, column.time_s[count - 1]));
}
