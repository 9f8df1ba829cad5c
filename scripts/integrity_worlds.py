"""Worlds for `evaluate_integrity`, and the bundles that are flown on them: trained, packed and
calibrated once, also where several processes share a folder.
"""

from __future__ import annotations

import fcntl
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from integrity_figures import fixes_of

from geobridge.export.calibration import Flight, calibrated
from geobridge.export.encoders import export
from geobridge.export.geotiff import write_geotiff
from geobridge.export.pack import pack
from geobridge.export.rehearsal.campaign import rig_of
from geobridge.export.rehearsal.conditions import Ranges, draw
from geobridge.export.rehearsal.flight import fly
from geobridge.export.rehearsal.sources import BundleSource, PlaceSource
from geobridge.export.rehearsal.survey import Survey, task_of
from geobridge.onboard.bundle import SIGNATURE, Bundle, write_manifest
from geobridge.onboard.config import ReplayConfig, load
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
HEIGHTS_M = {"60-150": (60.0, 150.0), "150-400": (150.0, 400.0)}
RANGES = Ranges(solar_hours=(6.0, 18.0), visibility_m=(1_500.0, 20_000.0), map_age_years=(0.0, 6.0))


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
    survey = survey_of("calibration", (HEIGHTS_M["60-150"][0], HEIGHTS_M["150-400"][1]))
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


def survey_of(of: str, heights_agl_m: tuple[float, float]) -> Survey:
    """Lanes over a whole place, other ones for every purpose."""
    return Survey(
        ranges=replace(RANGES, heights_agl_m=heights_agl_m),
        flights=FLIGHTS_OF_LANES,
        cell_m=CELL_M,
        rate_hz=RATE_HZ,
        size_px=SIZE_PX,
        seed=int(sha256(of.encode()).hexdigest()[:6], 16),
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
