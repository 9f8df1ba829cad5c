"""`geobridge train`: a configuration to a checkpoint, resumable at any moment.

Batches are numbered and drawn from the seed and their number alone, so an interrupted run goes on
with exactly the batches it would have seen. `torchrun` starts it in several processes; the first
one writes and speaks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from typing import Any

from geobridge.onboard import durable
from geobridge.onboard.errors import ConfigError, DataError

from . import checkpoint as checkpoints
from .checkpoint import BEST
from .checkpoint_record import RECORD, Best
from .config import TrainConfig
from .datasets.batch import BatchSource
from .distributed import World, joined
from .evaluation import selection
from .evaluation.report import REPORT, has_report, report
from .learner import Learner
from .recipes import settings_of
from .runs import cost, plan
from .runs.agreement import on_first, together
from .runs.feed import Feed
from .runs.pipeline import TensorBatch, open_source
from .runs.probe import probe
from .runs.run import Run
from .runs.run_folder import CONFIG, locked
from .runs.snapshot import as_toml
from .state import mined_of

log = logging.getLogger(__name__)

_DECIDES = (
    "model",
    "preprocess",
    "data",
    "augment",
    "batches",
    "objective",
    "distill",
    "optim",
    "evaluation",
)
_CHANGES_NOTHING = {"workers", "device", "max_unreadable", "gradient_checkpointing", "compile"}


def train(config: Path, overrides: Sequence[str] = ()) -> Path:
    """Train, or go on where the run in `run.folder` stopped; the path of the checkpoint to use.

    `config` is a file or the name of a recipe. The checkpoint is the best one on the validation
    split where there is one, else the last.

    Raises:
        ConfigError: the configuration cannot be used, contradicts the run that is resumed, or
            another process trains in its folder.
        DataError: the data or a checkpoint cannot be used, or the loss is no longer finite.
    """
    settings = settings_of(config, overrides)
    with joined(settings.optim.device, settings.run.wait_for_processes_s) as world:
        return _train(settings, world)


def train_or_tell(settings: TrainConfig, dry_run: bool = False) -> Path | dict[str, Any] | None:
    """Train, or only tell what it would cost; nothing from other processes than the first."""
    with joined(settings.optim.device, settings.run.wait_for_processes_s) as world:
        if not world.is_first:
            logging.getLogger("geobridge").setLevel(logging.WARNING)
        result = _tell(settings, world) if dry_run else _train(settings, world)
        return result if world.is_first else None


def _tell(settings: TrainConfig, world: World) -> dict[str, Any]:
    if done := together(world, lambda: _complete(settings, world)):
        raise ConfigError(f"run.folder: {done} is complete, nothing is left to do")
    learner, source, feed, _ = together(world, lambda: _begin(settings, world))
    with closing(feed.steps()) as steps:
        return _measured(learner, source, steps)[1]


def _train(settings: TrainConfig, world: World) -> Path:
    folder = Path(settings.run.folder)
    together(world, lambda: plan.check(settings))  # before the folder is made
    if done := together(world, lambda: _complete(settings, world)):
        log.info("%s is complete", done)
        return done
    with ExitStack() as stack:
        on_first(world, lambda: stack.enter_context(locked(folder)))
        learner, source, feed, best = together(world, lambda: _begin(settings, world))
        run = stack.enter_context(together(world, lambda: Run(settings, learner, feed, best)))
        run.write(lambda: durable.write_text(folder / CONFIG, as_toml(settings)))
        prepared = stack.enter_context(closing(feed.steps()))
        steps: Iterator[list[TensorBatch]] = prepared
        if learner.step < learner.steps:
            steps, costs = _measured(learner, source, prepared)
            if world.is_first:
                cost.announce(learner, costs)
        path = run.go(steps)
        run.write(lambda: _report(learner, source, path))
        return path


def _begin(settings: TrainConfig, world: World) -> tuple[Learner, BatchSource, Feed, Best | None]:
    """A learner, new or where it stopped, what it learns from, and the best step before."""
    plan.check(settings)
    selection.check(settings)
    resumed = _resumable(settings, world)
    plan.check_words(settings)
    source = open_source(settings)
    probe(settings, source, tell=world.is_first)
    plan.check_places(settings, source, world.size)
    steps = plan.steps_of(settings, source, world.size)
    learner = Learner(settings, steps, world, fresh=resumed is None)
    if resumed is None:
        return learner, source, Feed(settings, source, learner), None
    weights, state = checkpoints.read_weights(resumed), checkpoints.read_state(resumed)
    learner.restore(resumed.step, weights, state, resumed.path)
    log.info("resuming from %s", resumed.path)
    best = resumed.standing.best
    if world.is_first and best and best.step == resumed.step:
        checkpoints.keep_best(resumed.path)  # it may have been cut off just before
    return learner, source, Feed(settings, source, learner, mined_of(state)), best


def _measured(
    learner: Learner, source: BatchSource, steps: Iterator[list[TensorBatch]]
) -> tuple[Iterator[list[TensorBatch]], dict[str, Any]]:
    """The steps, none of them used up, and what they will cost, measured with the first."""
    first = together(learner.world, lambda: next(steps))
    burst = cost.measure(learner, first, source)
    epochs = plan.epochs_of(learner.settings, source, learner.world.size, learner.steps)
    return chain([first], steps), cost.figures(learner, burst, epochs)


def _report(learner: Learner, source: BatchSource, path: Path) -> None:
    """Measure what was chosen."""
    settings = learner.settings
    if path.name == BEST:
        checkpoints.restore_model(learner.model, checkpoints.read(path))
        report(learner.model.eval(), settings, source, path.parent)
    else:
        with learner.evaluating() as model:
            report(model, settings, source, path.parent)


def _complete(settings: TrainConfig, world: World) -> Path | None:
    """The checkpoint to use, if every step is done and what follows the last one too."""
    resumed, run = _resumable(settings, world), Path(settings.run.folder)
    if resumed is None or resumed.step < resumed.standing.steps:
        return None
    if has_report(settings) and not (run / REPORT).exists():
        return None
    best = resumed.standing.best
    if best is None:
        return resumed.path
    kept = (run / BEST / RECORD).exists()
    return run / BEST if kept and checkpoints.read(run).step == best.step else None


def _resumable(settings: TrainConfig, world: World) -> checkpoints.Checkpoint | None:
    """The newest checkpoint of this run, if it was made from the same configuration."""
    run = Path(settings.run.folder)
    if not checkpoints.checkpoints(run):
        return None
    found = _newest_whole(run)
    for table in _DECIDES:
        if _decisive(found.config, table) != _decisive(settings, table):
            raise ConfigError(
                f"run.folder: {run} holds a run whose [{table}] differs;"
                " choose another folder or the old configuration"
            )
    if not found.has_state:
        raise ConfigError(
            f"run.folder: {found.path} holds weights alone, training cannot go on from it;"
            f" choose another folder and model.start_from={found.path}"
        )
    if found.standing.processes != world.size:
        raise ConfigError(
            f"run.folder: {run} is trained by {found.standing.processes} processes, these are"
            f" {world.size}; start as many"
        )
    return found


def _newest_whole(run: Path) -> checkpoints.Checkpoint:
    """The newest checkpoint; where the disk has damaged it, the one before.

    Raises:
        DataError: none of them is whole; names the newest.
    """
    paths = checkpoints.checkpoints(run)
    for path in reversed(paths):
        try:
            return checkpoints.read(path)
        except DataError as error:
            log.warning("%s; trying the one before", error)
    return checkpoints.read(paths[-1])


def _decisive(settings: TrainConfig, table: str) -> dict[str, Any]:
    """A table without the keys that change nothing of what is learned."""
    keys: dict[str, Any] = getattr(settings, table).model_dump()
    return {key: value for key, value in keys.items() if key not in _CHANGES_NOTHING}
