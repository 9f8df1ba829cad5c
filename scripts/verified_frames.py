"""Rendered frames with exact truth, and maps to find them on, for what measures verification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.localization.alignment import Rectifier
from geobridge.onboard.localization.prepare import Prepared
from geobridge.onboard.localization.rectify import Patch
from geobridge.onboard.records import Attitude, Image, Mask
from geobridge.onboard.simulation.render.scenery import Setting
from geobridge.onboard.simulation.render.views import drone, orthomap
from geobridge.onboard.simulation.state import State

Place = tuple[float, float]
"""Metres east and north."""


@dataclass(frozen=True)
class Map:
    """A land from above, north up, its middle at the origin."""

    image: Image
    gsd_m: float

    @classmethod
    def of(cls, setting: Setting, size_m: float, gsd_m: float) -> Map:
        """The middle square of a land."""
        side_px = round(size_m / gsd_m)
        shot = orthomap(setting, -size_m / 2, size_m / 2, gsd_m, (side_px, side_px))
        return cls(shot.image, gsd_m)

    def read(self, east_m: float, north_m: float, size_px: int) -> tuple[Image, Mask, Place]:
        """[S, S, 3], [S, S] and the centre; nothing is seen beyond the edge."""
        half_m = len(self.image) * self.gsd_m / 2.0
        left = round((east_m + half_m) / self.gsd_m - size_px / 2)
        top = round((half_m - north_m) / self.gsd_m - size_px / 2)
        picture, valid = np.zeros((size_px, size_px, 3), np.uint8), np.zeros((size_px, size_px))
        rows, columns = (np.arange(size_px) + first for first in (top, left))
        inside = [(n >= 0) & (n < len(self.image)) for n in (rows, columns)]
        seen = np.ix_(*inside)
        picture[seen] = self.image[np.ix_(rows[inside[0]], columns[inside[1]])]
        valid[seen] = 1
        east_m, north_m = (left + size_px / 2) * self.gsd_m, (top + size_px / 2) * self.gsd_m
        return picture, valid.astype(np.uint8), (east_m - half_m, half_m - north_m)


@dataclass(frozen=True)
class Strips:
    """A map that shows strips of its land alone: every so many metres one, a share of that wide."""

    whole: Map
    every_m: float
    share: float
    bearing_rad: float
    first_m: float

    def read(self, east_m: float, north_m: float, size_px: int) -> tuple[Image, Mask, Place]:
        """As the whole map gives it, and nothing between strips."""
        picture, valid, (east_m, north_m) = self.whole.read(east_m, north_m, size_px)
        steps_m = (np.arange(size_px) - (size_px - 1) / 2.0) * self.whole.gsd_m
        across_m = (east_m + steps_m) * np.cos(self.bearing_rad)
        across_m = across_m + ((north_m - steps_m) * np.sin(self.bearing_rad))[:, None]
        inside = (across_m - self.first_m) % self.every_m < self.share * self.every_m
        valid = np.where(inside, valid, 0).astype(np.uint8)
        return picture * valid[..., None], valid, (east_m, north_m)


@dataclass(frozen=True)
class TelemetryErrors:
    """1-sigma of what telemetry says."""

    tilt_deg: float = 0.0
    heading_deg: float = 0.0
    height_ratio: float = 0.0


def view(
    setting: Setting,
    size_px: tuple[int, int],
    at_m: Place,
    height_agl_m: float,
    off_nadir_deg: float,
    errors: TelemetryErrors,
    rng: np.random.Generator,
) -> Prepared:
    """A frame of a camera of 70 degrees at a place, with what telemetry says about it."""
    camera = Camera.from_hfov(*size_px, 70.0, Mount(pitch_deg=off_nadir_deg - 90.0))
    true = np.array([*rng.normal(0.0, 2.0, 2), rng.uniform(0.0, 360.0)])
    ground_amsl_m = float(setting.place.ground_amsl_m(np.array(at_m)))
    state = State(
        0.0, *at_m, ground_amsl_m + height_agl_m, Attitude(*true.tolist()), (0.0, 0.0, 0.0)
    )
    picture = drone(setting, camera, state, seed=int(rng.integers(2**31)), threads=1).image
    sigmas = errors.tilt_deg, errors.tilt_deg, errors.heading_deg
    told = true + rng.normal(0.0, 1.0, 3) * sigmas
    height_m = height_agl_m * (1.0 + errors.height_ratio * float(rng.normal()))
    return Prepared(picture, camera, Attitude(*told.tolist()), height_m)


def rectifier(prepared: Prepared, footprint_m: float, gsd_m: float) -> Rectifier:
    """The ground of a frame under a hypothesis, as the localizer cuts it."""

    def rectify(turn_deg: float, stretch: float, coarser: int) -> Patch | None:
        return prepared.rectify(footprint_m, gsd_m * coarser, turn_deg, stretch)

    return rectify


def seen_m(at_m: Sequence[float], patch: Patch) -> Place:
    """Where the middle of a patch lies that a vehicle sees from there."""
    return at_m[0] + patch.east_m, at_m[1] + patch.north_m
