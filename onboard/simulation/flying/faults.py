"""What goes wrong with GNSS and when, told in short texts.

    outage@60            no fix from 60 s on
    outage@60-90         no fix from 60 s to 90 s
    drift@60:0.5,45      the position leaves the truth at 0.5 m/s towards 45 degrees
    jump@80:120,270      the position lies 120 m to the west; from 80 s on, or jump@80-95:120,270

Seconds count from the beginning of the flight, bearings clockwise from true north.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from ...errors import DataError

_NUMBER = r"(\d+(?:\.\d+)?)"
_TEXT = re.compile(
    rf"(?:(?P<outage>outage)|(?P<moved>drift|jump))@{_NUMBER}(?:-{_NUMBER})?"
    rf"(?(moved):{_NUMBER},(-?\d+(?:\.\d+)?))"
)
GRAMMAR = (
    "outage@SECONDS[-SECONDS], drift@SECONDS[-SECONDS]:M_PER_S,BEARING_DEG"
    " or jump@SECONDS[-SECONDS]:METRES,BEARING_DEG"
)


MAX_REACH_M = 50_000.0
"""The planes that flights are simulated on go little farther."""


class FaultKind(str, Enum):
    """What a fault does."""

    OUTAGE = "outage"
    DRIFT = "drift"
    JUMP = "jump"


@dataclass(frozen=True)
class Fault:
    """One fault. `size` is m/s for a drift and metres for a jump."""

    kind: FaultKind
    start_s: float
    end_s: float = math.inf
    size: float = 0.0
    bearing_deg: float = 0.0

    def __str__(self) -> str:
        until = "" if self.end_s == math.inf else f"-{self.end_s:g}"
        moved = "" if self.kind is FaultKind.OUTAGE else f":{self.size:g},{self.bearing_deg:g}"
        return f"{self.kind.value}@{self.start_s:g}{until}{moved}"

    def reach_m(self, limit_s: float) -> float:
        """How far it moves a position at most, up to a time."""
        if self.kind is FaultKind.DRIFT:
            return self.size * max(min(self.end_s, limit_s) - self.start_s, 0.0)
        return self.size

    def is_active(self, time_s: float) -> bool:
        """Whether it holds at a time; its end is no longer part of it."""
        return self.start_s <= time_s < self.end_s

    def offset_m(self, time_s: float) -> tuple[float, float]:
        """Metres east and north by which it moves a position."""
        if self.kind is FaultKind.OUTAGE or not self.is_active(time_s):
            return 0.0, 0.0
        drifted_s = time_s - self.start_s if self.kind is FaultKind.DRIFT else 1.0
        bearing_rad = math.radians(self.bearing_deg)
        distance_m = self.size * drifted_s
        return distance_m * math.sin(bearing_rad), distance_m * math.cos(bearing_rad)

    def velocity_m_s(self, time_s: float) -> tuple[float, float]:
        """Metres per second east and north that it adds to a velocity: a drift is seen in both."""
        if self.kind is not FaultKind.DRIFT or not self.is_active(time_s):
            return 0.0, 0.0
        bearing_rad = math.radians(self.bearing_deg)
        return self.size * math.sin(bearing_rad), self.size * math.cos(bearing_rad)


def parse_fault(text: str) -> Fault:
    """Read one fault.

    Raises:
        DataError: not of the grammar, no bearing, or it would end before it begins.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise DataError(f"GNSS fault {text!r}: expected {GRAMMAR}")
    start, end, size, bearing = found.groups()[2:]
    fault = Fault(
        FaultKind(found["outage"] or found["moved"]),
        float(start),
        math.inf if end is None else float(end),
        float(size or 0.0),
        float(bearing or 0.0),
    )
    if not fault.end_s > fault.start_s:
        raise DataError(f"GNSS fault {text!r}: ends at {end} s, not after its start at {start} s")
    if not abs(fault.bearing_deg) <= 360.0:
        raise DataError(f"GNSS fault {text!r}: expected a bearing of -360 to 360 degrees")
    return fault


def require_reach(faults: Iterable[Fault], limit_s: float) -> None:
    """See that faults, which may add up, keep a position near in a flight of `limit_s` at most.

    Raises:
        DataError: names the fault with which they move it by `MAX_REACH_M` or more.
    """
    reach_m = 0.0
    for fault in faults:
        reach_m += fault.reach_m(limit_s)
        if not reach_m < MAX_REACH_M:
            raise DataError(
                f"GNSS fault '{fault}': moves the position by {reach_m / 1000.0:g} km in all;"
                f" expected less than {MAX_REACH_M / 1000.0:g} km"
            )


def parse_faults(texts: Iterable[str]) -> tuple[Fault, ...]:
    """Read faults that may overlap.

    Raises:
        DataError: as `parse_fault`.
    """
    return tuple(parse_fault(text) for text in texts)
