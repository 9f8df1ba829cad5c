"""One network, its optimiser and how far they are: a step of training, and all of its state."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from geobridge.onboard.errors import DataError

from . import gradcache, optim
from . import state as states
from .checkpoint import build
from .config import TrainConfig
from .distill import TERM, Teacher, distance
from .distributed import World, any_of, gather
from .ema import Average
from .geolink.terms import Terms, following_loss
from .geolink.tower import PointTower
from .losses import Descriptors, Loss, NothingToCompareError, geobridge_loss
from .model import GeoBridge, ImageEncoder
from .runs.mined import Mined
from .runs.pipeline import TensorBatch
from .start import equip, new_model

log = logging.getLogger(__name__)

MAX_SKIPPED = 20
"""So many steps in a row may overflow in half precision while its scale is found."""
_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Step:
    """What a step gave: the losses of its batches, and the gradient's length before clipping."""

    losses: tuple[Loss, ...]
    gradient_norm: Tensor
    learning_rate: float

    @property
    def total(self) -> Tensor:
        """Mean loss of this process's places, without gradient."""
        return torch.stack([loss.total.detach() for loss in self.losses]).mean()


class NotFiniteError(Exception):
    """A loss or a gradient is no number; weights, averages and moments are as before the step."""

    def __init__(self, step: Step) -> None:
        super().__init__("not finite")
        self.step = step


class Learner:
    """A network that learns; `step` of `steps` are done, in this process or in several together."""

    def __init__(self, settings: TrainConfig, steps: int, world: World, fresh: bool = True) -> None:
        """With the weights the configuration names, or without where `restore` brings them.

        Raises:
            ConfigError: the model cannot be built, or not trained as configured.
            DataError: `model.start_from` does not fit.
        """
        config = settings.optim
        self.settings, self.steps, self.world = settings, steps, world
        self.step = self.skipped = 0
        torch.manual_seed(config.seed)  # the same weights in every process
        self.model = _synchronised(new_model(settings) if fresh else build(settings), world)
        self.terms = _with_points(self.model, settings, world.device)
        optim.freeze(self.model, config)
        self.model.to(world.device)
        equip(self.model, settings.model, world.device)
        self.optimizer = optim.optimizer(self.model, config)
        self.average = Average(self.model, config.ema_decay) if config.ema_decay else None
        self.teacher = None
        if settings.distill.teacher:
            self.teacher = Teacher.read(settings, self.model, world.device)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=config.precision == "fp16")
        optim.to_training(self.model)
        if world.rank:  # and other patches dropped
            torch.manual_seed(config.seed + 1_000_003 * world.rank)

    def train_step(self, batches: Sequence[TensorBatch]) -> Step:
        """One step of the optimiser, from one batch or the mean of several.

        Raises:
            DataError: the places of a batch share too few views and texts.
            NotFiniteError: nothing was changed. Half precision may overflow `MAX_SKIPPED` times in
                a row before: the step is then skipped, as its scale asks for.
        """
        config = self.settings.optim
        rate = optim.learning_rate(config, self.step, self.steps)
        self.optimizer.zero_grad(set_to_none=True)
        losses = tuple(
            self._backward(batch, len(batches), last=batch is batches[-1]) for batch in batches
        )
        self.scaler.unscale_(self.optimizer)
        gradients = [w.grad for w in self.trained.values() if w.grad is not None]
        done = Step(losses, optim.norm(gradients), rate)
        finite = self._is_finite(done)
        if finite:
            optim.clip(gradients, done.gradient_norm, config.clip_norm)
        optim.set_rate(self.optimizer, rate)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.skipped = 0 if finite else self.skipped + 1
        if finite:
            self._follow_up()
        return done

    def state(self, mined: Mined | None = None) -> dict[str, Tensor]:
        """All that `restore` needs beside `weights`; every process must ask for it."""
        return states.state_of(self, mined)

    def weights(self) -> dict[str, Tensor]:
        """What is evaluated and exported: the averages where there are any."""
        return states.weights_of(self)

    def restore(
        self, step: int, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path
    ) -> None:
        """Go on from what `weights` and `state` gave, which `path` holds.

        Raises:
            DataError: they are of another model.
        """
        states.restore(self, step, weights, state, path)

    @contextmanager
    def evaluating(self) -> Iterator[GeoBridge]:
        """The network to evaluate, averages in place; training goes on as if nothing had been."""
        devices = [self.world.device] if self.world.device.type == "cuda" else []
        with torch.random.fork_rng(devices), ExitStack() as stack:
            if self.average:
                stack.enter_context(self.average.in_place())
            yield self.model.eval()
        optim.to_training(self.model)

    @cached_property
    def network(self) -> nn.Module:
        """What a batch goes through; several processes meet when it is first asked for."""
        if self.world.size == 1:
            return self.model
        devices = [self.world.device] if self.world.device.type == "cuda" else None
        return DistributedDataParallel(self.model, device_ids=devices, gradient_as_bucket_view=True)

    @cached_property
    def trained(self) -> dict[str, nn.Parameter]:
        """The weights that learn, by name."""
        return {n: w for n, w in self.model.named_parameters() if w.requires_grad}

    def _backward(self, batch: TensorBatch, count: int, last: bool) -> Loss:
        batch = batch.to(self.world.device)
        chunk_size, taught = self.settings.optim.chunk_size, {}
        if self.teacher is not None:
            taught = self.teacher.describe(batch, chunk_size, self.autocast)
        with ExitStack() as stack:
            if not last and isinstance(self.network, DistributedDataParallel):
                stack.enter_context(self.network.no_sync())
            return gradcache.backward(
                self.network,
                batch,
                lambda descriptors: self._with_teacher(
                    self._loss(descriptors, batch), descriptors, taught, batch
                ),
                chunk_size,
                self.autocast,
                lambda total: self.scaler.scale(total / count),
            )

    def _loss(self, rows: Descriptors, batch: TensorBatch) -> Loss:
        columns, columns_present = self._of_all(rows), self._of_all(batch.present)
        terms, edges_loss = self.terms, geobridge_loss
        if terms and terms.is_warming_up(self.step):
            edges_loss = following_loss
        with torch.autocast(self.world.device.type, enabled=False):
            try:
                loss = edges_loss(
                    rows,
                    batch.present,
                    columns,
                    columns_present,
                    batch.relation,
                    self.model.logit_scale,
                    self.settings.objective,
                    self.settings.model.nested_dims,
                    self.world.size,
                )
            except NothingToCompareError as error:
                raise DataError(
                    f"step {self.step}: {error}; raise optim.batch_size or lower augment.missing"
                ) from None
            if terms is None:
                return loss
            relation = gather(batch.relation, self.world)
            return terms.added(loss, columns, columns_present, relation, self.step)

    def _with_teacher(
        self, loss: Loss, rows: Descriptors, taught: Descriptors, batch: TensorBatch
    ) -> Loss:
        """The loss and what the teacher adds to it."""
        if self.teacher is None:
            return loss
        everywhere = self._of_all(batch.present)
        term = distance(rows, taught, batch.present, everywhere, self.world.size)
        edges = {**loss.edges, TERM: term.detach()}
        return replace(loss, total=loss.total + self.teacher.weight * term, edges=edges)

    def _of_all(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every side's rows of all processes, sent as one tensor."""
        if self.world.size == 1:
            return dict(rows)
        whole = gather(torch.stack(list(rows.values()), dim=1), self.world)
        return dict(zip(rows, whole.unbind(dim=1), strict=True))

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of training."""
        precision = self.settings.optim.precision
        kind = _PRECISIONS[precision]
        return torch.autocast(self.world.device.type, kind, enabled=precision != "fp32")

    def _is_finite(self, step: Step) -> bool:
        """Whether the step may be taken; no for one to be skipped."""
        loss, length = torch.stack([step.total, step.gradient_norm]).isfinite().tolist()
        lost = any_of(not loss, self.world)
        may_skip = self.scaler.is_enabled() and self.skipped + 1 < MAX_SKIPPED
        if lost or not (length or may_skip):
            raise NotFiniteError(step)
        return bool(length)

    @torch.no_grad()
    def _follow_up(self) -> None:
        self.model.hold_temperature()
        if self.average:
            self.average.update(self.step)


def _with_points(model: GeoBridge, settings: TrainConfig, device: torch.device) -> Terms | None:
    """Give a network the tower of points that it trains with; what geometry adds to its loss."""
    config = settings.geolink
    if not config.points:
        return None
    first: ImageEncoder = next(iter(model.images.values()))  # type: ignore[assignment]
    length = first.length()
    model.points = PointTower(config.tower, length)
    return Terms(config, tuple(model.images), length, device, settings.optim.epsilon)


def _synchronised(model: GeoBridge, world: World) -> GeoBridge:
    """Batch norm over the places of all processes; a CPU cannot."""
    norms = [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if world.size == 1 or not norms:
        return model
    if world.device.type == "cuda":
        together: GeoBridge = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return together
    if world.is_first:
        log.warning("batch norm sees the places of each process by itself on a CPU")
    return model
