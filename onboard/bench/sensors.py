"""Temperatures, clocks and power, where Linux shows them: all of sysfs that tells of a computer.

Everything is read below `root`, so that a copied tree can be read as well. What a computer does not
have is absent from the result; what cannot be read just then (a sleeping sensor) too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WHOLE_RAILS = ("VDD_IN", "VIN", "POM_5V_IN")
"""What a Jetson's board takes in, by its generation; AGX boards are the sum of their rails."""


@dataclass(frozen=True)
class Reading:
    """One look: degrees, MHz of the fastest core, MHz of the GPU, watts by rail.

    `throttled`: how often the processor slowed itself down since it was started, and by how many
    steps cooling devices are engaged now.
    """

    temperature_c: float | None = None
    cpu_mhz: float | None = None
    gpu_mhz: float | None = None
    power_w: dict[str, float] = field(default_factory=dict)
    throttled: int = 0

    @property
    def whole_w(self) -> float | None:
        """Of the whole board, where a rail says so."""
        for rail in WHOLE_RAILS:
            if rail in self.power_w:
                return self.power_w[rail]
        return sum(self.power_w.values()) if self.power_w else None


def look(root: Path = Path("/")) -> Reading:
    """Read everything once."""
    return Reading(
        temperature_c=_highest(_temperatures(root)),
        cpu_mhz=_highest(
            _clocks(root, "sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq", 1e3)
        ),
        gpu_mhz=_highest(_clocks(root, "sys/class/devfreq/*.g*/cur_freq", 1e6)),
        power_w=dict(_rails(root)),
        throttled=sum(_throttled(root)),
    )


def _temperatures(root: Path) -> Iterator[float]:
    for path in root.glob("sys/class/thermal/thermal_zone*/temp"):
        value = _number(path)
        if value is not None and value > 0:  # zones without a sensor read 0 or -256
            yield value / 1e3


def _clocks(root: Path, pattern: str, per_mhz: float) -> Iterator[float]:
    for path in root.glob(pattern):
        value = _number(path)
        if value is not None:
            yield value / per_mhz


def _rails(root: Path) -> Iterator[tuple[str, float]]:
    """INA3221 monitors of a Jetson: millivolts and milliamperes by labelled channel."""
    for monitor in sorted(root.glob("sys/class/hwmon/hwmon*")):
        if _text(monitor / "name") != "ina3221":
            continue
        for label in sorted(monitor.glob("in*_label")):
            channel = label.name.removeprefix("in").removesuffix("_label")
            millivolts = _number(monitor / f"in{channel}_input")
            milliamperes = _number(monitor / f"curr{channel}_input")
            name = _text(label)
            if name and millivolts is not None and milliamperes is not None:
                yield name, millivolts * milliamperes / 1e6


def _throttled(root: Path) -> Iterator[int]:
    for pattern in (
        "sys/devices/system/cpu/cpu*/thermal_throttle/*_throttle_count",
        "sys/class/thermal/cooling_device*/cur_state",
    ):
        for path in root.glob(pattern):
            kind = _text(path.with_name("type"))
            value = _number(path)
            if value and "fan" not in kind.lower() and "idle" not in kind.lower():
                yield int(value)


def _highest(values: Iterator[float]) -> float | None:
    return max(values, default=None)


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):  # a sleeping sensor answers EAGAIN
        return ""
