"""A flight as ArduPilot's own `.bin` log (DataFlash): rows of bytes that describe themselves.

Every row is 0xA3 0x95, a type, and packed little-endian fields. FMT rows name the fields of every
type and their formats: https://ardupilot.org/dev/docs/code-overview-adding-a-new-log-message.html
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...geodesy import LocalFrame
from ...mavlink.outputs.gps_input import gps_time
from . import logged
from .exposures import Exposure
from .logged import Picture, Placed, PlacedGnss
from .simulate import Flight

_HEAD = b"\xa3\x95"
_PLAIN = {letter: letter for letter in "BHIQf"}
_STRUCT_LETTERS = _PLAIN | {"n": "4s", "N": "16s", "Z": "64s"} | {"c": "h", "C": "H"}
_STRUCT_LETTERS |= {"e": "i", "L": "i"}
_SCALES = {"c": 1e2, "C": 1e2, "e": 1e2, "L": 1e7}
_RATE_HZ = 10.0
_MOST_M = 655.35
"""What 16 bits of centimetres hold; a receiver without a fix is no more accurate than this."""
_LOOKS_DOWN, _MEASURES = 25, 4

Row = tuple[float, bytes]
"""Seconds since the flight began, and the packed row."""


@dataclass(frozen=True)
class _Kind:
    """One type of row."""

    number: int
    name: str
    letters: str
    columns: str

    @property
    def layout(self) -> str:
        return "<" + "".join(_STRUCT_LETTERS[letter] for letter in self.letters)

    @property
    def length(self) -> int:
        return len(_HEAD) + 1 + struct.calcsize(self.layout)

    def pack(self, *cells: float | bytes) -> bytes:
        """Cells in the units that a reader gives back."""
        scaled = (
            cell if isinstance(cell, bytes) or letter not in _SCALES else round(cell * scale)
            for letter, cell in zip(self.letters, cells, strict=True)
            for scale in [_SCALES.get(letter, 1.0)]
        )
        return _HEAD + bytes([self.number]) + struct.pack(self.layout, *scaled)


_FMT = _Kind(128, "FMT", "BBnNZ", "Type,Length,Name,Format,Columns")
_PARM = _Kind(129, "PARM", "QNff", "TimeUS,Name,Value,Default")
_MSG = _Kind(130, "MSG", "QZ", "TimeUS,Message")
_GPS = _Kind(
    131,
    "GPS",
    "QBBIHBcLLeffffB",
    "TimeUS,I,Status,GMS,GWk,NSats,HDop,Lat,Lng,Alt,Spd,GCrs,VZ,Yaw,U",
)
_GPA = _Kind(132, "GPA", "QBCCC", "TimeUS,I,HAcc,VAcc,SAcc")
_ATT = _Kind(133, "ATT", "QffffffB", "TimeUS,DesRoll,Roll,DesPitch,Pitch,DesYaw,Yaw,AEKF")
_POS = _Kind(134, "POS", "QLLfff", "TimeUS,Lat,Lng,Alt,RelHomeAlt,RelOriginAlt")
_RFND = _Kind(135, "RFND", "QBCBB", "TimeUS,Instance,Dist,Stat,Orient")
_CAM = _Kind(
    136,
    "CAM",
    "QBHIHLLeeefff",
    "TimeUS,I,Img,GPSTime,GPSWeek,Lat,Lng,Alt,RelAlt,GPSAlt,R,P,Y",
)
_KINDS = (_FMT, _PARM, _MSG, _GPS, _GPA, _ATT, _POS, _RFND, _CAM)


def dataflash(
    flight: Flight, shots: Sequence[Exposure], frame: LocalFrame, start_unix_s: float
) -> bytes:
    """The log of a flight that began at `start_unix_s`, one CAM row per picture."""
    home_m = flight.home_alt_amsl_m
    believed = logged.placed(logged.every(flight.believed, _RATE_HZ), frame)
    found = logged.solutions(flight, frame)
    rows: list[Row] = [
        *((at.state.time_s, _attitude(at)) for at in believed),
        *((at.state.time_s, _position(at, home_m)) for at in believed),
        *((time_s, _height(time_s, m)) for time_s, m in logged.heights(flight, _RATE_HZ)),
        *((s.reading.time_s, _gnss(s, start_unix_s)) for s in found),
        *(
            (picture.at.state.time_s, _camera(picture, found, home_m, start_unix_s))
            for picture in logged.pictures(flight, shots, frame)
        ),
    ]
    head = [
        *_definitions(),
        _MSG.pack(_boot_us(0.0), logged.FIRMWARES[flight.airframe].encode()),
        *_parameters(),
    ]
    return b"".join([*head, *(row for _, row in sorted(rows, key=lambda pair: pair[0]))])


def _boot_us(time_s: float) -> int:
    return round(logged.boot_s(time_s) * 1e6)


def _definitions() -> Iterator[bytes]:
    for kind in _KINDS:
        texts = (text.encode() for text in (kind.name, kind.letters, kind.columns))
        yield _FMT.pack(kind.number, kind.length, *texts)


def _parameters() -> Iterator[bytes]:
    for name, value in logged.PARAMETERS.items():
        yield _PARM.pack(_boot_us(0.0), name.encode(), value, 0.0)


def _attitude(at: Placed) -> bytes:
    """Degrees. What was desired is not simulated, and stands as what was believed."""
    attitude = at.state.attitude
    angles = (attitude.roll_deg, attitude.pitch_deg, attitude.heading_deg)
    twice = (angle for angle in angles for _ in range(2))
    return _ATT.pack(_boot_us(at.state.time_s), *twice, 3)


def _position(at: Placed, home_alt_amsl_m: float) -> bytes:
    alt_m = at.state.alt_amsl_m
    above_m = alt_m - home_alt_amsl_m
    time_us = _boot_us(at.state.time_s)
    return _POS.pack(time_us, at.lat_deg, at.lon_deg, alt_m, above_m, above_m)


def _height(time_s: float, height_agl_m: float) -> bytes:
    height_m = min(height_agl_m, _MOST_M)
    return _RFND.pack(_boot_us(time_s), 0, height_m, _MEASURES, _LOOKS_DOWN)


def _gnss(solution: PlacedGnss, start_unix_s: float) -> bytes:
    """GPS and GPA together. VZ is downwards."""
    reading = solution.reading
    week, week_ms = gps_time(round((start_unix_s + reading.time_s) * 1e9))
    time_us = _boot_us(reading.time_s)
    gps = _GPS.pack(
        time_us,
        0,
        reading.fix_type,
        week_ms,
        week,
        reading.satellites,
        reading.hdop,
        solution.lat_deg,
        solution.lon_deg,
        reading.alt_amsl_m,
        solution.speed_m_s,
        solution.course_deg,
        -reading.velocity_enu_m_s[2],
        0.0,
        1,
    )
    accuracies = (reading.horiz_accuracy_m, reading.vert_accuracy_m, reading.speed_accuracy_m_s)
    return gps + _GPA.pack(time_us, 0, *(min(value, _MOST_M) for value in accuracies))


def _camera(
    picture: Picture, found: Sequence[PlacedGnss], home_alt_amsl_m: float, start_unix_s: float
) -> bytes:
    """Vehicle attitude in degrees; GPSAlt is that of the last solution, 0 before the first."""
    state = picture.at.state
    week, week_ms = gps_time(round((start_unix_s + state.time_s) * 1e9))
    known = bisect_right(found, state.time_s, key=lambda solution: solution.reading.time_s)
    return _CAM.pack(
        _boot_us(state.time_s),
        0,
        picture.number,
        week_ms,
        week,
        picture.at.lat_deg,
        picture.at.lon_deg,
        state.alt_amsl_m,
        state.alt_amsl_m - home_alt_amsl_m,
        found[known - 1].reading.alt_amsl_m if known else 0.0,
        state.attitude.roll_deg,
        state.attitude.pitch_deg,
        state.attitude.heading_deg,
    )
