"""What a flight record holds: its channels, and records as JSON that comes back to the last bit.

Positions, pictures and texts are in Foxglove's schemas and can be looked at there. `/outcome` and
`/telemetry` are ours: a float is written so that the same float is read.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import Any

from ..records import Attitude, Fix, Prior, Reason, Rejection, Telemetry

FORMAT = "geobridge flight record 2"
NS_PER_S = 1_000_000_000
FRAME, FIX, LOG = "/frame", "/fix", "/log"
OUTCOME, TELEMETRY, EVENT, HEARD, SENT = (
    "/outcome",
    "/telemetry",
    "/event",
    "/mavlink/heard",
    "/mavlink/sent",
)
_TIME = {
    "type": "object",
    "title": "time",
    "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}},
}
_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}


def _schema(title: str, **properties: Any) -> str:
    return json.dumps({"title": title, "type": "object", "properties": properties})


SCHEMAS = {
    FRAME: _schema(
        "foxglove.CompressedImage",
        timestamp=_TIME,
        frame_id=_TEXT,
        data={"type": "string", "contentEncoding": "base64"},
        format=_TEXT,
    ),
    FIX: _schema(
        "foxglove.LocationFix",
        timestamp=_TIME,
        frame_id=_TEXT,
        latitude=_NUMBER,
        longitude=_NUMBER,
        altitude=_NUMBER,
        position_covariance={"type": "array", "items": _NUMBER},
        position_covariance_type={"type": "integer"},
    ),
    LOG: _schema(
        "foxglove.Log",
        timestamp=_TIME,
        level={"type": "integer"},
        message=_TEXT,
        name=_TEXT,
        file=_TEXT,
        line={"type": "integer"},
    ),
    OUTCOME: _schema("geobridge.Outcome"),
    TELEMETRY: _schema("geobridge.Telemetry"),
    EVENT: _schema("geobridge.Event", t_ns={"type": "integer"}, event=_TEXT, detail=_TEXT),
    HEARD: _schema("geobridge.Mavlink", t_ns={"type": "integer"}, name=_TEXT, frame=_TEXT),
    SENT: _schema("geobridge.Mavlink", t_ns={"type": "integer"}, name=_TEXT, frame=_TEXT),
}
"""JSON schema of each channel; its title is the name of the schema."""

RESET = "reset"
APPROXIMATED = 1
"""COVARIANCE_TYPE of a LocationFix whose east, north and up are taken for unrelated."""


def stamp(unix_ns: int) -> dict[str, int]:
    """Foxglove's time."""
    return {"sec": unix_ns // NS_PER_S, "nsec": unix_ns % NS_PER_S}


def image_entry(unix_ns: int, data: bytes, kind: str) -> dict[str, Any]:
    """`kind` is png or jpeg."""
    text = base64.b64encode(data).decode()
    return {"timestamp": stamp(unix_ns), "frame_id": "camera", "data": text, "format": kind}


def location_entry(unix_ns: int, fix: Fix) -> dict[str, Any]:
    """The height is the autopilot's, 0 where it had none."""
    variance = fix.horiz_accuracy_m**2
    return {
        "timestamp": stamp(unix_ns),
        "frame_id": "vehicle",
        "latitude": fix.lat_deg,
        "longitude": fix.lon_deg,
        "altitude": fix.alt_amsl_m or 0.0,
        "position_covariance": [variance, 0, 0, 0, variance, 0, 0, 0, 0],
        "position_covariance_type": APPROXIMATED,
    }


def outcome_entry(outcome: Fix | Rejection) -> dict[str, Any]:
    """All of it, under its own names."""
    kind = "fix" if isinstance(outcome, Fix) else "rejection"
    return {kind: asdict(outcome)}


def outcome_of(entry: Any) -> Fix | Rejection | None:
    """What `outcome_entry` was made from; None where it is none."""
    try:
        if "fix" in entry:
            return Fix(**entry["fix"])
        fields = entry["rejection"]
        return Rejection(fields["t_capture_ns"], Reason(fields["reason"]), fields["detail"])
    except (KeyError, TypeError, ValueError):
        return None


def telemetry_entry(t_capture_ns: int, telemetry: Telemetry) -> dict[str, Any]:
    """Beside the exposure of the frame that it was for."""
    return {"t_capture_ns": t_capture_ns, **asdict(telemetry)}


def telemetry_of(entry: dict[str, Any]) -> tuple[int, Telemetry]:
    """The exposure, and what was known then.

    Raises:
        KeyError, TypeError: it is none.
    """
    fields = dict(entry)
    t_capture_ns = fields.pop("t_capture_ns")
    for name, kind in (("attitude", Attitude), ("gimbal", Attitude), ("prior", Prior)):
        if fields[name] is not None:
            fields[name] = kind(**fields[name])
    return t_capture_ns, Telemetry(**fields)
