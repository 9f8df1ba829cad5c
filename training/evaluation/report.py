"""What a trained encoder finds, written beside the run, and a page on how it got there."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from geobridge.onboard import durable

from ..config import TrainConfig
from ..config_data import TriplesConfig
from ..datasets.area import AreaSource
from ..datasets.batch import BatchSource
from ..model import GeoBridge
from .area import evaluate_area
from .directions import Table
from .held_out import folder_of, measure, open_split
from .run_page import PAGE, write_page

log = logging.getLogger(__name__)

REPORT = "report.json"
TEST = "test"


def has_report(settings: TrainConfig) -> bool:
    """Whether there is something to measure a trained encoder on."""
    return not isinstance(settings.data, TriplesConfig) or folder_of(settings, TEST) is not None


def report(model: GeoBridge, settings: TrainConfig, source: BatchSource, run: Path) -> None:
    """Write `REPORT` and a page: against the whole map, or on the test split if there is one.

    Args:
        model: with the weights that were chosen on the validation split, else the last ones.
        settings: of the run.
        source: that it was trained on.
        run: its folder. Without a test split the page alone is written: how it learned.

    Raises:
        DataError: the test split cannot be used.
    """
    figures: Any = None
    if isinstance(source, AreaSource):
        figures = evaluate_area(model, settings, source)
        log.info(
            "rendered views against the map: R@1 within 50 m %.1f %%, R@5 within 25 m %.1f %%",
            100 * figures["r1_within_50_m"],
            100 * figures["r5_within_25_m"],
        )
    elif folder := folder_of(settings, TEST):
        figures = measure(model, settings, open_split(settings, folder, TEST))
        _tell(figures)
    write_page(run, settings, figures)
    if figures is not None:  # last: a run is complete once it is there
        durable.write_text(run / REPORT, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    log.info("see %s", run / PAGE)


def _tell(table: Table) -> None:
    for row in table:
        log.info(
            "%-22s R@1 %5.1f %%  R@5 %5.1f %%  of %d; guessing: %.1f %%, %.1f %%",
            row["direction"],
            100 * row["r1"],
            100 * row["r5"],
            row["queries"],
            100 * row["chance"]["r1"],
            100 * row["chance"]["r5"],
        )
