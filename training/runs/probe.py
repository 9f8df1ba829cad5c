"""The data that a run will need, tried before it starts: splits, sides, their first pictures."""

from __future__ import annotations

import logging
from pathlib import Path

from geobridge.onboard.errors import DataError

from ..config import TrainConfig
from ..config_data import TriplesConfig
from ..datasets.batch import TEXT, BatchSource
from ..datasets.decode import UnreadableError
from ..datasets.stores import has_split, is_public
from ..datasets.triples import TriplesSource
from ..evaluation.held_out import folder_of, open_split

log = logging.getLogger(__name__)

FEW = 8
"""So many pictures of a view are tried; a set of the wrong kind has no good one among them."""


def probe(settings: TrainConfig, source: BatchSource, tell: bool = True) -> None:
    """Refuse data that nothing, or not all that is configured, can be learned from.

    Args:
        source: that is trained on.
        tell: of what is not there and may be missing.

    Raises:
        DataError: names the folder and what is wrong.
    """
    if not isinstance(source, TriplesSource):
        return
    _check_sides(settings, source)
    _check_points(settings, source, tell)
    _check_pictures(source)
    for split in ("val", "test"):
        if folder := folder_of(settings, split):
            _check_pictures(open_split(settings, folder, split))
    if tell:
        _tell_what_is_missing(settings)


def _check_sides(settings: TrainConfig, source: TriplesSource) -> None:
    """Every tower sees something; that there are pictures is known."""
    for view, names in source.pictures.items():
        if names.isdisjoint(source.names):
            raise DataError(
                f"{source.folder / view.value}: no place there has another view or a text; the"
                f" {view} tower would learn nothing"
            )
    if settings.model.text_tower and source.texts.keys().isdisjoint(source.names):
        raise DataError(
            f"{source.folder}: no place has a text (text.jsonl), the text tower would learn"
            f" nothing; set model.{TEXT}_tower=false"
        )


def _check_points(settings: TrainConfig, source: TriplesSource, tell: bool) -> None:
    """Enough places have points; the others are counted and some of them named."""
    if source.points is None:
        return
    without = sorted(set(source.names) - source.points.names)
    if not without:
        return
    share = 1.0 - len(without) / source.places
    found = (
        f"{settings.geolink.points}: {source.places - len(without)} of {source.places} places have"
        f" points, none {', '.join(without[:3])}{' and others' if len(without) > 3 else ''}"
    )
    if not share >= settings.geolink.min_share or share == 0.0:
        raise DataError(f"{found}; geolink.min_share is {settings.geolink.min_share:g}")
    if tell:
        log.warning("%s; these train as without", found)


def _check_pictures(source: TriplesSource) -> None:
    for view, names in source.pictures.items():
        tried = sorted(names)[:FEW]
        wrong = []
        for name in tried:
            try:
                source.picture(view, name)
            except UnreadableError as error:
                wrong.append(str(error))
        if wrong and len(wrong) == len(tried):
            raise DataError(
                f"{source.folder}: none of the first {len(tried)} {view} pictures can be read;"
                f" {wrong[0]}"
            )


def _tell_what_is_missing(settings: TrainConfig) -> None:
    evaluation, data = settings.evaluation, settings.data
    if not isinstance(data, TriplesConfig):
        return
    where = Path(data.folder)
    if evaluation.every_steps and not has_split(where, evaluation.split, data.variant):
        log.warning(
            "%s: no split %s; nothing is chosen on, the last checkpoint will be the one to use",
            where,
            evaluation.split,
        )
    if is_public(where):
        log.info("%s: its test part is for geobridge evaluate", where)
    elif not has_split(where, "test"):
        log.info("%s: no split test; the report will have no table", where)
