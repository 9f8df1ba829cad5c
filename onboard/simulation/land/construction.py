"""The building site: what stands so far, where there is room, and what things are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .geometry import rectangle, unit
from .ground import Ground, Surface
from .raster import Bytes, Floats, Grid
from .solids import BOX, Facade, Rows, Shape

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


BARRED, FREE, TAKEN = range(3)
"""Values of `Site.room`."""


@dataclass(eq=False)
class Site:
    """Collects boxes on a surface; `room` [H, W] tells where building is allowed and not yet done.

    The heights of boxes stand above ground; what that is, is found when all are known.
    """

    grid: Grid
    surface: Surface
    rng: np.random.Generator
    room: Bytes = field(init=False)
    gardens: int = field(init=False)
    buildings: list[tuple[object, ...]] = field(default_factory=list)
    clutter: list[tuple[object, ...]] = field(default_factory=list)
    cars: list[tuple[object, ...]] = field(default_factory=list)
    trees_m: list[Floats] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.room = np.array([kind in _OPEN for kind in Ground], np.uint8)[self.surface.cover]
        self.room *= ~self.surface.deck
        self.gardens = int(self.surface.parcel.max())

    def fits(self, outline_m: Floats) -> bool:
        """Whether a convex outline [K, 2] lies on free ground; what is off the map is free."""
        window, mask = self.grid.cut_out(outline_m)
        return bool(np.all(self.room[window][mask] == FREE))

    def occupy(self, outline_m: Floats) -> None:
        """Nothing else will be built here."""
        self.grid.fill(self.room, outline_m, TAKEN)

    def pave(self, outline_m: Floats, cover: Ground) -> None:
        """Change the free ground within a convex outline."""
        window, mask = self.grid.cut_out(outline_m)
        self.surface.cover[window][mask & (self.room[window] == FREE)] = cover

    def build(
        self,
        centre_m: Floats,
        angle: float,
        size_m: Size,
        colour: Colour,
        rise_m: float = 0.0,
        shape: Shape = Shape.FLAT,
        seam_m: float = 0.0,
        facade: Facade = Facade.PLAIN,
    ) -> None:
        """Put up one part of a building; the caller has looked for room."""
        self.buildings.append(_box(centre_m, angle, size_m, colour, rise_m, shape, seam_m, facade))
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
            size_m = (length_m, 0.85 + 0.21 * length_m, 1.0)
            self.cars.append(_box(centre_m, angle, size_m, (0, 0, 0)))

    def pick(self, colours: tuple[Colour, ...]) -> Colour:
        """One of these, a little lighter or darker."""
        red, green, blue = colours[self.rng.integers(len(colours))]
        light = float(np.clip(self.rng.normal(1.0, 0.07), 0.8, 1.2))
        return round(red * light), round(green * light), round(blue * light)


def plant_room(site: Site, centre_m: Floats, angle: float, size_m: Size) -> None:
    """Lift heads and air conditioning on a flat roof of this size."""
    for _ in range(2 + int(size_m[0] * size_m[1] / 450.0)):
        along_m, across_m = site.rng.uniform(-0.38, 0.38, 2) * size_m[:2]
        at_m = centre_m + unit(angle) * along_m + unit(angle + math.pi / 2.0) * across_m
        long_m, wide_m = site.rng.uniform(1.5, 4.5, 2)
        height_m = size_m[2] + site.rng.uniform(1.0, 2.6)
        site.build(at_m, angle, (long_m, wide_m, height_m), site.pick(SHEET))


def rows(boxes: list[tuple[object, ...]]) -> Rows:
    """[N] `solids.BOX`."""
    return np.array(boxes, BOX)


def _box(
    centre_m: Floats,
    angle: float,
    size_m: Size,
    colour: Colour,
    rise_m: float = 0.0,
    shape: Shape = Shape.FLAT,
    seam_m: float = 0.0,
    facade: Facade = Facade.PLAIN,
) -> tuple[object, ...]:
    red, green, blue = (min(level, 255) / 255.0 for level in colour)
    rgb = (red, green, blue)
    return (*centre_m, angle % math.tau, *size_m, rise_m, int(shape), seam_m, rgb, int(facade), 0.0)
