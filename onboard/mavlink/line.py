"""What fits on a slow line now, so that a position never waits behind chatter."""

from __future__ import annotations

BITS_PER_BYTE = 10
"""Of a serial line with one start and one stop bit."""
PROMPT_NS = 80_000_000
"""What a position may at most find queued before it; older news is left out."""
NS_PER_S = 1_000_000_000


class Line:
    """The time at which a line will have sent all that was written to it; 0 baud is never busy.

    The kernel would take four kilobytes at once, which are 0.7 s at 57,600 baud.
    """

    def __init__(self, baud: int) -> None:
        self._ns_per_byte = BITS_PER_BYTE * NS_PER_S / baud if baud else 0.0
        self._free_ns = 0.0

    def has_room(self, now_ns: int, *, is_prompt: bool) -> bool:
        """Whether a message may be written now; chatter waits until the line is silent."""
        return self._free_ns - now_ns <= (PROMPT_NS if is_prompt else 0)

    def take(self, size: int, now_ns: int) -> None:
        """So many bytes were written."""
        self._free_ns = max(self._free_ns, float(now_ns)) + size * self._ns_per_byte
