"""The map that the status page draws on, and the reference beside a frame, as JPEG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from ..manifest_entries import CoverageEntry
from ..records import Fix, Frame, Image, Mask

MAP_PX, SIDE_PX = 720, 320
JPEG_QUALITY = 80
GREY = 40


class Imagery(Protocol):
    """The bundle's reference imagery."""

    def read(
        self, east_m: float, north_m: float, size_px: int
    ) -> tuple[Image, Mask, tuple[float, float]]:
        """[S, S, 3], [S, S] around a point, and the local metres of the square's true centre."""


@dataclass(frozen=True)
class Extent:
    """A square of the local plane, `side_m` wide."""

    east_m: float
    north_m: float
    side_m: float

    def pixel(self, east_m: float, north_m: float) -> tuple[float, float]:
        """Right and down in a picture of side 1."""
        right = (east_m - self.east_m) / self.side_m + 0.5
        return right, 0.5 - (north_m - self.north_m) / self.side_m


class Ground:
    """Made once, when the bundle is open; `overview` is the whole coverage, small."""

    def __init__(self, coverage: CoverageEntry, imagery: Imagery, gsd_m: float) -> None:
        self.local = coverage.frame
        self._imagery, self._gsd_m, self.footprint_m = imagery, gsd_m, coverage.footprint_m
        east_m = (coverage.west_m + coverage.east_m) / 2.0
        north_m = (coverage.south_m + coverage.north_m) / 2.0
        side_m = max(coverage.east_m - coverage.west_m, coverage.north_m - coverage.south_m)
        self.extent = Extent(east_m, north_m, float(side_m))
        self.bounds_m = coverage.west_m, coverage.south_m, coverage.east_m, coverage.north_m
        self.overview = jpeg(self._overview())

    def place(self, lat_deg: float, lon_deg: float) -> tuple[float, float]:
        """Right and down on the overview, of side 1."""
        east_m, north_m = self.local.to_enu(lat_deg, lon_deg)
        return self.extent.pixel(float(east_m), float(north_m))

    def reference(self, fix: Fix, top_deg: float) -> bytes:
        """The reference imagery around a fix, one footprint wide, its top towards a heading."""
        east_m, north_m = self.local.to_enu(fix.lat_deg, fix.lon_deg)
        around_px = math.ceil(SIDE_PX * math.sqrt(2.0))
        side_m = self.footprint_m * around_px / SIDE_PX
        north_up = self._square(float(east_m), float(north_m), side_m, around_px)
        middle, edge = around_px / 2.0, (around_px - SIDE_PX) // 2
        turn = cv2.getRotationMatrix2D((middle, middle), top_deg, 1.0)
        turned = cv2.warpAffine(north_up, turn, (around_px, around_px))
        inner = slice(edge, edge + SIDE_PX)
        return jpeg(np.asarray(turned[inner, inner], np.uint8))

    def _overview(self) -> Image:
        """Read in strips, so that a large map never stands in memory whole."""
        pieces = 8
        step_m, px = self.extent.side_m / pieces, MAP_PX // pieces
        picture = np.full((MAP_PX, MAP_PX, 3), GREY, np.uint8)
        for row in range(pieces):
            for column in range(pieces):
                east_m = self.extent.east_m + (column + 0.5 - pieces / 2) * step_m
                north_m = self.extent.north_m - (row + 0.5 - pieces / 2) * step_m
                piece = self._square(east_m, north_m, step_m, px)
                picture[row * px : (row + 1) * px, column * px : (column + 1) * px] = piece
        return picture

    def _square(self, east_m: float, north_m: float, side_m: float, px: int) -> Image:
        size_px = max(1, round(side_m / self._gsd_m))
        image, valid, _ = self._imagery.read(east_m, north_m, size_px)
        shown = np.where(valid[..., None] > 0, image, GREY).astype(np.uint8)
        return np.asarray(cv2.resize(shown, (px, px), interpolation=cv2.INTER_AREA), np.uint8)


def frame_jpeg(frame: Frame) -> bytes:
    """The last frame, small."""
    scale = SIDE_PX / max(frame.image.shape[:2])
    size = (
        max(1, math.ceil(frame.image.shape[1] * scale)),
        max(1, math.ceil(frame.image.shape[0] * scale)),
    )
    return jpeg(np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8))


def jpeg(image: Image) -> bytes:
    """RGB to JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return data.tobytes() if done else b""
