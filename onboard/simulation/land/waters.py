"""Where rivers run, lakes lie and the sea begins; and the same as pixels."""

from __future__ import annotations

import math

import numpy as np

from .geometry import beside, nearest_m, unit
from .plan import River, Waters
from .raster import Bytes, Floats, Grid

NO_WATER, RIVER, LAKE, SEA = range(4)
"""Values of `water_mask`."""

_COAST_SHARE = 0.4
_MOST_LAKES = 12


def plan_waters(rng: np.random.Generator, size_m: float, angle: float, hub_m: Floats) -> Waters:
    """Water that keeps clear of the hub; the main river oblique to roads along `angle`."""
    turn = angle + math.radians(rng.uniform(35.0, 55.0)) + math.pi / 2.0 * rng.integers(0, 2)
    if hub_m @ unit(turn + math.pi / 2.0) > 0.0:
        turn += math.pi
    main = _main_river(rng, size_m, turn)
    sea_m = _sea(rng, size_m, turn) if size_m >= 600.0 and rng.random() < _COAST_SHARE else None
    rivers = (main, *_tributaries(rng, size_m, turn, main))
    return Waters(rivers, _lakes(rng, size_m, hub_m, rivers, sea_m), sea_m)


def water_mask(waters: Waters, grid: Grid, bank_m: float = 0.0) -> Bytes:
    """[H, W] which water covers each pixel; rivers with as much of their banks as asked."""
    mask = np.zeros((grid.size_px, grid.size_px), np.uint8)
    for river in waters.rivers:
        left, right = shores(river, bank_m)
        grid.fill(mask, np.concatenate([left, right[::-1]]), RIVER)
    for value, outline_m in [*((LAKE, lake) for lake in waters.lakes), (SEA, waters.sea_m)]:
        if outline_m is not None:
            grid.fill(mask, outline_m, value)
            if bank_m > 0.0:
                grid.stroke(mask, np.concatenate([outline_m, outline_m[:1]]), 2.0 * bank_m, value)
    return mask


def shores(river: River, bank_m: float = 0.0) -> tuple[Floats, Floats]:
    """[K, 2] the left and the right edge of a river, `bank_m` off the water."""
    reach_m = (river.width_m / 2.0 + bank_m)[:, None]
    return beside(river.line_m, reach_m), beside(river.line_m, -reach_m)


def _meander(rng: np.random.Generator, along_m: Floats, size_m: float, calm: float) -> Floats:
    wavelengths_m = [min(0.7 * size_m, 4200.0), min(0.27 * size_m, 1500.0), 560.0]
    swing = np.zeros(len(along_m))
    for wavelength_m in wavelengths_m[: 3 if size_m > 1500.0 else 2]:
        phase = rng.uniform(0.0, 2.0 * math.pi)
        swing += 0.065 * wavelength_m * np.sin(along_m * 2.0 * math.pi / wavelength_m + phase)
    return swing * calm


def _main_river(rng: np.random.Generator, size_m: float, turn: float) -> River:
    along = np.linspace(-0.9 * size_m, 0.9 * size_m, max(121, round(size_m / 8.0)))
    aside_m = min(rng.uniform(0.14, 0.28) * size_m, rng.uniform(420.0, 900.0))
    offset = aside_m + _meander(rng, along, size_m, 1.0)
    line = along[:, None] * unit(turn) + offset[:, None] * unit(turn + math.pi / 2.0)
    width = min(24.0, 0.06 * size_m) + max(0.0, size_m - 1500.0) * 0.0025
    ripple = 0.18 * np.sin(along * 31.0 / min(size_m, 2500.0) + rng.uniform(0.0, 6.0))
    return River(line, width * (1.0 + ripple + 0.25 * along / size_m))


def _tributaries(rng: np.random.Generator, size_m: float, turn: float, main: River) -> list[River]:
    """Brooks and small rivers that join from either side in turns."""
    count = int(np.clip(size_m**2 / 9e6, 0, 7))
    rivers = []
    for index, share in enumerate(rng.permutation((np.arange(count) + 0.5) / max(count, 1))):
        joint = main.line_m[int((0.2 + 0.6 * share) * (len(main.line_m) - 1))]
        side = 1.0 if index % 2 == 0 else -1.0
        away = turn + math.pi + side * math.radians(rng.uniform(55.0, 85.0))
        along = np.arange(0.0, 1.2 * size_m, 8.0)
        calm = np.clip(along / 300.0, 0.0, 1.0)
        swing = _meander(rng, along, size_m, 0.8) * calm
        line = joint + along[:, None] * unit(away) + swing[:, None] * unit(away + math.pi / 2.0)
        width = rng.uniform(5.0, 13.0) * np.linspace(1.2, 0.5, len(along))
        rivers.append(River(line[::-1], width[::-1]))
    return rivers


def _sea(rng: np.random.Generator, size_m: float, turn: float) -> Floats:
    """Everything beyond a wavy shore across the river's mouth."""
    seaward = turn + rng.normal(0.0, 0.22)
    across = np.linspace(-1.6 * size_m, 1.6 * size_m, max(240, round(size_m / 5.0)))
    shore = np.full(len(across), rng.uniform(0.26, 0.36) * size_m)
    for wavelength_m in (0.9 * size_m, 0.37 * size_m, 0.13 * size_m, 0.05 * size_m):
        phase = rng.uniform(0.0, 2.0 * math.pi)
        shore += 0.05 * wavelength_m * np.sin(across * 2.0 * math.pi / wavelength_m + phase)
    beyond = np.full(2, 2.0 * size_m)
    along = np.concatenate([shore, beyond])
    across = np.concatenate([across, across[[-1, 0]]])
    return np.asarray(
        along[:, None] * unit(seaward) + across[:, None] * unit(seaward - math.pi / 2)
    )


def _lakes(
    rng: np.random.Generator,
    size_m: float,
    hub_m: Floats,
    rivers: tuple[River, ...],
    sea_m: Floats | None,
) -> tuple[Floats, ...]:
    wanted = min(round(size_m**2 / 4e6 * rng.uniform(0.3, 1.2) + 0.3), _MOST_LAKES)
    taken = [(hub_m[None], min(0.2 * size_m, 900.0))]
    taken += [(river.line_m, float(river.width_m.max())) for river in rivers]
    taken += [] if sea_m is None else [(sea_m, 100.0)]
    lakes: list[Floats] = []
    for _ in range(40 * wanted):
        at_m = rng.uniform(-0.46, 0.46, 2) * size_m
        radius_m = min(55.0 * math.exp(rng.exponential(0.7)), 520.0, 0.07 * size_m)
        if all(nearest_m(at_m, line) > 1.35 * radius_m + 60.0 + far for line, far in taken):
            lakes.append(_shore(rng, at_m, radius_m))
            taken.append((at_m[None], radius_m))
        if len(lakes) == wanted:
            break
    return tuple(lakes)


def _shore(rng: np.random.Generator, at_m: Floats, radius_m: float) -> Floats:
    """A lake's outline, longer than wide, with bays."""
    turn = np.linspace(0.0, 2.0 * math.pi, 96, endpoint=False)
    reach = np.ones(96)
    for waves in (2, 3, 5, 8):
        reach += 0.34 / waves * np.sin(waves * turn + rng.uniform(0.0, 6.0))
    return np.asarray(at_m + radius_m * reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1))
