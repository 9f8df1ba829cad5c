from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

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
    """A rendered world of 400 m, packed and flown over; nobody changes what is in it.

    map.tif   summer       run/       checkpoint of a tiny encoder
    flight/   in autumn    encoders/  exported, fp32 and fp16
    abroad/   another world, at the same coordinates      bundle/    of map.tif
    """
    for name in ("onnxscript", "onnxruntime", "rasterio"):
        pytest.importorskip(name)
    torch = pytest.importorskip("torch")

    from geobridge.export.demo import write_geotiff
    from geobridge.export.encoders import export
    from geobridge.export.pack import pack
    from geobridge.onboard.simulation.orthophoto import SUMMER_NOON, render_orthophoto
    from geobridge.onboard.simulation.world import make_world
    from geobridge.training.trainer import train

    folder = tmp_path_factory.mktemp("rehearsal")
    world = make_world(seed=7, size_m=400.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # rasterio multiplies transforms
        raster = write_geotiff(folder / "map.tif", render_orthophoto(world, SUMMER_NOON), world)
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
    return folder


def _fly(folder: Path, world_seed: int) -> None:
    from geobridge.export.demo import ORIGIN
    from geobridge.onboard.camera import Camera
    from geobridge.onboard.simulation.flight import fly, write_flight
    from geobridge.onboard.simulation.orthophoto import AUTUMN_OVERCAST, render_orthophoto
    from geobridge.onboard.simulation.world import make_world

    folder.mkdir()
    world, camera = make_world(world_seed, size_m=400.0), Camera.from_hfov(320, 240, 70.0)
    route = [(-100.0, -100.0), (-100.0, 100.0), (100.0, 60.0), (70.0, -60.0)]
    poses = fly(world, route, speed_m_s=12.0, height_agl_m=110.0, rate_hz=1.0, seed=11)
    picture = render_orthophoto(world, AUTUMN_OVERCAST)
    write_flight(folder, picture, world, camera, poses, ORIGIN, seed=12)


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a `geobridge` command that must refuse; gives the one line it says."""
    from geobridge.onboard.cli import main

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert said.err.startswith(f"geobridge {arguments[0]}: ")
        return said.err

    return run
