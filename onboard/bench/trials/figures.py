"""A flight in figures: pace, age and error of positions, silence and recovery around a fault."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ...flightlogs import entries
from ...flightlogs.flight_record import FlightRecord
from ...flightlogs.recorder import SUFFIX
from .trial import Flown

NS_PER_S = 1_000_000_000
SILENCE_S = 0.5
"""Four beats: a longer gap is one."""
WRONG_M = 20.0
"""A position off by more is a wrong one: ten times the stated accuracy of the sight."""


@dataclass(frozen=True)
class Pace:
    """Of positions on the wire: rate, and the gaps between neighbours while there are any."""

    count: int
    rate_hz: float
    jitter_ms: float
    """Standard deviation of the gaps."""
    longest_ms: float
    median_error_m: float
    worst_error_m: float
    wrong: int


def pace(flown: Flown, max_gap_s: float = 1.0) -> Pace:
    """Gaps above `max_gap_s` are silence and not jitter.

    Gaps are those of the daemon's writing, by its record, where that is whole: whoever reads here
    shares its computer.
    """
    positions = [said for said in flown.said if said.error_m is not None]
    times_ns = [said.t_ns for said in positions]
    sent_ns = _sent_ns(flown.records)
    gaps_s = np.diff(sent_ns if len(sent_ns) >= len(times_ns) else times_ns) / NS_PER_S
    gaps_s = gaps_s[gaps_s < max_gap_s]
    errors_m = np.array([said.error_m for said in positions])
    return Pace(
        len(positions),
        float(1.0 / gaps_s.mean()) if gaps_s.size else 0.0,
        float(gaps_s.std() * 1e3) if gaps_s.size else math.nan,
        float(gaps_s.max() * 1e3) if gaps_s.size else math.nan,
        float(np.median(errors_m)) if errors_m.size else math.nan,
        float(errors_m.max()) if errors_m.size else math.nan,
        int((errors_m > WRONG_M).sum()),
    )


def silence(flown: Flown, begins_s: float, ends_s: float) -> tuple[float | None, float | None, int]:
    """Of a fault: seconds to the word that there is no position, from its end to the next one.

    And how many such words were said; None for what did not come.
    """
    begins_ns = flown.start_ns + round(begins_s * NS_PER_S)
    ends_ns = flown.start_ns + round(ends_s * NS_PER_S)
    negatives = [s.t_ns for s in flown.said if s.error_m is None and s.t_ns >= begins_ns]
    if not negatives:
        return None, _back_s([s.t_ns for s in flown.said], begins_ns, ends_ns), 0
    again = [
        s.t_ns for s in flown.said if s.error_m is not None and s.t_ns >= max(ends_ns, negatives[0])
    ]
    back_s = (again[0] - ends_ns) / NS_PER_S if again else None
    return (negatives[0] - begins_ns) / NS_PER_S, back_s, len(negatives)


def _back_s(said_ns: list[int], begins_ns: int, ends_ns: int) -> float | None:
    """From the end of a fault to that of the longest silence since it began; 0 where there was
    none, None where nothing came any more."""
    since_ns = [t_ns for t_ns in said_ns if t_ns >= begins_ns - NS_PER_S]
    if len(since_ns) < 2 or since_ns[-1] < ends_ns:
        return None
    before_ns, after_ns = max(pairwise(since_ns), key=lambda gap_ns: gap_ns[1] - gap_ns[0])
    is_silence = after_ns - before_ns > SILENCE_S * NS_PER_S
    return max(0.0, (after_ns - ends_ns) / NS_PER_S) if is_silence else 0.0


def ages_ms(records: Path) -> list[float]:
    """From exposure to wire of the first message with each fix, by the flight records."""
    found = []
    for path in sorted(records.glob(f"*{SUFFIX}")):
        waiting: int | None = None
        for topic, entry in _messages(path):
            if topic == entries.OUTCOME and "fix" in entry:
                waiting = entry["fix"]["t_capture_ns"]
            elif topic == entries.SENT and waiting is not None:
                found.append((entry["t_ns"] - waiting) / 1e6)
                waiting = None
    return found


def _sent_ns(records: Path) -> list[int]:
    return [
        entry["t_ns"]
        for path in sorted(records.glob(f"*{SUFFIX}"))
        for topic, entry in _messages(path)
        if topic == entries.SENT
    ]


def states(records: Path) -> list[str]:
    """The states of a flight in order, with their reasons."""
    found: list[str] = []
    for path in sorted(records.glob(f"*{SUFFIX}")):
        for topic, entry in _messages(path):
            if topic == entries.EVENT and (not found or found[-1] != entry["event"]):
                found.append(entry["event"])
    return found


def _messages(path: Path) -> Any:
    """In the order of writing, also of a record that has no end."""
    yield from FlightRecord(path).entries()
