"""What an aligned picture says about the vehicle: where it was and how well that is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..config import PrepareConfig
from ..geodesy import LocalFrame
from ..manifest_entries import AccuracyEntry, ScoresEntry
from ..records import Candidate, Fix, Telemetry
from .alignment import Alignment
from .doubt import Hypothesis
from .filter import MotionFilter, Position
from .gate import Evidence, looks_alike
from .prepare import Prepared
from .told import ANY_HEADING_DEG

Floats = npt.NDArray[np.float64]


def measured_position(
    t_ns: int,
    aligned: Alignment,
    prepared: Prepared,
    telemetry: Telemetry,
    accuracy: AccuracyEntry,
    config: PrepareConfig,
) -> Position:
    """The aligned position with everything that may be wrong about it, independent errors."""
    shared_m = math.hypot(accuracy.registration_m, accuracy.alignment_m, prepared.added_accuracy_m)
    tilted = tilt_covariance_m2(prepared, config.attitude_accuracy_deg)
    covariance = np.eye(2) * shared_m**2 + tilted + alignment_covariance_m2(aligned, accuracy)
    return Position(
        t_ns,
        aligned.east_m,
        aligned.north_m,
        math.sqrt(float(np.linalg.eigvalsh(covariance)[-1])),
        telemetry.velocity_east_m_s,
        telemetry.velocity_north_m_s,
    )


def alignment_covariance_m2(aligned: Alignment, accuracy: AccuracyEntry) -> Floats:
    """[2, 2] of the place by the fit of its parts, as the bundle was found to need it."""
    if aligned.pose is None:  # where the whole fits best: `alignment_m` is in the rest already
        return np.zeros((2, 2))
    return aligned.pose.covariance_m2 * accuracy.fit_factor**2


def tilt_covariance_m2(prepared: Prepared, accuracy_deg: float) -> Floats:
    """[2, 2] of the vehicle's place, east first, by what roll and pitch may be wrong by.

    They move the ground in the middle of the frame by the height at nadir, and by more the
    flatter the camera looks, most of all along its view.
    """
    east, north, up = (prepared.enu_from_camera @ prepared.camera.middle_ray).tolist()
    tilt_rad = math.radians(accuracy_deg)
    about_east = east, north - up * tilt_rad, up + north * tilt_rad
    about_north = east + up * tilt_rad, north, up - east * tilt_rad
    rays = np.array([(east, north, up), about_east, about_north])
    ground_m = prepared.height_agl_m * rays[:, :2] / np.maximum(-rays[:, 2:], 1e-3)
    moved_m = ground_m[1:] - ground_m[0]
    return np.asarray(moved_m.T @ moved_m)


def geometry_sigmas(deviation: Hypothesis, telemetry: Telemetry, config: PrepareConfig) -> float:
    """How far heading or height are from what trusted telemetry says, the worse of the two in
    sigmas of what it states. What comes without an accuracy is not judged: a height above home is
    wrong by whatever the ground does, a compass in steel by anything."""
    worst, accuracy_deg = 0.0, telemetry.heading_accuracy_deg
    if accuracy_deg is not None and accuracy_deg < ANY_HEADING_DEG:
        turn_deg = (deviation.heading_offset_deg + 180.0) % 360.0 - 180.0
        worst = abs(turn_deg) / accuracy_deg
    height_m, accuracy_m = telemetry.height_agl_m, telemetry.height_accuracy_m
    if height_m is not None and accuracy_m is not None:
        share = max(accuracy_m / height_m, config.height_accuracy)
        worst = max(worst, abs(math.log1p(deviation.scale)) / share)
    return worst


def evidence_of(
    aligned: Alignment,
    supporting: Candidate,
    scores: ScoresEntry | None,
    aliasing: float,
    deviation_sigmas: float,
    track: MotionFilter,
    measured: Position,
    telemetry: Telemetry,
) -> Evidence:
    """What speaks for a measurement.

    Args:
        aligned: the picture on the map.
        supporting: the square of the map that it shows.
        scores: what scores are worth in that layer.
        aliasing: how like that square the most similar far one is.
        deviation_sigmas: see `geometry_sigmas`.
        track: of the positions so far.
        measured: this one.
        telemetry: at its exposure.
    """
    pose = aligned.pose
    return Evidence(
        score=supporting.score,
        correlation=aligned.correlation,
        peak_ratio=aligned.peak_ratio,
        inliers=pose.inliers if pose else 0,
        agreeing=pose.inliers / pose.of if pose else 0.0,
        spread=pose.spread if pose else 0.0,
        geometry_sigmas=deviation_sigmas,
        innovation_sigmas=track.innovation(measured),
        tracking=track.confirmed,
        min_score=scores.min_score if scores else None,
        looks_alike=looks_alike(aliasing, scores),
        flown_m=track.flown_m(measured),
        disputed=not (telemetry.position_test_ratio or 0.0) <= 1.0,
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
