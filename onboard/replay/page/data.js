"use strict";
// The flight as it lies in the page: columns of numbers in base64, pictures, figures.

const at = (id) => document.getElementById(id);
const flight = JSON.parse(at("data").textContent);
const count = flight.count;

function bytes(text) {
  const raw = atob(text), found = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
  return found;
}

const column = {};
for (const [name, text] of Object.entries(flight.floats)) column[name] = new Float32Array(bytes(text).buffer);
for (const [name, text] of Object.entries(flight.bytes)) column[name] = bytes(text);

const moments = new Map(flight.moments.map((moment) => [moment.number, moment]));
const isFix = (i) => column.kind[i] === 0;
const kindOf = (i) => flight.kinds[column.kind[i]];
const frameOf = (i) => (flight.frames.names ? flight.frames.names[i] : flight.frames.prefix + (flight.frames.first + i));
const known = (x) => Number.isFinite(x);

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

function row(...cells) {
  const made = element("tr");
  for (const cell of cells) made.append(cell instanceof Node && cell.nodeName === "TD" ? cell : element("td", null, cell));
  return made;
}

function number(text) {
  const cell = element("td", text);
  cell.className = "n";
  return cell;
}

function dot(colour) {
  const made = element("i");
  made.style.background = `var(--${colour})`;
  return made;
}

const metres = (x) => (known(x) ? `${x < 10 ? x.toFixed(2) : x.toFixed(1)} m` : "–");
const roughly = (x) => (x < 10000 ? `${x.toFixed(0)} m` : `${(x / 1000).toFixed(0)} km`);
const percent = (x) => `${(100 * x).toFixed(x > 0 && x < 0.01 ? 2 : 1)} %`;

function clock(seconds) {
  const whole = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

// What is looked at: one frame, and a span of time. Whoever draws either asks to be told.
const shown = { frame: 0, from: 0, to: 0, listeners: [] };
const tell = () => shown.listeners.forEach((listener) => listener());

function select(i) {
  shown.frame = Math.max(0, Math.min(count - 1, i));
  history.replaceState(null, "", `#frame=${shown.frame}`);
  tell();
}

function look(from, to) {
  const end = column.time_s[count - 1];
  shown.from = Math.max(0, from);
  shown.to = Math.min(end, to);
  if (!(shown.to > shown.from)) [shown.from, shown.to] = [0, end || 1];
  tell();
}

function frameAt(seconds) {
  let low = 0, high = count - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column.time_s[middle] < seconds) low = middle + 1; else high = middle;
  }
  const before = Math.max(0, low - 1);
  return seconds - column.time_s[before] < column.time_s[low] - seconds ? before : low;
}

// A canvas at the screen's own pixels, and colours as the page has them.
function sheet(canvas) {
  const ratio = window.devicePixelRatio || 1, { width, height } = canvas.getBoundingClientRect();
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  return { pen, width, height };
}

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "dim", "line", "paper", "fix", "truth", ...Object.keys(flight.families)];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
const familyOf = (kind) => (kind === "fix" ? "fix" : flight.family[kind]);
const colourOf = (i) => colours[familyOf(kindOf(i))];

function niceStep(span, about) {
  const raw = span / about, power = 10 ** Math.floor(Math.log10(raw || 1));
  return [1, 2, 5, 10].find((n) => n * power >= raw) * power;
}
