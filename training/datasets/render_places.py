"""The places of a data set, dealt to splits and put together to units of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .render_blocks import FOOTPRINTS_M, SPLITS, Blocks, Land, Spot, choose
from .render_triple import Order


class Shard(NamedTuple):
    """A unit of work: a name, the split, the places."""

    name: str
    split: str
    orders: list[Order]


@dataclass(frozen=True)
class Places:
    """How many places there are, and where.

    Args:
        count: places in all.
        seed: draws everything.
        val, test: shares of the blocks, and of the places.
        block_m: side of the squares of land that go to one split as a whole.
        shard: places that are written as one.
        footprint_m: side of every place, by default drawn from the published five.
        overlap: share of the ground that two places may have in common.
    """

    count: int
    seed: int
    val: float
    test: float
    block_m: float
    shard: int
    footprint_m: float | None
    overlap: float

    def lay(self, land: Land) -> list[Shard]:
        """All of them, split after split.

        Raises:
            DataError: too many places for the land, or too few blocks for the splits.
        """
        blocks = Blocks(land, self.block_m, self.val, self.test, self.seed)
        footprints_m = FOOTPRINTS_M if self.footprint_m is None else (self.footprint_m,)
        spots = choose(land, blocks, self._counts(), self.seed, footprints_m, self.overlap)
        return [shard for split in SPLITS for shard in self._shards(split, spots[split], blocks)]

    def _counts(self) -> dict[str, int]:
        counts = {"val": round(self.count * self.val), "test": round(self.count * self.test)}
        return {"train": self.count - sum(counts.values()), **counts}

    def _shards(self, split: str, spots: list[Spot], blocks: Blocks) -> list[Shard]:
        orders = [
            Order(
                name=f"{split}-{number:06d}",
                split=split,
                number=number,
                block=blocks.block_of(spot.east_m, spot.north_m),
                spot=spot,
                seed=self.seed,
            )
            for number, spot in enumerate(spots)
        ]
        return [
            Shard(f"{split}-{first // self.shard:05d}", split, orders[first : first + self.shard])
            for first in range(0, len(orders), self.shard)
        ]
