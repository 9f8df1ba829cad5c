from __future__ import annotations

import fcntl
import os
import shutil
import signal
import warnings
from collections.abc import Callable
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Image

if TYPE_CHECKING:  # the simulation needs more than what flies
    from geobridge.onboard.simulation.mapped import MappedPlace
    from geobridge.onboard.simulation.render.day import Day
    from geobridge.onboard.simulation.render.scenery import Setting

ORIGIN = LocalFrame(47.4, 8.5)
ROOT = Path(__file__).parents[1]

# Threads that wait leave the processors to the other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A shell starts its background jobs with SIGINT ignored, and so would every process of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every machine and every run; a slow machine is no failure.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("repeatable")

# An encoder that tells the places of a 400 m world apart, after seconds on two cores.
TRAINING = (
    "run.checkpoint_every_steps=1000",
    "optim.steps=180",
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
    "data.height_agl_m=[90.0, 130.0]",
    "data.appearance=0.5",
    "preprocess.height_px=48",
    "preprocess.width_px=48",
    "model.embed_dim=64",
    "model.init_temperature=0.03",
    "model.vision={layers = [1, 1, 1, 1], width = 16, head_width = 32}",
)


@pytest.fixture(scope="session")
def data() -> Path:
    """Recorded flights, which are not part of the repository; for tests marked `real_data`."""
    folder = Path(os.environ.get("GEOBRIDGE_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no recorded flights at {folder}; GEOBRIDGE_DATA names their folder")
    return folder


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered world of 400 m, packed and flown over; made once for all processes of a run, and
    nobody changes what is in it.

    map.tif   summer       run/       checkpoint of a tiny encoder
    flight/   in autumn    encoders/  exported, fp32 and fp16
    abroad/   another world, at the same coordinates      bundle/    of map.tif
    """
    for name in ("onnxscript", "onnxruntime", "rasterio", "torch"):
        pytest.importorskip(name)
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the folder of one of several processes
        shared = shared.parent
    folder, made = shared / "rehearsal", shared / "rehearsal.made"
    with (shared / "rehearsal.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            folder.mkdir()
            _rehearse(folder)
            made.touch()
    return folder


def _rehearse(folder: Path) -> None:
    import torch

    from geobridge.export.encoders import export
    from geobridge.export.geotiff import write_geotiff
    from geobridge.export.pack import pack
    from geobridge.onboard.simulation.render.day import SUMMER_NOON
    from geobridge.training.trainer import train

    summer = picture_of(7, SUMMER_NOON)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # rasterio multiplies transforms
        raster = write_geotiff(folder / "map.tif", summer, ORIGIN, -200.0, 200.0, 0.5)
    _fly(folder / "flight", world_seed=7)
    _fly(folder / "abroad", world_seed=8)
    where = [f'data.raster="{raster}"', f'run.folder="{folder / "run"}"']
    with as_file(files("geobridge.training") / "configs" / "area.toml") as config:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # two that wait for each other on busy cores take minutes
        train(config, [*where, *TRAINING])
        torch.set_num_threads(threads)
    export(folder / "run", folder / "encoders")
    pack(raster, folder / "encoders", folder / "bundle", registration_m=1.0)


def picture_of(world_seed: int, day: Day) -> Image:
    """[800, 800, 3] the land of a seed from above, 400 m wide."""
    from geobridge.onboard.simulation.render.scenery import Scenery, on_day
    from geobridge.onboard.simulation.render.views import orthomap
    from geobridge.onboard.simulation.world import make_world

    place = Scenery(make_world(world_seed, size_m=400.0, frame=ORIGIN))
    return orthomap(on_day(place, day), -200.0, 200.0, 0.5, (800, 800)).image


def flat(picture: Image) -> MappedPlace:
    """Level land that looks like a picture of `picture_of`: no parallax, so that what is tested is
    the localizer and not the land."""
    from geobridge.onboard.simulation.mapped import MappedPlace

    valid = np.ones(picture.shape[:2], np.uint8)
    return MappedPlace(ORIGIN, picture, valid, -200.0, 200.0, 400.0 / len(picture))


@pytest.fixture(scope="session")
def land() -> Callable[[int, Day], Image]:
    """`picture_of`, for tests."""
    return cache(picture_of)


@pytest.fixture(scope="session")
def level() -> Callable[[Image], Setting]:
    """Level land that looks like a picture, in even light."""
    from geobridge.onboard.simulation.render.day import Day
    from geobridge.onboard.simulation.render.scenery import on_day

    return lambda picture: on_day(flat(picture), Day())


def _fly(folder: Path, world_seed: int) -> None:
    from geobridge.onboard.camera import Camera
    from geobridge.onboard.simulation.flying.exposures import Shutter, exposures
    from geobridge.onboard.simulation.flying.read_route import read_route
    from geobridge.onboard.simulation.flying.recording import write_flight
    from geobridge.onboard.simulation.flying.simulate import simulate
    from geobridge.onboard.simulation.flying.terrain import Terrain
    from geobridge.onboard.simulation.render.day import AUTUMN_OVERCAST, Day
    from geobridge.onboard.simulation.render.scenery import on_day
    from geobridge.onboard.simulation.render.views import drone

    place, camera = flat(picture_of(world_seed, AUTUMN_OVERCAST)), Camera.from_hfov(320, 240, 70.0)
    setting, terrain = on_day(place, Day()), Terrain(ORIGIN, *place.bounds_m, place.ground_amsl_m)
    lat_deg, lon_deg = ORIGIN.to_geodetic([(-100, -100), (-100, 100), (100, 60), (70, -60)])
    places = (f"{lat:.8f},{lon:.8f},110" for lat, lon in zip(lat_deg, lon_deg, strict=True))
    flight = simulate(read_route(":".join(places), terrain, speed_m_s=12.0), terrain, seed=11)
    shots = exposures(Shutter(rate_hz=1.0), 0.0, flight.truth[-1].time_s, 12)
    write_flight(
        folder,
        flight,
        shots,
        lambda state: drone(setting, camera, state, seed=round(state.time_s)).image,
        terrain,
    )


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a `geobridge` command that must refuse; gives the one line it says."""
    from geobridge.onboard.cli import main

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert said.err.startswith(f"geobridge {arguments[0]}")
        return said.err

    return run
