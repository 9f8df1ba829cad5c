"""`area`: drone views rendered from a raster of the mission area, against its tiles.

Every place is drawn from the raster at random. Its drone view is what a camera at a drawn pose
would see of the flat map, rectified with a slightly wrong pose, as flight will do it, and going on
where the map ends; its satellite view is the map's own square nearby, cut as packing will cut it.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from geobridge.onboard.camera import Camera
from geobridge.onboard.errors import DataError
from geobridge.onboard.localization.rectify import ground_point, north_up_grid
from geobridge.onboard.preprocess import Preprocess, apply
from geobridge.onboard.records import Attitude, Image, Mask
from geobridge.onboard.views import View

from ..appearance.augment import another_day, another_sensor
from ..appearance.beyond import gone_on
from ..config_data import AreaConfig, BatchesConfig
from ..rasters.raster import Raster
from .batch import NEGATIVE, NEITHER, POSITIVE, TEXT, Batch

Matrix = npt.NDArray[np.float64]

VIEWS = (View.DRONE, View.SATELLITE)
_VIRTUAL_WIDTH_PX = 640
_DRAWS_PER_PLACE = 200
_ATTEMPTS = 20
"""A map that has hardly room for a batch is not filled by every order of draws."""
_SENSOR_SHARE = 0.7
"""Another provider's tile differs less than another day's view."""


class AreaSource:
    """Endless batches from one raster.

    Raises:
        DataError: the raster cannot be used, or is too small for a batch of separate places.
    """

    def __init__(
        self,
        config: AreaConfig,
        preprocess: Preprocess,
        batch_size: int,
        seed: int,
        batches: BatchesConfig | None = None,
    ) -> None:
        self.config = config
        self.batches = batches or BatchesConfig()
        self.preprocess = preprocess
        self.batch_size = batch_size
        self.seed = seed
        with Raster(Path(config.raster), config.gsd_m) as raster:
            self.image, self.valid = raster.read_all()
        self.centres_px = _covered(self.valid, self.size_px, config.min_valid_fraction)
        self._places(np.random.default_rng(seed), batch_size)

    @property
    def places(self) -> None:
        """Without end."""

    @property
    def size_px(self) -> int:
        """Side of a footprint in map pixels."""
        return max(8, round(self.config.footprint_m / self.config.gsd_m))

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The places of all processes are drawn from the seed and the step alone, and each process
        renders its own.

        Raises:
            DataError: the map has no room for the places of all processes.
        """
        drawn = self._places(np.random.default_rng([self.seed, step]), self.batch_size * world)
        rows = range(rank * self.batch_size, (rank + 1) * self.batch_size)
        pairs = [
            self.pair(drawn[row], np.random.default_rng([self.seed, step, row])) for row in rows
        ]
        drone, satellite = (np.stack(column) for column in zip(*pairs, strict=True))
        everywhere = np.ones(len(pairs), bool)
        return Batch(
            {View.DRONE: drone, View.SATELLITE: satellite},
            {View.DRONE.value: everywhere, View.SATELLITE.value: everywhere, TEXT: ~everywhere},
            ("",) * len(pairs),
            self._relation(drawn)[rows.start : rows.stop],
            tuple(f"column {drawn[row][0]:.0f}, row {drawn[row][1]:.0f}" for row in rows),
        )

    def pair(self, centre_px: Matrix, rng: np.random.Generator) -> tuple[Image, Image]:
        """[H, W, 3] drone view and [H, W, 3] satellite view of one place."""
        return self.drone_view(centre_px, rng), self.satellite_view(centre_px, rng)

    def satellite_view(self, centre_px: Matrix, rng: np.random.Generator) -> Image:
        """The map's square near a place, of slightly other colour."""
        jitter_px = self.config.position_jitter_m / self.config.gsd_m
        centre = centre_px + rng.uniform(-jitter_px, jitter_px, 2)
        image, valid = cut(self.image, self.valid, centre, self.size_px)
        changed = another_sensor(image, rng, _SENSOR_SHARE * self.config.appearance)
        return apply(changed, self.preprocess, valid)

    def drone_view(self, centre_px: Matrix, rng: np.random.Generator) -> Image:
        """What a drone would see of a place, rectified with the errors of its own sensors."""
        map_from_patch, seen = self._view_geometry(centre_px, rng)
        image = self._warp(self.image, map_from_patch, cv2.INTER_LINEAR)
        valid = self._warp(self.valid, map_from_patch, cv2.INTER_NEAREST)
        changed = another_day(gone_on(image, valid), rng, self.config.appearance)
        return apply(changed, self.preprocess, seen)

    def _warp(self, layer: Image, map_from_patch: Matrix, interpolation: int) -> Image:
        square, flags = (self.size_px, self.size_px), interpolation | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpPerspective(layer, map_from_patch, square, flags=flags), np.uint8)

    def _view_geometry(self, centre_px: Matrix, rng: np.random.Generator) -> tuple[Matrix, Mask]:
        """Map pixels from patch pixels, and [S, S] which of them the camera sees."""
        config = self.config
        camera = _random_camera(config, rng)
        height_m = float(rng.uniform(*config.height_agl_m))
        roll, pitch = rng.normal(0.0, config.tilt_deg / 2, 2)
        believed = Attitude(float(roll), float(pitch), float(rng.uniform(0.0, 360.0)))
        errors_deg = rng.normal(0.0, 1.0, 3) * [config.attitude_error_deg] * 3
        errors_deg[2] = rng.normal(0.0, config.heading_error_deg)
        true = Attitude(
            believed.roll_deg + errors_deg[0],
            believed.pitch_deg + errors_deg[1],
            believed.heading_deg + errors_deg[2],
        )
        true_height_m = height_m * math.exp(rng.normal(0.0, config.height_error))
        middle = ground_point(camera, believed, height_m)
        assert middle is not None, "a nadir camera sees the ground"
        patch = north_up_grid(*middle, self.size_px, config.gsd_m)
        pixel_from_patch = camera.pixel_from_ground(believed, height_m) @ patch
        ground_from_pixel = np.linalg.inv(camera.pixel_from_ground(true, true_height_m))
        ground_from_patch = ground_from_pixel @ pixel_from_patch
        seen = _seen(np.linalg.inv(pixel_from_patch), camera, self.size_px)
        return self._map_from_ground(ground_from_patch, centre_px) @ ground_from_patch, seen

    def _map_from_ground(self, ground_from_patch: Matrix, centre_px: Matrix) -> Matrix:
        """Map pixels (column, row) from ground metres, so that the patch's middle is the place."""
        half = (self.size_px - 1) / 2.0
        east, north, scale = ground_from_patch @ [half, half, 1.0]
        per_m = 1.0 / self.config.gsd_m
        return np.array(
            [
                [per_m, 0.0, centre_px[0] - per_m * east / scale],
                [0.0, -per_m, centre_px[1] + per_m * north / scale],
                [0.0, 0.0, 1.0],
            ]
        )

    def _relation(self, places: list[Matrix]) -> npt.NDArray[np.int8]:
        """[B, B]: a place is itself alone; others that share much of its square are neither."""
        centres = np.array(places)
        shared = np.clip(1.0 - np.abs(centres[:, None] - centres) / self.size_px, 0.0, 1.0)
        common = shared.prod(axis=2)
        iou = common / (2.0 - common)
        overlap = (common > 0) & (iou >= self.batches.neither_iou)
        table = np.where(overlap, NEITHER, NEGATIVE).astype(np.int8)
        np.fill_diagonal(table, POSITIVE)
        return table

    def _places(self, rng: np.random.Generator, count: int) -> list[Matrix]:
        """[2] column and row of so many places at least `min_separation_m` apart.

        Raises:
            DataError: there is no room for them.
        """
        most = 0
        for _ in range(_ATTEMPTS if len(self.centres_px) else 0):
            chosen = self._draw(rng, count)
            if len(chosen) == count:
                return chosen
            most = max(most, len(chosen))
        processes = count // self.batch_size
        raise DataError(
            f"{self.config.raster}: room for {most} places {self.config.min_separation_m:g} m"
            f" apart with {self.config.footprint_m:g} m footprints, optim.batch_size is"
            f" {self.batch_size}{f' for each of {processes} processes' if processes > 1 else ''};"
            " lower optim.batch_size or data.min_separation_m"
        )

    def _draw(self, rng: np.random.Generator, count: int) -> list[Matrix]:
        apart_px = self.config.min_separation_m / self.config.gsd_m
        draws = rng.integers(0, len(self.centres_px), _DRAWS_PER_PLACE * count)
        left = self.centres_px[draws] + rng.uniform(-0.5, 0.5, (len(draws), 2))
        chosen: list[Matrix] = []
        while len(left) and len(chosen) < count:
            chosen.append(left[0])
            distances2 = np.sum((left - left[0]) ** 2, axis=1)
            left = left[1:][distances2[1:] >= apart_px**2]
        return chosen


def cut(image: Image, valid: Mask, centre_px: Matrix, size_px: int) -> tuple[Image, Mask]:
    """[S, S, 3] and [S, S] around the nearest whole pixel; black and invalid beyond the edge."""
    half = (size_px - 1) / 2.0  # pixel (0, 0) is the centre of the first one
    left, top = (int(v) for v in np.floor(centre_px - half + 0.5))
    square = np.zeros((size_px, size_px, 3), np.uint8)
    mask = np.zeros((size_px, size_px), np.uint8)
    rows = slice(max(0, top), min(image.shape[0], top + size_px))
    columns = slice(max(0, left), min(image.shape[1], left + size_px))
    if rows.stop > rows.start and columns.stop > columns.start:
        inside = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        square[inside], mask[inside] = image[rows, columns], valid[rows, columns]
    return square, mask


def _covered(valid: Mask, size_px: int, min_fraction: float) -> Matrix:
    """[K, 2] columns and rows of the pixels whose square is covered well enough."""
    square = (size_px, size_px)
    share = cv2.boxFilter(valid.astype(np.float32), -1, square, borderType=cv2.BORDER_CONSTANT)
    rows, columns = np.nonzero(share >= max(min_fraction, 1e-6))
    return np.column_stack([columns, rows]).astype(float)


def _random_camera(config: AreaConfig, rng: np.random.Generator) -> Camera:
    aspect = rng.uniform(1.25, 1.85)
    height_px = round(_VIRTUAL_WIDTH_PX / aspect)
    return Camera.from_hfov(_VIRTUAL_WIDTH_PX, height_px, float(rng.uniform(*config.hfov_deg)))


def _seen(patch_from_pixel: npt.ArrayLike, camera: Camera, size_px: int) -> Mask:
    width, height = camera.width_px - 1.0, camera.height_px - 1.0
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]])
    at = corners @ np.asarray(patch_from_pixel).T
    outline = np.rint(at[:, :2] / at[:, 2:]).astype(np.int32)
    mask = np.zeros((size_px, size_px), np.uint8)
    cv2.fillConvexPoly(mask, outline, 1)
    return mask
