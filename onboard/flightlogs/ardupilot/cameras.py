"""Pictures in a DataFlash log: CAM rows, and TRIG rows, which tell only that one was asked for."""

from __future__ import annotations

import numpy as np

from ..flight_log import CameraEvent
from .rows import Rows


def camera_events(rows: Rows, offset_ns: int) -> list[CameraEvent]:
    """CAM rows, else TRIG rows; CAM is a felt shutter with a feedback pin or beside TRIG rows."""
    for kind in ("CAM", "TRIG"):
        columns = rows.of(kind)
        if not columns or "TimeUS" not in columns:
            continue
        is_feedback = kind == "CAM" and (bool(rows.of("TRIG")) or _has_pin(rows))
        numbers = columns.get("Img", np.full(len(columns["TimeUS"]), np.nan))
        return [
            CameraEvent(
                round(time_us * 1000) + offset_ns,
                kind,
                int(number) if np.isfinite(number) else None,
                is_feedback,
            )
            for time_us, number in zip(columns["TimeUS"], numbers, strict=True)
            if np.isfinite(time_us)
        ]
    return []


def _has_pin(rows: Rows) -> bool:
    names = ("CAM1_FEEDBAK_PIN", "CAM_FEEDBACK_PIN", "CAM2_FEEDBAK_PIN")
    return any((rows.parameter(name) or 0.0) > 0.0 for name in names)
