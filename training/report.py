"""What a trained encoder finds, written beside the run."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from geobridge.onboard import durable

from .config import TrainConfig, TriplesConfig
from .datasets.area import AreaSource
from .datasets.batch import BatchSource
from .datasets.triples import TriplesSource
from .directions import six_directions
from .evaluate import evaluate_area
from .model import GeoBridge

log = logging.getLogger(__name__)

REPORT = "report.json"
TEST = "test"


def has_report(settings: TrainConfig) -> bool:
    """Whether there is something to measure a trained encoder on."""
    data = settings.data
    return not isinstance(data, TriplesConfig) or (Path(data.folder) / TEST).is_dir()


def report(model: GeoBridge, settings: TrainConfig, source: BatchSource, run: Path) -> None:
    """Write `REPORT`: against the whole map, or on the test split of triples if there is one."""
    figures: Any = None
    if isinstance(source, AreaSource):
        figures = evaluate_area(model, settings, source)
        log.info(
            "rendered views against the map: R@1 within 50 m %.1f %%, R@5 within 25 m %.1f %%",
            100 * figures["r1_within_50_m"],
            100 * figures["r5_within_25_m"],
        )
    elif has_report(settings):
        figures = directions(model, settings)
        for row in figures:
            log.info(
                "%-22s R@1 %5.1f %%  R@5 %5.1f %%  of %d",
                row["direction"],
                100 * row["r1"],
                100 * row["r5"],
                row["queries"],
            )
    if figures is not None:
        durable.write_text(run / REPORT, json.dumps(figures, indent=1) + "\n")


def directions(model: GeoBridge, settings: TrainConfig) -> list[dict[str, Any]]:
    """The table of the test split.

    Raises:
        DataError: the split cannot be read.
    """
    assert isinstance(settings.data, TriplesConfig)
    held_out = TriplesSource(
        Path(settings.data.folder),
        settings.model.view_list,
        settings.preprocess.spec,
        batch_size=1,
        seed=0,
        split=TEST,
        with_texts=settings.model.text_tower,
    )
    return six_directions(model, settings.model, held_out)
