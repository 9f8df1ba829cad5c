"""Rays against a search through everything there is: no pyramid, no leaves, no early end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from geobridge.onboard.simulation.land.solids import BOX, CROWN, Facade, Rows, Shape, Species
from geobridge.onboard.simulation.land.terrain import Terrain
from geobridge.onboard.simulation.render.day import Day, light_of
from geobridge.onboard.simulation.render.hit_crown import meet_crown
from geobridge.onboard.simulation.render.rays import empty, render_rays, unlit
from geobridge.onboard.simulation.render.scene import (
    CROWN_BASE,
    CROWN_HEIGHT,
    CROWN_RADIUS,
    Heights,
    Scene,
    build_scene,
    texture_of,
)
from geobridge.onboard.simulation.render.trace import BOX as A_BOX
from geobridge.onboard.simulation.render.trace import CROWN as A_CROWN
from geobridge.onboard.simulation.render.trace import GROUND, OUTSIDE, SKY

Floats = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]

HALF_M, SPACING_M, FOUNDATION_M, DECK_M = 64.0, 2.0, 30.0, 1.4
STEP_M = 0.05
NEVER = 1e30
LIGHT = light_of(Day())


@dataclass(frozen=True, eq=False)
class Plot:
    """128 m of land with whatever stands on it."""

    terrain: Terrain
    boxes: Rows
    crowns: Rows
    scene: Scene


def make_plot(seed: int, boxes: int, crowns: int, relief_m: float) -> Plot:
    rng = np.random.default_rng(seed)
    nodes = round(2.0 * HALF_M / SPACING_M) + 1
    hills = cv2.GaussianBlur(rng.normal(size=(nodes, nodes)), (0, 0), 4.0)
    heights = 400.0 + relief_m * hills / np.ptp(hills)
    terrain = Terrain(heights.astype(np.float32), SPACING_M, -HALF_M, HALF_M)
    box_rows, crown_rows = random_boxes(rng, boxes), random_crowns(rng, crowns)
    for rows in (box_rows, crown_rows):
        places = np.stack([rows["east_m"], rows["north_m"]], axis=-1)
        rows["base_amsl_m"] = terrain.alt_amsl_m(places)
    return Plot(terrain, box_rows, crown_rows, scene_of(terrain, box_rows, crown_rows))


def random_boxes(rng: np.random.Generator, count: int) -> Rows:
    rows = np.zeros(count, BOX)
    rows["east_m"], rows["north_m"] = rng.uniform(-42.0, 42.0, (2, count))
    rows["angle_rad"] = rng.choice([0.0, 0.5 * math.pi, *rng.uniform(0.0, math.tau, 3)], count)
    rows["length_m"], rows["width_m"] = rng.uniform(0.3, 30.0, (2, count))
    rows["height_m"] = rng.uniform(0.5, 60.0, count)
    rows["shape"] = rng.choice(list(Shape), count)
    rows["rise_m"] = np.where(rows["shape"] == Shape.FLAT, 0.0, rng.uniform(0.5, 8.0, count))
    rows["facade"] = rng.choice([Facade.PLAIN, Facade.HOUSE], count)
    rows["facade"][rows["shape"] == Shape.ROUND] = Facade.PLAIN
    return rows


def random_crowns(rng: np.random.Generator, count: int) -> Rows:
    rows = np.zeros(count, CROWN)
    rows["east_m"], rows["north_m"] = rng.uniform(-57.0, 57.0, (2, count))
    rows["radius_m"], rows["height_m"] = rng.uniform(0.5, 6.0, count), rng.uniform(1.0, 25.0, count)
    rows["species"] = rng.choice(list(Species), count)
    return rows


def scene_of(terrain: Terrain, boxes: Rows, crowns: Rows) -> Scene:
    ground = Heights(terrain.heights_amsl_m, terrain.west_m, terrain.north_m, terrain.spacing_m)
    picture = np.full((64, 64, 3), 120, np.uint8)
    texture = texture_of(picture, terrain.west_m, terrain.north_m, 2.0)
    dark = np.zeros((32, 32), np.uint8)
    colours = np.full((len(crowns), 3), 0.3, np.float32)
    return build_scene(ground, texture, np.zeros((64, 64), np.uint8), dark, boxes, crowns, colours)


def follow(scene: Scene, origins: Floats, ways: Floats) -> tuple[Floats, Field]:
    """[N] distance and kind of what each ray meets."""
    out, surface = empty(len(origins), 1), unlit(len(origins), 1)
    turns = np.repeat(np.eye(3)[None], len(origins), axis=0)
    render_rays(scene, LIGHT, origins, turns, ways[:, None], 0.0, out, surface, 0, len(origins))
    return out.distance_m[:, 0].astype(float), out.kind[:, 0]


def search(plot: Plot, origins: Floats, ways: Floats) -> tuple[Floats, Floats]:
    """The same by looking at every solid and at every 5 cm of ground."""
    distances = [meet_ground(plot, origins, ways), meet_crowns(plot.scene, origins, ways)]
    distances += [meet_box(row, origins, ways) for row in plot.boxes]
    kinds = np.array([GROUND, A_CROWN] + [A_BOX] * len(plot.boxes))
    nearest = np.argmin(distances, axis=0)
    distance = np.min(distances, axis=0)
    beyond = (plot.scene.outside_amsl_m - origins[:, 2]) / np.minimum(ways[:, 2], -1e-9)
    down = ways[:, 2] < -1e-6
    found = np.where(distance < NEVER, kinds[nearest], np.where(down, OUTSIDE, SKY))
    left = over_the_plot(origins, ways)[1]
    outside = np.where(beyond >= left - 1.0, beyond, left)
    return np.where(found == OUTSIDE, outside, distance), found


def over_the_plot(origins: Floats, ways: Floats) -> tuple[Floats, Floats]:
    """Where rays come over the plot and where they leave it; 0, 0 for those that never do."""
    with np.errstate(divide="ignore", invalid="ignore"):
        at = (np.array([-HALF_M, HALF_M])[:, None, None] - origins[:, :2]) / ways[:, :2]
    near, far = np.nanmin(at, axis=0).max(axis=1), np.nanmax(at, axis=0).min(axis=1)
    over = (near < far) & (far > 0.0)
    return np.where(over, np.maximum(near, 0.0), 0.0), np.where(over, far, 0.0)


def meet_ground(plot: Plot, origins: Floats, ways: Floats) -> Floats:
    found = np.full(len(origins), NEVER)
    spans = np.stack(over_the_plot(origins, ways))
    for k, (near, far) in enumerate(np.minimum(spans, 500.0).T):
        steps = np.arange(near, far, STEP_M)
        points = origins[k] + steps[:, None] * ways[k]
        below = points[:, 2] <= plot.terrain.alt_amsl_m(points[:, :2])
        if below.any():
            found[k] = steps[np.argmax(below)]
    return found


def meet_crowns(scene: Scene, origins: Floats, ways: Floats) -> Floats:
    found = np.full(len(origins), NEVER)
    for k, (origin, way) in enumerate(zip(origins, ways, strict=True)):
        for crown in range(len(scene.crowns)):
            at = meet_crown(scene.crowns, crown, False, *origin, *way)[0]
            found[k] = min(found[k], at if at > 1e-3 else NEVER)
    return found


def meet_box(row: Any, origins: Floats, ways: Floats) -> Floats:
    """A box is what lies within all its bounds: each cuts an interval out of a ray."""
    cos, sin = math.cos(row["angle_rad"]), math.sin(row["angle_rad"])
    turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    eaves = float(row["base_amsl_m"] + row["height_m"])
    p = (origins - [row["east_m"], row["north_m"], eaves]) @ turn.T
    v = ways @ turn.T
    a, b, rise = float(row["length_m"]) / 2.0, float(row["width_m"]) / 2.0, float(row["rise_m"])
    thick = DECK_M if row["facade"] == Facade.DECK else float(row["height_m"]) + FOUNDATION_M
    bounds = [below(p, v, [0.0, 0.0, -1.0], thick)]
    if row["shape"] == Shape.ROUND:
        p, v = p / [a, b, 1.0], v / [a, b, 1.0]
        flat2, along, level2 = (np.sum(x[:, :2] * y[:, :2], 1) for x, y in ((v, v), (p, v), (p, p)))
        bounds += [within(flat2, along, level2 - 1.0)]
        bounds += [within(rise * flat2, rise * along + v[:, 2] / 2, rise * (level2 - 1) + p[:, 2])]
    else:
        bounds += [below(p, v, [s, 0.0, 0.0], a) for s in (1.0, -1.0)]
        bounds += [below(p, v, [0.0, s, 0.0], b) for s in (1.0, -1.0)]
        bounds += [below(p, v, [0.0, s * rise / b, 1.0], rise) for s in (1.0, -1.0)]
        if row["shape"] == Shape.HIP:
            bounds += [below(p, v, [s * rise / b, 0.0, 1.0], rise * a / b) for s in (1.0, -1.0)]
    near = np.max([low for low, _ in bounds], axis=0)
    far = np.min([high for _, high in bounds], axis=0)
    return np.where((near < far) & (near > 1e-3), near, NEVER)


def below(p: Floats, v: Floats, normal: list[float], reach: float) -> tuple[Floats, Floats]:
    """The part of each ray on the inner side of a plane."""
    gap, speed = reach - p @ normal, v @ normal
    with np.errstate(divide="ignore", invalid="ignore"):
        at = gap / speed
    never = np.where(gap < 0.0, NEVER, -NEVER)
    low = np.where(speed < 0.0, at, np.where(speed == 0.0, never, -NEVER))
    return low, np.where(speed > 0.0, at, NEVER)


def within(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats]:
    """The part of each ray where a t² + 2 b t + c is negative."""
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(b * b - a * c)
        low, high = (-b - root) / a, (-b + root) / a
        at = -c / (2.0 * b)
    straight = a < 1e-12
    low = np.where(straight, np.where(b < 0.0, at, -NEVER), low)
    high = np.where(straight, np.where(b > 0.0, at, NEVER), high)
    low = np.where(straight & (b == 0.0) & (c > 0.0), NEVER, low)
    return np.nan_to_num(low, nan=NEVER), np.nan_to_num(high, nan=-NEVER)


def random_rays(seed: int, count: int) -> tuple[Floats, Floats]:
    """From everywhere: within the plot and far from it, high and low; along axes too."""
    rng = np.random.default_rng([seed, 1])
    origins = np.column_stack(
        [
            rng.uniform(-1.0, 1.0, (count, 2)) * rng.choice([60.0, 120.0], (count, 1)),
            np.zeros(count),
        ]
    )
    origins[:, 2] = rng.choice([405.0, 430.0, 470.0, 550.0], count) + rng.uniform(0.0, 9.0, count)
    targets = np.column_stack([rng.uniform(-64.0, 64.0, (count, 2)), rng.uniform(390, 480, count)])
    ways = targets - origins
    axes = np.vstack([np.eye(3), -np.eye(3)])
    ways[: count // 8] = axes[rng.integers(6, size=count // 8)]
    ways[count // 8 : count // 4, 2] = 0.0
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    return origins, ways


def clear_of_solids(plot: Plot, origins: Floats) -> npt.NDArray[np.bool_]:
    """Whether points lie above the ground and outside everything that stands on it."""
    up = np.tile([0.0, 0.0, 1.0], (len(origins), 1))
    far_below, far_above = origins - 900.0 * up, origins + 900.0 * up
    clear = origins[:, 2] > plot.terrain.alt_amsl_m(origins[:, :2]) + 0.1
    for row in plot.boxes:
        clear &= (meet_box(row, far_below, up) > 900.0) | (meet_box(row, far_above, -up) > 900.0)
    return np.asarray(clear)


def disagreement(plot: Plot, origins: Floats, ways: Floats) -> npt.NDArray[np.bool_]:
    """Rays that meet another thing than a search finds, theirs and those of a hair's breadth."""
    distance, kind = follow(plot.scene, origins, ways)
    wrong = np.ones(len(origins), bool)
    hair = [(0.0, 0.0, 0.0)] + [tuple(s * 0.02 * axis) for axis in np.eye(3) for s in (1.0, -1.0)]
    for offset in hair:
        left = np.flatnonzero(wrong)
        if len(left) == 0:
            break
        expected, expected_kind = search(plot, origins[left] + offset, ways[left])
        near = np.abs(distance[left] - expected) < 0.15 + 1e-3 * expected
        near |= (kind[left] == SKY) & (expected_kind == SKY)
        wrong[left] = ~(near & (kind[left] == expected_kind))
    return wrong


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    boxes=st.integers(0, 30),
    crowns=st.integers(0, 12),
    relief_m=st.sampled_from([0.0, 4.0, 25.0]),
)
def test_a_ray_meets_what_a_search_through_everything_finds(
    seed: int, boxes: int, crowns: int, relief_m: float
) -> None:
    plot = make_plot(seed, boxes, crowns, relief_m)
    origins, ways = random_rays(seed, 100)
    clear = clear_of_solids(plot, origins)
    origins, ways = origins[clear], ways[clear]
    wrong = disagreement(plot, origins, ways)
    assert not wrong.any(), (origins[wrong][0], ways[wrong][0])


def test_the_rays_meet_every_kind_of_thing_and_the_search_tells_them_apart() -> None:
    plot = make_plot(5, 20, 60, 4.0)
    origins, ways = random_rays(5, 100)
    distance, kinds = follow(plot.scene, origins, ways)
    assert set(kinds) == {SKY, GROUND, A_BOX, A_CROWN, OUTSIDE}
    expected, expected_kinds = search(plot, origins + np.array([0.0, 0.0, 3.0]), ways)
    wrong = (kinds != expected_kinds) | (np.abs(distance - expected) > 0.5)
    assert wrong.mean() > 0.5


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    boxes=st.integers(0, 40),
    crowns=st.integers(0, 30),
    relief_m=st.sampled_from([0.0, 30.0]),
)
def test_nothing_rises_above_the_pyramid(
    seed: int, boxes: int, crowns: int, relief_m: float
) -> None:
    plot = make_plot(seed, boxes, crowns, relief_m)
    scene, rng = plot.scene, np.random.default_rng([seed, 2])
    points = rng.uniform(-HALF_M, HALF_M, (4000, 2))
    tops = scene.tops[: scene.across**2].reshape(scene.across, scene.across)
    column, row = ((points + HALF_M) // scene.leaf_m).astype(int).T
    highest = plot.terrain.alt_amsl_m(points)
    down = np.tile([0.0, 0.0, -1.0], (len(points), 1))
    above = np.column_stack([points, np.full(len(points), 900.0)])
    for box in plot.boxes:
        highest = np.maximum(highest, 900.0 - np.minimum(meet_box(box, above, down), 900.0))
    for crown in scene.crowns:
        covered = np.hypot(*(points - crown[:2]).T) < crown[CROWN_RADIUS]
        top = crown[CROWN_BASE] + 0.98 * crown[CROWN_HEIGHT]
        highest = np.where(covered, np.maximum(highest, top), highest)
    assert np.all(tops[row, column] >= highest - 1e-3)


@pytest.mark.parametrize("nodes", [9, 40, 65, 100])
def test_every_level_of_the_pyramid_bounds_the_finer_one(nodes: int) -> None:
    heights = np.random.default_rng(nodes).uniform(0.0, 50.0, (nodes, nodes)).astype(np.float32)
    scene = scene_of(Terrain(heights, 2.0, -30.0, 30.0), np.zeros(0, BOX), np.zeros(0, CROWN))
    levels = [
        scene.tops[start:end].reshape(2 * [math.isqrt(end - start)])
        for start, end in pairwise(scene.level_starts)
    ]
    assert [len(level) for level in levels] == [scene.across >> k for k in range(len(levels))]
    for finer, coarser in pairwise(levels):
        assert np.array_equal(
            coarser, finer.reshape(len(coarser), 2, len(coarser), 2).max(axis=(1, 3))
        )
    assert levels[-1].item() == heights.max()


def tower() -> Rows:
    rows = np.zeros(1, BOX)
    rows["length_m"], rows["width_m"], rows["height_m"] = 10.0, 10.0, 50.0
    return rows


@pytest.mark.parametrize(
    ("origin", "way", "distance_m", "kind"),
    [
        ((0.0, 0.0, 90.0), (0.0, 0.0, -1.0), 40.0, A_BOX),
        ((20.0, 0.0, 90.0), (0.0, 0.0, -1.0), 90.0, GROUND),
        ((20.0, 0.0, 10.0), (0.0, 0.0, 1.0), NEVER, SKY),
        ((20.0, 0.0, 10.0), (-1.0, 0.0, 0.0), 15.0, A_BOX),
        ((0.0, -20.0, 10.0), (0.0, 1.0, 0.0), 15.0, A_BOX),
        ((20.0, 0.0, 10.0), (1.0, 0.0, 0.0), NEVER, SKY),
        ((500.0, 0.0, 10.0), (-1.0, 0.0, 0.0), 495.0, A_BOX),
        ((500.0, 0.0, 10.0), (0.0, 0.0, -1.0), 10.0, OUTSIDE),
        ((500.0, 0.0, 10.0), (1.0, 0.0, 0.0), NEVER, SKY),
        ((20.0, 64.0, 90.0), (0.0, 0.0, -1.0), 90.0, OUTSIDE),
    ],
)
def test_rays_along_the_axes(
    origin: tuple[float, ...], way: tuple[float, ...], distance_m: float, kind: int
) -> None:
    level = Terrain(np.zeros((65, 65), np.float32), SPACING_M, -HALF_M, HALF_M)
    scene = scene_of(level, tower(), np.zeros(0, CROWN))
    distance, found = follow(scene, np.array([origin]), np.array([way]))
    assert found[0] == kind
    assert distance[0] == pytest.approx(distance_m, rel=1e-5)


@pytest.mark.parametrize(
    ("origin", "way", "distance_m", "kind"),
    [
        ((0.0, 0.0, 40.0), (0.0, 0.0, -1.0), 30.0, A_BOX),
        ((0.0, 0.0, 2.0), (0.0, 0.0, 1.0), 10.0 - DECK_M - 2.0, A_BOX),
        ((-40.0, 0.0, 9.0), (0.8, 0.0, 0.6), NEVER, SKY),
        ((-40.0, 0.0, 4.0), (1.0, 0.0, 1e-6), NEVER, SKY),
        ((-40.0, 0.0, 9.0), (1.0, 0.0, 1e-6), 35.0, A_BOX),
    ],
)
def test_one_can_look_and_fly_under_a_bridge(
    origin: tuple[float, ...], way: tuple[float, ...], distance_m: float, kind: int
) -> None:
    deck = tower()
    deck["height_m"], deck["facade"] = 10.0, Facade.DECK
    level = Terrain(np.zeros((65, 65), np.float32), SPACING_M, -HALF_M, HALF_M)
    scene = scene_of(level, deck, np.zeros(0, CROWN))
    distance, found = follow(scene, np.array([origin]), np.array([way]))
    assert found[0] == kind
    assert distance[0] == pytest.approx(distance_m, rel=1e-4)
