"""Which places meet in which batch of an epoch.

A batch is that of all processes together; each of them plans the same and takes its slice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .kin import Ints, Kin, kin_of, relation
from .nearest import nearest_places

__all__ = ["Kin", "kin_of", "nearest_places", "plan_epoch", "relation"]

Numbers = npt.NDArray[np.int32]


def plan_epoch(
    count: int,
    batch_size: int,
    seed: int,
    epoch: int,
    kin: Kin,
    neighbours: Numbers | None = None,
    hard_share: float = 0.0,
) -> Ints:
    """[count // batch_size, batch_size] place numbers, each at most once.

    Seed and epoch alone decide, on every machine alike; what is left over is another remainder
    every epoch.

    No two kin meet in a batch where that can be had: always, if no place has more kin than half as
    many as there are batches. In denser data batches are filled all the same, and the loss masks
    the kin by their `relation`.

    Of each batch, `hard_share` are neighbours of others in it: places in random order bring theirs
    one after the other until there are enough, and the rest of the batch is random. Of the nearest
    `batch_size` that are still to be had, a place brings half as many: the first half of these are
    the nearest, the others drawn from the rest of that range (Sample4Geo takes 32 nearest and 32 of
    the next 96 for a batch of 128). Late batches find fewer neighbours; so the batches are shuffled
    in the end.

    Args:
        neighbours: [N, K] place numbers, nearest first, -1 where there are fewer; or none.
        hard_share: 0 to 1; the place that brings the others is never counted.
    """
    rng = np.random.default_rng([seed, epoch])
    pending = rng.permutation(count).astype(np.int32)
    drawing = _Drawing(kin, batch_size, rng)
    batches = np.empty((count // batch_size, batch_size), np.int64)
    for batch in batches:
        pending = pending[~drawing.used[pending]]
        drawing.start()
        if neighbours is not None and hard_share > 0:
            drawing.add_neighbourhoods(pending, neighbours, round(hard_share * batch_size))
        drawing.add_apart(pending)
        drawing.add_any(pending)
        batch[:] = drawing.batch
    _Parting(batches, pending[~drawing.used[pending]], kin, rng).part()
    return rng.permutation(batches)


class _Drawing:
    """One batch after the other, drawn from the places that are left."""

    def __init__(self, kin: Kin, batch_size: int, rng: np.random.Generator) -> None:
        self.kin, self.batch_size, self.rng = kin, batch_size, rng
        self.used = np.zeros(kin.places, bool)
        self._number = 0
        self._met = np.zeros(kin.places, np.int32)
        """The last batch that a place has kin in."""

    def start(self) -> None:
        self.batch: list[int] = []
        self._number += 1

    @property
    def room(self) -> int:
        return self.batch_size - len(self.batch)

    def add_neighbourhoods(self, pending: Numbers, neighbours: Numbers, wanted: int) -> None:
        for place in pending.tolist():
            if wanted <= 0 or not self.room:
                return
            if not self.used[place] and self._is_apart(place):
                self._add(place)
                wanted -= self._add_neighbours(neighbours[place], min(wanted, self.room))

    def add_apart(self, pending: Numbers) -> None:
        """Places in order that are no kin of those there."""
        step = 4 * self.batch_size
        for start in range(0, len(pending), step):
            for place in self._free(pending[start : start + step]).tolist():
                if not self.room:
                    return
                if self._is_apart(place):
                    self._add(place)

    def add_any(self, pending: Numbers) -> None:
        """Places in order."""
        if self.room:
            for place in pending[~self.used[pending]][: self.room].tolist():
                self._add(place)

    def _add_neighbours(self, nearest: Numbers, most: int) -> int:
        """How many of them were added."""
        within = self._free(nearest[nearest >= 0])[: self.batch_size]
        brought = min(most, -(-len(within) // 2))
        always = -(-brought // 2)
        others = self.rng.permutation(within[always:])
        before = len(self.batch)
        for place in [*within[:always].tolist(), *others.tolist()]:
            if len(self.batch) == before + brought:
                break
            if self._is_apart(place):
                self._add(place)
        return len(self.batch) - before

    def _free(self, places: Numbers) -> Numbers:
        free: Numbers = places[~self.used[places] & (self._met[places] != self._number)]
        return free

    def _is_apart(self, place: int) -> bool:
        return bool(self._met[place] != self._number)

    def _add(self, place: int) -> None:
        self.batch.append(place)
        self.used[place] = True
        for lists in (self.kin.positive, self.kin.neither):
            self._met[lists.of(place)] = self._number


class _Parting:
    """Kin that still meet are exchanged for places of other batches.

    Take v of batch A, and let no place have more kin than half of the n batches. Those of A have at
    most n / 2 * size kin in all, and v is one of these; so of the n / 2 * size or more places in
    batches without kin of v, one at least has no kin in A. The exchange makes no others meet.
    """

    def __init__(self, batches: Ints, left: Numbers, kin: Kin, rng: np.random.Generator) -> None:
        self.batches, self.kin, self.rng = batches, kin, rng
        self.count, self.size = batches.shape
        self.places = np.concatenate([batches.ravel(), left.astype(np.int64)])
        self.slot = np.argsort(self.places)

    def part(self) -> None:
        """Change the batches."""
        for number in range(self.count):
            self._part(number)
        self.batches[:] = self.places[: self.batches.size].reshape(self.batches.shape)

    def _part(self, number: int) -> None:
        members = self.places[number * self.size : (number + 1) * self.size]
        owner, kin = self._kin(members)
        here = self.slot[kin] // self.size == number
        crowded = np.unique(members[owner[here]])
        if not len(crowded):
            return
        met = np.bincount(kin, minlength=len(self.places))
        for place in crowded.tolist():
            other = self._partner(place, met) if met[place] else None
            if other is not None:
                np.subtract.at(met, self._kin(np.array([place]))[1], 1)
                np.add.at(met, self._kin(np.array([other]))[1], 1)
                self._exchange(place, other)

    def _partner(self, place: int, met: Ints) -> int | None:
        """A place without kin in this one's batch, from one where this one has no kin."""
        closed = np.zeros(self.count + 1, bool)
        closed[self.slot[self._kin(np.array([place]))[1]] // self.size] = True
        closed[self.count] = True  # what is left over had kin in every batch, or would be in one
        if closed.all():
            return None
        free = np.flatnonzero(met == 0)
        free = free[~closed[self.slot[free] // self.size]]
        return int(self.rng.choice(free)) if len(free) else None

    def _exchange(self, a: int, b: int) -> None:
        at_a, at_b = self.slot[a], self.slot[b]
        self.places[at_a], self.places[at_b] = b, a
        self.slot[a], self.slot[b] = at_b, at_a

    def _kin(self, places: Ints) -> tuple[Ints, Ints]:
        """[pairs] positions in `places`, and a kin of each."""
        rows, items = zip(
            *(lists.of_all(places) for lists in (self.kin.positive, self.kin.neither)), strict=True
        )
        return np.concatenate(rows), np.concatenate(items).astype(np.int64)
