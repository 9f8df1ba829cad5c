"""Was the computer quiet while something was timed? A figure is worth as much as the answer."""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .sensors import Reading

MAX_OTHERS = 0.1
"""Cores that others may use while a computer still counts as quiet."""
MAX_DRIFT = 1.1
"""Median of the last quarter to that of the first, from which on a computer counts as throttled."""
THERMAL_BITS = 0x08 | 0x20 | 0x40 | 0x80
"""Of nvidia-smi's clocks_event_reasons: slowdown, software and hardware thermal, power brake."""


@dataclass(frozen=True)
class Usage:
    """Seconds since some beginning: of the clock, of all cores at work, and of this process."""

    clock_s: float
    busy_s: float
    own_s: float


def usage(root: Path = Path("/")) -> Usage:
    """Now."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(time.monotonic(), busy_seconds(root), own.ru_utime + own.ru_stime)


def busy_seconds(root: Path = Path("/")) -> float:
    """Of all cores since the start, from /proc/stat: all but idle and waiting."""
    try:
        first = (root / "proc/stat").read_text().partition("\n")[0].split()
        ticks = [int(number) for number in first[1:9]]
    except (OSError, ValueError):
        return 0.0
    user, nice, system, _, _, irq, softirq, steal = [*ticks, *[0] * (8 - len(ticks))]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def others(before: Usage, after: Usage) -> float:
    """Cores that other processes used on average in between."""
    elapsed = after.clock_s - before.clock_s
    if elapsed <= 0:
        return 0.0
    foreign = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return max(0.0, foreign / elapsed)


def remarks(
    times_ms: Sequence[float], foreign: float, before: Reading, after: Reading, gpu_reasons: int = 0
) -> list[str]:
    """What speaks against the figures; empty on a quiet and cool computer.

    Args:
        times_ms: in order.
        foreign: cores that others used.
        before, after: readings around the timing.
        gpu_reasons: of nvidia-smi, why clocks are not at their highest.
    """
    found = []
    if foreign > MAX_OTHERS:
        found.append(f"loaded: others used {foreign:.1f} cores")
    if after.throttled > before.throttled:
        found.append("throttled: the processor slowed itself down")
    if gpu_reasons & THERMAL_BITS:
        found.append("throttled: the GPU is too hot or short of power")
    quarter = len(times_ms) // 4
    if quarter >= 5:
        first = statistics.median(times_ms[:quarter])
        last = statistics.median(times_ms[-quarter:])
        if last > MAX_DRIFT * first:
            found.append(f"slowed down by {last / first - 1.0:.0%} while measured")
    return found


def gpu_reasons() -> int:
    """Why the clocks of an NVIDIA GPU are not at their highest; 0 where nobody can say."""
    if shutil.which("nvidia-smi") is None:
        return 0
    query = ["nvidia-smi", "--query-gpu=clocks_throttle_reasons.active", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        return int(answer.stdout.split()[0], 16)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0


def memory_mb(root: Path = Path("/")) -> tuple[float, float]:
    """Resident memory of this process now and at its highest, in MB."""
    found = {"VmRSS": 0.0, "VmHWM": 0.0}
    for line in (root / "proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) * 1024 / 1e6
    return found["VmRSS"], found["VmHWM"]
