"use strict";
// What is told in words and tables.

function verdict() {
  const s = flight.summary, a = s.accuracy, c = s.continuity;
  const sentences = [`${count} frames over ${clock(c.duration_s)}: a fix for ${percent(s.availability)} of them`];
  if (a) {
    const wrong = a.wrong_fixes ? `${a.wrong_fixes} of them wrong` : "none of them wrong";
    sentences.push(`half within ${metres(a.error_median_m)}, 95 % within ${metres(a.error_p95_m)}, ${wrong}`);
  } else if (s.fixes) sentences.push("their truth is not known");
  if (c.first_fix_s !== null) sentences.push(`the first after ${c.first_fix_s.toFixed(1)} s, the longest silence ${c.longest_silence_s.toFixed(1)} s`);
  return `${sentences.join("; ")}.`;
}

function tell_title() {
  at("title").textContent = flight.title;
  at("verdict").textContent = verdict();
  at("remarks").replaceChildren(...flight.summary.remarks.map((text) => element("li", text)));
  const names = { fix: "a fix", truth: "the truth", ...flight.families };
  const used = new Set(Array.from(new Set(column.kind), (kind) => familyOf(flight.kinds[kind])));
  if (flight.present.includes("true_east_m")) used.add("truth");
  at("legend").replaceChildren(...Object.entries(names).filter(([name]) => used.has(name))
    .map(([name, text]) => element("li", null, dot(name), text)));
}

function withheld() {
  const total = count - flight.summary.fixes;
  if (!total) { at("withheld").replaceChildren(row("Nothing: every frame gave a fix.")); return; }
  at("withheld").replaceChildren(...Object.entries(flight.summary.withheld).map(([reason, n]) => {
    const name = element("td", null, dot(familyOf(reason)), reason.replaceAll("_", " "), element("small", flight.explained[reason]));
    return row(name, number(String(n)), number(percent(n / count)));
  }));
}

function bar(share) {
  const made = element("span");
  made.className = "bar";
  made.style.width = `${100 * share}%`;
  return made;
}

function strata() {
  let before = "";
  at("strata").replaceChildren(...flight.summary.strata.map((each) => {
    const title = each.what === before ? "" : each.what;
    before = each.what;
    const share = element("td", percent(each.availability), bar(each.availability));
    share.className = "share";
    return row(title, each.stratum, number(String(each.frames)), share, number(each.error_median_m === null ? "–" : metres(each.error_median_m)));
  }));
}

function latency() {
  const stages = Object.entries(flight.timing.latency_ms), most = Math.max(...stages.map(([, t]) => t.p99), 1e-9);
  at("latency").replaceChildren(...stages.map(([stage, t]) => {
    const cell = element("td", null, bar(t.p50 / most));
    cell.style.width = "35%";
    return row(stage, cell, number(`${t.p50.toFixed(1)} ms`), number(`${t.p99.toFixed(1)} ms`));
  }));
  at("latency-said").textContent = `${flight.timing.frames_per_s.toFixed(1)} frames a second on ${flight.timing.machine}. A frame that is withheld early does not come to the later stages.`;
}

function heldWords(held) {
  const ends = `${held.otherwise} of ${held.frames} frames end otherwise than in flight`;
  const missing = held.missing ? `; ${held.missing} pictures or outcomes were not recorded` : "";
  return ends + (held.changed ? `, replayed with ${held.changed}` : "") + missing;
}

function provenance() {
  const s = flight.summary, b = s.bundle, rows = [];
  for (const [name, text] of Object.entries(s.read_from)) rows.push([name, text]);
  if (s.span.from_s || s.span.to_s !== null) rows.push(["part", `from ${s.span.from_s} s to ${s.span.to_s ?? "the end"}`]);
  if (s.span.without_gnss_after_s !== null) rows.push(["GNSS", `taken away after ${s.span.without_gnss_after_s} s`]);
  rows.push(["bundle", `${b.name}, version ${b.version}, by ${b.producer}, manifest ${s.bundle_manifest_sha256.slice(0, 16)}`]);
  for (const source of b.sources) rows.push(["imagery", `${source.name}; licence: ${source.licence || "not stated"}; by: ${source.attribution || "not stated"}; captured: ${source.captured || "not stated"}`]);
  if (s.held_against_flight) rows.push(["held against the flight", heldWords(s.held_against_flight)]);
  rows.push(["accuracy of the bundle", b.accuracy.evidence ?? "not calibrated"]);
  rows.push(["versions", Object.entries(s.versions).map((pair) => pair.join(" ")).join(", ")]);
  at("provenance").replaceChildren(...rows.map(([name, text]) => row(name, String(text))));
  at("settings").textContent = JSON.stringify(s.settings, null, 1);
}
