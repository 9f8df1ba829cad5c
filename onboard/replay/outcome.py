"""What became of a frame of a recorded flight, beside what is known of the truth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any

from ..geodesy import distance_m
from ..localization.gate import Evidence
from ..records import Fix, Rejection, Telemetry

MOST_NS = 1 << 62
_DIGITS = 6
_SAID = ("score", "correlation", "peak_ratio", "agreeing", "innovation_sigmas", "tracking")
"""Of the evidence."""


@dataclass(frozen=True)
class Outcome:
    """`truth` is WGS84 latitude and longitude in degrees at the exposure, None if not known;
    `evidence` what the frame was judged by, None if it did not come so far."""

    name: str
    result: Fix | Rejection
    truth: tuple[float, float] | None
    telemetry: Telemetry | None = None
    evidence: Evidence | None = None

    @property
    def error_m(self) -> float | None:
        """Horizontal distance of a fix from the truth; None without one of them."""
        if not isinstance(self.result, Fix) or self.truth is None:
            return None
        return distance_m(self.result.lat_deg, self.result.lon_deg, *self.truth)


def line_of(outcome: Outcome) -> str:
    """One line of fixes.jsonl. Nothing in it depends on the machine's speed."""
    result = outcome.result
    line: dict[str, Any] = {"t_capture_ns": result.t_capture_ns, "frame": outcome.name}
    if isinstance(result, Fix):
        line["fix"] = _plain(vars(result), leave_out=("t_capture_ns",))
        line["error_m"] = outcome.error_m
    else:
        line["rejection"] = _plain(vars(result), leave_out=("t_capture_ns",))
    line["truth"] = list(outcome.truth) if outcome.truth else None
    line["told"] = told(outcome.telemetry)
    line["evidence"] = _judged_by(outcome.evidence)
    return json.dumps(line, allow_nan=False)


def number(value: object) -> float:
    """Of a line that was read.

    Raises:
        TypeError, OverflowError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def time_ns(line: Mapping[str, Any]) -> int:
    """When the frame of a line was taken.

    Raises:
        KeyError, TypeError, ValueError: nothing tells.
    """
    t_ns = line["t_capture_ns"]
    if isinstance(t_ns, bool) or not isinstance(t_ns, int) or abs(t_ns) >= MOST_NS:
        raise ValueError
    return t_ns


def details(path: Path, most: int) -> dict[int, str]:
    """What was said of frames without a fix, by their number; nothing of more frames than that."""
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(text) for text in islice(file, most + 1)]
    if len(lines) > most:
        return {}
    said = {number: line.get("rejection", {}).get("detail") for number, line in enumerate(lines)}
    return {number: text for number, text in said.items() if text}


def told(telemetry: Telemetry | None) -> dict[str, float | bool | None]:
    """What the autopilot said, as far as results are explained by it; a height above home stands
    for the one above the ground where nothing better is known, as in flight."""
    if telemetry is None:
        return {}
    north, east = telemetry.velocity_north_m_s, telemetry.velocity_east_m_s
    attitude = telemetry.attitude
    return {
        "height_agl_m": _finite(telemetry.height_m),
        "heading_deg": _finite(attitude.heading_deg if attitude else None),
        "speed_m_s": None if north is None or east is None else _finite(math.hypot(north, east)),
        "has_prior": telemetry.prior is not None,
    }


def _judged_by(evidence: Evidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    said = asdict(evidence)
    return {
        name: said[name] if isinstance(said[name], bool) else _finite(said[name]) for name in _SAID
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), _DIGITS)


def _plain(values: Mapping[str, Any], leave_out: Sequence[str]) -> dict[str, Any]:
    return {
        key: value.value if isinstance(value, Enum) else value
        for key, value in values.items()
        if key not in leave_out
    }
