"""What can be known to be wrong before any time is spent, and how many steps a run has."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

from geobridge.onboard.errors import ConfigError, DataError

from ..config import Edge, TrainConfig
from ..config_data import AreaConfig, TriplesConfig
from ..datasets.batch import POINTS, TEXT, BatchSource
from ..datasets.triples import TriplesSource

VOCABULARY = 49_408
"""Tokens of CLIP's tokenizer."""


def check(settings: TrainConfig) -> None:
    """Refuse what cannot be trained, whatever the data.

    Raises:
        ConfigError: names the key.
    """
    objective = settings.objective
    sides = {*settings.model.views, *([TEXT] if settings.model.text_tower else [])}
    for side in settings.augment.missing:
        if side not in sides:
            raise ConfigError(f"augment.missing.{side}: the model has no such tower")
    if settings.geolink.points:
        sides.add(POINTS)
        if not isinstance(settings.data, TriplesConfig):
            raise ConfigError("geolink.points: only triples have places that points belong to")
    for edge in objective.edge_weights:
        if not sides >= set(edge.split("-")):
            raise ConfigError(f"objective.edge_weights.{edge}: the model lacks a tower of it")
    if not edges_of(settings):
        named = ", ".join(sorted(sides))
        raise ConfigError(f"objective: no edge between {named} has a weight; nothing to learn from")


def edges_of(settings: TrainConfig) -> list[tuple[str, str]]:
    """The pairs of sides that have towers and a weight."""
    objective = settings.objective
    sides = {*settings.model.views, *([TEXT] if settings.model.text_tower else [])}
    found = []
    for edge in get_args(Edge):
        kind = objective.text_weight if edge.startswith(TEXT) else objective.image_weight
        a, b = edge.split("-")
        if {a, b} <= sides and kind * objective.edge_weights.get(edge, 1.0) > 0:
            found.append((a, b))
    return found


def check_paths(settings: TrainConfig) -> None:
    """Refuse what is to be read and is not there.

    Raises:
        DataError: names the key and the path.
    """
    data = settings.data
    named = {"data.folder": data.folder} if isinstance(data, TriplesConfig) else {}
    if isinstance(data, AreaConfig):
        named = {"data.raster": data.raster}
    named["model.start_from"] = settings.model.start_from
    named["distill.teacher"] = settings.distill.teacher
    named["geolink.points"] = settings.geolink.points
    for key, path in named.items():
        if path and not Path(path).exists():
            raise DataError(f"{key}: {path}: no such file or folder")


def check_words(settings: TrainConfig) -> None:
    """Refuse a text tower that has no place for every token.

    Raises:
        ConfigError: says how many there are.
    """
    text = settings.model.text if settings.model.text_tower else None
    if text and text.get("vocab_size", VOCABULARY) < VOCABULARY:
        raise ConfigError(f"model.text.vocab_size: expected {VOCABULARY}, the tokens of CLIP")


def check_places(settings: TrainConfig, source: BatchSource, processes: int) -> None:
    """Refuse batches that are larger than the data, and data without negatives.

    Raises:
        DataError: says how many places there are.
    """
    size = settings.optim.batch_size
    if source.places is not None and source.places < size * processes:
        raise DataError(
            f"optim.batch_size: {size} for each of {processes} processes, and there are"
            f" {source.places} places; expected at most {source.places // processes}"
        )
    if isinstance(source, TriplesSource) and source.kin.counts.min() == source.places - 1:
        raise DataError(
            f"{source.folder}: all {source.places} places overlap or show the same picture; there"
            " is nothing to tell apart"
        )


def steps_of(settings: TrainConfig, source: BatchSource, processes: int) -> int:
    """Steps of the whole run, of `optim.steps` or `optim.epochs`.

    Raises:
        ConfigError: the data have no end, and so no epochs.
    """
    config = settings.optim
    if config.steps:
        return config.steps
    if source.places is None:
        raise ConfigError(
            f"optim.epochs: source {settings.data.source!r} is endless; expected steps"
        )
    per_epoch = source.places // (config.batch_size * processes)
    return max(1, math.ceil(config.epochs * per_epoch / config.accumulate))


def epochs_of(
    settings: TrainConfig, source: BatchSource, processes: int, steps: int
) -> float | None:
    """How often the run sees every place; None for data without end."""
    if source.places is None:
        return None
    per_epoch = source.places // (settings.optim.batch_size * processes)
    return steps * settings.optim.accumulate / per_epoch
