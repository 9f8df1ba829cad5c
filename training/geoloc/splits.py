"""Blocks of land to splits, and proof that no split leaks into another.

A block is a cell of a grid over the whole Earth; all of it goes to one split. The fullest are dealt
first, among equals as the seed draws, each to the split that is furthest behind in the kinds of
places (country, terrain) that the block holds. A place that comes within the margin of a block of
another split is left out.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from geobridge.onboard.errors import DataError

from ..datasets.render_blocks import SPLITS
from .config import Splits
from .squares import metres_per_degree
from .stage import Line

Block = tuple[int, int]
_ROW_M = 110_574.0


def block_of(lat_deg: float, lon_deg: float, block_m: float) -> Block:
    """Row from the south pole, column from the date line; about `block_m` on either side."""
    row = math.floor((lat_deg + 90.0) * _ROW_M / block_m)
    middle_deg = (row + 0.5) * block_m / _ROW_M - 90.0
    per_lon_m = max(1.0, float(metres_per_degree(min(89.9, max(-89.9, middle_deg)))[1]))
    return row, math.floor((lon_deg + 180.0) * per_lon_m / block_m)


def deal(places: Sequence[Line], rule: Splits, seed: int) -> dict[Block, str]:
    """Blocks to splits; places have `lat_deg`, `lon_deg`, `country`, `terrain`.

    Raises:
        DataError: too few blocks.
    """
    kinds: dict[Block, Counter[str]] = {}
    for place in places:
        block = block_of(place["lat_deg"], place["lon_deg"], rule.block_m)
        kinds.setdefault(block, Counter())[f"{place['country']} {place['terrain']}"] += 1
    shares = {"train": 1.0 - rule.val - rule.test, "val": rule.val, "test": rule.test}
    wanted = [split for split in SPLITS if shares[split] > 0.0]
    if len(kinds) < len(wanted):
        raise DataError(
            f"{len(places)} places lie in {len(kinds)} blocks of {rule.block_m:g} m, too few for"
            f" {', '.join(wanted)}; lower splits.block_m, or set splits.val and splits.test to 0"
        )
    total: Counter[str] = sum(kinds.values(), Counter())
    have: dict[str, Counter[str]] = {split: Counter() for split in wanted}
    dealt: dict[Block, str] = {}
    order = sorted(kinds, key=lambda block: (-kinds[block].total(), _drawn(seed, block)))
    for number, block in enumerate(order):
        empty = [split for split in wanted if not have[split]]
        choice = empty if len(order) - number <= len(empty) else wanted
        dealt[block] = max(
            choice, key=lambda s: (_behind(kinds[block], have[s], total, shares[s]), shares[s])
        )
        have[dealt[block]] += kinds[block]
    return dealt


def _behind(block: Counter[str], have: Counter[str], total: Counter[str], share: float) -> float:
    """How much better the split's kinds come out with the block than without, by what they lack."""
    lack = 0.0
    for kind, count in block.items():
        wanted = share * total[kind]
        before, after = abs(wanted - have[kind]), abs(wanted - have[kind] - count)
        lack += (before - after) / max(1e-9, total[kind])
    wanted_all = share * total.total()
    before = abs(wanted_all - have.total())
    after = abs(wanted_all - have.total() - block.total())
    return round(lack / len(block) + 2.0 * (before - after) / total.total(), 9)


def split_of(place: Line, dealt: Mapping[Block, str], rule: Splits) -> str | None:
    """The split of a place; None where it reaches within the margin of another split's block.

    Blocks without places belong to nobody.
    """
    own = dealt[block_of(place["lat_deg"], place["lon_deg"], rule.block_m)]
    per_lat_m, per_lon_m = (float(each) for each in metres_per_degree(place["lat_deg"]))
    reach_m = place["side_m"] / 2.0 + rule.margin_m
    for up in np.linspace(-1.0, 1.0, 3):
        for right in np.linspace(-1.0, 1.0, 3):
            lat_deg = place["lat_deg"] + up * reach_m / per_lat_m
            lon_deg = place["lon_deg"] + right * reach_m / per_lon_m
            if dealt.get(block_of(lat_deg, lon_deg, rule.block_m), own) != own:
                return None
    return own


def _drawn(seed: int, block: Block) -> bytes:
    return hashlib.blake2b(f"{seed} {block}".encode(), digest_size=8).digest()
