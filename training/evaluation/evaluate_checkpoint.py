"""`geobridge evaluate`: what any checkpoint finds in any folder of triples."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from geobridge.onboard.errors import DataError

from .. import checkpoint as checkpoints
from ..config import TrainConfig
from ..config_data import TriplesConfig
from .directions import with_guesses
from .held_out import measure, open_split, tell_left_out

log = logging.getLogger(__name__)


def evaluate(
    checkpoint: Path, data: Path | None = None, split: str = "test", max_places: int | None = None
) -> list[dict[str, Any]]:
    """The table of a checkpoint on a split, and under it what guessing gives.

    Args:
        checkpoint: its folder, or a run whose newest one is taken.
        data: folder of triples; None for the one that the checkpoint was trained on.
        split: name of a folder in it.
        max_places: at most so many places, always the same ones.

    Raises:
        DataError: no checkpoint, no such split, or the checkpoint has no towers for two of its
            sides.
    """
    found = checkpoints.read(checkpoint)
    folder = data or _trained_on(found.config, found.path)
    source = open_split(found.config, folder, split)
    tell_left_out(found.config, folder / split)
    model = checkpoints.load(found)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    log.info("%s, step %d, on %s", found.path, found.step, source.folder)
    return with_guesses(measure(model, found.config, source, max_places))


def _trained_on(config: TrainConfig, checkpoint: Path) -> Path:
    if isinstance(config.data, TriplesConfig) and config.data.folder:
        return Path(config.data.folder)
    raise DataError(f"{checkpoint}: was not trained on triples; name a folder of them with --data")
