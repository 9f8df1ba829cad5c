"""What a run tells while it goes on: a line every few seconds, and figures beside the checkpoints.

<run>/metrics.jsonl    a line of figures at about a thousand steps of the run
<run>/tensorboard/     the same as event files, if asked for
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geobridge.onboard import durable
from geobridge.onboard.errors import ConfigError

from ..learner import Step
from ..losses import Loss
from .run_folder import append

log = logging.getLogger(__name__)

METRICS, EVENTS = "metrics.jsonl", "tensorboard"
ROWS = 1000
"""So many steps of a run are written down."""
_PROGRESS_EVERY_S = 10.0


class Journal:
    """Of the first process. Lines of steps that are run again after an interruption are dropped."""

    def __init__(self, run: Path, first: int, last: int, places: int, tensorboard: bool) -> None:
        self.path = run / METRICS
        self.last, self.places = last, places
        self.events = _events(run / EVENTS, first) if tensorboard else None
        self.seen: list[tuple[float, int]] = []
        self.printed = -math.inf
        _keep_until(self.path, first)

    def pace(self, step: int) -> None:
        """Count a step for the rate. The first is not timed: workers warm up."""
        self.seen = [*self.seen[-20:], (time.monotonic(), step)]

    def write(self, step: int, figures: Mapping[str, Any]) -> None:
        """Write a line of figures of a step."""
        append(self.path, [json.dumps({"step": step, **figures})])
        if self.events:
            for name, value in _flat(figures):
                self.events.add_scalar(name, value, step)

    def speak(self, step: int, done: Step) -> None:
        """Say how far, how good and how long, when it is time."""
        now, timed = time.monotonic(), len(self.seen) > 3
        if not timed or (now - self.printed < _PROGRESS_EVERY_S and step != self.last):
            return
        self.printed = now
        minutes, seconds = divmod(round((self.last - step) * self.step_s), 60)
        log.info(
            "step %d/%d  loss %.3f  %s  lr %.1e  %.0f places/s  %d:%02d left",
            step,
            self.last,
            float(done.total),
            "  ".join(f"{name} {share:.0%}" for name, share in shares(done.losses).items()),
            done.learning_rate,
            self.places / self.step_s,
            minutes,
            seconds,
        )

    def close(self) -> None:
        """Let nothing be lost."""
        if self.events:
            self.events.close()

    @property
    def step_s(self) -> float:
        """Seconds for a step, of late; not a number before the second step."""
        if len(self.seen) < 2:
            return math.nan
        (start, first), (now, last) = self.seen[0], self.seen[-1]
        return (now - start) / (last - first)


def is_due(step: int, last: int) -> bool:
    """Whether a step's figures are to be written."""
    return step % max(1, last // ROWS) == 0 or step == last


def figures_of(done: Step, total: float, logit_scale: float) -> dict[str, Any]:
    """What is written of a step: `total` is the loss of all processes, edges are of this one."""
    return {
        "loss": total,
        "edges": _mean([loss.edges for loss in done.losses]),
        "accuracy": shares(done.losses),
        "gradient_norm": float(done.gradient_norm),
        "learning_rate": done.learning_rate,
        "logit_scale": logit_scale,
    }


def shares(losses: tuple[Loss, ...]) -> dict[str, float]:
    """By edge, the share of rows that find theirs first."""
    return _mean([loss.accuracy for loss in losses])


def _mean(tables: list[dict[str, Any]]) -> dict[str, float]:
    names = dict.fromkeys(name for table in tables for name in table)
    values = {name: [float(table[name]) for table in tables if name in table] for name in names}
    return {name: sum(value) / len(value) for name, value in values.items()}


def _flat(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    flat: list[tuple[str, float]] = []
    for name, value in figures.items():
        inner = isinstance(value, Mapping)
        flat += _flat(value, f"{prefix}{name}/") if inner else [(f"{prefix}{name}", float(value))]
    return flat


def _keep_until(path: Path, step: int) -> None:
    """Drop the lines of later steps, and one that was cut off."""
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step(line) <= step]
    durable.write_text(path, "".join(f"{line}\n" for line in kept))


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _events(folder: Path, first: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "run.tensorboard: the package tensorboard is not installed; it comes with:"
            ' pip install "geobridge-uav[train]"'
        ) from None
    return SummaryWriter(str(folder), purge_step=first + 1)
