"""How long a track has lived on doubtful evidence alone."""

from __future__ import annotations

from dataclasses import dataclass

_NS = 1e-9


@dataclass
class Breaker:
    """A run of doubt begins with its first doubtful picture and ends with the next certain one.

    Silence does not end it: nothing has put anything right meanwhile.
    """

    _since_ns: int | None = None

    def after(self, t_ns: int, doubtful: bool) -> float:
        """Seconds of doubt up to a picture, which is doubtful itself or ends them."""
        if not doubtful:
            self._since_ns = None
            return 0.0
        if self._since_ns is None:
            self._since_ns = t_ns
        return (t_ns - self._since_ns) * _NS
