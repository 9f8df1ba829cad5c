"""The daemon as the status page, the monitors and /healthz see it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from ..daemon.daemon import Daemon
from ..daemon.states import State
from ..records import Fix, Rejection
from .ground import Ground, frame_jpeg
from .metrics import Metric, counter, exposition, gauge, labelled

NS_PER_S = 1_000_000_000
GAP_NS = 6 * NS_PER_S
"""From which on two fixes are not joined by a line."""


class Newest:
    """The newest picture of something, made once however many look at it."""

    def __init__(self) -> None:
        self._of: object = None
        self._data = b""
        self._lock = threading.Lock()

    def of(self, thing: object, make: Callable[[], bytes]) -> bytes:
        """Of `thing`, by identity."""
        with self._lock:
            if thing is not self._of:
                self._of, self._data = thing, make()
            return self._data


class View:
    """Reads a running daemon and changes nothing; `ground` comes when the bundle is open.

    `top_deg` is what the top of a frame is turned from where the vehicle heads.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.ground: Ground | None = None
        self.top_deg = 0.0
        self._daemon = daemon
        self._newest_frame, self._newest_reference = Newest(), Newest()

    def is_well(self) -> tuple[bool, str]:
        """Whether the daemon does what it should: not whether there is a position."""
        state, reason = self._daemon.state()
        stuck = self._daemon.progress.stuck(time.monotonic_ns())
        if stuck is not None:
            return False, f"the loop {stuck} does not come round"
        return state is not State.FAULT, f"{state} {reason}".strip()

    def snapshot(self) -> dict[str, Any]:
        """All that the page shows, as JSON."""
        now_ns, board, radio = time.monotonic_ns(), self._daemon.board, self._daemon.radio
        state, reason = self._daemon.state()
        moved = radio.publisher.moved
        outcome = board.last_outcome
        autopilot, clock, output = (
            radio.conversation.autopilot,
            radio.conversation.clock,
            radio.publisher.output,
        )
        return {
            "state": str(state),
            "reason": reason,
            "accuracy_m": _rounded(moved.radial_m) if moved else None,
            "fix_age_s": _rounded(moved.age_s) if moved else None,
            "lat_deg": moved.lat_deg if moved else None,
            "lon_deg": moved.lon_deg if moved else None,
            "frame_age_s": _rounded(_since_s(board.frame_ns, now_ns)),
            "frame_rate_hz": _rounded(board.frames.rate_hz(now_ns)),
            "position_rate_hz": _rounded(board.positions.rate_hz(now_ns)) if moved else 0.0,
            "handling_ms": _rounded(board.handling_ms),
            "missed": _rounded(board.missed_share, 3),
            "outcome": _told(outcome),
            "counts": dict(board.counted().most_common()),
            "temperature_c": _rounded(board.hottest_c),
            "autopilot": autopilot.kind.name if autopilot.kind else None,
            "is_heard": autopilot.is_heard(now_ns),
            "is_armed": autopilot.is_armed,
            "output": output.name if output else None,
            "differences": list(board.differences),
            "clock_error_ms": _rounded((clock.error_ns or 0) / 1e6) if clock.is_converged else None,
            "lost_entries": radio.record.lost if radio.record else None,
            "map": self._map(moved),
        }

    def frame(self) -> bytes | None:
        """The last frame that was looked at, as JPEG."""
        frame = self._daemon.board.last_frame
        return self._newest_frame.of(frame, lambda: frame_jpeg(frame)) if frame else None

    def reference(self) -> bytes | None:
        """The ground around the last fix as the map has it, turned as the frame, as JPEG."""
        board, ground = self._daemon.board, self.ground
        fix, top_deg = board.last_fix, (board.heading_deg or 0.0) + self.top_deg
        if fix is None or ground is None:
            return None
        return self._newest_reference.of(fix, lambda: ground.reference(fix, top_deg))

    def overview(self) -> bytes | None:
        """The reference coverage, as JPEG."""
        return self.ground.overview if self.ground else None

    def metrics(self) -> str:
        """For Prometheus."""
        seen, link = self.snapshot(), self._daemon.radio.link
        traffic = link.traffic
        frames = {name: float(count) for name, count in seen["counts"].items()}
        messages = {
            "heard": float(traffic.heard),
            "foreign": float(traffic.foreign),
            "damaged": float(traffic.damaged),
            "sent": float(traffic.sent),
            "dropped": float(traffic.dropped),
            "refused": float(link.refused),
        }
        states = {str(each): float(str(each) == seen["state"]) for each in State}
        found = [
            Metric("state", "gauge", "1 for the state it is in.", labelled("state", states)),
            gauge("accuracy_metres", "1-sigma radial, of the position given.", seen["accuracy_m"]),
            gauge("fix_age_seconds", "Since the exposure of the last fix.", seen["fix_age_s"]),
            gauge("frame_age_seconds", "Since the newest frame.", seen["frame_age_s"]),
            gauge("frame_rate_hertz", "Frames looked at.", seen["frame_rate_hz"]),
            gauge("position_rate_hertz", "Positions given.", seen["position_rate_hz"]),
            gauge("handling_seconds", "What a frame takes.", seen["handling_ms"] / 1e3),
            gauge("missed_ratio", "Frames for which there was no time.", seen["missed"]),
            gauge("temperature_celsius", "Of the hottest zone.", seen["temperature_c"]),
            gauge("parameter_differences", "Of the autopilot.", len(seen["differences"])),
            counter("frames", "By what became of them.", labelled("outcome", frames)),
            counter("messages", "Over the link.", labelled("what", messages)),
            counter("reconnects", "Of the link.", {"": float(traffic.reconnects)}),
        ]
        return exposition(found)

    def _map(self, moved: Any) -> dict[str, Any] | None:
        if self.ground is None:
            return None
        ground = self.ground
        here = ground.place(moved.lat_deg, moved.lon_deg) if moved else None
        west_m, south_m, east_m, north_m = ground.bounds_m
        return {
            "track": _lines(ground, self._daemon.board.track()),
            "here": here,
            "radius": moved.radial_m / ground.extent.side_m if moved else None,
            "side_m": ground.extent.side_m,
            "reference_m": ground.footprint_m,
            "coverage": [
                *ground.extent.pixel(west_m, north_m),
                *ground.extent.pixel(east_m, south_m),
            ],
        }


def _lines(ground: Ground, track: list[Fix]) -> list[list[list[float | None]]]:
    """Places on the overview; where there was silence a new line begins."""
    lines: list[list[list[float | None]]] = []
    last_ns = -GAP_NS
    for fix in track:
        if fix.t_capture_ns - last_ns >= GAP_NS:
            lines.append([])
        right, down = ground.place(fix.lat_deg, fix.lon_deg)
        lines[-1].append([_rounded(right, 5), _rounded(down, 5)])
        last_ns = fix.t_capture_ns
    return lines


def _told(outcome: Fix | Rejection | None) -> str | None:
    if isinstance(outcome, Rejection):
        return f"{outcome.reason}: {outcome.detail}" if outcome.detail else str(outcome.reason)
    return None if outcome is None else f"fix, score {outcome.score:.2f}"


def _since_s(t_ns: int | None, now_ns: int) -> float | None:
    return None if t_ns is None else (now_ns - t_ns) / NS_PER_S


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)
