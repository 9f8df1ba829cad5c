"""From a configuration's data source to tensors, rendered ahead by worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from geobridge.onboard.errors import ConfigError
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
    preprocess = settings.preprocess.spec
    if isinstance(data, AreaConfig):
        missing = [view.value for view in area.VIEWS if view not in views]
        if missing:
            raise ConfigError(f"model.views: source 'area' also needs {', '.join(missing)}")
        return AreaSource(data, preprocess, optim.batch_size, optim.seed)
    return TriplesSource(Path(data.folder), views, preprocess, optim.batch_size, optim.seed)


def batches(settings: TrainConfig, source: BatchSource, first: int) -> Iterator[TensorBatch]:
    """The batches of steps `first` to the last, in order."""
    steps = _Steps(source, settings, first)
    workers = settings.optim.workers
    options: dict[str, Any] = {}
    if workers:
        # a worker renders on one core; more BLAS threads only spin against the training step
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        options = {"multiprocessing_context": "spawn", "worker_init_fn": _single_threaded}
    yield from DataLoader(steps, batch_size=None, num_workers=workers, **options)


class _Steps(Dataset[TensorBatch]):
    """The steps that are left, as a map-style data set."""

    def __init__(self, source: BatchSource, settings: TrainConfig, first: int) -> None:
        self.source, self.settings, self.first = source, settings, first

    def __len__(self) -> int:
        return self.settings.optim.steps - self.first

    def __getitem__(self, index: int) -> TensorBatch:
        if index >= len(self):
            raise IndexError(index)
        return to_tensors(self.source.batch(self.first + index), self.settings)


def to_tensors(batch: Batch, settings: TrainConfig) -> TensorBatch:
    """Arrays to tensors, texts to tokens."""
    images = {view: torch.from_numpy(image) for view, image in batch.images.items()}
    present = {view: torch.from_numpy(mask) for view, mask in batch.present.items()}
    if not settings.model.text_tower or not any(batch.texts):
        return TensorBatch(images, present, None, None)
    tokens = tokenizer(settings.model)(list(batch.texts))
    has_text = torch.from_numpy(np.array([bool(text) for text in batch.texts]))
    return TensorBatch(images, present, tokens, has_text)


def _single_threaded(_worker: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
