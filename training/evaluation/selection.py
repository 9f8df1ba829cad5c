"""How good the network is while it trains, on a split that is held out for choosing."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ..config import TrainConfig
from ..model import GeoBridge
from ..runs.run_folder import append
from .directions import mean_r1
from .held_out import folder_of, measure, open_split, tell_left_out

log = logging.getLogger(__name__)

VALIDATION = "validation.jsonl"
"""{"step": ..., "r1": mean over the directions, "table": the directions} a line. A run that went on
from an earlier step may repeat steps: the last line of a step counts."""


def check(settings: TrainConfig) -> None:
    """Open what `validate` and the report will need, before hours have passed.

    Raises:
        DataError: a split is there and cannot be used.
    """
    for split in (settings.evaluation.split, "test"):
        if folder := folder_of(settings, split):
            open_split(settings, folder, split)
            tell_left_out(settings, folder / split)


def validate(model: GeoBridge, settings: TrainConfig, step: int) -> float | None:
    """Mean R@1 over the directions of the validation split after `step`, also written to the run.

    It is `evaluation.split`, of which always the same `evaluation.max_places` are asked. Neither
    the model's mode nor any random state is changed.

    Returns:
        None where the data have no such split.

    Raises:
        DataError: the split cannot be used.
    """
    evaluation = settings.evaluation
    folder = folder_of(settings, evaluation.split)
    if folder is None:
        return None
    source = open_split(settings, folder, evaluation.split)
    table = measure(model, settings, source, evaluation.max_places)
    r1 = mean_r1(table)
    _write(Path(settings.run.folder) / VALIDATION, {"step": step, "r1": r1, "table": table})
    log.info(
        "step %d  R@1 %.1f %% on %s, mean of %d directions among %d places",
        step,
        100 * r1,
        evaluation.split,
        len(table),
        max(row["queries"] for row in table),
    )
    return r1


def _write(path: Path, line: dict[str, Any]) -> None:
    """A full disk costs the line, not the run."""
    try:
        append(path, [json.dumps(line)])
    except OSError as error:
        log.warning("%s: %s; the line of step %d is lost", path, error.strerror, line["step"])
