"use strict";
// Everything together.

const diagrams = () => { drawErrors(); drawStanford(); drawCalibration(); };

function redraw() {
  readColours();
  drawMap();
  drawLanes();
  diagrams();
}

async function start() {
  readColours();
  tell_title();
  withheld();
  strata();
  latency();
  provenance();
  shown.to = column.time_s[count - 1] || 1;
  wholeMap();
  shown.listeners.push(drawMap, drawLanes, drawMoment);
  listenOnMap();
  listenOnLanes();
  listenForSteps();
  const asked = /^#frame=(\d+)$/.exec(location.hash);
  select(asked ? Number(asked[1]) : next((i) => moments.has(i) && isFix(i), 0));
  diagrams();
  new ResizeObserver(redraw).observe(map.canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  if (flight.ground) {
    map.image = await picture(flight.ground.picture);
    drawMap();
  }
  document.body.dataset.readyAfterMs = Math.round(performance.now());
}

start();
