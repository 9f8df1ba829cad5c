"""`geobridge demo`: the whole path, from rendered land to a flight that loses its GNSS.

Encoders are trained on one land and flown over another. Nothing here was recorded by a camera: it
shows that every stage works together, not how well it works outdoors.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.durable import write_text
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.replay.picture import require_matplotlib
from geobridge.onboard.simulation.flying.exposures import Shutter
from geobridge.onboard.simulation.flying.faults import Fault, FaultKind
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.render.day import SPRING_AFTERNOON
from geobridge.onboard.simulation.render.scenery import Scenery, on_day
from geobridge.onboard.simulation.render.views import satellite
from geobridge.onboard.simulation.world import make_world
from geobridge.training.datasets.render import render
from geobridge.training.evaluation.report import REPORT
from geobridge.training.trainer import train

from ..encoders import export
from ..flights.land import METRES, route_over
from ..flights.mission import Mission
from ..keys import new_key
from ..pack import pack
from ..signing import sign
from .land import write_map, write_street
from .page import write_page
from .picture import draw
from .sheet import write_sheet
from .sortie import fly
from .story import tell

log = logging.getLogger(__name__)

FRAME = LocalFrame(47.4, 8.5)
"""The middle of the land that is flown over; nothing real lies behind it."""
MISSION_SEED, TRAINING_SEED = 2, 1
SPEED_M_S, HFOV_DEG = 10.0, 70.0
MOUNT = Mount(pitch_deg=-78.0)
"""Tilted back by about what the vehicle leans forward at its speed."""


REFERENCES = """\
[[source]]
path = "map.tif"
licence = "rendered by geobridge demo"
captured = "never"

[[source]]
path = "street"
licence = "rendered by geobridge demo"
captured = "never"
"""


@dataclass(frozen=True)
class Size:
    """How much of everything; `route` in shares of half the map, `training` overrides a recipe.

    The full route first crosses rows of equal houses, where silence is right.
    """

    land_m: float
    route: tuple[tuple[float, float], ...]
    height_agl_m: float
    gnss_ends_s: float
    camera_px: tuple[int, int]
    rate_hz: float
    training_km: float
    places: int
    picture_px: int
    training: tuple[str, ...]


FULL = Size(
    land_m=1000.0,
    route=((-0.6, -0.6), (-0.5, 0.55), (0.1, 0.62), (0.62, 0.55), (0.62, 0.0)),
    height_agl_m=190.0,
    gnss_ends_s=45.0,
    camera_px=(480, 360),
    rate_hz=3.0,
    training_km=3.0,
    places=1000,
    picture_px=128,
    training=("optim.steps=260", "optim.warmup_steps=20"),
)
QUICK = Size(
    land_m=600.0,
    route=((-0.45, -0.4), (-0.4, 0.35), (0.05, 0.3)),
    height_agl_m=120.0,
    gnss_ends_s=10.0,
    camera_px=(320, 240),
    rate_hz=3.0,
    training_km=2.0,
    places=240,
    picture_px=80,
    training=(
        "optim.steps=70",
        "optim.batch_size=32",
        "optim.warmup_steps=10",
        "preprocess.height_px=64",
        "preprocess.width_px=64",
        "model.vision={layers = [1, 1, 1, 1], width = 24, head_width = 48}",
    ),
)


def demo(out: Path, quick: bool = False) -> dict[str, Any]:
    """Render, train, export, pack, sign, fly; the figures of the flight and where the page lies.

    Args:
        out: folder for everything; what is complete there is not done again.
        quick: less of everything.

    Raises:
        SystemExit: with 1, when the vehicle did not complete its route; the page is there.
    """
    require_matplotlib()
    size = QUICK if quick else FULL
    out.mkdir(parents=True, exist_ok=True)
    log.info("1/6 rendering %d places to train on", size.places)
    render(
        out / "triples",
        count=size.places,
        seed=TRAINING_SEED,
        size_km=size.training_km,
        val=0.0,
        test=0.15,
        size_px=size.picture_px,
        tilt_deg=10.0,
        weather="fair",
        rectified=True,
        footprint_m=150.0,
        overlap=0.7,
        block_m=500.0,
    )
    log.info("2/6 training three image towers and the text tower")
    checkpoint = train(Path("tiny"), _training(out, size))
    directions = json.loads((out / "run" / REPORT).read_text())
    log.info("3/6 exporting the image encoders")
    encoders = export(checkpoint, out / "encoders", precisions=("fp32",))
    log.info("4/6 packing and signing the references of the mission's land")
    scenery = Scenery(make_world(MISSION_SEED, size.land_m, frame=FRAME))
    bundle, trusted = _bundle(out, scenery, encoders)
    log.info("5/6 flying; GNSS ends after %.0f s", size.gnss_ends_s)
    sortie = fly(mission(scenery, size), bundle, trusted, out / "flight")
    log.info("6/6 telling what happened")
    story = tell(sortie)
    ground = satellite(sortie.mission.setting, 0.0, 0.0, size.land_m, 1000)
    draw(out / "flight.png", story, ground.image, size.land_m / 2.0)
    write_sheet(out / "triples.jpg", out / "triples")
    summary = story.summary | {"directions": {row.pop("direction"): row for row in directions}}
    write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    told = _page(out, summary)
    if not sortie.has_arrived:
        log.error("no arrival, %s; see %s", sortie.flight.ending.value, told["page"])
        raise SystemExit(1)
    return told


def _training(out: Path, size: Size) -> list[str]:
    """Overrides of the recipe: so short a training learns more from pictures as they are."""
    where = [f'data.folder="{out / "triples"}"', f'run.folder="{out / "run"}"']
    changes = ["augment.rotate=false", "augment.flip=false", "augment.appearance=0.0"]
    return [*where, *changes, "run.checkpoint_every_steps=100", *size.training]


def _bundle(out: Path, scenery: Scenery, encoders: Path) -> tuple[Path, Path]:
    """The signed bundle, and the public key that flies with the vehicle."""
    write_map(out / "map.tif", scenery)
    write_street(out / "street", scenery)
    references = write_text(out / "references.toml", REFERENCES)
    bundle = out / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    pack(references, encoders, bundle, gsd_m=1.0, registration_m=1.0)
    key = out / "demo"
    if not key.with_suffix(".key").exists():
        new_key(key)
    sign(bundle, key.with_suffix(".key"))
    return bundle, key.with_suffix(".pub")


def mission(scenery: Scenery, size: Size) -> Mission:
    """The flight of a demo over its land."""
    terrain, half_m = Terrain.of(scenery), size.land_m / 2.0
    places = ":".join(f"{east * half_m:g},{north * half_m:g}" for east, north in size.route)
    return Mission(
        setting=on_day(scenery, SPRING_AFTERNOON),
        terrain=terrain,
        route=route_over(terrain, METRES + places, SPEED_M_S, size.height_agl_m),
        camera=Camera.from_hfov(*size.camera_px, HFOV_DEG, MOUNT),
        shutter=Shutter(size.rate_hz),
        faults=(Fault(FaultKind.OUTAGE, size.gnss_ends_s),),
        seed=5,
    )


def _page(out: Path, summary: dict[str, Any]) -> dict[str, Any]:
    page = out / "index.html"
    wrote = {
        "the signed bundle": "bundle/",
        "what the pilot's configuration says": "flight/onboard.toml",
        "what the daemon said": "flight/daemon.log",
        "what became of every frame": "flight/record/",
        "the triples": "triples/",
        "all figures": "summary.json",
    }
    rows = [{"direction": name} | row for name, row in summary["directions"].items()]
    write_page(page, summary, rows, out / "flight.png", out / "triples.jpg", wrote)
    return {key: value for key, value in summary.items() if key != "directions"} | {
        "page": str(page)
    }
