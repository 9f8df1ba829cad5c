"""What is not sure about heading and height, as hypotheses that are searched at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

HEADING_STEP_DEG, SCALE_STEP = 15.0, 1.12
"""Between neighbours that are searched: verification looks around each of them for half of it."""
SIGMAS = 2.0
"""Of what is stated, how much is searched."""


@dataclass(frozen=True)
class Hypothesis:
    """What the telemetry may be off by, as `Prepared.rectify` takes it.

    The heading is `heading_offset_deg` less than told, the height above ground `scale` of itself
    more than told.
    """

    heading_offset_deg: float = 0.0
    scale: float = 0.0

    def further(self, heading_offset_deg: float, scale: float) -> Hypothesis:
        """This one and another one on top of it."""
        return Hypothesis(
            self.heading_offset_deg + heading_offset_deg,
            (1.0 + self.scale) * (1.0 + scale) - 1.0,
        )


AS_TOLD = Hypothesis()


def hypotheses(heading_accuracy_deg: float, height_ratio: float) -> tuple[Hypothesis, ...]:
    """Headings within their accuracy times heights within a factor, the most likely first.

    Args:
        heading_accuracy_deg: 1-sigma; from 90 on any heading is as likely as another.
        height_ratio: the largest height that may be true against the one that is told, from 1 on;
            the smallest is as far below.
    """
    found = [
        Hypothesis(turn_deg, scale)
        for scale in _scales(height_ratio)
        for turn_deg in _turns_deg(SIGMAS * heading_accuracy_deg)
    ]
    return tuple(sorted(found, key=_distance))


def height_ratio(accuracy: float) -> float:
    """How many times the told height may be true, from its 1-sigma accuracy as a share of it."""
    return 1.0 + SIGMAS * accuracy


def _turns_deg(most_deg: float) -> list[float]:
    """Steps to both sides until the most is within half a step of one."""
    if most_deg >= 180.0 - HEADING_STEP_DEG / 2.0:
        count = round(360.0 / HEADING_STEP_DEG)
        return [step * HEADING_STEP_DEG - 180.0 for step in range(count)]
    steps = math.ceil(most_deg / HEADING_STEP_DEG - 0.5)
    return [step * HEADING_STEP_DEG for step in range(-steps, steps + 1)]


def _scales(ratio: float) -> list[float]:
    steps = math.ceil(math.log(ratio) / math.log(SCALE_STEP) - 0.5)
    return [SCALE_STEP**step - 1.0 for step in range(-steps, steps + 1)]


def _distance(hypothesis: Hypothesis) -> tuple[float, float, float]:
    """How far from what is told, in steps; the rest decides between equals."""
    turn_deg, scale = hypothesis.heading_offset_deg, hypothesis.scale
    stretched = math.log1p(scale) / math.log(SCALE_STEP)
    return round(math.hypot(turn_deg / HEADING_STEP_DEG, stretched), 6), turn_deg, scale
