"use strict";
// One frame: what came of it, on what evidence, and pictures where there are some.

const jpeg = (text) => `data:image/jpeg;base64,${text}`;

function drawMoment() {
  const i = shown.frame, moment = moments.get(i), kind = kindOf(i);
  at("when").textContent = `${clock(column.time_s[i])}.${String(Math.floor((column.time_s[i] % 1) * 10))}   ${frameOf(i)}`;
  at("what").replaceChildren(dot(familyOf(kind)), isFix(i) ? "a fix" : `withheld: ${kind.replaceAll("_", " ")}`);
  const detail = flight.details[i] ?? (moment ? moment.facts.detail : "");
  at("why").textContent = isFix(i) ? "" : [flight.explained[kind], detail && `(${detail})`].filter(Boolean).join(" ");
  at("figures").replaceChildren(...figuresOf(i).map(([name, value]) => row(name, value)));
  pictures(moment);
}

function figuresOf(i) {
  const shownAs = [
    ["error", "error_m", metres],
    ["stated accuracy, 1 sigma", "accuracy_m", metres],
    ["score", "score", (x) => x.toFixed(3)],
    ["correlation with the map", "correlation", (x) => x.toFixed(3)],
    ["best place against the next", "peak_ratio", (x) => `${x.toFixed(2)} times`],
    ["parts that agree", "agreeing", percent],
    ["off the expected place", "innovation_sigmas", (x) => `${x.toFixed(1)} sigma`],
    ["height above ground", "height_m", metres],
    ["speed", "speed_m_s", (x) => `${x.toFixed(1)} m/s`],
  ];
  const found = shownAs.filter(([, name]) => column[name] && known(column[name][i]));
  const rows = found.map(([title, name, text]) => [title, text(column[name][i])]);
  return [["state", flight.states[column.state[i]].replace("_", " ")], ...rows];
}

function pictures(moment) {
  const has = (name) => Boolean(moment && moment[name]);
  at("seen").hidden = !has("frame");
  at("aligned").hidden = !(has("patch") && has("reference"));
  at("likely").hidden = !(moment && moment.candidates.length);
  at("unpictured").hidden = Boolean(moment);
  if (!moment) {
    const near = [...moments.keys()].sort((a, b) => Math.abs(a - shown.frame) - Math.abs(b - shown.frame))[0];
    at("unpictured").textContent = near === undefined ? "No pictures were kept." : "No pictures of this frame were kept.";
    return;
  }
  at("frame").src = jpeg(moment.frame);
  if (!at("aligned").hidden) matches(moment);
  at("candidates").replaceChildren(...moment.candidates.map((text, k) => {
    const facts = moment.facts.candidates[k], image = element("img");
    image.src = jpeg(text);
    image.alt = facts.view;
    image.style.width = "100%";
    const away = facts.away_m === null ? "" : `, ${roughly(facts.away_m)}`;
    return element("div", null, image, `${facts.score.toFixed(3)}${away}`);
  }));
}

async function picture(text) {
  const image = new Image();
  image.src = jpeg(text);
  await image.decode();
  return image;
}

async function matches(moment) {
  const { side_px, parts, gsd_m, correlation } = moment.facts;
  const [patch, reference] = await Promise.all([picture(moment.patch), picture(moment.reference)]);
  if (moments.get(shown.frame) !== moment) return;
  const canvas = at("matches"), wide = canvas.getBoundingClientRect().width || 400, gap = 8;
  const side = (wide - gap) / 2, k = side / side_px;
  canvas.style.height = `${side}px`;
  const { pen } = sheet(canvas);
  pen.drawImage(patch, 0, 0, side, side);
  pen.drawImage(reference, side + gap, 0, side, side);
  for (const [x, y, dx, dy, agrees] of parts) {
    pen.strokeStyle = pen.fillStyle = agrees ? "#21d07a" : "#ff3b57";
    pen.lineWidth = 1.2;
    pen.globalAlpha = 0.85;
    pen.beginPath();
    pen.moveTo(x * k, y * k);
    pen.lineTo(side + gap + (x + dx) * k, (y + dy) * k);
    pen.stroke();
    for (const [cx, cy] of [[x * k, y * k], [side + gap + (x + dx) * k, (y + dy) * k]]) {
      pen.beginPath();
      pen.arc(cx, cy, 2.5, 0, 7);
      pen.fill();
    }
  }
  pen.globalAlpha = 1;
  const agree = parts.filter((part) => part[4]).length;
  at("agreement").textContent = `the ground in the frame, north up, and the map where it fits best (${Math.round(side_px * gsd_m)} m wide, ` +
    `correlation ${correlation.toFixed(2)}): ${agree} of ${parts.length} parts found lie where the whole does`;
}

function next(wanted, from = shown.frame + 1) {
  for (let k = 0; k < count; k++) if (wanted((from + k) % count)) return (from + k) % count;
  return shown.frame;
}

const steps = {
  before: () => shown.frame - 1,
  after: () => shown.frame + 1,
  pictured: () => next((i) => moments.has(i)),
  silence: () => next((i) => !isFix(i) && (i === 0 || isFix(i - 1))),
  worst: () => column.error_m.reduce((best, e, i) => (known(e) && !(e <= column.error_m[best]) ? i : best), shown.frame),
};
const keys = { ArrowLeft: "before", ArrowRight: "after", p: "pictured", s: "silence", w: "worst" };

function listenForSteps() {
  for (const [id, step] of Object.entries(steps)) at(id).onclick = () => select(step());
  document.addEventListener("keydown", (event) => {
    const id = keys[event.key];
    if (!id || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    select(steps[id]());
  });
}
