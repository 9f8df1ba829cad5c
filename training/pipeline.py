"""From a configuration's data source to tensors, rendered ahead by worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from geobridge.onboard.errors import ConfigError, GeobridgeError
from geobridge.onboard.views import View

from .config import AreaConfig, TrainConfig
from .datasets import area
from .datasets.area import AreaSource
from .datasets.batch import Batch, BatchSource
from .datasets.triples import TriplesSource
from .model import tokenizer


@dataclass(frozen=True)
class TensorBatch:
    """`Batch` as tensors; `tokens` [B, context] or None where no place has a text."""

    images: Mapping[View, Tensor]
    present: Mapping[View, Tensor]
    tokens: Tensor | None
    text_present: Tensor | None

    @property
    def size(self) -> int:
        """Places in the batch."""
        return len(next(iter(self.images.values())))

    def to(self, device: torch.device) -> TensorBatch:
        """The same batch on a device."""
        return TensorBatch(
            {view: image.to(device, non_blocking=True) for view, image in self.images.items()},
            {view: mask.to(device, non_blocking=True) for view, mask in self.present.items()},
            None if self.tokens is None else self.tokens.to(device, non_blocking=True),
            None if self.text_present is None else self.text_present.to(device, non_blocking=True),
        )


def open_source(settings: TrainConfig) -> BatchSource:
    """The configured source of batches.

    Raises:
        ConfigError: the model lacks a tower that the source needs.
        DataError: the data cannot be used.
    """
    data, optim, views = settings.data, settings.optim, settings.model.view_list
    preprocess, with_texts = settings.preprocess.spec, settings.model.text_tower
    if len(views) < 2 and not with_texts:
        raise ConfigError("model.views: one view and no text tower leave nothing to compare")
    if isinstance(data, AreaConfig):
        missing = [view.value for view in area.VIEWS if view not in views]
        if missing:
            raise ConfigError(f"model.views: source 'area' also needs {', '.join(missing)}")
        return AreaSource(data, preprocess, optim.batch_size, optim.seed)
    folder, count = Path(data.folder), optim.batch_size
    return TriplesSource(folder, views, preprocess, count, optim.seed, with_texts=with_texts)


def batches(settings: TrainConfig, source: BatchSource, first: int) -> Iterator[TensorBatch]:
    """The batches of steps `first` to the last, in order.

    Raises:
        DataError: names the file of the source that is broken.
    """
    steps = _Steps(source, settings, first)
    workers = settings.optim.workers
    # a generator of its own: starting must not move the one that resuming puts back
    options: dict[str, Any] = {"generator": torch.Generator()}
    if workers:
        # a worker renders on one core; more BLAS threads only spin against the training step
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        options |= {"multiprocessing_context": "spawn", "worker_init_fn": _single_threaded}
    for batch in DataLoader(steps, batch_size=None, num_workers=workers, **options):
        if isinstance(batch, GeobridgeError):
            raise batch
        yield batch


class _Steps(Dataset["TensorBatch | GeobridgeError"]):
    """The steps that are left, as a map-style data set.

    A user's mistake is handed over, not raised: torch would put a worker's traceback into its text.
    """

    def __init__(self, source: BatchSource, settings: TrainConfig, first: int) -> None:
        self.source, self.settings, self.first = source, settings, first

    def __len__(self) -> int:
        return self.settings.optim.steps - self.first

    def __getitem__(self, index: int) -> TensorBatch | GeobridgeError:
        if index >= len(self):
            raise IndexError(index)
        try:
            return self._tensors(self.source.batch(self.first + index))
        except GeobridgeError as error:
            return error

    @cached_property
    def _tokenize(self) -> Callable[[list[str]], Tensor]:
        tokenize: Callable[[list[str]], Tensor] = tokenizer(self.settings.model)
        return tokenize

    def _tensors(self, batch: Batch) -> TensorBatch:
        images = {view: torch.from_numpy(image) for view, image in batch.images.items()}
        present = {view: torch.from_numpy(mask) for view, mask in batch.present.items()}
        if not self.settings.model.text_tower or not any(batch.texts):
            return TensorBatch(images, present, None, None)
        has_text = torch.from_numpy(np.array([bool(text) for text in batch.texts]))
        return TensorBatch(images, present, self._tokenize(list(batch.texts)), has_text)


def _single_threaded(_worker: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
