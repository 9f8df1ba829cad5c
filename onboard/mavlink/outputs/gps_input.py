"""GPS_INPUT (#232), which ArduPilot takes for a GPS receiver of type MAV.

Positions are for the moment of sending, so the autopilot is told of no delay but the link's. The
driver reads neither our time nor what is ignored: an altitude or a velocity that is not sent is
taken as zero (AP_GPS_MAV.cpp), hence the parameters.
"""

from __future__ import annotations

from pymavlink.dialects.v20 import ardupilotmega as wire

from ..signing import Message
from .moved import NS_PER_S, Moved
from .wanted import Wanted, between, exactly

NS_PER_MS, NS_PER_US = 1_000_000, 1_000
WEEK_NS = 7 * 24 * 3600 * NS_PER_S
UNIX_AT_GPS_EPOCH_S = 315_964_800
LEAP_SECONDS = 18

# ArduPilot aligns from 6 satellites and up to an HDOP of 2.5. How good we are stands in
# horiz_accuracy; these two only must not contradict it.
SATELLITES, HDOP = 10, 1.0

NEVER_MEASURED = (
    wire.GPS_INPUT_IGNORE_FLAG_VDOP
    | wire.GPS_INPUT_IGNORE_FLAG_VEL_VERT
    | wire.GPS_INPUT_IGNORE_FLAG_VERTICAL_ACCURACY
)
NO_VELOCITY = wire.GPS_INPUT_IGNORE_FLAG_VEL_HORIZ | wire.GPS_INPUT_IGNORE_FLAG_SPEED_ACCURACY
NOTHING = (
    NEVER_MEASURED
    | NO_VELOCITY
    | wire.GPS_INPUT_IGNORE_FLAG_ALT
    | wire.GPS_INPUT_IGNORE_FLAG_HDOP
    | wire.GPS_INPUT_IGNORE_FLAG_HORIZONTAL_ACCURACY
)


class GpsInput:
    """At least five times a second and steadily, else the autopilot calls its receiver unhealthy.

    The negative is fix type 1.
    """

    name = "gps_input"

    def __init__(self, gps_id: int, rate_hz: float, source_set: int = 1) -> None:
        self.rate_hz = rate_hz
        self._gps_id = gps_id
        self.wanted = _wanted(gps_id, f"EK3_SRC{source_set}")

    def position(self, moved: Moved) -> list[Message]:
        """Accuracies on the wire are 1-sigma radial."""
        velocity = moved.velocity_ne_m_s
        no_alt = wire.GPS_INPUT_IGNORE_FLAG_ALT if moved.alt_amsl_m is None else 0
        return [
            self._message(
                moved.now_ns,
                moved.unix_ns,
                ignore_flags=NEVER_MEASURED | no_alt | (0 if velocity else NO_VELOCITY),
                fix_type=wire.GPS_FIX_TYPE_3D_FIX,
                lat=round(moved.lat_deg * 1e7),
                lon=round(moved.lon_deg * 1e7),
                alt=moved.alt_amsl_m or 0.0,
                hdop=HDOP,
                vn=velocity[0] if velocity else 0.0,
                ve=velocity[1] if velocity else 0.0,
                speed_accuracy=moved.radial_m_s if velocity else 0.0,
                horiz_accuracy=moved.radial_m,
                satellites_visible=SATELLITES,
            )
        ]

    def negative(self, now_ns: int, unix_ns: int) -> list[Message]:
        """No fix."""
        return [self._message(now_ns, unix_ns)]

    def _message(self, now_ns: int, unix_ns: int, **fields: float) -> Message:
        week, week_ms = gps_time(unix_ns)
        nothing: dict[str, float] = {
            "ignore_flags": NOTHING,
            "fix_type": wire.GPS_FIX_TYPE_NO_FIX,
            **dict.fromkeys(_ZERO, 0),
        }
        return wire.MAVLink_gps_input_message(
            time_usec=now_ns // NS_PER_US,
            gps_id=self._gps_id,
            time_week=week,
            time_week_ms=week_ms,
            **nothing | fields,
        )


def gps_time(unix_ns: int) -> tuple[int, int]:
    """Week and milliseconds of the week; week 0, which autopilots take for unknown, before 1980."""
    gps_ns = unix_ns + (LEAP_SECONDS - UNIX_AT_GPS_EPOCH_S) * NS_PER_S
    week, rest_ns = divmod(gps_ns, WEEK_NS)
    return (week, rest_ns // NS_PER_MS) if week > 0 else (0, 0)


def _wanted(gps_id: int, source: str) -> tuple[Wanted, ...]:
    number = gps_id + 1
    old = "GPS_TYPE" if number == 1 else f"GPS_TYPE{number}"
    old_delay = "GPS_DELAY_MS" if number == 1 else f"GPS_DELAY_MS{number}"
    wanted = [
        exactly(f"GPS{number}_TYPE {old}", 14, "the receiver of type MAV is us"),
        between(
            f"GPS{number}_DELAY_MS {old_delay}", 1, 100, "0 means 200, and we send no old positions"
        ),
        exactly(f"{source}_POSXY", 3, "positions come as GPS"),
        exactly(f"{source}_VELXY", 0, "else the autopilot's own velocity, or zero, is fused"),
        exactly(f"{source}_VELZ", 0, "we send none, and zero is fused"),
        exactly(f"{source}_POSZ", 1, "our altitude is the autopilot's own"),
    ]
    if gps_id:
        why = "else a receiver that is not the primary is never used"
        wanted.append(between("GPS_AUTO_SWITCH", 1, 4, why))
    return tuple(wanted)


_ZERO = (
    *("lat", "lon", "alt", "hdop", "vdop", "vn", "ve", "vd"),
    *("speed_accuracy", "horiz_accuracy", "vert_accuracy", "satellites_visible"),
    "yaw",  # 0 is not available; north would be 36000
)
