"use strict";
// Errors, honesty, calibration: small diagrams, drawn once and when the window changes.

function frameOfDiagram(canvas, xTitle, yTitle) {
  const { pen, width, height } = sheet(canvas), box = { left: 54, right: width - 16, top: 8, bottom: height - 34 };
  pen.strokeStyle = colours.line;
  pen.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  pen.fillStyle = colours.dim;
  pen.textAlign = "center";
  pen.fillText(xTitle, (box.left + box.right) / 2, height - 4);
  pen.save();
  pen.translate(11, (box.top + box.bottom) / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText(yTitle, 0, 0);
  pen.restore();
  pen.textAlign = "left";
  return { pen, box };
}

function ticks(pen, box, values, toPx, text, vertical) {
  pen.fillStyle = colours.dim;
  for (const value of values) {
    const p = toPx(value);
    if (vertical) {
      pen.textAlign = "right";
      pen.fillText(text(value), box.left - 4, p + 4);
    } else {
      pen.textAlign = "center";
      pen.fillText(text(value), p, box.bottom + 14);
    }
  }
  pen.textAlign = "left";
}

function nothing(canvas, text) {
  const { pen } = sheet(canvas);
  pen.fillStyle = colours.dim;
  pen.fillText(text, 8, 24);
}

const judged = [];
for (let i = 0; i < count; i++) if (known(column.error_m[i])) judged.push(i);
const sorted = Float32Array.from(judged, (i) => column.error_m[i]).sort();
const UNJUDGED = "There is no fix whose true place is known.";

function drawErrors() {
  if (!sorted.length) return nothing(at("errors"), UNJUDGED);
  const { pen, box } = frameOfDiagram(at("errors"), "error, m", "share of fixes");
  const most = sorted[Math.floor((sorted.length - 1) * 0.995)] * 1.15 || 1;
  const toX = (m) => box.left + (m / most) * (box.right - box.left);
  const toY = (share) => box.bottom - share * (box.bottom - box.top);
  const bins = 40, heights = new Array(bins).fill(0);
  for (const e of sorted) if (e < most) heights[Math.floor((e / most) * bins)] += 1;
  const tallest = Math.max(...heights);
  pen.fillStyle = colours.fix;
  pen.globalAlpha = 0.3;
  heights.forEach((h, k) => pen.fillRect(toX((k * most) / bins), toY((0.9 * h) / tallest), (box.right - box.left) / bins - 1, box.bottom - toY((0.9 * h) / tallest)));
  pen.globalAlpha = 1;
  pen.strokeStyle = colours.fix;
  pen.lineWidth = 2;
  pen.beginPath();
  const every = Math.max(1, Math.floor(sorted.length / 2000));
  pen.moveTo(toX(0), toY(0));
  for (let k = 0; k < sorted.length; k += every) if (sorted[k] <= most) pen.lineTo(toX(sorted[k]), toY((k + 1) / sorted.length));
  pen.stroke();
  const step = niceStep(most, 5), xs = [];
  for (let m = 0; m < most; m += step) xs.push(m);
  ticks(pen, box, xs, toX, (m) => String(+m.toPrecision(3)), false);
  ticks(pen, box, [0, 0.5, 0.95], toY, (share) => `${100 * share}%`, true);
  const a = flight.summary.accuracy;
  at("errors-said").textContent = `Of ${a.fixes_with_truth} with a known truth half are within ${metres(a.error_median_m)}, 95 % within ${metres(a.error_p95_m)}, ` +
    `the worst is ${metres(a.error_max_m)} off. Bars: how many; line: how many up to there.`;
}

// Errors beside what was promised: below the diagonal a fix was farther off than 5 of its own sigmas.
function drawStanford() {
  if (!sorted.length) return nothing(at("stanford"), UNJUDGED);
  const limit = flight.wrong_limit_m, low = 0.05;
  const { pen, box } = frameOfDiagram(at("stanford"), "error, m", "5 sigma as stated, m");
  const high = Math.max(2 * limit, ...[sorted[sorted.length - 1] * 1.5]);
  const share = (m) => Math.log(Math.max(m, low) / low) / Math.log(high / low);
  const toX = (m) => box.left + share(m) * (box.right - box.left), toY = (m) => box.bottom - share(m) * (box.bottom - box.top);
  pen.fillStyle = colours.contradiction;
  pen.globalAlpha = 0.13;
  pen.beginPath();
  pen.moveTo(toX(limit), toY(low)); pen.lineTo(box.right, toY(low)); pen.lineTo(box.right, toY(high)); pen.lineTo(toX(limit), toY(limit));
  pen.fill();
  pen.globalAlpha = 1;
  pen.strokeStyle = colours.dim;
  pen.setLineDash([4, 3]);
  pen.beginPath();
  pen.moveTo(toX(low), toY(low)); pen.lineTo(toX(high), toY(high));
  pen.moveTo(toX(limit), box.top); pen.lineTo(toX(limit), box.bottom);
  pen.moveTo(box.left, toY(limit)); pen.lineTo(box.right, toY(limit));
  pen.stroke();
  pen.setLineDash([]);
  const seen = new Map();
  let misled = 0;
  for (const i of judged) {
    const x = Math.round(toX(column.error_m[i]) / 3), y = Math.round(toY(5 * column.accuracy_m[i]) / 3);
    seen.set(`${x},${y}`, (seen.get(`${x},${y}`) ?? 0) + 1);
    misled += column.error_m[i] > 5 * column.accuracy_m[i];
  }
  const most = Math.max(...seen.values());
  pen.fillStyle = colours.fix;
  for (const [key, n] of seen) {
    const [x, y] = key.split(",").map(Number);
    pen.globalAlpha = 0.3 + 0.7 * (Math.log(1 + n) / Math.log(1 + most));
    pen.fillRect(x * 3 - 1.5, y * 3 - 1.5, 3, 3);
  }
  pen.globalAlpha = 1;
  const decades = [0.1, 1, 10, 100, 1000].filter((m) => m < high);
  ticks(pen, box, decades, toX, String, false);
  ticks(pen, box, decades, toY, String, true);
  at("stanford-said").textContent = `Every fix: how far off it was against how far off it said it might be. ${misled} of ${judged.length} lie below the diagonal; ` +
    `red: wrong, beyond ${limit} m and beyond 5 sigma (${flight.summary.accuracy.wrong_fixes}).`;
}

function drawCalibration() {
  if (!sorted.length) return nothing(at("calibration"), UNJUDGED);
  const { pen, box } = frameOfDiagram(at("calibration"), "of fixes there should be", "there are inside");
  const toX = (share) => box.left + share * (box.right - box.left), toY = (share) => box.bottom - share * (box.bottom - box.top);
  const nees = Float32Array.from(judged, (i) => (column.error_m[i] / column.accuracy_m[i]) ** 2).sort();
  pen.strokeStyle = colours.dim;
  pen.setLineDash([4, 3]);
  pen.beginPath(); pen.moveTo(toX(0), toY(0)); pen.lineTo(toX(1), toY(1)); pen.stroke();
  pen.setLineDash([]);
  pen.strokeStyle = colours.fix;
  pen.lineWidth = 2;
  pen.beginPath(); pen.moveTo(toX(0), toY(0));
  for (let share = 0.02; share < 0.999; share += 0.02) {
    const limit = -2 * Math.log(1 - share);
    let inside = 0;
    for (let a = 0, b = nees.length; a < b;) { const m = (a + b) >> 1; if (nees[m] <= limit) a = m + 1; else b = m; inside = a; }
    pen.lineTo(toX(share), toY(inside / nees.length));
  }
  pen.stroke();
  const shares = [0, 0.25, 0.5, 0.75, 1];
  ticks(pen, box, shares, toX, (s) => `${100 * s}%`, false);
  ticks(pen, box, shares, toY, (s) => `${100 * s}%`, true);
  const a = flight.summary.accuracy, c = a.coverage_1_2_3_sigma;
  const word = a.fixes_with_truth < 30 ? "too few fixes to say" : a.half_nees > 1.1 ? "it promises more than it keeps" : a.half_nees < 0.5 ? "it is better than it says" : "it says what it is";
  at("calibration-said").textContent = `Above the diagonal errors are smaller than stated. NEES/2 is ${a.half_nees.toFixed(2)}, honest is 1: ${word}. ` +
    `Inside 1, 2, 3 sigma: ${c.map(percent).join(", ")} (39, 86 and 99 % would be even).`;
}
