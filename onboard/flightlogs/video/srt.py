"""Telemetry that DJI drones write as subtitles, `.SRT`, on the clock of their video.

There are many dialects: keys in brackets, `GPS(...)` with longitude first or latitude first, lists
such as `F/2.8, GPS (...), H 20.0m`. A cue tells what was so when its picture was first shown. The
time of day in it is the operator's local time, so nothing but the video's own time is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from ...errors import DataError
from ..assemble import POSITION_ACCURACY_M, Channels, assemble
from ..flight_log import Clock, FlightLog
from ..gnss import FIX_3D, M_PER_DEG, Solutions
from ..series import Series, Times, series

CUE = re.compile(
    r"(\d{1,3}):(\d\d):(\d\d)[,.](\d{1,3})\s*-->\s*\d{1,3}:\d\d:\d\d[,.]\d{1,3}[^\n]*\n?"
)
DATED = re.compile(
    r"^\d+\s*\n(\d{4})[.-](\d\d)[.-](\d\d) (\d\d:\d\d:\d\d)[,.](\d{1,3})[^\n]*\n?", re.MULTILINE
)
_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_KEYED = re.compile(rf"([A-Za-z_]+)\s*:\s*({_NUMBER})(?![\d/:.])")
_PLACE = re.compile(
    rf"\bGPS\s*\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*(?:,\s*({_NUMBER})\s*(M?)\s*)?\)", re.I
)
_LISTED = re.compile(rf"(?<![A-Za-z.])(H|D)\s+({_NUMBER})\s*m\b")
_BAROMETER = re.compile(rf"\bBAROMETER\s*:\s*({_NUMBER})", re.I)
_ANGLES = re.compile(
    rf"\b([FG])\.PRY\s*\(\s*({_NUMBER})[^\d,]*,\s*({_NUMBER})[^\d,]*,\s*({_NUMBER})[^\d,)]*\)"
)
_MARKUP = re.compile(r"<[^>\n]*>")
_LONGITUDES = ("longitude", "longtitude", "lon")
_LATITUDES = ("latitude", "lat")
MAX_GAP_NS = 2_500_000_000
"""Most drones write once a second, and not on the dot."""
_LOW_RES_DEG = 5e-5


@dataclass
class _Cue:
    """One subtitle; NaN is what it does not tell."""

    t_ns: int
    lat_deg: float = math.nan
    lon_deg: float = math.nan
    decimals: int = 0
    """Of its coordinates, as written."""
    satellites: float = math.nan
    height_m: float = math.nan
    attitude: tuple[float, float, float] | None = None
    gimbal: tuple[float, float, float] | None = None
    sources: dict[str, str] = field(default_factory=dict)


def read_srt(path: Path) -> FlightLog:
    """Positions, heights and angles of every cue that has them.

    Raises:
        DataError: no subtitles, or none that tell of a flight.
    """
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    timed = _cues(text)
    cues = [_cue(t_ns, body) for t_ns, body in timed or _dated(text)]
    if not cues:
        raise DataError(f"{path}: no subtitle with a time in it")
    found = Channels(max_gap_ns=MAX_GAP_NS, belief="the drone's own, by GNSS")
    _tell_missing(cues, text, found.findings)
    times_ns = np.array([cue.t_ns for cue in cues], np.int64)
    _take_place(cues, found)
    sources = {name: source for cue in reversed(cues) for name, source in cue.sources.items()}
    heights = [np.array([cue.height_m for cue in cues])]
    source = sources.get("height", "")
    found.home_height = series(times_ns, heights, source, found.findings, MAX_GAP_NS)
    found.attitude = _angles(cues, times_ns, lambda cue: cue.attitude, "F.PRY, of the drone", found)
    gimbal = sources.get("gimbal", "")
    found.gimbal = _angles(cues, times_ns, lambda cue: cue.gimbal, gimbal, found)
    clock = "the video's own, by the beginnings of the subtitles"
    if not timed:
        clock = "the dates in the subtitles, which have no other times, counted from the first"
    return assemble(path, "srt", Clock.VIDEO, clock, found)


def _cues(text: str) -> list[tuple[int, str]]:
    """Beginnings in nanoseconds, and what is written between one line of times and the next."""
    marks = list(CUE.finditer(text))
    return [(_time_ns(mark), body) for mark, body in zip(marks, _bodies(marks, text), strict=True)]


def _dated(text: str) -> list[tuple[int, str]]:
    """The same of subtitles that have lost their times, by the date in each; none without one."""
    marks = list(DATED.finditer(text))
    rows = zip(map(_date_ns, marks), _bodies(marks, text), strict=True)
    told = [(t_ns, body) for t_ns, body in rows if t_ns is not None]
    return [(t_ns - told[0][0], body) for t_ns, body in told]


def _bodies(marks: Sequence[re.Match[str]], text: str) -> list[str]:
    ends = [*(mark.start() for mark in marks[1:]), len(text)][: len(marks)]
    return [text[mark.end() : end] for mark, end in zip(marks, ends, strict=True)]


def _date_ns(mark: re.Match[str]) -> int | None:
    """Nanoseconds since any fixed moment; None of a date that is none."""
    year, month, day, time, fraction = mark.groups()
    try:
        moment = datetime.fromisoformat(f"{year}-{month}-{day}T{time}+00:00")
    except ValueError:
        return None
    return round(moment.timestamp()) * 10**9 + int(fraction.ljust(3, "0")) * 10**6


def _time_ns(mark: re.Match[str]) -> int:
    hours, minutes, seconds, fraction = mark.groups()
    millis = int(fraction.ljust(3, "0"))
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 10**9 + millis * 10**6


def _cue(t_ns: int, body: str) -> _Cue:
    body = _MARKUP.sub(" ", body)
    cue = _Cue(t_ns)
    keyed = {key.lower(): number for key, number in _KEYED.findall(body)}
    _take_keyed(keyed, cue)
    place = _PLACE.search(body)
    if place is not None and math.isnan(cue.lat_deg):
        _take_listed_place(place, cue)
    for name, number in _LISTED.findall(body):
        if name == "H":
            cue.height_m, cue.sources["height"] = float(number), "H, above where it took off"
    barometer = _BAROMETER.search(body)
    if barometer is not None:
        cue.height_m = float(barometer[1])
        cue.sources["height"] = "BAROMETER, above where it took off"
    for whose, pitch, roll, yaw in _ANGLES.findall(body):
        angles = float(roll), float(pitch), float(yaw)
        if whose == "F":
            cue.attitude = angles
        else:
            cue.gimbal, cue.sources["gimbal"] = angles, "G.PRY, of the camera"
    return cue


def _take_keyed(keyed: dict[str, str], cue: _Cue) -> None:
    lat = next((keyed[key] for key in _LATITUDES if key in keyed), None)
    lon = next((keyed[key] for key in _LONGITUDES if key in keyed), None)
    if lat is not None and lon is not None:
        cue.lat_deg, cue.lon_deg = float(lat), float(lon)
        cue.decimals = _decimals(lat, lon)
        cue.sources["place"] = "latitude and longitude, by name"
    if "rel_alt" in keyed:
        cue.height_m, cue.sources["height"] = float(keyed["rel_alt"]), "rel_alt, above take-off"
    for name in ("abs_alt", "altitude"):
        if name in keyed:
            cue.sources["unsaid"] = name
    if {"gb_yaw", "gb_pitch", "gb_roll"} <= keyed.keys():
        cue.gimbal = float(keyed["gb_roll"]), float(keyed["gb_pitch"]), float(keyed["gb_yaw"])
        cue.sources["gimbal"] = "gb_roll, gb_pitch, gb_yaw"


def _take_listed_place(place: re.Match[str], cue: _Cue) -> None:
    """`GPS(lon, lat, satellites)`, or `GPS(lat, lon, altitude M)` of the Matrice."""
    first, second, third, unit = place.groups()
    latitude_first = bool(unit) or abs(float(second)) > 90.0
    lat, lon = (first, second) if latitude_first else (second, first)
    cue.lat_deg, cue.lon_deg, cue.decimals = float(lat), float(lon), _decimals(lat, lon)
    order = "latitude first" if latitude_first else "longitude first"
    cue.sources["place"] = f"GPS(...), {order}"
    if third is not None and not unit:
        cue.satellites = float(third)


def _decimals(*numbers: str) -> int:
    return max(len(number.partition(".")[2]) for number in numbers)


def _tell_missing(cues: Sequence[_Cue], text: str, findings: list[str]) -> None:
    without = sum(math.isnan(cue.lat_deg) for cue in cues)
    if without:
        findings.append(f"{without} of {len(cues)} subtitles without a position")
    if math.isnan(cues[-1].lat_deg) and without == 1:
        findings.append("ends in the middle of a subtitle: cut off; what is there is used")
    unsaid = {cue.sources["unsaid"] for cue in cues if "unsaid" in cue.sources}
    findings.extend(f"{name}: its datum is not said; not used" for name in sorted(unsaid))


def _take_place(cues: Sequence[_Cue], found: Channels) -> None:
    """The drone's own position, which is by GNSS and fed by nobody else."""
    placed = [cue for cue in cues if not math.isnan(cue.lat_deg)]
    if not placed:
        return
    step_deg = 10.0 ** -max(cue.decimals for cue in placed)
    accuracy_m = math.hypot(POSITION_ACCURACY_M, step_deg * M_PER_DEG / math.sqrt(12.0))
    if step_deg > _LOW_RES_DEG:
        found.findings.append(
            f"positions in steps of {step_deg:g} degrees, {step_deg * M_PER_DEG:.0f} m: truth is no"
            " better than that"
        )
    source = next(cue.sources["place"] for cue in placed)
    times_ns = np.array([cue.t_ns for cue in placed], np.int64)
    lat_deg = np.array([cue.lat_deg for cue in placed])
    lon_deg = np.array([cue.lon_deg for cue in placed])
    nothing = np.full(len(placed), np.nan)
    found.receivers = [
        Solutions(
            f"DJI, {source}",
            times_ns,
            np.full(len(placed), float(FIX_3D)),
            lat_deg,
            lon_deg,
            nothing,
            np.array([cue.satellites for cue in placed]),
            nothing,
            np.full(len(placed), accuracy_m),
        )
    ]


def _angles(
    cues: Sequence[_Cue],
    times_ns: Times,
    cell: Callable[[_Cue], tuple[float, float, float] | None],
    source: str,
    found: Channels,
) -> Series | None:
    nothing = (math.nan, math.nan, math.nan)
    values = np.array([cell(cue) or nothing for cue in cues])
    return series(times_ns, list(values.T), source, found.findings, MAX_GAP_NS)
