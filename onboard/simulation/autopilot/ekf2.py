"""EKF2 of PX4 as far as positions go: which source it fuses, refuses, jumps onto, and gives up.

Sources: src/modules/ekf2 (aux_global_position_control.cpp, ev_pos_control.cpp, gps_control.cpp,
ekf.cpp), and what was measured on PX4 main of August 2025 in the loop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..state import Readings
from .estimator import POSITION, VELOCITY, Floats, Innovation, Noise
from .gnss import FIX_3D, Solution
from .inertial import Inertial
from .parameters import Parameters
from .vehicle import ExternalPosition, Origin

MEMORY_S = 1.0  # the longest of EKF2_*_DELAY that sets the length of the buffers
RESET_S = 7.0  # common.h reset_timeout_max; measured: onto +80 m after 7 s
EV_RESET_S = 1.0  # common.h no_aid_timeout_max; measured: onto +80 m after 1 s
AGP_SILENT_S = 5.0  # aux_global_position_control.cpp: "Aux global position data stopped"
GNSS_SILENT_S = 1.0  # common.h GNSS_MAX_INTERVAL, twice
EV_INTERVAL_S = 0.2  # common.h EV_MAX_INTERVAL: fusion begins only on samples closer than this
EV_SILENT_S = 2.0 * EV_INTERVAL_S  # ev_control.cpp: and ends when the newest one is older
SLOW_S = 5.0  # of the mean test ratio behind the arming check, whose upstream form was not readable
EXTERNAL_GATE = 5.0  # ekf.cpp resetGlobalPosToExternalObservation
EXTERNAL_ACCURACY_M, EXTERNAL_SURE_M = 50.0, 1.0
MAX_EXTERNAL_DELAY_S = 15.0


@dataclass(eq=False)
class Aid:
    """One source of horizontal position and how it fares; ratios above 1 are refused."""

    silent_after_s: float
    reset_after_s: float
    is_active: bool = False
    heard_s: float = -math.inf
    fused_s: float = -math.inf
    ratio: float = 0.0
    slow_ratio: float = 0.0

    def take(self, ratio: float, t_s: float) -> None:
        """Follow the test ratio, and its mean over some seconds."""
        gap_s = min(1.0, max(0.0, t_s - self.heard_s))
        self.ratio, self.heard_s = ratio, t_s
        self.slow_ratio += (ratio - self.slow_ratio) * gap_s / (gap_s + SLOW_S)


class Ekf2:
    """One estimator, its attitude aligned; `is_settled` means that GNSS has been good for long."""

    def __init__(self, parameters: Parameters, *, is_settled: bool = False) -> None:
        noise = Noise(parameters["EKF2_ACC_NOISE"], parameters["EKF2_ACC_B_NOISE"])
        self.inertial = Inertial(noise, MEMORY_S)
        self.horizontal, self.vertical = self.inertial.horizontal, self.inertial.vertical
        self.origin: Origin | None = None
        self.gnss = Aid(GNSS_SILENT_S, RESET_S)
        self.vision = Aid(EV_SILENT_S, EV_RESET_S)
        self.slots = [Aid(AGP_SILENT_S, RESET_S) for _ in range(4)]
        self._parameters = parameters
        self._fused_s = self._vision_s = -math.inf
        self._checks_failed_s = -math.inf if is_settled else math.nan

    @property
    def aids(self) -> list[Aid]:
        """All sources."""
        return [self.gnss, self.vision, *self.slots]

    @property
    def has_position(self) -> bool:
        """Validity ends EKF2_NOAID_TOUT after the last fusion."""
        silent_s = self.horizontal.t_s - self._fused_s
        return self.origin is not None and silent_s <= self._parameters["EKF2_NOAID_TOUT"] / 1e6

    @property
    def ratio(self) -> float:
        """The worst test ratio among the sources in use."""
        return max((aid.ratio for aid in self.aids if aid.is_active), default=0.0)

    @property
    def is_unstable(self) -> bool:
        """Measured with 6 m of noise stated as 1 m: "horizontal position unstable"."""
        return any(aid.is_active and aid.slow_ratio > 1.0 for aid in self.aids)

    @property
    def is_dead_reckoning(self) -> bool:
        """Nothing fused for no_aid_timeout_max."""
        return self.horizontal.t_s - self._fused_s > EV_RESET_S

    def step(self, readings: Readings, t_s: float) -> list[Aid]:
        """Predict, correct the height; returns the sources that have just fallen silent."""
        self.inertial.step(readings, t_s, self._parameters["EKF2_BARO_NOISE"])
        if not self.has_position and not any(aid.is_active for aid in self.aids):
            self.inertial.hold()  # fake position fusion
        silent = [a for a in self.aids if a.is_active and t_s - a.heard_s > a.silent_after_s]
        for aid in silent:
            aid.is_active = False
        return silent

    def take_gnss(self, solution: Solution) -> None:
        """A solution of the receiver on board."""
        t_s, aid = solution.t_s, self.gnss
        if math.isnan(self._checks_failed_s) or not self._passes(solution):
            self._checks_failed_s = t_s
        control = self._parameters.integer("EKF2_GPS_CTRL")
        if solution.fix_type < FIX_3D or not control & 1:
            return
        if not aid.is_active:
            if t_s - self._checks_failed_s < self._parameters["EKF2_REQ_GPS_H"]:
                return
            if self.origin is None:
                self.set_origin(Origin(solution.east_m, solution.north_m, solution.alt_amsl_m))
        fix_s = t_s - (solution.age_s or 0.0)
        noise_m = max(solution.horiz_accuracy_m or 0.0, self._parameters["EKF2_GPS_P_NOISE"])
        place_m = np.array([solution.east_m, solution.north_m])
        seen = self.horizontal.innovation(POSITION, place_m, noise_m**2, fix_s)
        was_reset = self._fuse(aid, seen, self._parameters["EKF2_GPS_P_GATE"], may_reset=True)
        if control & 4:
            self._fuse_velocity(solution, fix_s, is_reset=was_reset)

    def take_global(self, slot: int, place_m: Floats, eph_m: float, fix_s: float) -> None:
        """GLOBAL_POSITION_SENSOR in one of the four slots of EKF2_AGPi_*."""
        name, aid = f"EKF2_AGP{slot}", self.slots[slot]
        if not self._parameters.integer(f"{name}_CTRL") & 1:
            return
        if self.origin is None:
            self.set_origin(self._origin_at(place_m))
        least_m = max(self._parameters[f"{name}_NOISE"], 0.01)
        noise_m = max(eph_m, least_m) if math.isfinite(eph_m) else least_m
        fix_s -= self._parameters[f"{name}_DELAY"] / 1000.0
        seen = self.horizontal.innovation(POSITION, place_m, noise_m**2, fix_s)
        others = self._others(aid)
        if self._parameters.integer(f"{name}_MODE") == 1:  # dead reckoning: a velocity forbids
            others = [each for each in others if each is self.gnss]
        self._fuse(aid, seen, self._parameters[f"{name}_GATE"], may_reset=not others)

    def take_local(
        self, offset_enu_m: Floats, sigma_m: float, fix_s: float, *, is_reset: bool
    ) -> None:
        """External vision, metres east and north of the origin, which must be set.

        While GNSS is fused it teaches an offset of vision alone, never the position
        (ev_pos_control.cpp); that offset is not modelled.
        """
        is_on = self._parameters.integer("EKF2_EV_CTRL") & 1
        if self.origin is None or self.gnss.is_active or not is_on:
            return
        interval_s, self._vision_s = fix_s - self._vision_s, fix_s
        if not self.vision.is_active and interval_s >= EV_INTERVAL_S:
            return  # without a word
        place_m = self.origin.plus(offset_enu_m)
        noise_m = max(sigma_m, self._parameters["EKF2_EVP_NOISE"], 0.01)
        seen = self.horizontal.innovation(POSITION, place_m, noise_m**2, fix_s)
        is_alone = not self._others(self.vision)
        if is_reset and is_alone:
            self._jump(self.vision, seen)
        else:
            gate = self._parameters["EKF2_EVP_GATE"]
            self._fuse(self.vision, seen, gate, may_reset=is_alone)

    def take_external(self, external: ExternalPosition, *, is_in_air: bool) -> bool:
        """MAV_CMD_EXTERNAL_POSITION_ESTIMATE; False is refused."""
        if not math.isfinite(external.processing_s):
            return False
        is_lost = self.is_dead_reckoning if is_in_air else not self.gnss.is_active
        if not is_lost:
            return False
        place_m = np.array([external.east_m, external.north_m])
        if self.origin is None:
            self.set_origin(self._origin_at(place_m))
        delay_s = min(max(external.processing_s, 0.0), MAX_EXTERNAL_DELAY_S)
        place_m = place_m + self.horizontal.state[VELOCITY] * delay_s
        accuracy_m = external.accuracy_m
        if not (math.isfinite(accuracy_m) and accuracy_m > 0.0):
            accuracy_m = EXTERNAL_ACCURACY_M
        t_s = self.horizontal.t_s
        seen = self.horizontal.innovation(POSITION, place_m, accuracy_m**2, t_s)
        is_outside = seen.worst_ratio(EXTERNAL_GATE) > 1.0
        if not is_in_air or accuracy_m < EXTERNAL_SURE_M or is_outside:
            self.horizontal.reset(seen)
        else:
            self.horizontal.teach(seen)
        if math.isfinite(external.alt_amsl_m):  # any finite altitude resets the height onto it
            self.inertial.reset_height(external.alt_amsl_m)
        self._fused_s = t_s
        return True

    def set_origin(self, origin: Origin) -> bool:
        """Taken at any time: where the vehicle is on Earth does not change by it."""
        self.origin = origin
        return True

    def _origin_at(self, place_m: Floats) -> Origin:
        east_m, north_m = place_m.tolist()
        return replace(self.inertial.here(), east_m=east_m, north_m=north_m)

    def _others(self, aid: Aid) -> list[Aid]:
        """The other sources of position in use."""
        return [other for other in self.aids if other is not aid and other.is_active]

    def _fuse(self, aid: Aid, seen: Innovation, gate: float, *, may_reset: bool) -> bool:
        """Through the gate, or by a jump; whether it was a jump."""
        t_s = self.horizontal.t_s
        aid.take(seen.worst_ratio(gate), t_s)
        if aid.ratio <= 1.0 and (aid.is_active or self.has_position):
            self.horizontal.fuse(seen)
            aid.is_active, aid.fused_s, self._fused_s = True, t_s, t_s
            return False
        if aid.is_active and t_s - aid.fused_s <= aid.reset_after_s:
            return False
        aid.is_active = may_reset
        if may_reset:
            self._jump(aid, seen)
        return may_reset

    def _jump(self, aid: Aid, seen: Innovation) -> None:
        self.horizontal.reset(seen)
        aid.is_active = True
        aid.heard_s = aid.fused_s = self._fused_s = self.horizontal.t_s
        aid.ratio = 0.0

    def _fuse_velocity(self, solution: Solution, fix_s: float, *, is_reset: bool) -> None:
        sigma = max(solution.speed_accuracy_m_s or 0.0, self._parameters["EKF2_GPS_V_NOISE"])
        velocity = np.array(solution.velocity_enu_m_s)
        for estimator, measured in ((self.horizontal, velocity[:2]), (self.vertical, velocity[2:])):
            seen = estimator.innovation(VELOCITY, measured, sigma**2, fix_s)
            if is_reset:
                estimator.reset(seen)
            elif seen.worst_ratio(self._parameters["EKF2_GPS_V_GATE"]) <= 1.0:
                estimator.fuse(seen)

    def _passes(self, solution: Solution) -> bool:
        """gps_checks.cpp; all of them must hold for EKF2_REQ_GPS_H before GNSS is used."""
        return (
            solution.fix_type >= FIX_3D
            and solution.satellites >= self._parameters["EKF2_REQ_NSATS"]
            and (solution.horiz_accuracy_m or 0.0) <= self._parameters["EKF2_REQ_EPH"]
            and (solution.vert_accuracy_m or 0.0) <= self._parameters["EKF2_REQ_EPV"]
            and (solution.speed_accuracy_m_s or 0.0) <= self._parameters["EKF2_REQ_SACC"]
        )
