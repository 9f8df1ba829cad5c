"""The batches of every step, and whose neighbours meet in them.

While places are drawn with hard negatives, their neighbours are first those nearest on the ground,
then those that the model takes for similar, found anew on schedule. Only then are the workers
started anew; what they had prepared was drawn from the old lists.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from ..batches.mining import mine
from ..batches.sampling import nearest_places
from ..config import TrainConfig
from ..datasets.batch import BatchSource
from ..datasets.triples import TriplesSource
from ..learner import Learner
from .mined import Mined
from .pipeline import TensorBatch, batches

log = logging.getLogger(__name__)


class Feed:
    """The batches of one step after the other.

    A step's batches must have been learned before the next are asked for: neighbours may be found
    in between. `mined` are the lists in use, to be saved and given back on resuming.
    """

    def __init__(
        self,
        settings: TrainConfig,
        source: BatchSource,
        learner: Learner,
        mined: Mined | None = None,
    ) -> None:
        self.settings, self.source, self.learner, self.mined = settings, source, learner, mined

    def steps(self) -> Generator[list[TensorBatch], None, None]:
        """From the learner's step to its last; closing it ends the workers."""
        accumulate, world = self.settings.optim.accumulate, self.learner.world
        step = self.learner.step
        while step < self.learner.steps:
            stop = self._next_mining(step)
            numbers = step * accumulate, stop * accumulate
            source = self._source_of(step)
            data = batches(self.settings, source, *numbers, world.rank, world.size)
            for _ in range(step, stop):
                yield [next(data) for _ in range(accumulate)]
            step = stop

    def _source_of(self, step: int) -> BatchSource:
        source = self.source
        if not isinstance(source, TriplesSource) or not self.settings.batches.hard_share:
            return source
        world = self.learner.world
        count = min(source.places - 1, 2 * source.batch_size * world.size)
        due = max((mining for mining in self._minings() if mining <= step), default=None)
        if due is None:
            return source.with_neighbours(_on_the_ground(source, count))
        if self.mined is None or self.mined.step < due:
            if world.is_first:
                log.info("step %d: finding the %d most similar of every place", step, count)
            with self.learner.evaluating() as model, self.learner.autocast():
                self.mined = Mined(due, mine(model, source, count, world))
        return source.with_neighbours(self.mined.neighbours)

    def _next_mining(self, step: int) -> int:
        return min((m for m in self._minings() if m > step), default=self.learner.steps)

    def _minings(self) -> list[int]:
        """Before which steps neighbours are found by similarity."""
        batching, source = self.settings.batches, self.source
        if not isinstance(source, TriplesSource) or not batching.hard_share:
            return []
        per_epoch = source.places // (source.batch_size * self.learner.world.size)
        steps_per_epoch = per_epoch / self.settings.optim.accumulate
        first = math.ceil(batching.by_similarity_from_epoch * steps_per_epoch)
        every = max(1, math.ceil(batching.refresh_every_epochs * steps_per_epoch))
        return list(range(first, self.learner.steps, every))


def _on_the_ground(source: TriplesSource, count: int) -> npt.NDArray[np.int32] | None:
    if not source.has_positions:
        return None
    return nearest_places(source.east_north_m, count, source.kin)
