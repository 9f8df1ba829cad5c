"""The table of a split that is held out, as training configures what is read and how."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from ..config import OptimConfig, TrainConfig
from ..config_data import TriplesConfig
from ..datasets.batch import TEXT
from ..datasets.shards import CATALOGUE
from ..datasets.stores import has_split, views_of
from ..datasets.triples import TriplesSource
from ..model import GeoBridge
from .directions import Table, six_directions

log = logging.getLogger(__name__)

_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def folder_of(settings: TrainConfig, split: str) -> Path | None:
    """The folder with a split of the configured data; None where there is none."""
    data = settings.data
    if not isinstance(data, TriplesConfig) or not has_split(Path(data.folder), split, data.variant):
        return None
    return Path(data.folder)


def open_split(settings: TrainConfig, folder: Path, split: str) -> TriplesSource:
    """The sides of a split that the configured model has towers for, as it reads them.

    Raises:
        DataError: there is no such split, it cannot be used, or there is nothing to compare.
    """
    where = folder / split
    if not has_split(folder, split, _variant(settings)):
        raise DataError(f"{folder}: no split {split!r} there, {_instead(folder)}")
    known, offered = settings.model.view_list, views_of(folder, split, _variant(settings))
    shared = [view for view in known if view in offered]
    towers = [*map(str, known), *([TEXT] if settings.model.text_tower else [])]
    if not shared or (len(shared) == 1 and not settings.model.text_tower):
        raise DataError(
            f"{where}: nothing to compare; it has the views {', '.join(offered) or '(none)'},"
            f" the model has towers for {', '.join(towers)}"
        )
    return TriplesSource(
        folder,
        shared,
        settings.preprocess,
        batch_size=1,
        seed=0,
        split=split,
        with_texts=settings.model.text_tower,
        variant=_variant(settings),
    )


def tell_left_out(settings: TrainConfig, where: Path) -> None:
    """Warn of views that either the split or the model lacks."""
    known = settings.model.view_list
    offered = views_of(where.parent, where.name, _variant(settings))
    for view in offered:
        if view not in known:
            log.warning("%s: left out, the model has no tower for it", where / view.value)
    for view in known:
        if view not in offered:
            log.warning("%s: has no pictures of the view %s", where, view)


def measure(
    model: GeoBridge, settings: TrainConfig, source: TriplesSource, max_places: int | None = None
) -> Table:
    """`six_directions` of a model in the precision that it is trained in.

    Raises:
        DataError: no direction is left that a place could be asked in.
    """
    device = next(model.parameters()).device
    with precision(settings.optim, device):
        table = six_directions(model, settings.model, source, max_places)
    if not table:
        raise DataError(f"{source.folder}: no place has two sides that can be read")
    return table


def precision(optim: OptimConfig, device: torch.device) -> AbstractContextManager[Any]:
    """The autocast of training; a CPU does not compute in fp16 for a GPU's sake."""
    kind = _PRECISIONS.get(optim.precision)
    usable = kind is not None and (device.type == "cuda" or kind is torch.bfloat16)
    return torch.autocast(device.type, kind if usable else torch.bfloat16, enabled=usable)


def _variant(settings: TrainConfig) -> str:
    return settings.data.variant if isinstance(settings.data, TriplesConfig) else ""


def _instead(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    splits = [name for name in names if (folder / name).is_dir() and _looks_like_one(folder / name)]
    return f"but {', '.join(splits)}" if splits else "nor any other"


def _looks_like_one(split: Path) -> bool:
    return (split / CATALOGUE).exists() or any((split / view.value).is_dir() for view in View)
