"""What an aligned picture says about the vehicle: where it was and how well that is known."""

from __future__ import annotations

import math

from ..config import PrepareConfig
from ..geodesy import LocalFrame
from ..manifest import AccuracyEntry
from ..records import Candidate, Fix, Telemetry
from .filter import Position
from .gate import Evidence
from .prepare import Prepared
from .verify import Alignment


def measured_position(
    t_ns: int,
    aligned: Alignment,
    prepared: Prepared,
    telemetry: Telemetry,
    accuracy: AccuracyEntry,
    config: PrepareConfig,
) -> Position:
    """The aligned position with everything that may be wrong about it, independent errors."""
    lever_m = prepared.height_agl_m * math.tan(math.radians(config.attitude_accuracy_deg))
    return Position(
        t_ns,
        aligned.east_m,
        aligned.north_m,
        math.hypot(
            accuracy.registration_m, accuracy.alignment_m, lever_m, prepared.added_accuracy_m
        ),
        telemetry.velocity_east_m_s,
        telemetry.velocity_north_m_s,
    )


def fix_of(
    measured: Position,
    evidence: Evidence,
    supporting: Candidate,
    telemetry: Telemetry,
    local: LocalFrame,
) -> Fix:
    """A measurement in the words of the world outside."""
    lat_deg, lon_deg = local.to_geodetic([measured.east_m, measured.north_m])
    return Fix(
        t_capture_ns=measured.t_ns,
        lat_deg=float(lat_deg),
        lon_deg=float(lon_deg),
        horiz_accuracy_m=measured.sigma_m,
        alt_amsl_m=telemetry.alt_amsl_m,
        velocity_north_m_s=telemetry.velocity_north_m_s,
        velocity_east_m_s=telemetry.velocity_east_m_s,
        score=evidence.score,
        correlation=evidence.correlation,
        place=supporting.place,
    )
