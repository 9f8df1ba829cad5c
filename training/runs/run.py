"""A run from its first step here to its last: learned, told, measured and kept."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import torch

from geobridge.onboard.errors import DataError, GeobridgeError

from .. import checkpoint as checkpoints
from ..checkpoint import BEST
from ..checkpoint_record import Best, Standing
from ..config import TrainConfig
from ..config_data import TriplesConfig
from ..distributed import any_of, gather, gather_text
from ..evaluation.selection import validate
from ..learner import Learner, NotFiniteError, Step
from . import evidence
from .agreement import on_first
from .feed import Feed
from .journal import Journal, figures_of, is_due
from .pipeline import TensorBatch
from .run_folder import Unreadable, patiently
from .stopping import Stop

log = logging.getLogger(__name__)


class Run:
    """One process's part of it; the first one writes and speaks."""

    def __init__(
        self, settings: TrainConfig, learner: Learner, feed: Feed, best: Best | None = None
    ) -> None:
        self.settings, self.learner, self.feed, self.best = settings, learner, feed, best
        self.world, self.stop = learner.world, Stop()
        self.folder = Path(settings.run.folder)
        data, optim = settings.data, settings.optim
        limit = data.max_unreadable if isinstance(data, TriplesConfig) else 0
        self.unreadable = Unreadable(self.folder, limit)
        self.journal: Journal | None = None
        if self.world.is_first:
            places = optim.batch_size * optim.accumulate * self.world.size
            board = settings.run.tensorboard
            self.journal = Journal(self.folder, learner.step, learner.steps, places, board)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if self.journal:
            self.journal.close()

    def go(self, steps: Iterator[list[TensorBatch]]) -> Path:
        """Train to the last step; the checkpoint to use, the best one if one was chosen.

        Raises:
            KeyboardInterrupt: asked to stop, after the step's end; all is saved.
            DataError: a batch, a loss or a gradient that nothing can be learned from.
        """
        learner, path = self.learner, None
        with self.stop.listening():
            while learner.step < learner.steps:
                batches = self._next(steps)
                if batches is None:
                    saved = self.save()
                    log.info("interrupted, saved %s; the same command goes on from there", saved)
                    raise KeyboardInterrupt
                self._tell(self._learn(batches))
                path = self._keep() or path
        if self.best:
            return self.folder / BEST
        return path or self.save()

    def save(self) -> Path:
        """Write a checkpoint of this moment."""
        learner, weights = self.learner, self.learner.weights()
        state = learner.state(self.feed.mined)
        standing = Standing(learner.step, learner.steps, self.world.size, self.best)
        self.write(lambda: checkpoints.save(self.settings, standing, weights, state))
        return checkpoints.path_of(self.folder, learner.step)

    def write(self, action: Callable[[], object]) -> None:
        """Let the first process write something that must not be lost to a full disk."""
        patiently(action, self.folder, self.world, self.stop)

    def _next(self, steps: Iterator[list[TensorBatch]]) -> list[TensorBatch] | None:
        """The batches of a step, or None if any process was asked to stop."""
        if any_of(self.stop.asked.is_set(), self.world):
            return None
        batches: list[TensorBatch] = []
        mistake: GeobridgeError | None = None
        try:
            batches = next(steps)
        except GeobridgeError as error:
            mistake = error
        except RuntimeError:
            if not self.stop.asked.is_set():  # else its workers were asked as well
                raise
        unreadable = [line for batch in batches for line in batch.unreadable]
        if any_of(not batches or bool(unreadable), self.world):
            self.unreadable.add(gather_text(unreadable, self.world), write=self.world.is_first)
            told = gather_text([str(mistake)] if mistake else [], self.world)
            if told:
                raise mistake or DataError(told[0])
            if any_of(not batches, self.world):
                return None
        return batches

    def _learn(self, batches: list[TensorBatch]) -> Step:
        try:
            return self.learner.train_step(batches)
        except NotFiniteError as error:
            found = evidence.of(self.learner, batches, error.step)
            names = gather_text([name for batch in batches for name in batch.names], self.world)
            path = evidence.path_of(self.folder, self.learner.step)
            good = checkpoints.checkpoints(self.folder)
            last = str(good[-1]) if good else "none was saved yet"
            if self.world.is_first:
                evidence.write(path, {**found, "places": names, "last_good_checkpoint": last})
            raise DataError(
                f"step {self.learner.step}: loss is {float(error.step.total)}, gradient norm"
                f" {float(error.step.gradient_norm)}; evidence in {path}; last good checkpoint:"
                f" {last}; lower optim.learning_rate"
            ) from None

    def _tell(self, done: Step) -> None:
        step, due = self.learner.step, is_due(self.learner.step, self.learner.steps)
        whole = float(gather(done.total[None], self.world).mean()) if due else math.nan
        if self.journal is None:
            return
        self.journal.pace(step)
        if due:
            scale = float(self.learner.model.logit_scale.detach())
            self.journal.write(step, figures_of(done, whole, scale))
        self.journal.speak(step, done)

    def _keep(self) -> Path | None:
        """Measure and save when it is time."""
        step, steps, often = self.learner.step, self.learner.steps, self.settings.evaluation
        saving = step % self.settings.run.checkpoint_every_steps == 0 or step == steps
        better = False
        if often.every_steps and (step % often.every_steps == 0 or step == steps):
            r1 = self._validated(step)
            better = not math.isnan(r1) and (self.best is None or r1 > self.best.r1)
            self.best = Best(step, r1) if better else self.best
        path = self.save() if saving or better else None
        if path and better:
            self.write(lambda: checkpoints.keep_best(path))
        return path

    def _validated(self, step: int) -> float:
        """Mean R@1 of the validation split, the same on every process; NaN without one."""
        with self.learner.evaluating() as model:
            r1 = on_first(self.world, lambda: validate(model, self.settings, step))
        if self.journal and r1 is not None:
            self.journal.write(step, {"validation_r1": r1})
        own = torch.tensor([math.nan if r1 is None else r1], dtype=torch.float64)
        return float(gather(own.to(self.world.device), self.world)[0])
