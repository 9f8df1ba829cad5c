"""Writers of small logs, byte by byte as autopilots, ground stations and cameras write them."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as wire

LAT_DEG, LON_DEG = -35.363, 149.165
START_UNIX_S = 1_700_000_000
GPS_WEEK, GPS_MS = divmod((START_UNIX_S + 18 - 315_964_800) * 1000, 7 * 86_400_000)
"""The same moment: GPS time was 18 s ahead of UTC."""
M_PER_DEG = 111_320.0

_LETTERS = {letter: letter for letter in "bBhHiIfdqQ"} | {"n": "4s", "N": "16s", "Z": "64s"}
_LETTERS |= {"c": "h", "C": "H", "e": "i", "E": "I", "L": "i", "M": "B"}
_SCALES = {"c": 100, "C": 100, "e": 100, "E": 100, "L": 1e7}


class DataFlash:
    """A log of ArduPilot's, binary and as text."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[int, str]] = {}
        self.binary = b""
        self.text = ""
        self.kind("FMT", "BBnNZ", "Type,Length,Name,Format,Columns", 128)

    def kind(self, name: str, letters: str, columns: str, number: int | None = None) -> None:
        number = 129 + len(self._kinds) if number is None else number
        self._kinds[name] = number, letters
        length = 3 + struct.calcsize("<" + "".join(_LETTERS[letter] for letter in letters))
        self.row("FMT", number, length, name, letters, columns)

    def row(self, name: str, *cells: float | str) -> None:
        number, letters = self._kinds[name]
        packed = [
            cell.encode()
            if isinstance(cell, str)
            else round(cell * _SCALES[letter])
            if letter in _SCALES
            else cell
            for letter, cell in zip(letters, cells, strict=True)
        ]
        layout = "<" + "".join(_LETTERS[letter] for letter in letters)
        self.binary += b"\xa3\x95" + bytes([number]) + struct.pack(layout, *packed)
        self.text += ", ".join([name, *map(str, cells)]) + "\n"

    def gps_kind(self) -> None:
        self.kind(
            "GPS", "QBBIHBcLLeffB", "TimeUS,I,Status,GMS,GWk,NSats,HDop,Lat,Lng,Alt,Spd,GCrs,U"
        )

    def gps(self, time_s: float, number: int = 0, status: int = 3, north_m: float = 0.0) -> None:
        """A row of a receiver so far north of where it began."""
        self.row(
            "GPS",
            *(round(time_s * 1e6), number, status, round(GPS_MS + time_s * 1000), GPS_WEEK),
            *(12, 0.8, LAT_DEG + north_m / M_PER_DEG, LON_DEG, 600.0, 5.0, 0.0, 1),
        )

    def parameter(self, name: str, value: float) -> None:
        if "PARM" not in self._kinds:
            self.kind("PARM", "QNf", "TimeUS,Name,Value")
        self.row("PARM", 0, name, value)


def flown(log: DataFlash, seconds: int = 8) -> None:
    """A flight north at 5 m/s, attitude and position ten times a second, GPS five times."""
    log.kind("ATT", "Qffffff", "TimeUS,DesRoll,Roll,DesPitch,Pitch,DesYaw,Yaw")
    log.kind("POS", "QLLfff", "TimeUS,Lat,Lng,Alt,RelHomeAlt,RelOriginAlt")
    log.gps_kind()
    for tenth in range(seconds * 10):
        t = tenth / 10.0
        north_m = 5.0 * t
        log.row("ATT", round(t * 1e6), 0.0, 2.0, 0.0, -1.0, 0.0, (350.0 + 4.0 * t) % 360.0)
        place = LAT_DEG + north_m / M_PER_DEG, LON_DEG
        log.row("POS", round(t * 1e6), *place, 600.0 + t, 80.0 + t, 80.0 + t)
        if tenth % 2 == 0:
            log.gps(t, north_m=north_m)


class Tlog:
    """A `.tlog`; messages are received `delay_s` after they were made."""

    def __init__(self, system: int = 1, component: int = 1) -> None:
        self._links = {(system, component): wire.MAVLink(None, system, component)}
        self._default = system, component
        self.data = b""

    def say(
        self,
        time_s: float,
        message: Any,
        source: tuple[int, int] | None = None,
        delay_s: float = 0.05,
    ) -> None:
        who = source or self._default
        link = self._links.setdefault(who, wire.MAVLink(None, *who))
        received_us = round((START_UNIX_S + time_s + delay_s) * 1e6)
        self.data += struct.pack(">Q", received_us) + message.pack(link)

    def attitude(self, time_s: float, heading_deg: float = 90.0, **how: Any) -> None:
        heading = math.radians((heading_deg + 180.0) % 360.0 - 180.0)
        boot_ms = 5000 + round(time_s * 1000)
        message = wire.MAVLink_attitude_message(boot_ms, 0.1, -0.05, heading, 0.0, 0.0, 0.0)
        self.say(time_s, message, **how)

    def position(self, time_s: float, north_m: float, height_m: float = 80.0, **how: Any) -> None:
        message = wire.MAVLink_global_position_int_message(
            *(5000 + round(time_s * 1000), round((LAT_DEG + north_m / M_PER_DEG) * 1e7)),
            *(round(LON_DEG * 1e7), 680_000, round(height_m * 1e3), 500, 0, 0, 9000),
        )
        self.say(time_s, message, **how)

    def gps(self, time_s: float, north_m: float, fix_type: int = 3, second: bool = False) -> None:
        kind = wire.MAVLink_gps2_raw_message if second else wire.MAVLink_gps_raw_int_message
        fields = {
            "time_usec": round((5.0 + time_s) * 1e6),
            "fix_type": fix_type,
            "lat": round((LAT_DEG + north_m / M_PER_DEG) * 1e7),
            "lon": round(LON_DEG * 1e7),
            "alt": 600_000,
            "eph": 80,
            "epv": 100,
            "vel": 500,
            "cog": 0,
            "satellites_visible": 11,
        }
        self.say(time_s, kind(**fields, **({"dgps_numch": 0, "dgps_age": 0} if second else {})))


def ground_heard(log: Tlog, seconds: int = 8) -> None:
    """A flight east and north of eight seconds."""
    for fifth in range(seconds * 5):
        t = fifth / 5.0
        log.attitude(t, 90.0 + t)
        log.position(t, 5.0 * t)
        log.gps(t, 5.0 * t)


_ULOG_TYPES = {"uint64_t": "Q", "int32_t": "i", "uint8_t": "B", "float": "f", "double": "d"}
_ULOG_TYPES |= {"bool": "?", "uint32_t": "I", "int8_t": "b"}


class Ulog:
    """A log of PX4's, version 1."""

    def __init__(self, start_us: int = 1_000_000) -> None:
        self._definitions = b""
        self._body = b""
        self._topics: dict[tuple[str, int], tuple[int, str]] = {}
        self._start_us = start_us
        self._appended = b""

    def _message(self, kind: str, payload: bytes) -> None:
        """Formats and parameters stand before everything that is logged."""
        message = struct.pack("<HB", len(payload), ord(kind)) + payload
        if kind in "FIP":
            self._definitions += message
        else:
            self._body += message

    def info(self, key: str, text: str) -> None:
        name = f"char[{len(text)}] {key}".encode()
        self._message("I", bytes([len(name)]) + name + text.encode())

    def parameter(self, key: str, value: float) -> None:
        name = f"float {key}".encode()
        self._message("P", bytes([len(name)]) + name + struct.pack("<f", value))

    def topic(self, name: str, fields: str, number: int = 0) -> None:
        """`fields` as `float eph;uint8_t fix_type`, timestamp first and unsaid."""
        if (name, 0) not in self._topics:
            self._message("F", f"{name}:uint64_t timestamp;{fields};".encode())
        types = [field.split()[0] for field in fields.split(";")]
        layout = "<HQ" + "".join(_array(each) for each in types)
        subscribed = len(self._topics)
        self._topics[name, number] = subscribed, layout
        self._message("A", struct.pack("<BH", number, subscribed) + name.encode())

    def row(self, name: str, time_us: int, *cells: float, number: int = 0) -> None:
        subscribed, layout = self._topics[name, number]
        self._message("D", struct.pack(layout, subscribed, time_us, *cells))

    def dropout(self, ms: int) -> None:
        self._message("O", struct.pack("<H", ms))

    def append(self, data: bytes) -> None:
        """As a hard fault is appended after the log was closed."""
        self._appended = data

    @property
    def data(self) -> bytes:
        head = b"ULog\x01\x12\x35\x01" + struct.pack("<Q", self._start_us)
        flags = bytes(8) + bytes([1 if self._appended else 0]) + bytes(7)
        body = self._definitions + self._body
        length = len(head) + 3 + 40 + len(body)
        offset = length if self._appended else 0
        flags += struct.pack("<QQQ", offset, 0, 0)
        return head + struct.pack("<HB", 40, ord("B")) + flags + body + self._appended


def _array(kind: str) -> str:
    name, _, count = kind.partition("[")
    return (count.rstrip("]") if count else "") + _ULOG_TYPES[name]


OLD_GPS = "uint64_t time_utc_usec;int32_t lat;int32_t lon;int32_t alt;float eph;uint8_t fix_type"
NEW_GPS = (
    "uint64_t time_utc_usec;double latitude_deg;double longitude_deg;double altitude_msl_m;"
    "float eph;uint8_t fix_type;uint32_t device_id"
)


def px4_flown(log: Ulog, is_new: bool, device: int = 0xA50009, seconds: int = 8) -> None:
    """A flight north at 5 m/s, in the fields of before or after PX4 1.14."""
    log.topic("vehicle_attitude", "float[4] q")
    topic = "sensor_gps" if is_new else "vehicle_gps_position"
    log.topic(topic, NEW_GPS if is_new else OLD_GPS)
    for tenth in range(seconds * 10):
        t_us = 1_000_000 + tenth * 100_000
        log.row("vehicle_attitude", t_us, *_turned(90.0))
        lat_deg = LAT_DEG + tenth * 0.5 / M_PER_DEG
        utc_us = START_UNIX_S * 1_000_000 + tenth * 100_000
        if is_new:
            log.row(topic, t_us, utc_us, lat_deg, LON_DEG, 600.0, 1.4, 3, device)
        else:
            place = round(lat_deg * 1e7), round(LON_DEG * 1e7), 600_000
            log.row(topic, t_us, utc_us, *place, 1.4, 3)


def _turned(heading_deg: float) -> tuple[float, float, float, float]:
    half = math.radians(heading_deg) / 2.0
    return math.cos(half), 0.0, 0.0, math.sin(half)


def gpmf(rows: Sequence[Sequence[int]], fix: int = 3, datum: bytes = b"MSLV") -> bytes:
    """One device with one stream of GPS5: latitude, longitude, altitude, two speeds."""
    body = b"".join(struct.pack(">5i", *row) for row in rows)
    scale = struct.pack(">5i", 10_000_000, 10_000_000, 1000, 1000, 100)
    stream = _key("GPSF", "L", 4, struct.pack(">I", fix)) + _key("GPSP", "S", 2, b"\x00\xc8")
    stream += _key("GPSA", "F", 4, datum) + _key("SCAL", "l", 4, scale)
    stream += _key("GPS5", "l", 20, body)
    return _key("DEVC", "\0", 1, _key("DVNM", "c", 1, b"Camera") + _key("STRM", "\0", 1, stream))


def _key(name: str, letter: str, size: int, body: bytes) -> bytes:
    head = name.encode() + letter.encode() + bytes([size]) + struct.pack(">H", len(body) // size)
    return head + body + bytes(-len(body) % 4)


def mp4(samples: Sequence[bytes], kind: bytes = b"gpmd") -> bytes:
    """A video of one track of telemetry, a sample a second, all in one chunk."""
    start = _box(b"ftyp", b"isom" + bytes(4))
    at = len(start) + 8
    sizes = [len(sample) for sample in samples]
    count = struct.pack(">I", len(samples))
    tables = [
        _full(b"stsd", struct.pack(">I", 1) + struct.pack(">I", 16) + kind + bytes(8)),
        _full(b"stts", struct.pack(">III", 1, len(samples), 1000)),
        _full(b"stsz", struct.pack(">I", 0) + count + struct.pack(f">{len(sizes)}I", *sizes)),
        _full(b"stsc", struct.pack(">IIII", 1, 1, len(samples), 1)),
        _full(b"stco", struct.pack(">II", 1, at)),
    ]
    media = _full(b"mdhd", struct.pack(">IIII", 0, 0, 1000, 1000 * len(samples)) + bytes(4))
    track = _box(b"trak", _box(b"mdia", media + _box(b"minf", _box(b"stbl", b"".join(tables)))))
    return start + _box(b"mdat", b"".join(samples)) + _box(b"moov", track)


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


def _full(name: bytes, body: bytes) -> bytes:
    return _box(name, bytes(4) + body)


@pytest.fixture
def dataflash() -> DataFlash:
    return DataFlash()


@pytest.fixture
def flight() -> Callable[[Any], Any]:
    """Fills any of the writers with the same flight of eight seconds."""

    def fill(log: Any, **how: Any) -> Any:
        fillers: dict[type, Callable[..., None]]
        fillers = {DataFlash: flown, Tlog: ground_heard, Ulog: px4_flown}
        fillers[type(log)](log, **how)
        return log

    return fill


@pytest.fixture
def tlog() -> Tlog:
    return Tlog()


@pytest.fixture
def ulog() -> Ulog:
    return Ulog()


@pytest.fixture
def video() -> Callable[[Sequence[Sequence[Sequence[int]]], Any], bytes]:
    """A video with a second of positions in each sample."""
    return lambda seconds, **how: mp4([gpmf(rows, **how) for rows in seconds])


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write
