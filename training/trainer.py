"""`geobridge train`: a configuration to a checkpoint, resumable at any moment.

Batches are numbered and drawn from the seed and their number alone, so an interrupted run goes on
with exactly the batches it would have seen.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from geobridge.onboard.config import load
from geobridge.onboard.errors import ConfigError, DataError

from . import checkpoint as checkpoints
from .config import OptimConfig, TrainConfig
from .losses import Loss, NothingToCompareError, geobridge_loss
from .model import GeoBridge, build_model
from .pipeline import TensorBatch, batches, open_source
from .report import REPORT, has_report, report

log = logging.getLogger(__name__)

_PROGRESS_EVERY_S = 10.0


def train(config: Path, overrides: Sequence[str] = ()) -> Path:
    """Train, or go on where the run in `run.folder` stopped; the path of the last checkpoint.

    Raises:
        ConfigError: the configuration cannot be used, or contradicts the run that is resumed.
        DataError: the data or a checkpoint cannot be used, or the loss is no longer finite.
    """
    settings = load(TrainConfig, config, overrides)
    resumed = _resumable(settings)
    if resumed and _complete(settings, resumed):
        log.info("%s is complete", resumed.path)
        return resumed.path
    Path(settings.run.folder).mkdir(parents=True, exist_ok=True)  # now, not after an hour
    torch.manual_seed(settings.optim.seed)
    source = open_source(settings)
    trainer = Trainer(settings, resumed)
    trainer.announce()
    path = trainer.run(batches(settings, source, first=trainer.step))
    report(trainer.model, settings, source, Path(settings.run.folder))
    return path


class Trainer:
    """One network, its optimiser and how far they are."""

    def __init__(
        self, settings: TrainConfig, resumed: checkpoints.Checkpoint | None = None
    ) -> None:
        self.settings = settings
        self.device = _device(settings.optim)
        if resumed:
            self.model = checkpoints.load(resumed)
        else:
            self.model = build_model(settings.model, settings.preprocess.spec)
        self.model.to(self.device).train()
        self.optimizer = _optimizer(self.model, settings.optim)
        self.step = resumed.step if resumed else 0
        if resumed:
            checkpoints.restore_optimizer(self.optimizer, resumed)
            log.info("resuming from %s", resumed.path)

    def announce(self) -> None:
        """Say what the run will cost."""
        optim, views = self.settings.optim, self.settings.model.views
        parameters = sum(p.numel() for p in self.model.parameters())
        log.info(
            "%.1f M parameters, %d steps of %d places, views %s%s, %s on %s",
            parameters / 1e6,
            optim.steps - self.step,
            optim.batch_size,
            " ".join(views),
            " and text" if self.model.text is not None else "",
            optim.precision,
            self.device,
        )

    def run(self, data: Iterator[TensorBatch]) -> Path:
        """Train to the last step, saving on schedule and when interrupted."""
        optim, every = self.settings.optim, self.settings.run.checkpoint_every_steps
        progress = _Progress(optim.steps)
        path = None
        try:
            for batch in data:
                with _interrupt_held():  # half a step is neither kept nor saved
                    loss = self.train_step(batch.to(self.device))
                    if self.step % every == 0 or self.step == optim.steps:
                        path = self.save()
                progress.update(self.step, loss, self.optimizer.param_groups[0]["lr"], batch.size)
        except KeyboardInterrupt:
            log.info("interrupted, saved %s; the same command goes on from there", self.save())
            raise
        return path or self.save()

    def train_step(self, batch: TensorBatch) -> Loss:
        """One optimiser step.

        Raises:
            DataError: the loss or its gradient is not finite; the weights are left as they were.
        """
        optim = self.settings.optim
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(optim, self.step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=optim.precision == "bf16"):
            loss = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), optim.clip_norm)
        if not bool(torch.isfinite(loss.total) & torch.isfinite(norm)):
            raise DataError(
                f"step {self.step}: loss is {float(loss.total.detach())}, gradient norm"
                f" {float(norm)}; the last checkpoint in {self.settings.run.folder} is good,"
                " lower optim.learning_rate"
            )
        self.optimizer.step()
        self.step += 1
        return loss

    def loss(self, batch: TensorBatch) -> Loss:
        """The six-edge objective of one batch.

        Raises:
            DataError: its places share too few views and texts.
        """
        images = {
            view: self.model.encode_image(view, image) for view, image in batch.images.items()
        }
        text = self._text(batch)
        with torch.autocast(self.device.type, enabled=False):
            try:
                return geobridge_loss(
                    images,
                    batch.present,
                    text,
                    batch.text_present,
                    self.model.logit_scale,
                    **self.settings.objective.model_dump(),
                )
            except NothingToCompareError as error:
                raise DataError(f"step {self.step}: {error}; raise optim.batch_size") from None

    def save(self) -> Path:
        """Write a checkpoint of this moment."""
        return checkpoints.save(self.settings, self.step, self.model, self.optimizer)

    def _text(self, batch: TensorBatch) -> Tensor | None:
        if self.model.text is None or batch.tokens is None:
            return None
        return self.model.encode_text(batch.tokens)


def learning_rate(optim: OptimConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to zero at the last step."""
    if step < optim.warmup_steps:
        return optim.learning_rate * (step + 1) / optim.warmup_steps
    done = (step - optim.warmup_steps) / max(1, optim.steps - optim.warmup_steps)
    return optim.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def _optimizer(model: GeoBridge, optim: OptimConfig) -> torch.optim.Optimizer:
    """AdamW; gains, biases and the temperature are not decayed."""
    parameters = list(model.parameters())
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": optim.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=optim.learning_rate)


def _device(optim: OptimConfig) -> torch.device:
    if optim.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("optim.device: cuda is not usable here; take cpu or auto")
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(auto if optim.device == "auto" else optim.device)


@contextmanager
def _interrupt_held() -> Iterator[None]:
    """An interrupt that arrives meanwhile takes effect at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield  # interrupts go to the main thread
        return
    held: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if held:
        signal.raise_signal(signal.SIGINT)


def _complete(settings: TrainConfig, resumed: checkpoints.Checkpoint) -> bool:
    """Whether every step is done, and what follows the last one too."""
    reported = (Path(settings.run.folder) / REPORT).exists() or not has_report(settings)
    return resumed.step >= settings.optim.steps and reported


def _resumable(settings: TrainConfig) -> checkpoints.Checkpoint | None:
    """The newest checkpoint of this run, if it was made from the same configuration."""
    run = Path(settings.run.folder)
    if not checkpoints.checkpoints(run):
        return None
    found = checkpoints.read(run)
    for table in ("model", "preprocess", "data", "objective", "optim"):
        if getattr(found.config, table) != getattr(settings, table):
            raise ConfigError(
                f"run.folder: {run} holds a run whose [{table}] differs;"
                " choose another folder or the old configuration"
            )
    return found


class _Progress:
    """A line every few seconds: step, loss, share matched by edge, rate, time left."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.seen: list[tuple[float, int]] = []
        self.printed = -math.inf

    def update(self, step: int, loss: Loss, rate: float, places: int) -> None:
        """Count a step; speak when it is time. The first step is not timed: workers warm up."""
        now = time.monotonic()
        self.seen = [*self.seen[-20:], (now, step)]
        (start, first), timed = self.seen[0], len(self.seen) > 3
        if not timed or (now - self.printed < _PROGRESS_EVERY_S and step != self.last):
            return
        self.printed = now
        per_step_s = (now - start) / (step - first)
        minutes, seconds = divmod(round(per_step_s * (self.last - step)), 60)
        edges = "  ".join(f"{name} {float(value):.0%}" for name, value in loss.accuracy.items())
        log.info(
            "step %d/%d  loss %.3f  %s  lr %.1e  %.0f places/s  %d:%02d left",
            step,
            self.last,
            float(loss.total.detach()),
            edges,
            rate,
            places / per_step_s,
            minutes,
            seconds,
        )
