"""From a configuration's data source to tensors, prepared ahead by worker processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from geobridge.onboard.errors import ConfigError, GeobridgeError
from geobridge.onboard.views import View

from ..config import TrainConfig
from ..config_data import AreaConfig
from ..datasets import area
from ..datasets.area import AreaSource
from ..datasets.batch import Batch, BatchSource
from ..datasets.triples import TriplesSource
from ..model import tokenizer
from .plan import edges_of


@dataclass(frozen=True)
class TensorBatch:
    """`Batch` as tensors, the rows of one process.

    Args:
        images: view to [b, H, W, 3] uint8.
        present: side to [b] bool.
        tokens: [b, context] int64, of an empty text where a row has none; None if the model reads
            no texts.
        relation: [b, B] int8 to every place of all processes.
        names, unreadable: as in `Batch`.
        points: [b, P, 3] as in `Batch`, or None.
    """

    images: Mapping[View, Tensor]
    present: Mapping[str, Tensor]
    tokens: Tensor | None
    relation: Tensor
    names: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    points: Tensor | None = None

    @property
    def size(self) -> int:
        """Places of this process."""
        return len(self.relation)

    def to(self, device: torch.device) -> TensorBatch:
        """The same batch on a device; from pinned memory without waiting."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> TensorBatch:
        """The same batch where a GPU can fetch it; the loader asks for it."""
        return self._each(Tensor.pin_memory)

    def rows(self, part: slice) -> TensorBatch:
        """Some of its places, still related to all."""
        return replace(self._each(lambda tensor: tensor[part]), names=self.names[part])

    def _each(self, change: Callable[[Tensor], Tensor]) -> TensorBatch:
        return replace(
            self,
            images={view: change(image) for view, image in self.images.items()},
            present={side: change(mask) for side, mask in self.present.items()},
            tokens=None if self.tokens is None else change(self.tokens),
            relation=change(self.relation),
            points=None if self.points is None else change(self.points),
        )


def open_source(settings: TrainConfig) -> BatchSource:
    """The configured source of batches.

    Raises:
        ConfigError: the model lacks a tower that the source needs.
        DataError: the data cannot be used.
    """
    data, optim, views = settings.data, settings.optim, settings.model.view_list
    if len(views) < 2 and not settings.model.text_tower:
        raise ConfigError("model.views: one view and no text tower leave nothing to compare")
    if isinstance(data, AreaConfig):
        missing = [view.value for view in area.VIEWS if view not in views]
        if missing:
            raise ConfigError(f"model.views: source 'area' also needs {', '.join(missing)}")
        spec, size = settings.preprocess.spec, optim.batch_size
        return AreaSource(data, spec, size, optim.seed, settings.batches)
    return TriplesSource(
        Path(data.folder),
        views,
        settings.preprocess,
        optim.batch_size,
        optim.seed,
        with_texts=settings.model.text_tower,
        batches=settings.batches,
        augment=settings.augment,
        edges=edges_of(settings),
        variant=data.variant,
        geolink=settings.geolink,
    )


def batches(
    settings: TrainConfig,
    source: BatchSource,
    first: int,
    stop: int | None = None,
    rank: int = 0,
    world: int = 1,
) -> Iterator[TensorBatch]:
    """The rows of process `rank` of the batches `first` to before `stop`, in order.

    Raises:
        DataError: names the file of the source that is broken.
    """
    workers, seed = settings.optim.workers, settings.optim.seed
    # a generator of its own: starting must not move the one that resuming puts back
    options: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed)}
    if workers:
        # a worker works on one core; more BLAS threads only spin against the training step
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        options |= {"multiprocessing_context": "spawn", "worker_init_fn": _prepare}
    for batch in DataLoader(
        Numbered(source, settings, rank, world),
        batch_size=None,
        sampler=count(first) if stop is None else range(first, stop),
        num_workers=workers,
        pin_memory=settings.optim.device != "cpu" and torch.cuda.is_available(),
        **options,
    ):
        if isinstance(batch, GeobridgeError):
            raise batch
        yield batch


class Numbered(Dataset["TensorBatch | GeobridgeError"]):
    """The batches of a source by number, as a map-style data set.

    A user's mistake is handed over, not raised: torch would put a worker's traceback into its text.
    """

    def __init__(self, source: BatchSource, settings: TrainConfig, rank: int, world: int) -> None:
        self.source, self.settings, self.rank, self.world = source, settings, rank, world

    def __getitem__(self, number: int) -> TensorBatch | GeobridgeError:
        try:
            return self.tensors(self.source.batch(number, self.rank, self.world))
        except GeobridgeError as error:
            return error

    @cached_property
    def _tokenize(self) -> Callable[[list[str]], Tensor]:
        tokenize: Callable[[list[str]], Tensor] = tokenizer(self.settings.model)
        return tokenize

    def tensors(self, batch: Batch) -> TensorBatch:
        """A batch of the source, its texts as tokens."""
        reads = self.settings.model.text_tower
        return TensorBatch(
            {view: torch.from_numpy(image) for view, image in batch.images.items()},
            {side: torch.from_numpy(mask) for side, mask in batch.present.items()},
            self._tokenize(list(batch.texts)) if reads else None,
            torch.from_numpy(batch.relation),
            batch.names,
            batch.unreadable,
            None if batch.points is None else torch.from_numpy(batch.points),
        )


def _prepare(_worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the trainer answers, and ends its workers
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # its own way to, and no failure
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
