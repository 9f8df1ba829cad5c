"""Flights for `evaluate_integrity`: worlds and their bundles, campaigns over them, a file for each.

Several processes may share a folder: whoever holds the lock of a flight flies it, and the lock of a
process that is gone is free.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from integrity_figures import fixes_of

from geobridge.export.calibration import Flight, calibrated
from geobridge.export.encoders import export
from geobridge.export.geotiff import write_geotiff
from geobridge.export.pack import pack
from geobridge.export.rehearsal.campaign import Task, rig_of
from geobridge.export.rehearsal.conditions import Ranges, draw
from geobridge.export.rehearsal.flight import fly
from geobridge.export.rehearsal.flown import FIX, Flown
from geobridge.export.rehearsal.sources import BundleSource, PlaceSource
from geobridge.export.rehearsal.survey import Survey, task_of
from geobridge.onboard.bundle import SIGNATURE, Bundle, write_manifest
from geobridge.onboard.config import ReplayConfig, load
from geobridge.onboard.errors import DataError
from geobridge.onboard.simulation.flying.sensors import SensorErrors
from geobridge.onboard.simulation.render.day import SUMMER_NOON
from geobridge.onboard.simulation.render.scenery import Scenery, on_day
from geobridge.onboard.simulation.render.views import orthomap
from geobridge.onboard.simulation.world import make_world
from geobridge.training.trainer import train

ROOT = Path(__file__).resolve().parent.parent
GSD_M, RATE_HZ, SIZE_PX = 0.5, 1.0, (400, 300)
HFOV_DEG = 80.0
FLIGHTS_OF_LANES, CELL_M = 24, 60.0
REGISTRATION_M = 0.5
"""A rendered map lies where it says, to the pixel."""
CALIBRATION_FLIGHTS = 4
"""Flights of their own, by which a bundle states its accuracy; what is evaluated are others."""
TRAINING = (
    "run.checkpoint_every_steps=100",
    "optim.steps=240",
    "optim.batch_size=32",
    "optim.learning_rate=2e-3",
    "optim.warmup_steps=10",
    'optim.precision="fp32"',
    'optim.device="cpu"',
    "optim.workers=0",
    "data.footprint_m=100.0",
    "data.gsd_m=1.0",
    "data.min_separation_m=25.0",
    "data.position_jitter_m=15.0",
    "data.height_agl_m=[60.0, 400.0]",
    "data.appearance=0.5",
    "preprocess.height_px=48",
    "preprocess.width_px=48",
    "model.embed_dim=64",
    "model.init_temperature=0.03",
    "model.vision={layers = [1, 1, 1, 1], width = 16, head_width = 32}",
)
ATTITUDE_DEG = math.hypot(SensorErrors().attitude_bias_deg, SensorErrors().attitude_noise_deg)
"""What the operator knows about the vehicle: how far its attitude is wrong."""
CAMERA = (
    f"camera.hfov_deg={HFOV_DEG}",
    f"localizer.prepare.attitude_accuracy_deg={ATTITUDE_DEG:.2f}",
)
VIEWS = {"nadir": (), "oblique": ("camera.mount.pitch_deg=-65.0",)}
HEIGHTS_M = {"60-150": (60.0, 150.0), "150-400": (150.0, 400.0)}
RANGES = Ranges(solar_hours=(6.0, 18.0), visibility_m=(1_500.0, 20_000.0), map_age_years=(0.0, 6.0))
HOME, FOREIGN = "home", "foreign"
KEPT = "kind", "world", "view", "heights"


@dataclass(frozen=True)
class WorldSource:
    """A procedural world as a place."""

    seed: int
    size_m: float

    def __call__(self) -> Scenery:
        return _scenery(self.seed, self.size_m)

    @property
    def name(self) -> str:
        return f"world {self.seed} of {self.size_m:g} m"


@lru_cache(maxsize=4)
def _scenery(seed: int, size_m: float) -> Scenery:
    return Scenery(make_world(seed, size_m))


@dataclass(frozen=True)
class Campaign:
    """Flights of one kind. `foreign` ones see another land than the bundle shows."""

    task: Task
    kind: str
    world: str
    view: str
    heights: str

    @property
    def folder(self) -> str:
        mark = sha256(self.task.fingerprint.encode()).hexdigest()[:10]
        return f"{self.kind}-{self.world}-{self.view}-{self.heights}-{mark}".replace(" ", "_")


def prepare(source: WorldSource, out: Path) -> Path:
    """The bundle of a world as it looks on a summer noon, made once."""
    with locked(out / "world.lock", wait=True):
        if (out / "bundle").exists():
            return out / "bundle"
        place = source()
        west_m, _, east_m, north_m = place.bounds_m
        side_px = round((east_m - west_m) / GSD_M)
        shot = orthomap(on_day(place, SUMMER_NOON), west_m, north_m, GSD_M, (side_px, side_px))
        raster = write_geotiff(out / "map.tif", shot.image, place.frame, west_m, north_m, GSD_M)
        where = [f'data.raster="{raster}"', f'run.folder="{out / "run"}"']
        checkpoint = train(ROOT / "training" / "configs" / "area.toml", [*where, *TRAINING])
        encoders = export(checkpoint, out / "encoders")
        pack(raster, encoders, out / "packed", registration_m=REGISTRATION_M, licence="rendered")
        return _calibrated(source, source.name, out / "packed", out / "bundle")


def prepare_map(bundle: Path, out: Path) -> Path:
    """A bundle that is flown over as a world, for which it lies where it says; made once."""
    with locked(out / "map.lock", wait=True):
        if (out / "bundle").exists():
            return out / "bundle"
        shutil.rmtree(out / "packed", ignore_errors=True)
        shutil.copytree(bundle, out / "packed")
        (out / "packed" / SIGNATURE).unlink(missing_ok=True)
        manifest = Bundle.open(bundle).manifest
        exact = manifest.accuracy.model_copy(update={"registration_m": REGISTRATION_M})
        write_manifest(out / "packed", manifest.model_copy(update={"accuracy": exact}))
        source = BundleSource(out / "packed")
        return _calibrated(source, source.name, out / "packed", out / "bundle")


def _calibrated(source: PlaceSource, name: str, packed: Path, out: Path) -> Path:
    calibrated(Bundle.open(packed), _calibration_flights(source, name, packed), out)
    return out


def _calibration_flights(source: PlaceSource, name: str, bundle: Path) -> list[Flight]:
    """Fixes of flights in every season over a bundle that is not calibrated yet."""
    survey = _survey("calibration", (HEIGHTS_M["60-150"][0], HEIGHTS_M["150-400"][1]))
    settings = load(ReplayConfig, None, [*CAMERA])
    task = task_of(source, name, bundle, survey, settings)
    rig = rig_of(task)
    flown = []
    for number in range(CALIBRATION_FLIGHTS):
        conditions = draw(task.ranges, rig.place.frame.origin_lat_deg, task.rules.seed, number)
        route = task.route(number, rig.terrain, conditions.height_agl_m)
        times_s, errors_m, sigmas_m = fixes_of(fly(rig, route, conditions, number))
        flown.append(Flight(f"rendered {number}", times_s, errors_m, sigmas_m))
    return [each for each in flown if len(each.t_s)]


def _survey(of: str, heights_agl_m: tuple[float, float]) -> Survey:
    """Lanes over a whole place, other ones for every purpose."""
    return Survey(
        ranges=replace(RANGES, heights_agl_m=heights_agl_m),
        flights=FLIGHTS_OF_LANES,
        cell_m=CELL_M,
        rate_hz=RATE_HZ,
        size_px=SIZE_PX,
        seed=int(sha256(of.encode()).hexdigest()[:6], 16),
    )


def campaigns(
    worlds: Sequence[tuple[WorldSource, Path]],
    maps: Sequence[Path],
    heights: Sequence[str],
    overrides: Sequence[str] = (),
) -> list[Campaign]:
    """Every world and map in both views and all heights, and land that no bundle knows."""
    places: list[tuple[PlaceSource, str, Path]] = [(w, w.name, b) for w, b in worlds]
    for path in maps:
        source = BundleSource(path)
        places.append((source, f"map {source.name[:8]}", path))
    made = [
        _campaign(place, HOME, name, bundle, view, band, overrides)
        for place, name, bundle in places
        for view in VIEWS
        for band in heights
    ]
    for (source, _), (_, bundle) in zip(worlds, [*worlds[1:], *worlds[:1]], strict=True):
        if len(worlds) > 1:
            seen = source
            made.append(_campaign(seen, FOREIGN, seen.name, bundle, "nadir", heights[0], overrides))
    return made


def _campaign(
    place: PlaceSource,
    kind: str,
    name: str,
    bundle: Path,
    view: str,
    band: str,
    overrides: Sequence[str],
) -> Campaign:
    settings = load(ReplayConfig, None, [*CAMERA, *VIEWS[view], *overrides])
    survey = _survey(f"{kind}{name}{view}{band}", HEIGHTS_M[band])
    return Campaign(task_of(place, name, bundle, survey, settings), kind, name, view, band)


def fly_for(hours: float, todo: Sequence[Campaign], folder: Path) -> None:
    """Round after round a flight of every campaign, until all together are so long.

    Campaigns begin at different numbers, for the season goes by it.
    """
    past = 0
    while hours_of(flights(folder)) < hours:
        for number, campaign in enumerate(todo, past):
            path = folder / campaign.folder / f"{number:05d}.json"
            with locked(path.with_suffix(".lock")) as mine:
                if mine and not path.exists():
                    _fly(campaign, number, path)
            if hours_of(flights(folder)) >= hours:
                return
        past += 1


def _fly(campaign: Campaign, number: int, path: Path) -> None:
    rig, task = rig_of(campaign.task), campaign.task
    conditions = draw(task.ranges, rig.place.frame.origin_lat_deg, task.rules.seed, number)
    route = task.route(number, rig.terrain, conditions.height_agl_m)
    flown = fly(rig, route, conditions, number)
    about = {key: getattr(campaign, key) for key in KEPT}
    flown = replace(flown, conditions=flown.conditions | about)
    flown.write(path)
    share = flown.said.count(FIX) / max(len(flown.said), 1)
    logging.info("%s: %.0f%% of %d frames", path, 100.0 * share, len(flown.said))


def flights(folder: Path) -> list[Flown]:
    """All that were flown in a folder."""
    return [Flown.read(path) for path in sorted(folder.glob("*/[0-9]*.json"))]


def hours_of(flown: Sequence[Flown]) -> float:
    """Time flown, all together."""
    return sum(len(each.time_s) for each in flown) / RATE_HZ / 3600.0


def replayed(folder: Path) -> Flown:
    """A recorded flight that `geobridge replay` left in a folder, with a truth.

    Raises:
        DataError: there is none.
    """
    path = folder / "fixes.jsonl"
    if not path.is_file():
        raise DataError(f"{path}: not there; expected the folder of a replay")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    said, errors_m, accuracies_m = [], [], []
    for row in rows:
        fix: dict[str, Any] | None = row.get("fix")
        known = fix is not None and row["error_m"] is not None
        said.append((FIX if known else "fix_without_truth") if fix else row["rejection"]["reason"])
        errors_m.append(row["error_m"] if known else None)
        accuracies_m.append(fix["horiz_accuracy_m"] if fix and known else None)
    about = {"kind": HOME, "world": f"recorded {folder.name}", "view": "as flown"}
    return Flown(
        number=0,
        ending="recorded",
        conditions=about | {"heights": "as flown"},
        time_s=[(row["t_capture_ns"] - rows[0]["t_capture_ns"]) * 1e-9 for row in rows],
        lat_deg=[math.nan] * len(rows),
        lon_deg=[math.nan] * len(rows),
        said=said,
        error_m=errors_m,
        accuracy_m=accuracies_m,
    )


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Whether nobody else holds this file; it is let go at the end, and by a process that dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
