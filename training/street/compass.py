"""Which compass headings of street pictures can be believed.

A camera that is carried or driven keeps its bearing against the direction of travel: ahead, or to
one side. A phone's compass may be off by any angle for minutes after a start beside iron, and then
jump back. So where the bearing against the track jumps while the track goes straight on, only one
side of the jump can be right; the side that looks ahead is believed, and where none does, none is.
A heading whose track is not known stands or falls with its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from geobridge.onboard.geodesy import Floats, LocalFrame

from .picture import StreetPicture

BASE_M = 8.0
"""Distance over which a track has a direction, for positions good to a few metres."""
LONGEST_M = 80.0
"""Pictures farther apart were not taken on one walk."""
JUMP_DEG, TURN_DEG = 75.0, 60.0
"""A jump of the camera against the track; a turn of the track that could explain one."""
AHEAD_DEG = 60.0
"""Off the track by less is ahead."""
MIN_PART = 3
"""Pictures between jumps below which nothing is said: drives that meet make a track of one's end
and the other's beginning."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """For each picture whether its heading is believed, and what was found."""

    believed: Flags
    notes: tuple[str, ...]


def judge(pictures: Sequence[StreetPicture]) -> Judged:
    """Compare [N] headings with the track, walk by walk, in the order in which they were taken."""
    believed = np.array([not math.isnan(each.heading_deg) for each in pictures], np.bool_)
    known = int(believed.sum())
    if known == 0:
        return Judged(believed, ("no headings",))
    off: list[float] = []
    for walk in _walks(pictures):
        doubtful, by_deg = _contradicted(walk, pictures)
        believed[doubtful] = False
        off += by_deg
    lost = known - int(believed.sum())
    if lost == 0:
        return Judged(believed, ())
    note = (
        f"{lost} of {known} compass headings contradict the track"
        f" (by {np.median(off):.0f} degrees in the middle): left out, positions kept"
    )
    return Judged(believed, (note,))


def _walks(pictures: Sequence[StreetPicture]) -> list[list[int]]:
    """Rows of pictures that were taken one after the other."""
    order = sorted(range(len(pictures)), key=lambda row: (pictures[row].sequence,))
    if all(each.taken for each in pictures):
        order = sorted(order, key=lambda row: (pictures[row].sequence, pictures[row].taken))
    walks: list[list[int]] = []
    for _, rows in groupby(order, key=lambda row: pictures[row].sequence):
        walk: list[int] = []
        for row in rows:
            if walk and _apart_m(pictures[walk[-1]], pictures[row]) > LONGEST_M:
                walks.append(walk)
                walk = []
            walk.append(row)
        walks.append(walk)
    return walks


def _contradicted(
    walk: list[int], pictures: Sequence[StreetPicture]
) -> tuple[list[int], list[float]]:
    """The rows whose heading cannot be right, and by how many degrees it is off the track."""
    first = pictures[walk[0]]
    frame = LocalFrame(first.lat_deg, first.lon_deg)
    at_m = frame.to_enu(
        [pictures[row].lat_deg for row in walk], [pictures[row].lon_deg for row in walk]
    )
    track_deg = _track(at_m)
    against = np.array([_wrapped(pictures[row].heading_deg) for row in walk]) - track_deg
    against = (against + 180.0) % 360.0 - 180.0
    parts = _parts(against, track_deg)
    if len(parts) < 2:
        return [], []
    middles = [float(np.nanmedian(_near(against[part]))) for part in parts]
    doubtful: list[int] = []
    off: list[float] = []
    for part, middle in zip(parts, middles, strict=True):
        middle = _wrapped(middle)
        enough = np.count_nonzero(~np.isnan(against[part])) >= MIN_PART
        if enough and abs(middle) > AHEAD_DEG:
            doubtful += [walk[i] for i in part if not math.isnan(pictures[walk[i]].heading_deg)]
            off += [abs(middle)] * len(part)
    return doubtful, off


def _parts(against: Floats, track_deg: Floats) -> list[list[int]]:
    """Runs between jumps of the camera that no turn of the track explains."""
    parts: list[list[int]] = [[]]
    last: int | None = None
    for row, angle in enumerate(against):
        if math.isnan(angle):
            parts[-1].append(row)
            continue
        if last is not None:
            jump = abs(_wrapped(float(angle - against[last])))
            turn = abs(_wrapped(float(track_deg[row] - track_deg[last])))
            if jump > JUMP_DEG and turn < TURN_DEG:
                parts.append([])
        parts[-1].append(row)
        last = row
    return parts


def _track(at_m: Floats) -> Floats:
    """[N] bearings of travel, each over at least `BASE_M` around; NaN where there was none."""
    bearings = np.full(len(at_m), np.nan)
    for row, here in enumerate(at_m):
        away = np.hypot(*(at_m - here).T)
        before = [i for i in range(row, -1, -1) if away[i] >= BASE_M / 2]
        after = [i for i in range(row, len(at_m)) if away[i] >= BASE_M / 2]
        start = at_m[before[0]] if before else here
        end = at_m[after[0]] if after else here
        east, north = end - start
        if math.hypot(east, north) >= BASE_M / 2:
            bearings[row] = math.degrees(math.atan2(east, north)) % 360.0
    return bearings


def _near(angles: Floats) -> Floats:
    """The same angles, none more than half a turn from the first that is known."""
    known = angles[~np.isnan(angles)]
    if not len(known):
        return angles
    return np.asarray(known[0] + (angles - known[0] + 180.0) % 360.0 - 180.0)


def _wrapped(angle_deg: float) -> float:
    return (angle_deg + 180.0) % 360.0 - 180.0


def _apart_m(one: StreetPicture, other: StreetPicture) -> float:
    if abs(one.lat_deg - other.lat_deg) > 1.0:
        return math.inf
    east_north = LocalFrame(one.lat_deg, one.lon_deg).to_enu(other.lat_deg, other.lon_deg)
    return float(np.hypot(*east_north))
