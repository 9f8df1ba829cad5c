"""Metres east and north for places anywhere on Earth, as `metadata.jsonl` wants them.

Blocks that touch make a plane of their own around their middle; planes lie side by side, far apart,
so that metres tell which places are neighbours, and never make neighbours of two that are not.
"""

from __future__ import annotations

from collections.abc import Sequence

from geobridge.onboard.geodesy import LocalFrame

from ..splits import Block, block_of
from ..stage import Line

APART_M = 1_000_000.0


def lay(places: Sequence[Line], block_m: float) -> dict[str, tuple[int, float, float]]:
    """Plane, metres east and north of every place by its id."""
    blocks: dict[Block, list[Line]] = {}
    for place in places:
        block = block_of(place["lat_deg"], place["lon_deg"], block_m)
        blocks.setdefault(block, []).append(place)
    laid = {}
    for number, group in enumerate(_connected(blocks)):
        members = [place for block in sorted(group) for place in blocks[block]]
        frame = LocalFrame(
            round(sum(p["lat_deg"] for p in members) / len(members), 4),
            round(sum(p["lon_deg"] for p in members) / len(members), 4),
        )
        for place in members:
            east_m, north_m = frame.to_enu(place["lat_deg"], place["lon_deg"])
            at = round(float(east_m) + number * APART_M, 2), round(float(north_m), 2)
            laid[place["id"]] = (number, *at)
    return laid


def _connected(blocks: dict[Block, list[Line]]) -> list[list[Block]]:
    """Groups of blocks that touch. Rows have columns of their own widths, so two columns to either
    side are asked."""
    left, groups = set(blocks), []
    for first in sorted(blocks):
        if first not in left:
            continue
        left.discard(first)
        group, waiting = [], [first]
        while waiting:
            row, column = waiting.pop()
            group.append((row, column))
            for near in [(row + r, column + c) for r in (-1, 0, 1) for c in (-2, -1, 0, 1, 2)]:
                if near in left:
                    left.discard(near)
                    waiting.append(near)
        groups.append(group)
    return groups
