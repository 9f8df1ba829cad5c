"""What the autopilot and its gimbal say, as `Telemetry` at the time of an exposure."""

from __future__ import annotations

import math
import threading
from typing import Any

from pymavlink.dialects.v20.common import GPS_FIX_TYPE_3D_FIX

from ..flightlogs.interpolation import sample_at
from ..records import Attitude, Prior, Telemetry
from . import gimbal
from .height import TERRAIN_FRESH_NS, above_ground, ground_sample, range_sample
from .timesync import Timesync

NS_PER_MS = 1_000_000
KEPT_NS = 5_000_000_000
RATIOS = {"EKF_STATUS_REPORT": "pos_horiz_variance", "ESTIMATOR_STATUS": "pos_horiz_ratio"}
"""Both are 1 at the gate of the autopilot's filter."""
DATED = frozenset({"ATTITUDE", "GLOBAL_POSITION_INT", "DISTANCE_SENSOR"}) | gimbal.KINDS
"""With `time_boot_ms`."""
MAX_GAP_NS = 500_000_000
"""Across a longer silence nothing is interpolated."""
FIX_FRESH_NS = 1_500_000_000
"""Receivers tell of their fix every second at least."""
MIN_PRIOR_ACCURACY_M, MAX_PRIOR_ACCURACY_M = 10.0, 100.0
"""A receiver that was jammed a moment ago is not as good as it says."""
PATIENCE_S = 0.1
"""One period of a 10 Hz stream: an attitude held for so long is wrong by degrees in a turn."""
GIMBAL_PATIENCE = 2.0
"""Times as long is waited for a gimbal, which tells its attitude five times a second by itself."""


class AutopilotTelemetry:
    """The last seconds of what the autopilot tells; one thread may feed, another one ask.

    Messages are dated by the autopilot's own clock, once TIMESYNC has told how far that is from
    ours; before, by their arrival, which is late by the age that they have on the wire. While the
    autopilot's first GNSS receiver has a fix that states its accuracy, that is the prior: where to
    look, before there is a track. It is read only when `has_own_gnss`, for else that receiver may
    be us. A `pilot_prior` goes before it. Height above ground is what a rangefinder or the
    autopilot's terrain says, where there is either. Headings are from true north, as the
    autopilot's filter has them.
    """

    def __init__(
        self,
        patience_s: float = PATIENCE_S,
        has_own_gnss: bool = False,
        clock: Timesync | None = None,
    ) -> None:
        self.pilot_prior: Prior | None = None
        self._clock = clock or Timesync()
        self.has_own_gnss = has_own_gnss
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._priors: list[Telemetry] = []
        self._attitudes: list[Telemetry] = []
        self._positions: list[Telemetry] = []
        self._ratios: list[Telemetry] = []
        self._ranges: list[Telemetry] = []
        self._grounds: list[Telemetry] = []
        self._gimbal = gimbal.Gimbal()
        self._fixed_ns: int | None = None

    def feed(self, message: Any, t_arrival_ns: int) -> None:
        """Take a message of the autopilot in, or pass it over."""
        kind = message.get_type()
        if kind == "GPS_RAW_INT" and self.has_own_gnss:
            if message.fix_type >= GPS_FIX_TYPE_3D_FIX:
                self._fixed_ns = t_arrival_ns
            self._keep(self._priors, prior_sample(message, t_arrival_ns))
        elif kind in RATIOS:
            ratio = Telemetry(t_arrival_ns, position_test_ratio=getattr(message, RATIOS[kind]))
            self._keep(self._ratios, ratio)
        elif kind == "TERRAIN_REPORT":
            here = self._positions[-1].alt_amsl_m if self._positions else None
            self._keep(self._grounds, ground_sample(message, here, t_arrival_ns))
        elif kind in DATED:
            t_ns = self._clock.to_local_ns(message.time_boot_ms * NS_PER_MS, t_arrival_ns)
            if t_ns is not None:
                self._feed_dated(message, t_ns)

    def feed_gimbal(self, message: Any, t_ns: int) -> None:
        """Take in what a gimbal with a clock of its own said, true at `t_ns`."""
        with self._changed:
            self._gimbal.take(message, t_ns)
            self._changed.notify_all()

    def _feed_dated(self, message: Any, t_ns: int) -> None:
        kind = message.get_type()
        if kind == "ATTITUDE":
            self._keep(self._attitudes, attitude_sample(message, t_ns))
        elif kind == "GLOBAL_POSITION_INT":
            self._keep(self._positions, position_sample(message, t_ns))
        elif kind == "DISTANCE_SENSOR":
            self._keep(self._ranges, range_sample(message, self.attitude_at(t_ns), t_ns))
        else:
            self.feed_gimbal(message, t_ns)

    def forget(self) -> None:
        """The autopilot began anew: what it said before is of another flight."""
        with self._changed:
            for samples in self._all():
                samples.clear()
            self._gimbal.forget()
            self._fixed_ns = None

    def at(self, t_ns: int) -> Telemetry:
        """Interpolated to `t_ns`; the time is that of the stalest part, None is what was not heard.

        Waits a moment for the attitudes of vehicle and gimbal after `t_ns`. Outside what was heard,
        and inside a silence, the nearest sample stands under its own time; a gimbal, which may
        slew, is then not known.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_covered(t_ns), self._patience_s)
            self._changed.wait_for(
                lambda: not self._gimbal.is_coming(t_ns), GIMBAL_PATIENCE * self._patience_s
            )
            attitude = sample_at(self._attitudes, t_ns, MAX_GAP_NS) if self._attitudes else None
            position = sample_at(self._positions, t_ns, MAX_GAP_NS) if self._positions else None
            prior, ratio = _fresh(self._priors, t_ns), _fresh(self._ratios, t_ns)
            ranged = sample_at(self._ranges, t_ns, MAX_GAP_NS) if self._ranges else None
            ground = _fresh(self._grounds, t_ns, TERRAIN_FRESH_NS)
            told = attitude.attitude if attitude else None
            held = self._gimbal.at(t_ns, told.heading_deg if told else None)
        is_ranged = ranged is not None and abs(ranged.t_ns - t_ns) <= MAX_GAP_NS
        height_m, accuracy_m = above_ground(position, ranged if is_ranged else None, ground)
        heard = [sample for sample in (attitude, position) if sample is not None]
        return Telemetry(
            t_ns=max((s.t_ns for s in heard), key=lambda s_ns: abs(s_ns - t_ns), default=t_ns),
            attitude=told,
            height_agl_m=height_m,
            alt_amsl_m=position.alt_amsl_m if position else None,
            velocity_north_m_s=position.velocity_north_m_s if position else None,
            velocity_east_m_s=position.velocity_east_m_s if position else None,
            prior=self.pilot_prior or (prior.prior if prior else None),
            gimbal=held,
            height_accuracy_m=accuracy_m,
            position_test_ratio=ratio.position_test_ratio if ratio else None,
            height_above_home_m=position.height_above_home_m if position else None,
        )

    def has_fix(self, t_ns: int) -> bool:
        """Whether the autopilot's own receiver had one a moment ago, however good."""
        return self._fixed_ns is not None and abs(t_ns - self._fixed_ns) <= FIX_FRESH_NS

    def attitude_at(self, t_ns: int) -> Attitude | None:
        """The latest attitude, where it is no older than what is interpolated across."""
        with self._changed:
            last = self._attitudes[-1] if self._attitudes else None
        return last.attitude if last and t_ns - last.t_ns <= MAX_GAP_NS else None

    def _all(self) -> tuple[list[Telemetry], ...]:
        return (
            *(self._priors, self._attitudes, self._positions),
            *(self._ratios, self._ranges, self._grounds),
        )

    def _keep(self, samples: list[Telemetry], sample: Telemetry | None) -> None:
        if sample is None:
            return
        with self._changed:
            if samples and samples[-1].t_ns >= sample.t_ns:
                return  # overtaken on its way
            samples.append(sample)
            while sample.t_ns - samples[0].t_ns > KEPT_NS:
                del samples[0]
            self._changed.notify_all()

    def _is_covered(self, t_ns: int) -> bool:
        return bool(self._attitudes) and self._attitudes[-1].t_ns >= t_ns


def attitude_sample(message: Any, t_ns: int) -> Telemetry | None:
    """ATTITUDE (#30), radians, None where an angle is no angle."""
    roll_deg, pitch_deg, yaw_deg = map(math.degrees, (message.roll, message.pitch, message.yaw))
    if not all(abs(angle_deg) <= 360.0 for angle_deg in (roll_deg, pitch_deg, yaw_deg)):
        return None
    return Telemetry(t_ns, attitude=Attitude(roll_deg, pitch_deg, yaw_deg % 360.0))


def prior_sample(message: Any, t_ns: int) -> Telemetry:
    """GPS_RAW_INT (#24): degrees x 1e7, millimetres; no prior without a 3D fix and its accuracy.

    `h_acc` is 1-sigma radial; a fix is up to half a second old when it is used.
    """
    accuracy_m = message.h_acc / 1000.0 / math.sqrt(2.0)
    prior = None
    if message.fix_type >= GPS_FIX_TYPE_3D_FIX and 0.0 < accuracy_m <= MAX_PRIOR_ACCURACY_M:
        prior = Prior(message.lat / 1e7, message.lon / 1e7, max(accuracy_m, MIN_PRIOR_ACCURACY_M))
    return Telemetry(t_ns, prior=prior)


def position_sample(message: Any, t_ns: int) -> Telemetry:
    """GLOBAL_POSITION_INT (#33), millimetres and cm/s; without a height where it is not above 0.

    `relative_alt` is above home, whatever the ground does in between. An autopilot that does not
    know where it is sends 0 north 0 east, and `alt` is then above nothing in particular.
    """
    is_somewhere = message.lat != 0 or message.lon != 0
    return Telemetry(
        t_ns,
        alt_amsl_m=message.alt / 1000.0 if is_somewhere else None,
        velocity_north_m_s=message.vx / 100.0,
        velocity_east_m_s=message.vy / 100.0,
        height_above_home_m=message.relative_alt / 1000.0 if message.relative_alt > 0 else None,
    )


def _fresh(samples: list[Telemetry], t_ns: int, most_ns: int = MAX_GAP_NS) -> Telemetry | None:
    """The latest sample, where it is no further from `t_ns`."""
    last = samples[-1] if samples else None
    return last if last and abs(last.t_ns - t_ns) <= most_ns else None
