"use strict";
// Reads status.json once a second and shows it; nothing goes back.

const at = (id) => document.getElementById(id);
const set = (id, attributes) => Object.entries(attributes).forEach(([k, v]) => at(id).setAttribute(k, v));
const MEANS = {
  BOOT: "opening camera and link", SELFTEST: "checking the bundle", ACQUIRE: "looking for the first position",
  TRACK: "giving positions", DEGRADED: "giving positions", NO_FIX: "looking for the position", FAULT: "",
};
const unit = (value, suffix) => (value === null ? "–" : `${value} ${suffix}`);

function picture(id) {
  const next = new Image();
  next.onload = () => { at(id).src = next.src; at(id).hidden = false; };
  next.src = `${id}.jpg?${Date.now()}`;
}

function figures(s) {
  const counts = Object.entries(s.counts).map(([k, n]) => `${n} ${k}`).join(", ");
  const place = s.lat_deg === null ? "–" : `${s.lat_deg.toFixed(6)}, ${s.lon_deg.toFixed(6)}`;
  const rows = {
    "position": place,
    "accuracy (1 sigma, radial)": unit(s.accuracy_m, "m"),
    "positions given": s.output === null ? "–" : `${s.position_rate_hz} per second, as ${s.output}`,
    "age of the fix": unit(s.fix_age_s, "s"),
    "frames looked at": `${s.frame_rate_hz} per second, ${(100 * s.missed).toFixed(0)} % missed`,
    "age of the frame": unit(s.frame_age_s, "s"),
    "last frame": s.outcome ?? "–",
    "a frame takes": unit(s.handling_ms, "ms"),
    "frames so far": counts || "none",
    "autopilot": s.is_heard ? `${s.autopilot ?? "?"}, ${s.is_armed ? "armed" : "disarmed"}` : "not heard",
    "clocks agree to": unit(s.clock_error_ms, "ms"),
    "temperature": unit(s.temperature_c, "°C"),
    "record": s.lost_entries === null ? "none" : `${s.lost_entries} entries lost`,
  };
  at("figures").replaceChildren(...Object.entries(rows).map(([name, value]) => {
    const row = document.createElement("tr");
    for (const text of [name, value]) row.insertCell().textContent = text;
    return row;
  }));
  at("differences").replaceChildren(...s.differences.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}

function ground(map) {
  if (map === null) return;
  if (at("map").hidden) picture("map");
  const [left, top, right, bottom] = map.coverage;
  set("coverage", { x: left, y: top, width: right - left, height: bottom - top });
  set("track", { d: map.track.map((line) => `M${line.map((p) => p.join(",")).join("L")}`).join("") });
  const here = map.here ?? [0, 0];
  set("here", { cx: here[0], cy: here[1], r: map.here ? 0.006 : 0 });
  set("accuracy", { cx: here[0], cy: here[1], r: map.here ? map.radius : 0 });
  at("scale").textContent = `${Math.round(map.side_m)} m wide, north up; dashed: as far as references reach`;
  at("around").textContent = `map around the last fix, turned as the frame, ${Math.round(map.reference_m)} m wide`;
}

async function look() {
  try {
    const s = await (await fetch("status.json")).json();
    at("state").textContent = s.state.replace("_", " ");
    at("state").className = s.state;
    at("reason").textContent = s.reason || MEANS[s.state];
    figures(s);
    ground(s.map);
    picture("frame");
    picture("reference");
  } catch {
    at("state").textContent = "no answer";
    at("state").className = "silent";
  }
  setTimeout(look, 1000);
}

look();
