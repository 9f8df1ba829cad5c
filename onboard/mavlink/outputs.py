"""Fixes to GPS_INPUT (#232), which ArduPilot takes for a GPS receiver of type MAV.

The autopilot needs a steady stream, so between fixes the last one is moved on by its velocity while
its stated accuracy grows. What the autopilot must be told beside it:

- GPSn_DELAY_MS is the link's own few milliseconds, not 0, which means 200: positions are for the
  moment of sending.
- EK3_SRCn_VELZ is 0, and EK3_SRCn_VELXY too where the telemetry has no velocity: a velocity that
  is not sent is fused as zero.
- EK3_SRCn_POSZ is the barometer: the altitude sent is the autopilot's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pymavlink.dialects.v20 import common

from ..config import FilterConfig, LinkConfig
from ..geodesy import LocalFrame
from ..records import Fix

NS_PER_S, NS_PER_MS, NS_PER_US = 1_000_000_000, 1_000_000, 1_000
WEEK_NS = 7 * 24 * 3600 * NS_PER_S
UNIX_AT_GPS_EPOCH_S = 315_964_800
LEAP_SECONDS = 18

# ArduPilot aligns from 6 satellites and up to an HDOP of 2.5. How good we are stands in
# horiz_accuracy; these two only must not contradict it.
SATELLITES, HDOP = 10, 1.0

MAX_SPEED_M_S, MAX_ALT_M, MAX_ACCURACY_M = 200.0, 20_000.0, 1000.0
"""Beyond these a fix is the mark of a fault and is not sent."""

NEVER_MEASURED = (
    common.GPS_INPUT_IGNORE_FLAG_VDOP
    | common.GPS_INPUT_IGNORE_FLAG_VEL_VERT
    | common.GPS_INPUT_IGNORE_FLAG_VERTICAL_ACCURACY
)
NO_VELOCITY = common.GPS_INPUT_IGNORE_FLAG_VEL_HORIZ | common.GPS_INPUT_IGNORE_FLAG_SPEED_ACCURACY
NOTHING = (
    NEVER_MEASURED
    | NO_VELOCITY
    | common.GPS_INPUT_IGNORE_FLAG_ALT
    | common.GPS_INPUT_IGNORE_FLAG_HDOP
    | common.GPS_INPUT_IGNORE_FLAG_HORIZONTAL_ACCURACY
)


@dataclass(frozen=True)
class GpsInput:
    """GPS_INPUT under its wire names and in its wire units; without a fix unless told otherwise."""

    time_usec: int
    gps_id: int
    time_week: int
    time_week_ms: int
    ignore_flags: int = NOTHING
    fix_type: int = common.GPS_FIX_TYPE_NO_FIX
    lat: int = 0
    lon: int = 0
    alt: float = 0.0
    hdop: float = 0.0
    vdop: float = 0.0
    vn: float = 0.0
    ve: float = 0.0
    vd: float = 0.0
    speed_accuracy: float = 0.0
    horiz_accuracy: float = 0.0
    vert_accuracy: float = 0.0
    satellites_visible: int = 0
    yaw: int = 0
    """Not available; north would be 36000."""


def gps_time(unix_ns: int) -> tuple[int, int]:
    """Week and milliseconds of the week; week 0, which autopilots take for unknown, before 1980."""
    gps_ns = unix_ns + (LEAP_SECONDS - UNIX_AT_GPS_EPOCH_S) * NS_PER_S
    week, rest_ns = divmod(gps_ns, WEEK_NS)
    return (week, rest_ns // NS_PER_MS) if week > 0 else (0, 0)


def gps_input(
    fix: Fix | None, *, now_ns: int, unix_ns: int, gps_id: int, motion: FilterConfig
) -> GpsInput:
    """What to send at `now_ns` (monotonic) and `unix_ns` (the same moment) for a fix or for none.

    Accuracies in a `Fix` are 1-sigma per axis; GPS_INPUT's are 1-sigma radial, sqrt(2) larger. With
    the age of the fix the per-axis accuracy grows, in quadrature, by the way that an error of the
    velocity leads astray, or that the vehicle may fly where there is no velocity.
    """
    week, week_ms = gps_time(unix_ns)
    if fix is None:
        return GpsInput(now_ns // NS_PER_US, gps_id, week, week_ms)
    age_s = (now_ns - fix.t_capture_ns) / NS_PER_S
    velocity = _velocity(fix)
    north_m_s, east_m_s = velocity or (0.0, 0.0)
    error_m_s = motion.velocity_accuracy_m_s if velocity else motion.unknown_speed_m_s
    lat_deg, lon_deg = LocalFrame(fix.lat_deg, fix.lon_deg).to_geodetic(
        [east_m_s * age_s, north_m_s * age_s]
    )
    no_alt = common.GPS_INPUT_IGNORE_FLAG_ALT if fix.alt_amsl_m is None else 0
    return GpsInput(
        time_usec=now_ns // NS_PER_US,
        gps_id=gps_id,
        time_week=week,
        time_week_ms=week_ms,
        ignore_flags=NEVER_MEASURED | no_alt | (0 if velocity else NO_VELOCITY),
        fix_type=common.GPS_FIX_TYPE_3D_FIX,
        lat=round(float(lat_deg) * 1e7),
        lon=round(float(lon_deg) * 1e7),
        alt=fix.alt_amsl_m or 0.0,
        hdop=HDOP,
        vn=north_m_s,
        ve=east_m_s,
        speed_accuracy=math.sqrt(2.0) * motion.velocity_accuracy_m_s if velocity else 0.0,
        horiz_accuracy=math.sqrt(2.0) * math.hypot(fix.horiz_accuracy_m, error_m_s * age_s),
        satellites_visible=SATELLITES,
    )


class Publisher:
    """What to say at every beat: the last fix moved on, one word that there is none, or nothing.

    No clock and no socket; one thread may offer while another one ticks. `unix_offset_ns` is what
    the wall clock was ahead of the monotonic one when it was read, once: a clock that is set in
    flight moves nothing.
    """

    def __init__(self, link: LinkConfig, motion: FilterConfig, unix_offset_ns: int) -> None:
        self.is_active = False
        self._gps_id = link.gps_id
        self._max_age_ns = round(link.max_fix_age_s * NS_PER_S)
        self._motion = motion
        self._unix_offset_ns = unix_offset_ns
        self._fix: Fix | None = None

    def offer(self, fix: Fix) -> bool:
        """Take a fix, unless it is older than the one held or no vehicle can be there so."""
        if self._fix is not None and fix.t_capture_ns <= self._fix.t_capture_ns:
            return False
        if not is_sound(fix):
            return False
        self._fix = fix
        return True

    def withdraw(self) -> None:
        """Stop believing the last fix."""
        self._fix = None

    def tick(self, now_ns: int) -> GpsInput | None:
        """What to send now; after the last fix has aged, one no-fix, then nothing."""
        fix = self._fix
        if fix is not None and not 0 <= now_ns - fix.t_capture_ns <= self._max_age_ns:
            fix = None
        was_active, self.is_active = self.is_active, fix is not None
        if fix is None and not was_active:
            return None
        return gps_input(
            fix,
            now_ns=now_ns,
            unix_ns=now_ns + self._unix_offset_ns,
            gps_id=self._gps_id,
            motion=self._motion,
        )


def is_sound(fix: Fix) -> bool:
    """Every figure finite and possible. NaN is not."""
    bounded = (
        (fix.lat_deg, 90.0),
        (fix.lon_deg, 180.0),
        (fix.alt_amsl_m, MAX_ALT_M),
        (fix.velocity_north_m_s, MAX_SPEED_M_S),
        (fix.velocity_east_m_s, MAX_SPEED_M_S),
    )
    return 0.0 < fix.horiz_accuracy_m <= MAX_ACCURACY_M and all(
        value is None or abs(value) <= bound for value, bound in bounded
    )


def _velocity(fix: Fix) -> tuple[float, float] | None:
    """Metres per second north and east, where the fix has both."""
    if fix.velocity_north_m_s is None or fix.velocity_east_m_s is None:
        return None
    return fix.velocity_north_m_s, fix.velocity_east_m_s
