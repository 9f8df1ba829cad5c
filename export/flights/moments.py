"""What happened in a live flight, as lines of JSON: the truth and what the autopilot believed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from geobridge.onboard.durable import write_text
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.simulation.autopilot.vehicle import Estimate
from geobridge.onboard.simulation.live import Moment
from geobridge.onboard.simulation.state import State

log = logging.getLogger(__name__)

MOMENTS = "moments.jsonl"


def kept(flight: Iterator[Moment], out: Path | None, frame: LocalFrame) -> list[Moment]:
    """Fly to the end; a line for every moment in `MOMENTS` of a folder, however it ends.

    Raises:
        KeyboardInterrupt, LinkError: as the flight; what happened until then is written.
    """
    moments: list[Moment] = []
    try:
        for moment in flight:
            moments.append(moment)
    finally:
        if out is not None:
            log.info("%d moments of the flight: %s", len(moments), _write(out, moments, frame))
    return moments


def _write(out: Path, moments: list[Moment], frame: LocalFrame) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(_line(moment, frame), allow_nan=False) for moment in moments)
    return write_text(out / MOMENTS, "".join(f"{line}\n" for line in lines))


def _line(moment: Moment, frame: LocalFrame) -> dict[str, Any]:
    believed = moment.estimate
    opinion = {"horiz_accuracy_m": believed.horiz_accuracy_m, "is_valid": believed.is_valid}
    return {
        "t_ns": moment.t_ns,
        "time_s": moment.state.time_s,
        "has_gnss": moment.has_gnss,
        "true": _pose(moment.state, frame),
        "believed": _pose(believed, frame) | opinion,
    }


def _pose(at: State | Estimate, frame: LocalFrame) -> dict[str, float]:
    lat_deg, lon_deg = frame.to_geodetic([at.east_m, at.north_m])
    where = {"lat_deg": float(lat_deg), "lon_deg": float(lon_deg), "alt_amsl_m": at.alt_amsl_m}
    east_m_s, north_m_s, up_m_s = at.velocity_enu_m_s
    velocity = {
        "velocity_east_m_s": east_m_s,
        "velocity_north_m_s": north_m_s,
        "velocity_up_m_s": up_m_s,
    }
    return where | velocity | asdict(at.attitude)
