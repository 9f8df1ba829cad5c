"""When a frame was taken, from what its source says and from when it came.

All times are monotonic nanoseconds. A source knows the exposure as a kernel's time stamp, as a time
of its own stream, or not at all; what lies between that and mid-exposure is one constant of camera
and driver, to be calibrated, and is added to every time.
"""

from __future__ import annotations

from collections import deque

NS_PER_S = 1_000_000_000
OLDEST_NS = NS_PER_S
"""A kernel's time stamp older than this when its picture comes is of another clock, unless younger
ones have shown that it is ours."""
WINDOW_NS = 60 * NS_PER_S
"""Over which a stream's fastest way is remembered: clocks drift by 3 ms in this time, and pictures
that a network held back for seconds have come by then."""
BACK_NS = NS_PER_S // 10
"""A stream whose times go back by more has begun anew; decoders may exchange two pictures."""


class KernelClock:
    """Time stamps of a driver, where they can be of the monotonic clock, else the arrivals.

    Where one was, an old one is of a picture that waited, and is believed.
    """

    def __init__(self, offset_ns: int = 0) -> None:
        self._offset_ns = offset_ns
        self._is_ours = False

    def at(self, stamp_ns: int, arrival_ns: int) -> int:
        """Mid-exposure of a picture that came at `arrival_ns`."""
        age_ns = arrival_ns - stamp_ns
        self._is_ours = self._is_ours or 0 <= age_ns <= OLDEST_NS
        return (stamp_ns if self._is_ours and age_ns >= 0 else arrival_ns) + self._offset_ns


class StreamClock:
    """Times of a stream, such as presentation times, brought to the monotonic clock.

    The network delays some pictures more than others, and never makes one come early: the shortest
    way of the last minute is the steady part of all of them, and the rest is jitter, or a stall.
    """

    def __init__(self, offset_ns: int = 0) -> None:
        self._offset_ns = offset_ns
        self._ways: deque[tuple[int, int]] = deque()  # arrival and way, ways increasing
        self._last_ns: int | None = None

    def at(self, stream_ns: int, arrival_ns: int) -> int:
        """Mid-exposure of a picture of this stream time that came at `arrival_ns`."""
        way_ns = arrival_ns - stream_ns
        if self._last_ns is not None and stream_ns < self._last_ns - BACK_NS:
            self._ways.clear()
        self._last_ns = stream_ns
        while self._ways and self._ways[-1][1] >= way_ns:
            self._ways.pop()
        self._ways.append((arrival_ns, way_ns))
        while arrival_ns - self._ways[0][0] > WINDOW_NS:
            self._ways.popleft()
        return stream_ns + self._ways[0][1] + self._offset_ns
