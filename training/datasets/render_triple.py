"""The pictures of one place and the truth about them, as files and as a line of metadata.

    <folder>/satellite/<id>.jpg     north up, the footprint as of another date
    <folder>/drone/<id>.jpg         about the footprint, the vehicle's heading up; or rectified
    <folder>/street/<id>.jpg        panorama, its heading in the middle; or a photo
    <folder>/depth/<view>/<id>.npz  on request: `distance_m` [H, W] and `points_m` [H, W, 3], metres
                                    east, north, up of the middle of the place; float16
    <folder>/points/<id>.npz        on request: `xyz` [N, 3] the exact geometry of the place on the
                                    drone's day, metres east, north, up of its middle; float32

Distances are along the ray through the middle of every pixel, infinite where there is sky, and
points lie where that ray ends. A satellite's begin at a level above everything, and its points are
where things are, not where its registration shows them. Those of a rectified drone picture belong
to the picture as it was taken, by the camera and pose in the metadata.

What a place looks like depends on the seed, its split and its number alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from geobridge.onboard.camera import Camera
from geobridge.onboard.errors import DataError
from geobridge.onboard.localization.prepare import Prepared
from geobridge.onboard.records import Attitude, Image
from geobridge.onboard.simulation.land.raster import Floats
from geobridge.onboard.simulation.render.day import Day
from geobridge.onboard.simulation.render.scenery import Place, Setting, on_day
from geobridge.onboard.simulation.render.views import (
    EYE_M,
    Shot,
    drone,
    panorama,
    satellite,
    street_photo,
)
from geobridge.onboard.simulation.state import State

from .render_blocks import Spot
from .render_cloud import exact_cloud
from .render_days import (
    Epochs,
    day_of,
    draw_drone,
    draw_optics,
    draw_satellite,
    draw_satellite_day,
)

JPEG_QUALITY = 92
SAMPLES = (1, 3)
"""Rays across a pixel: with an even number none would go through its middle, where distances are
measured."""

_PHOTO_HFOV_DEG = (60.0, 80.0)
_FARTHEST_M = 60_000.0
_RECTIFIED_MARGIN = 1.4
"""How much more than the footprint is seen, so that a turned picture has no empty corners."""
_SENSOR_ERRORS = (1.5, 4.0, 0.03)
"""1-sigma: roll and pitch in degrees, heading in degrees, share of the height."""


class Told(Protocol):
    """A place in the wide sense, and what can be said of its parts."""

    @property
    def place(self) -> Place:
        """What is looked at."""

    def text(self, spot: Spot) -> str:
        """A description; empty where there is none."""


@dataclass(frozen=True)
class Style:
    """What all pictures of a data set have in common.

    Args:
        size_px: height of every picture.
        samples: rays across each pixel, one of `SAMPLES`.
        tilt_deg: how far from straight down a drone may look.
        weather: one of `WEATHERS` or `CONDITIONS`.
        photo: plain street photos instead of panoramas.
        depth: distances and points of every view as well.
        rectified: drone pictures as flight cuts them out: north up, by sensors that err.
        points: the geometry of every place as well.
    """

    size_px: int
    samples: int
    tilt_deg: float
    weather: str
    photo: bool
    depth: bool
    rectified: bool
    points: bool = False


@dataclass(frozen=True)
class Order:
    """One place to render: its name, where it is, what its unit of work has in common."""

    name: str
    split: str
    number: int
    block: tuple[int, int]
    spot: Spot
    seed: int


Taken = tuple[Shot, dict[str, Any]]


def render_triple(
    land: Told, order: Order, epochs: Epochs, style: Style, folder: Path
) -> dict[str, Any]:
    """Write the pictures of one place; its metadata and text."""
    rng = np.random.default_rng([order.seed, 71, *order.split.encode(), order.number])
    scene = _Scene(land.place, order, epochs, style, rng)
    views = {"satellite": scene.satellite(), "drone": scene.drone()}
    if order.spot.street is not None:
        views["street"] = scene.street(*order.spot.street)
    for view, (shot, _) in views.items():
        _write_picture(folder / view / f"{order.name}.jpg", shot.image)
        if style.depth:
            _write_depth(folder / "depth" / view / f"{order.name}.npz", shot, scene.middle_m)
    if style.points:
        _write_points(folder / "points" / f"{order.name}.npz", scene.points_m())
    lat_deg, lon_deg = land.place.frame.to_geodetic(scene.middle_m[:2])
    return {
        "id": order.name,
        "split": order.split,
        "block": list(order.block),
        "lat_deg": float(lat_deg),
        "lon_deg": float(lon_deg),
        "east_m": order.spot.east_m,
        "north_m": order.spot.north_m,
        "ground_amsl_m": scene.middle_m[2],
        "footprint_m": order.spot.footprint_m,
        "views": {view: truth for view, (_, truth) in views.items()},
        "text": land.text(order.spot),
    }


class _Scene:
    """Draws and takes the views of one place, in a fixed order."""

    def __init__(
        self, place: Place, order: Order, epochs: Epochs, style: Style, rng: np.random.Generator
    ) -> None:
        self._place, self._spot, self._epochs, self._style = place, order.spot, epochs, style
        self._rng = rng
        self._seed = int(rng.integers(2**31))
        up_m = float(place.ground_amsl_m((order.spot.east_m, order.spot.north_m)))
        self.middle_m = (order.spot.east_m, order.spot.north_m, up_m)

    def satellite(self) -> Taken:
        day = draw_satellite_day(self._rng, self._epochs.satellite)
        sensor = draw_satellite(self._rng)
        width_m, size_px = self._spot.footprint_m, self._style.size_px
        shot = satellite(
            self._on(day), *self.middle_m[:2], width_m, size_px, sensor, **self._options()
        )
        truth = {"gsd_m": width_m / size_px, "sensor": asdict(sensor)}
        return shot, truth | {"day": _told(day)}

    def drone(self) -> Taken:
        day = day_of(self._rng, self._epochs.today, self._style.weather)
        style = self._style
        camera, state = draw_drone(
            self._rng,
            self._spot,
            self.middle_m[2],
            style.size_px,
            style.tilt_deg,
            margin=_RECTIFIED_MARGIN if style.rectified else 1.0,
        )
        optics = draw_optics(self._rng)
        shot = drone(self._on(day), camera, state, optics, **self._options())
        if style.rectified:
            shot = replace(shot, image=self._rectify(shot.image, camera, state))
        truth = {
            "east_m": state.east_m,
            "north_m": state.north_m,
            "alt_amsl_m": state.alt_amsl_m,
            "height_agl_m": state.alt_amsl_m - self.middle_m[2],
            "attitude": asdict(state.attitude),
            "velocity_enu_m_s": list(state.velocity_enu_m_s),
            "camera": _camera(camera),
            "optics": asdict(optics),
        }
        return shot, truth | {"day": _told(day)}

    def _rectify(self, image: Image, camera: Camera, state: State) -> Image:
        """The picture as flight would cut it: north up, by sensors that err; black beyond it."""
        tilt_deg, turn_deg, stretch = _SENSOR_ERRORS
        roll_deg, pitch_deg = self._rng.normal(0.0, tilt_deg, 2)
        attitude = Attitude(
            state.attitude.roll_deg + float(roll_deg),
            state.attitude.pitch_deg + float(pitch_deg),
            state.attitude.heading_deg + float(self._rng.normal(0.0, turn_deg)),
        )
        height_agl_m = state.alt_amsl_m - self.middle_m[2]
        height_agl_m *= 1.0 + float(self._rng.normal(0.0, stretch))
        seen = Prepared(image, camera, attitude, height_agl_m)
        footprint_m = self._spot.footprint_m
        patch = seen.rectify(footprint_m, footprint_m / self._style.size_px)
        return np.zeros_like(image) if patch is None else patch.image

    def street(self, east_m: float, north_m: float, heading_deg: float) -> Taken:
        day = day_of(self._rng, self._epochs.today, self._style.weather)
        size_px, setting = self._style.size_px, self._on(day)
        truth: dict[str, Any] = {"east_m": east_m, "north_m": north_m, "heading_deg": heading_deg}
        if self._style.photo:
            hfov_deg = float(self._rng.uniform(*_PHOTO_HFOV_DEG))
            camera = Camera.from_hfov(size_px * 4 // 3, size_px, hfov_deg)
            shot = street_photo(setting, camera, east_m, north_m, heading_deg, **self._options())
            truth["camera"] = _camera(camera)
        else:
            shot = panorama(setting, east_m, north_m, heading_deg, 2 * size_px, **self._options())
        eye_m = float(self._place.ground_amsl_m((east_m, north_m))) + EYE_M
        return shot, truth | {"alt_amsl_m": eye_m, "day": _told(day)}

    def points_m(self) -> Floats:
        """[N, 3] of the ground and what stands on it today."""
        return exact_cloud(self._on(self._epochs.today), self.middle_m, self._spot.footprint_m)

    def _on(self, day: Day) -> Setting:
        return on_day(self._place, day)

    def _options(self) -> dict[str, Any]:
        return {"seed": self._seed, "samples": self._style.samples, "threads": 1}


def _write_picture(path: Path, image: Image) -> None:
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    _write(path, lambda: path.write_bytes(data.tobytes()))


def _write_depth(path: Path, shot: Shot, middle_m: tuple[float, float, float]) -> None:
    points_m = shot.points_enu_m - np.asarray(middle_m)
    distance_m = np.where(shot.distance_m < _FARTHEST_M, shot.distance_m, np.inf)
    arrays = {
        "distance_m": distance_m.astype(np.float16),
        "points_m": np.clip(points_m, -_FARTHEST_M, _FARTHEST_M).astype(np.float16),
    }
    _write(path, lambda: np.savez_compressed(path, **arrays))


def _write_points(path: Path, points_m: Floats) -> None:
    _write(path, lambda: np.savez_compressed(path, xyz=points_m.astype(np.float32)))


def _write(path: Path, write: Callable[[], object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def _camera(camera: Camera) -> dict[str, Any]:
    return asdict(camera) | {"distortion": list(camera.distortion)}


def _told(day: Day) -> dict[str, Any]:
    return asdict(day) | {"season": day.season.value}
