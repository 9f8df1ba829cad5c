"""The flights of a rehearsal: on several cores, each kept when flown, resumed after a stop."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from geobridge.onboard import durable
from geobridge.onboard.bundle import MANIFEST, sha256
from geobridge.onboard.simulation.flying.route import Route
from geobridge.onboard.simulation.flying.simulate import simulate
from geobridge.onboard.simulation.flying.terrain import Terrain

from .conditions import Ranges, draw
from .flight import NO_GNSS, Rig, Rules, flight_seed, fly, look
from .flown import FIX, Flown
from .paths import Lanes, at_height
from .sources import PlaceSource

log = logging.getLogger(__name__)

PLAN = "plan.json"
AREA_HEIGHTS_AGL_M = (100.0, 140.0)
_TRIED_FRAMES = 6


@dataclass(frozen=True)
class Task:
    """Everything that decides what the flights are. `course` is one route, or lanes over an area.

    `map_name` tells one map from another.
    """

    place: PlaceSource
    map_name: str
    bundle: Path
    rules: Rules
    ranges: Ranges
    course: Route | Lanes

    def route(self, number: int, terrain: Terrain, height_agl_m: float | None) -> Route:
        """What flight `number` follows."""
        if isinstance(self.course, Lanes):
            return self.course.route(number, height_agl_m or AREA_HEIGHTS_AGL_M[0], terrain)
        return at_height(self.course, height_agl_m, terrain) if height_agl_m else self.course

    @property
    def fingerprint(self) -> str:
        """Tells the flights of this rehearsal from those of another one."""
        tree = {
            "version": version("geobridge-uav"),
            "map": self.map_name,
            "bundle": sha256(self.bundle / MANIFEST),
            "camera": asdict(self.rules.camera),
            "localizer": self.rules.localizer.model_dump(mode="json"),
            "rate_hz": self.rules.rate_hz,
            "seed": self.rules.seed,
            "ranges": asdict(self.ranges) | {"seasons": [s.value for s in self.ranges.seasons]},
            "course": asdict(self.course),
        }
        return json.dumps(tree, sort_keys=True)


@lru_cache(maxsize=1)
def rig_of(task: Task) -> Rig:
    """The place and the bundle, once for all flights of a process."""
    return Rig(task.place(), task.bundle, task.rules)


def fly_all(task: Task, flights: int, folder: Path, processes: int) -> list[Flown]:
    """Fly what is not yet in the folder; all flights in their order.

    Raises:
        BundleError, EngineError, DataError: before the first flight.
    """
    _begin(folder, task.fingerprint)
    missing = [number for number in range(flights) if not _file(folder, number).exists()]
    if missing:
        workers = min(processes, len(missing))
        _announce(task, missing, flights, workers)
        _follow(_results(task, missing, folder, workers), len(missing))
    return [Flown.read(_file(folder, number)) for number in range(flights)]


def _begin(folder: Path, fingerprint: str) -> None:
    plan = folder / PLAN
    if not (plan.exists() and plan.read_text(encoding="utf-8") == fingerprint):
        if folder.exists():
            log.info("%s: flights of another rehearsal, flown anew", folder)
        shutil.rmtree(folder, ignore_errors=True)
        durable.write_text(plan, fingerprint)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.json"


def _announce(task: Task, missing: Sequence[int], flights: int, workers: int) -> None:
    """Say what it will cost, from a trial of a few frames."""
    rig, number = rig_of(task), missing[0]
    conditions = draw(task.ranges, rig.place.frame.origin_lat_deg, task.rules.seed, number)
    route = task.route(number, rig.terrain, conditions.height_agl_m)
    began = time.perf_counter()
    seed = flight_seed(task.rules.seed, number)
    flight = simulate(route, rig.terrain, weather=conditions.weather, faults=NO_GNSS, seed=seed)
    simulated_s = time.perf_counter() - began
    looks = look(rig, flight, conditions, seed)
    tried = []
    for _ in islice(looks, _TRIED_FRAMES):
        tried.append(time.perf_counter())
    frame_s = (tried[-1] - tried[1]) / max(len(tried) - 2, 1) if len(tried) > 2 else 0.1
    frames = math.ceil(flight.truth[-1].time_s * task.rules.rate_hz)
    cost_s = len(missing) * (simulated_s + frames * frame_s) / workers
    log.info(
        "%d flights of %.1f km, %d of them flown; %d frames to render and localize,"
        " about %s on %d processes",
        flights,
        route.length_m / 1000.0,
        flights - len(missing),
        frames * len(missing),
        _clock(cost_s),
        workers,
    )


def _results(task: Task, missing: Sequence[int], folder: Path, workers: int) -> Iterator[Flown]:
    if workers == 1:
        for number in missing:
            yield _fly_and_keep(task, number, folder)
        return
    context = multiprocessing.get_context("spawn")  # a fork would inherit threads half dead
    pool = ProcessPoolExecutor(workers, context, _begin_process)
    try:
        pending = [pool.submit(_fly_and_keep, task, number, folder) for number in missing]
        for done in as_completed(pending):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_process() -> None:
    """One core for each; an interrupt is the parent's to handle, its end is the end of all."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _fly_and_keep(task: Task, number: int, folder: Path) -> Flown:
    rig = rig_of(task)
    conditions = draw(task.ranges, rig.place.frame.origin_lat_deg, task.rules.seed, number)
    route = task.route(number, rig.terrain, conditions.height_agl_m)
    flown = fly(rig, route, conditions, number)
    flown.write(_file(folder, number))
    return flown


def _follow(results: Iterator[Flown], expected: int) -> None:
    began = time.monotonic()
    for done, flown in enumerate(results, start=1):
        left_s = (time.monotonic() - began) / done * (expected - done)
        share = flown.said.count(FIX) / max(len(flown.said), 1)
        log.info(
            "flight %d: a fix for %.0f%% of %d frames; %d of %d flown, %s left",
            flown.number,
            100.0 * share,
            len(flown.said),
            done,
            expected,
            _clock(left_s),
        )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


def plain(task: Task) -> dict[str, Any]:
    """The task as data for a report."""
    tree: dict[str, Any] = json.loads(task.fingerprint)
    return tree
