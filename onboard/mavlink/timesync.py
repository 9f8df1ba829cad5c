"""The autopilot's clock in terms of ours, from TIMESYNC (#111), and nothing of the wall clock.

A question carries our time, its answer the autopilot's, and lies somewhere in between: the shorter
the round trip, the better the answer. Of every second the fastest answer is kept; a line through
those of the last minute gives the offset and how much faster the other clock runs.

No clock in here: all times are nanoseconds, ours monotonic, the autopilot's since its boot.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

NS_PER_S = 1_000_000_000
OPEN_QUESTIONS = 16
BUCKET_NS, BUCKETS = NS_PER_S, 60
MIN_BUCKETS, MIN_SPAN_NS = 3, 10 * NS_PER_S
"""Fewer seconds than these say nothing about the rate of a clock."""
MAX_SKEW = 200e-6
"""Crystals differ by less."""
CONVERGED_ANSWERS = 5
MAX_ROUND_TRIP_NS = NS_PER_S
LATE_NS = 10 * NS_PER_S
"""No message is longer on its way: a clock that is back by more has begun anew."""
REBOOT_NS, REBOOT_SIGNS = NS_PER_S, 3
"""So has a young one that is back by this and more than half of its age, so often in a row."""


@dataclass(frozen=True)
class Answer:
    """`local_ns` is the middle of a round trip, `offset_ns` what the autopilot's clock is ahead."""

    local_ns: int
    offset_ns: int
    round_trip_ns: int


class Timesync:
    """For several threads: one asks and takes answers, others convert."""

    _latest_ns: int
    _behind: int

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.boots = 0
        """How often the autopilot's clock began anew."""
        self._forget()

    @property
    def is_converged(self) -> bool:
        """Whether the autopilot's times are worth more than the time of arrival."""
        return self._answers >= CONVERGED_ANSWERS

    @property
    def error_ns(self) -> int | None:
        """How wrong the offset can be: half of the fastest round trip."""
        with self._lock:
            return min((best.round_trip_ns for best in self._best), default=0) // 2 or None

    @property
    def skew(self) -> float:
        """What the autopilot's clock gains, as a share."""
        return self._skew

    def ask(self, now_ns: int) -> int:
        """`ts1` of a question sent now."""
        with self._lock:
            self._asked.append(now_ns)
        return now_ns

    def take(self, tc1: int, ts1: int, now_ns: int) -> bool:
        """An answer that arrived now; whether it was one to a question of ours, in time."""
        with self._lock:
            round_trip_ns = now_ns - ts1
            if ts1 not in self._asked or not 0 <= round_trip_ns <= MAX_ROUND_TRIP_NS or tc1 <= 0:
                return False
            self._asked.remove(ts1)
            if tc1 < self._latest_ns - REBOOT_NS:  # no late message: the question was ours and new
                self._begin_anew()
            middle_ns = ts1 + round_trip_ns // 2
            self._latest_ns = max(self._latest_ns, tc1)
            self._keep(Answer(middle_ns, tc1 - middle_ns, round_trip_ns))
        return True

    def note_boot_time(self, remote_ns: int) -> bool:
        """A time that the autopilot gave; whether it shows that the autopilot began anew."""
        with self._lock:
            return self._note_time(remote_ns)

    def to_local_ns(self, remote_ns: int, arrival_ns: int) -> int | None:
        """When on our clock the autopilot's was `remote_ns`, at the latest on arrival.

        The arrival where nothing better is known; None for what was over a second on its way.
        """
        with self._lock:
            if not self.is_converged:
                return arrival_ns
            offset_ns = self._offset_ns + self._skew * (arrival_ns - self._middle_ns)
        local_ns = min(remote_ns - round(offset_ns), arrival_ns)
        return local_ns if local_ns >= arrival_ns - MAX_ROUND_TRIP_NS else None

    def _note_time(self, remote_ns: int) -> bool:
        behind_ns = self._latest_ns - remote_ns
        is_behind = behind_ns > LATE_NS or behind_ns > max(REBOOT_NS, self._latest_ns // 2)
        self._behind = self._behind + 1 if is_behind else 0
        is_reboot = self._behind >= REBOOT_SIGNS
        if is_reboot:
            self._begin_anew()
        self._latest_ns = max(self._latest_ns, remote_ns)
        return is_reboot

    def _begin_anew(self) -> None:
        self.boots += 1
        self._forget()

    def _forget(self) -> None:
        self._asked: deque[int] = deque(maxlen=OPEN_QUESTIONS)
        self._best: deque[Answer] = deque(maxlen=BUCKETS)
        self._answers = 0
        self._latest_ns = 0
        self._behind = 0
        self._offset_ns, self._skew, self._middle_ns = 0.0, 0.0, 0

    def _keep(self, answer: Answer) -> None:
        self._answers += 1
        last = self._best[-1] if self._best else None
        if last is None or answer.local_ns // BUCKET_NS != last.local_ns // BUCKET_NS:
            self._best.append(answer)
        elif answer.round_trip_ns <= last.round_trip_ns:
            self._best[-1] = answer
        self._fit()

    def _fit(self) -> None:
        """A line where there is enough for one, through the faster half of what is kept."""
        fast = sorted(self._best, key=lambda each: each.round_trip_ns)
        fast = fast[: max(MIN_BUCKETS, (len(fast) + 1) // 2)]
        times_ns = [each.local_ns for each in fast]
        self._middle_ns = sum(times_ns) // len(fast)
        if len(fast) < MIN_BUCKETS or max(times_ns) - min(times_ns) < MIN_SPAN_NS:
            self._middle_ns, self._offset_ns, self._skew = fast[0].local_ns, fast[0].offset_ns, 0.0
            return
        mean = sum(each.offset_ns for each in fast) / len(fast)
        away = [each.local_ns - self._middle_ns for each in fast]
        spread = sum(float(t) * t for t in away)
        slope = sum(t * (e.offset_ns - mean) for t, e in zip(away, fast, strict=True)) / spread
        self._skew = max(-MAX_SKEW, min(MAX_SKEW, slope))
        self._offset_ns = mean
