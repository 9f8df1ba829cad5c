"""The building site: what stands so far, where there is room, and what things are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import rectangle, unit
from .ground import DECK_M, Ground, Surface
from .raster import Bytes, Floats, Grid
from .relief import BOX, Rows, Shape

Colour = tuple[int, int, int]
Size = tuple[float, float, float]
"""Length, width and height in metres."""

TILE: tuple[Colour, ...] = (
    (150, 96, 78),
    (136, 82, 68),
    (164, 114, 92),
    (122, 82, 70),
    (120, 98, 86),
    (96, 94, 94),
    (80, 82, 86),
    (118, 112, 106),
)
SHEET: tuple[Colour, ...] = (
    (204, 205, 203),
    (178, 181, 182),
    (150, 160, 172),
    (122, 129, 134),
    (208, 204, 194),
    (148, 104, 92),
)
BITUMEN: tuple[Colour, ...] = ((128, 127, 124), (170, 167, 160), (98, 98, 99), (190, 184, 174))
TIMBER: tuple[Colour, ...] = ((120, 104, 84), (100, 96, 92), (140, 132, 118))
PAINTED: tuple[Colour, ...] = ((66, 92, 132), (144, 78, 66), (78, 108, 88), (190, 184, 170))
POOL: tuple[Colour, ...] = ((84, 146, 166), (104, 162, 176))
GLASS: tuple[Colour, ...] = ((44, 50, 66), (38, 44, 56))

_OPEN = (
    Ground.MEADOW,
    Ground.LAWN,
    Ground.YARD,
    Ground.PARK,
    Ground.PAVING,
    Ground.CONCRETE,
    Ground.CAR_PARK,
    Ground.BARE,
)


@dataclass(eq=False)
class Site:
    """Collects boxes on a surface.

    `free` [H, W] is 1 where nothing stands and building is allowed; `lots` [H, W] is 1 on ground
    that belongs to a house and 0 where the nearest house has it.
    """

    grid: Grid
    surface: Surface
    rng: np.random.Generator
    free: Bytes = field(init=False)
    lots: Bytes = field(init=False)
    buildings: list[tuple[object, ...]] = field(default_factory=list)
    clutter: list[tuple[object, ...]] = field(default_factory=list)
    cars: list[tuple[object, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free = np.isin(self.surface.cover, _OPEN).astype(np.uint8)
        self.lots = np.zeros_like(self.free)

    def fits(self, outline_m: Floats) -> bool:
        """Whether a convex outline [K, 2] lies on free ground; what is off the map is free."""
        window, mask = self._cut_out(outline_m)
        return bool(np.all(self.free[window][mask]))

    def occupy(self, outline_m: Floats) -> None:
        """Nothing else will be built here."""
        self.grid.fill(self.free, outline_m, 0)

    def pave(self, outline_m: Floats, cover: Ground) -> None:
        """Change the free ground within a convex outline."""
        window, mask = self._cut_out(outline_m)
        self.surface.cover[window][mask & (self.free[window] > 0)] = cover

    def claim_lot(self, outline_m: Floats) -> None:
        """Ground that belongs to one house."""
        self.grid.fill(self.lots, outline_m, 1)

    def build(
        self,
        centre_m: Floats,
        angle: float,
        size_m: Size,
        colour: Colour,
        rise_m: float = 0.0,
        shape: Shape = Shape.FLAT,
        seam_m: float = 0.0,
    ) -> None:
        """Put up one part of a building; the caller has looked for room."""
        self.buildings.append(_box(centre_m, angle, size_m, colour, rise_m, shape, seam_m))
        self.occupy(rectangle(centre_m, angle, size_m[0] + 1.0, size_m[1] + 1.0))

    def scatter(self, centre_m: Floats, angle: float, size_m: Size, colour: Colour) -> None:
        """Leave a small thing here, if there is room."""
        outline = rectangle(centre_m, angle, size_m[0] + 0.6, size_m[1] + 0.6)
        if self.fits(outline):
            self.clutter.append(_box(centre_m, angle, size_m, colour))
            self.occupy(outline)

    def park_car(self, centre_m: Floats, angle: float, length_m: float = 4.4) -> None:
        """A place where a car may stand."""
        if self.grid.contains(centre_m):
            top_m = 1.0 + DECK_M * float(self.grid.sample(self.surface.deck, centre_m))
            size_m = (length_m, 0.85 + 0.21 * length_m, top_m)
            self.cars.append(_box(centre_m, angle, size_m, (0, 0, 0)))

    def pick(self, colours: tuple[Colour, ...]) -> Colour:
        """One of these, a little lighter or darker."""
        red, green, blue = colours[self.rng.integers(len(colours))]
        light = float(np.clip(self.rng.normal(1.0, 0.07), 0.8, 1.2))
        return round(red * light), round(green * light), round(blue * light)

    def _cut_out(self, outline_m: Floats) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
        """The rows and columns around an outline, and which of their pixels lie inside it."""
        points = self.grid.pixels(outline_m)
        low = np.clip(np.floor(points.min(axis=0)), 0, self.grid.size_px).astype(int)
        high = np.clip(np.ceil(points.max(axis=0)) + 1, 0, self.grid.size_px).astype(int)
        mask = np.zeros(np.maximum(high - low, 0)[::-1], np.uint8)
        if mask.size:
            cv2.fillConvexPoly(mask, np.rint(points - low).astype(np.int32), 1)
        return (slice(low[1], high[1]), slice(low[0], high[0])), mask > 0


def plant_room(site: Site, centre_m: Floats, angle: float, size_m: Size) -> None:
    """Lift heads and air conditioning on a flat roof of this size."""
    for _ in range(2 + int(size_m[0] * size_m[1] / 450.0)):
        along_m, across_m = site.rng.uniform(-0.38, 0.38, 2) * size_m[:2]
        at_m = centre_m + unit(angle) * along_m + unit(angle + math.pi / 2.0) * across_m
        long_m, wide_m = site.rng.uniform(1.5, 4.5, 2)
        height_m = size_m[2] + site.rng.uniform(1.0, 2.6)
        site.build(at_m, angle, (long_m, wide_m, height_m), site.pick(SHEET))


def rows(boxes: list[tuple[object, ...]]) -> Rows:
    """[N] `relief.BOX`."""
    return np.array(boxes, BOX)


def _box(
    centre_m: Floats,
    angle: float,
    size_m: Size,
    colour: Colour,
    rise_m: float = 0.0,
    shape: Shape = Shape.FLAT,
    seam_m: float = 0.0,
) -> tuple[object, ...]:
    red, green, blue = (min(level, 255) / 255.0 for level in colour)
    rgb = (red, green, blue)
    return (*centre_m, angle % math.tau, *size_m, rise_m, int(shape), seam_m, rgb, 0, 0.0)
