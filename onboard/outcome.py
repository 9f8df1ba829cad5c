"""What became of a frame of a recorded flight, beside what is known of the truth."""

from __future__ import annotations

from dataclasses import dataclass

from .geodesy import distance_m
from .records import Fix, Rejection


@dataclass(frozen=True)
class Outcome:
    """`truth` is WGS84 latitude and longitude in degrees at the exposure, None if not known."""

    name: str
    result: Fix | Rejection
    truth: tuple[float, float] | None

    @property
    def error_m(self) -> float | None:
        """Horizontal distance of a fix from the truth; None without one of them."""
        if not isinstance(self.result, Fix) or self.truth is None:
            return None
        return distance_m(self.result.lat_deg, self.result.lon_deg, *self.truth)
