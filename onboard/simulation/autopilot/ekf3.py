"""EKF3 of ArduCopter as far as positions go: which it fuses, refuses, jumps onto, and gives up.

Sources: libraries/AP_NavEKF3 (PosVelFusion, Control, Measurements, VehicleStatus), and what was
measured on ArduCopter 4.7.0-dev in the loop.
"""

from __future__ import annotations

import math
from enum import Enum

import numpy as np

from ..state import Readings
from .ap_gps_checks import AlignmentChecks, FlightChecks
from .ap_visual_odometry import LocalFix
from .estimator import POSITION, VELOCITY, Estimator, Floats, Innovation, Noise
from .gnss import PeakHold, Solution
from .inertial import Inertial
from .parameters import Parameters
from .vehicle import ExternalPosition, Origin, Voice

SOURCE_NONE, SOURCE_GPS, SOURCE_EXTERNAL = 0, 3, 6
"""Of EK3_SRCn_POSXY, VELXY and VELZ."""

BUFFER_S = 0.25  # setup_core: the longest delay that the buffers are made for
RETRY_S = 7.0  # AP_NavEKF3.h posRetryTimeNoVel_ms: refused for so long, the next one is jumped onto
TILT_RETRY_S = 15.0  # AP_NavEKF3.h tiltDriftTimeMax_ms: nothing at all for so long ends aiding
DECLARE_S = 1.0  # AP_NavEKF3.h deadReckonDeclare_ms
MAX_EXTERNAL_DELAY_S = 5.0  # AP_NavEKF3_PosVelFusion.cpp setLatLng
EXTERNAL_SETTLE_S = 1.3  # measured on 4.7.0-dev, first message to "is using external nav data"
SETTLE_S = 37.0  # measured on 4.7.0-dev, boot to "is using GPS": the gyro bias must be learnt


class Aiding(Enum):
    """PV_AidingMode; relative aiding by optical flow is not modelled."""

    NONE = "none"
    ABSOLUTE = "absolute"


class Ekf3:
    """One core. `is_settled`: its gyros are learnt and its GPS has been good for long."""

    def __init__(self, parameters: Parameters, voice: Voice, *, is_settled: bool = False) -> None:
        noise = Noise(parameters["EK3_ACC_P_NSE"], parameters["EK3_ABIAS_P_NSE"])
        self.inertial = Inertial(noise, BUFFER_S)
        self.horizontal, self.vertical = self.inertial.horizontal, self.inertial.vertical
        self.aiding = Aiding.NONE
        self.origin: Origin | None = None
        self.source_set = 1
        self.position_ratio = self.velocity_ratio = 0.0
        self.alignment = AlignmentChecks(parameters, is_good=is_settled)
        self.flight = FlightChecks()
        self._parameters, self._voice = parameters, voice
        self._settle_s = 0.0 if is_settled else SETTLE_S
        self._horiz_accuracy, self._speed_accuracy = PeakHold(100.0), PeakHold(50.0)
        self._position_passed_s = self._velocity_passed_s = -math.inf
        self._gps_s = -math.inf
        self._external_s = self._external_offset_s = math.inf

    def source(self, what: str) -> int:
        """EK3_SRCn_`what` of the active set."""
        return self._parameters.integer(f"EK3_SRC{self.source_set}_{what}")

    @property
    def has_position(self) -> bool:
        """HORIZ_POS_ABS: aided, and not refused or silent for too long."""
        silent_s = self.horizontal.t_s - self._position_passed_s
        return self.aiding is Aiding.ABSOLUTE and silent_s <= RETRY_S

    @property
    def is_glitching(self) -> bool:
        """GPS_GLITCHING."""
        uses_gps = self.aiding is Aiding.ABSOLUTE and self.source("POSXY") == SOURCE_GPS
        return uses_gps and not self.flight.is_good

    def step(self, readings: Readings, t_s: float) -> None:
        """Predict by the inertial unit, correct the height by the barometer."""
        self.inertial.step(readings, t_s, self._parameters["EK3_ALT_M_NSE"])
        if self.aiding is Aiding.NONE:
            self.inertial.hold()
        elif t_s - max(self._position_passed_s, self._velocity_passed_s) > TILT_RETRY_S:
            self.aiding = Aiding.NONE
            self._voice.say("EKF3 IMU0 stopped aiding")

    def take_gps(self, solution: Solution, lag_s: float) -> list[str]:
        """A solution of the GPS in use; returns the names of the alignment checks it failed."""
        failures = self.alignment.take(solution)
        dt_s = solution.t_s - self._gps_s
        self._gps_s = solution.t_s
        self._horiz_accuracy.take(solution.horiz_accuracy_m, dt_s)
        self._speed_accuracy.take(solution.speed_accuracy_m_s, dt_s)
        if solution.fix_type < 3 or self.source("POSXY") != SOURCE_GPS:
            return failures
        if self.origin is None and self.alignment.is_good:
            self.set_origin(Origin(solution.east_m, solution.north_m, solution.alt_amsl_m))
        position_m = np.array([solution.east_m, solution.north_m])
        fix_s = self._in_buffer(solution.t_s - lag_s)
        variance = self._gps_position_variance_m2(solution)
        if self.aiding is Aiding.NONE:
            if self._is_ready_for_gps(solution.t_s):
                self._begin("GPS", position_m, variance, fix_s)
                self._fuse_gps_velocity(solution, fix_s, is_reset=True)
            return failures
        self._fuse_position(position_m, variance, fix_s)
        self._fuse_gps_velocity(solution, fix_s, is_reset=False)
        worst = max(self.position_ratio, self.velocity_ratio)
        self.flight.take(self._speed_accuracy.value, worst, solution.t_s)
        return failures

    def take_local(self, fix: LocalFix) -> None:
        """A position from outside in metres of the local frame (ExternalNav)."""
        if self.origin is None or self.source("POSXY") != SOURCE_EXTERNAL:
            return
        position_m = self.origin.plus(fix.offset_enu_m)
        variance = min(max(fix.accuracy_m, 0.01), 10.0) ** 2  # the clamp of PosVelFusion
        fix_s = self._in_buffer(fix.t_s)
        self._external_s = min(self._external_s, fix.t_s)
        if self.aiding is Aiding.NONE:
            if fix.t_s - self._external_s < EXTERNAL_SETTLE_S:
                return
            self._begin("external nav data", position_m, variance, fix_s)
        elif fix.is_reset:
            self._jump(self.horizontal.innovation(POSITION, position_m, variance, fix_s))
        else:
            self._fuse_position(position_m, variance, fix_s)

    def take_external(self, external: ExternalPosition, t_s: float) -> bool:
        """MAV_CMD_EXTERNAL_POSITION_ESTIMATE: a reset, no fusion and no gate; False is refused."""
        if self.origin is None or self.aiding is Aiding.NONE:
            return False
        if t_s - self._position_passed_s <= DECLARE_S:
            return False
        delay_s = min(max(self._external_delay_s(external, t_s), 0.0), MAX_EXTERNAL_DELAY_S)
        moved_m = self.horizontal.state[VELOCITY] * delay_s
        position_m = np.array([external.east_m, external.north_m]) + moved_m
        stated_m = external.accuracy_m if math.isfinite(external.accuracy_m) else 0.0
        variance = max(stated_m, self._parameters["EK3_POSNE_M_NSE"]) ** 2
        self.horizontal.reset(self.horizontal.innovation(POSITION, position_m, variance, t_s))
        return True

    def set_origin(self, origin: Origin) -> bool:
        """Taken once."""
        if self.origin is not None:
            return False
        self.origin = origin
        self._voice.say("EKF3 IMU0 origin set")
        return True

    def _external_delay_s(self, external: ExternalPosition, t_s: float) -> float:
        """Its own clock against ours by the quickest message so far, then the processing."""
        processing_s = external.processing_s if math.isfinite(external.processing_s) else 0.0
        if not math.isfinite(external.t_sent_s):
            return processing_s
        difference_s = t_s - external.t_sent_s
        self._external_offset_s = min(self._external_offset_s, difference_s)
        return difference_s - self._external_offset_s + processing_s

    def _is_ready_for_gps(self, t_s: float) -> bool:
        return self.origin is not None and self.alignment.is_good and t_s >= self._settle_s

    def _in_buffer(self, fix_s: float) -> float:
        return max(fix_s, self.horizontal.t_s - BUFFER_S)

    def _begin(self, what: str, position_m: Floats, variance: float, fix_s: float) -> None:
        self.aiding = Aiding.ABSOLUTE
        self._jump(self.horizontal.innovation(POSITION, position_m, variance, fix_s))
        self._velocity_passed_s = self.horizontal.t_s
        self._voice.say(f"EKF3 IMU0 is using {what}")

    def _jump(self, innovation: Innovation) -> None:
        self.horizontal.reset(innovation)
        self.position_ratio = 0.0
        self._position_passed_s = self.horizontal.t_s

    def _fuse_position(self, position_m: Floats, variance: float, fix_s: float) -> None:
        """FuseVelPosNED: through the gate, or after 7 s of refusal by a jump."""
        t_s = self.horizontal.t_s
        innovation = self.horizontal.innovation(POSITION, position_m, variance, fix_s)
        gate = max(self._parameters["EK3_POS_I_GATE"] / 100.0, 1.0)
        glitch_radius_m = self._parameters["EK3_GLITCH_RAD"]
        self.position_ratio = innovation.ratio(gate)
        is_lost = 2.0 * self.horizontal.position_variance_m2 > glitch_radius_m**2 > 0.0
        if is_lost or t_s - self._position_passed_s > RETRY_S:
            self._jump(innovation)
        elif self.position_ratio < 1.0 or glitch_radius_m <= 0.0:
            self.horizontal.fuse(innovation.clipped(gate))
            self._position_passed_s = t_s

    def _fuse_gps_velocity(self, solution: Solution, fix_s: float, *, is_reset: bool) -> None:
        """What a source of 3 takes, and also the zero of a velocity that was not given."""
        across, up = self.source("VELXY") == SOURCE_GPS, self.source("VELZ") == SOURCE_GPS
        if not (across or up):
            self.velocity_ratio = 0.0
            return
        accuracy_m_s = self._speed_accuracy.value
        velocity = np.array(solution.velocity_enu_m_s)
        parts: list[tuple[Estimator, Innovation]] = []
        if across:
            sigma = min(max(accuracy_m_s, self._parameters["EK3_VELNE_M_NSE"]), 50.0)
            seen = self.horizontal.innovation(VELOCITY, velocity[:2], sigma**2, fix_s)
            parts.append((self.horizontal, seen))
        if up:
            sigma = min(max(accuracy_m_s, self._parameters["EK3_VELD_M_NSE"]), 50.0)
            seen = self.vertical.innovation(VELOCITY, velocity[2:], sigma**2, fix_s)
            parts.append((self.vertical, seen))
        self._fuse_velocities(parts, is_reset=is_reset)

    def _fuse_velocities(
        self, parts: list[tuple[Estimator, Innovation]], *, is_reset: bool
    ) -> None:
        """All axes through one gate together, or after 7 s of refusal by a jump."""
        gate = max(self._parameters["EK3_VEL_I_GATE"] / 100.0, 1.0)
        squares = sum(float(np.sum(seen.residual**2)) for _, seen in parts)
        variances = sum(len(seen.residual) * seen.variance for _, seen in parts)
        self.velocity_ratio = squares / (gate**2 * variances)
        t_s = self.horizontal.t_s
        is_reset = is_reset or t_s - self._velocity_passed_s > RETRY_S
        if not is_reset and self.velocity_ratio >= 1.0:
            return
        self._velocity_passed_s = t_s
        for estimator, seen in parts:
            if is_reset:
                estimator.reset(seen)
            else:
                estimator.fuse(seen)

    def _gps_position_variance_m2(self, solution: Solution) -> float:
        """PosVelFusion: the held accuracy within its bounds; few satellites count for less."""
        least_m = self._parameters["EK3_POSNE_M_NSE"]
        sigma_m = min(max(self._horiz_accuracy.value, least_m), 100.0)
        scale = 1.0 if solution.satellites >= 6 else 1.4 if solution.satellites == 5 else 2.0
        return (scale * sigma_m) ** 2
