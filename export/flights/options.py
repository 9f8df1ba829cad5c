"""Options of `geobridge fly` and the records that they make."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.errors import DataError
from geobridge.onboard.simulation.flying.exposures import Shutter
from geobridge.onboard.simulation.flying.gnss import GnssErrors
from geobridge.onboard.simulation.flying.sensors import SensorErrors
from geobridge.onboard.simulation.render import day as days
from geobridge.onboard.simulation.render.day import Day

DAYS: Mapping[str, Day] = {
    "summer_noon": days.SUMMER_NOON,
    "spring_afternoon": days.SPRING_AFTERNOON,
    "autumn_overcast": days.AUTUMN_OVERCAST,
    "winter_morning": days.WINTER_MORNING,
    "broken_clouds": days.BROKEN_CLOUDS,
    "haze": days.HAZE,
    "rain": days.RAIN,
    "night": days.NIGHT,
}
SIDE_PX = (16, 4096)
HFOV_DEG = (2.0, 169.0)
MAX_RATE_HZ = 120.0
RANGES: Mapping[str, tuple[float, float]] = {
    "--speed-m-s": (0.5, 60.0),
    "--height-agl-m": (2.0, 5000.0),
    "--wind-m-s": (0.0, 25.0),
    "--gust-m-s": (0.0, 10.0),
    "--vibration-deg": (0.0, 5.0),
    "--exposure-ms": (0.0, 1000.0),
    "--clock-offset-s": (-10.0, 10.0),
}
SENSOR_RANGES: Mapping[str, tuple[float, float]] = {
    "satellites": (0.0, 40.0),
    "_scale": (0.0, 1.0),
    "_deg": (0.0, 45.0),
    "_hz": (0.1, 50.0),
    "_m_s2": (0.0, 20.0),
    "_m_s": (0.0, 50.0),
    "_forgets_s": (0.1, 100_000.0),
    "_m": (0.0, 1000.0),
}
"""By the unit in which a name ends; the first that fits."""
GNSS = "gnss_"
"""Begins the name of an error of the receiver."""


def day_of(name: str) -> Day:
    """A day by its name.

    Raises:
        DataError: there is none of that name.
    """
    if name not in DAYS:
        raise DataError(f"--day {name!r}: expected one of {', '.join(DAYS)}")
    return DAYS[name]


def camera_of(size_px: str, hfov_deg: float, pitch_deg: float) -> Camera:
    """A camera without distortion, of `WIDTHxHEIGHT` pixels, fixed to the vehicle.

    Raises:
        DataError: no such camera can be.
    """
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", size_px)
    low_px, high_px = SIDE_PX
    sides = [int(side) for side in found.groups()] if found else []
    if not sides or not all(low_px <= side <= high_px for side in sides):
        raise DataError(
            f"--camera-px {size_px!r}: expected WIDTHxHEIGHT, each {low_px} to {high_px}"
        )
    if any(side % 2 for side in sides):
        raise DataError(f"--camera-px {size_px!r}: expected even sides, as videos have them")
    if not HFOV_DEG[0] <= hfov_deg <= HFOV_DEG[1]:
        raise DataError(f"--hfov-deg {hfov_deg:g}: expected {HFOV_DEG[0]:g} to {HFOV_DEG[1]:g}")
    if not -90.0 <= pitch_deg <= 90.0:
        raise DataError(f"--pitch-deg {pitch_deg:g}: expected -90 (down) to 90")
    return Camera.from_hfov(sides[0], sides[1], hfov_deg, Mount(pitch_deg=pitch_deg))


def shutter_of(
    rate_hz: float,
    clock_offset_s: float,
    dropped_share: float,
    late_share: float,
    is_live: bool,
    has_names: bool,
) -> Shutter:
    """A camera's timing; pictures that have names, in a folder, can tell that others are missing.

    Raises:
        DataError: out of range, or what this kind of flight cannot show.
    """
    if not 0.0 < rate_hz <= MAX_RATE_HZ:
        raise DataError(f"--rate-hz {rate_hz:g}: expected more than 0, at most {MAX_RATE_HZ:g}")
    if dropped_share and not (is_live or has_names):
        raise DataError(
            f"--dropped-share {dropped_share:g}: a video cannot tell; expected with --frames or"
            " --live"
        )
    if late_share and not is_live:
        raise DataError(f"--late-share {late_share:g}: files are never late; expected with --live")
    ahead_s = within("--clock-offset-s", clock_offset_s)
    shares = {"dropped_share": dropped_share, "late_share": late_share}
    return Shutter(rate_hz, clock_offset_s=ahead_s, **shares)


def within(option: str, value: float) -> float:
    """The value of an option, within `RANGES`.

    Raises:
        DataError: names the option and its range.
    """
    low, high = RANGES[option]
    if not low <= value <= high:
        raise DataError(f"{option} {value:g}: expected {low:g} to {high:g}")
    return value


def errors_of(texts: Iterable[str]) -> tuple[SensorErrors, GnssErrors]:
    """Errors of the sensors, and of the GNSS receiver, from `name=value` and `gnss_name=value`.

    Raises:
        DataError: no sensor error of that name, or a value that is none or out of range.
    """
    values = numbers(texts, "--sensor")
    ours = [field.name for field in fields(SensorErrors)]
    receivers = [GNSS + field.name for field in fields(GnssErrors)]
    for name, value in values.items():
        if name not in (*ours, *receivers):
            raise DataError(f"--sensor {name}: expected one of {', '.join(ours + receivers)}")
        low, high = next(SENSOR_RANGES[end] for end in SENSOR_RANGES if name.endswith(end))
        if not low <= value <= high:
            raise DataError(f"--sensor {name}={value:g}: expected {low:g} to {high:g}")
    sensors = {name: value for name, value in values.items() if name in ours}
    gnss = {name.removeprefix(GNSS): values[name] for name in values if name in receivers}
    if "satellites" in gnss:
        gnss["satellites"] = round(gnss["satellites"])
    return SensorErrors(**sensors), GnssErrors(**gnss)  # type: ignore[arg-type]


def numbers(texts: Iterable[str], option: str) -> dict[str, float]:
    """`name=number`, the last one of a name.

    Raises:
        DataError: names the option and the text that is something else.
    """
    found = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (name and math.isfinite(value)):
            raise DataError(f"{option} {text!r}: expected name=number")
        found[name.strip()] = value
    return found
