"""Plane geometry of lines and convex polygons: cutting, walking along, insetting.

Points are [K, 2] metres east and north; angles are radians from east, anticlockwise; polygons run
anticlockwise and do not repeat their first point.
"""

from __future__ import annotations

import math

import numpy as np

from .raster import Floats


def unit(angle: float) -> Floats:
    """[2] the direction of an angle."""
    return np.array([math.cos(angle), math.sin(angle)])


def angle_of(direction: Floats) -> float:
    """The angle of a direction [2]."""
    return math.atan2(direction[1], direction[0])


def square(half_m: float, angle: float) -> Floats:
    """[4, 2] around the origin."""
    return rectangle(np.zeros(2), angle, 2.0 * half_m, 2.0 * half_m)


def rectangle(centre_m: Floats, angle: float, length_m: float, width_m: float) -> Floats:
    """[4, 2] with its length along the angle."""
    along, across = unit(angle) * length_m / 2.0, unit(angle + math.pi / 2.0) * width_m / 2.0
    corners = np.array([-along - across, along - across, along + across, across - along])
    return np.asarray(centre_m + corners)


def ellipse(centre_m: Floats, angle: float, length_m: float, width_m: float) -> Floats:
    """[48, 2] with its longer axis along the angle."""
    turn = np.linspace(0.0, 2.0 * math.pi, 48, endpoint=False)
    along, across = unit(angle) * length_m / 2.0, unit(angle + math.pi / 2.0) * width_m / 2.0
    return np.asarray(centre_m + np.cos(turn)[:, None] * along + np.sin(turn)[:, None] * across)


def area_m2(polygon: Floats) -> float:
    """Area of a polygon."""
    east, north = polygon.T
    return float(abs(east @ np.roll(north, -1) - north @ np.roll(east, -1)) / 2.0)


def long_axis(polygon: Floats) -> tuple[float, float, float]:
    """Angle of the longer extent, that extent, the other one; along and across the longest side."""
    sides = np.roll(polygon, -1, axis=0) - polygon
    east, north = sides[np.argmax(np.hypot(*sides.T))]
    angle = math.atan2(north, east)
    along = float(np.ptp(polygon @ unit(angle)))
    across = float(np.ptp(polygon @ unit(angle + math.pi / 2.0)))
    return (angle, along, across) if along >= across else (angle + math.pi / 2.0, across, along)


def halve(polygon: Floats, at_m: Floats, angle: float) -> tuple[list[Floats], list[Floats]]:
    """Both sides of a convex polygon along a line through an inner point, and the cut [2, 2]."""
    side = (polygon - at_m) @ unit(angle + math.pi / 2.0)
    left, right, cut = [], [], []
    for k in range(len(polygon)):
        before, here = side[k - 1], side[k]
        if (before >= 0) != (here >= 0):
            share = before / (before - here)
            cut.append(polygon[k - 1] + (polygon[k] - polygon[k - 1]) * share)
            left.append(cut[-1])
            right.append(cut[-1])
        (left if here >= 0 else right).append(polygon[k])
    return [np.array(left), np.array(right)], [np.array(cut)]


def quarter(polygon: Floats, at_m: Floats, angle: float) -> tuple[list[Floats], list[Floats]]:
    """Four pieces around an inner point, and the three cuts between them."""
    halves, cuts = halve(polygon, at_m, angle)
    pieces: list[Floats] = []
    for half in halves:
        parts, lines = halve(half, at_m, angle + math.pi / 2.0)
        pieces += parts
        cuts += lines
    return pieces, cuts


def subdivide(
    polygon: Floats, target_m: float, aspect: float, wobble_deg: float, rng: np.random.Generator
) -> tuple[list[Floats], list[Floats]]:
    """Convex pieces of about `target_m` squared, and the cuts [2, 2]; some cuts cross.

    Pieces longer than `aspect` times their width are cut across, others along; `wobble_deg` is how
    far a cut strays from that direction.
    """
    todo, pieces, cuts = [polygon], [], []
    while todo:
        piece = todo.pop()
        size = math.sqrt(area_m2(piece)) / target_m
        if size < rng.uniform(1.0, 1.35):
            pieces.append(piece)
            continue
        axis, long_m, short_m = long_axis(piece)
        angle = axis + (math.pi / 2.0 if long_m > aspect * short_m else 0.0)
        angle += math.radians(wobble_deg) * rng.uniform(-1.0, 1.0)
        at_m = piece.mean(axis=0) + rng.uniform(-0.1, 0.1) * long_m * unit(axis)
        cut = quarter if size > 2.0 and rng.random() < 0.6 else halve
        parts, lines = cut(piece, at_m, angle)
        todo += parts
        cuts += lines
    return pieces, cuts


def inset(polygon: Floats, distance_m: float) -> Floats | None:
    """The convex polygon with every side moved inwards; None where nothing is left of it."""
    shrunk = polygon
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        angle = math.atan2(end[1] - start[1], end[0] - start[0])
        at_m = start + distance_m * unit(angle + math.pi / 2.0)
        side = (shrunk - at_m) @ unit(angle + math.pi / 2.0)
        if side.max() < 1.0:
            return None
        if side.min() < 0:
            shrunk = halve(shrunk, at_m, angle)[0][0]
    return shrunk


def dense(points: Floats, closed: bool = False) -> Floats:
    """The same line with a point at least every 8 m."""
    ends = np.roll(points, -1, axis=0) if closed else points[1:]
    parts = []
    for start, end in zip(points, ends, strict=False):
        count = max(2, math.ceil(math.dist(start, end) / 8.0))
        parts.append(start + (end - start) * np.linspace(0.0, 1.0, count, False)[:, None])
    return np.concatenate(parts if closed else [*parts, points[-1:]])


def walk(line_m: Floats, stations_m: Floats) -> tuple[Floats, Floats]:
    """[S, 2] points at distances along a line, and [S] the direction of the line there."""
    steps = np.hypot(*np.diff(line_m, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])

    def at(stations: Floats) -> Floats:
        return np.stack([np.interp(stations, along, line_m[:, k]) for k in range(2)], axis=-1)

    ahead = at(stations_m + 2.0) - at(stations_m - 2.0)
    return at(stations_m), np.arctan2(ahead[:, 1], ahead[:, 0])


def beside(line_m: Floats, aside_m: float | Floats) -> Floats:
    """The line [K, 2] moved to its left, as a whole or by [K, 1]."""
    ahead = np.gradient(line_m, axis=0)
    left = np.stack([-ahead[:, 1], ahead[:, 0]], axis=-1)
    return np.asarray(line_m + aside_m * (left / np.hypot(*ahead.T)[:, None]))


def length_m(line_m: Floats) -> float:
    """Length of a line."""
    return float(np.hypot(*np.diff(line_m, axis=0).T).sum())


def nearest_m(point_m: Floats, line_m: Floats) -> float:
    """Distance from a point [2] to the nearest of points [K, 2]."""
    return float(np.hypot(*(line_m - point_m).T).min())
