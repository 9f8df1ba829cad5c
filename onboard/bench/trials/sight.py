"""Pictures that carry the truth instead of showing it, and a localizer that reads them.

What is tried here is all that lies around the localizer; it has the error and the habits of the
real one, and none of its cost.
"""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np

from ...geodesy import LocalFrame
from ...records import Fix, Frame, Image, Reason, Rejection, Telemetry
from ...simulation.state import State

NS_PER_S = 1_000_000_000
HEIGHT_PX, WIDTH_PX = 12, 16
NOISE_M, STATED_M = 1.5, 2.0
"""1-sigma per axis, true and stated."""
CONFIRMATIONS, COAST_NS = 5, 5 * NS_PER_S
MAX_SIGMAS, VELOCITY_ACCURACY_M_S = 4.0, 1.5
_LAYOUT = struct.Struct("<ddI")


def picture(state: State, offset_m: tuple[float, float] = (0.0, 0.0)) -> Image:
    """[12, 16, 3] of a place, `offset_m` east and north of the true one."""
    place = struct.pack("<dd", state.east_m + offset_m[0], state.north_m + offset_m[1])
    data = place + struct.pack("<I", zlib.crc32(place))
    pixels = np.zeros(HEIGHT_PX * WIDTH_PX * 3, np.uint8)
    pixels[: len(data)] = np.frombuffer(data, np.uint8)
    return pixels.reshape(HEIGHT_PX, WIDTH_PX, 3)


def darkness() -> Image:
    """A picture that shows nothing."""
    return np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)


def shown(image: Image) -> tuple[float, float] | None:
    """East and north of the place in a picture."""
    east_m, north_m, check = _LAYOUT.unpack(image.tobytes()[: _LAYOUT.size])
    is_whole = zlib.crc32(struct.pack("<dd", east_m, north_m)) == check
    return (east_m, north_m) if is_whole and east_m != 0.0 else None


class Reader:
    """Earns a track by agreement, predicts by velocity, and refuses what contradicts it."""

    def __init__(self, local: LocalFrame, seed: int = 0) -> None:
        self._local, self._rng = local, np.random.default_rng(seed)
        self._last_image: bytes | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the track."""
        self._agreed, self._last_ns = 0, 0
        self._place_m = (0.0, 0.0)

    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        """The place in the picture, with an error; None of the clocks is looked at."""
        t_ns, seen = frame.t_capture_ns, shown(frame.image)
        image = frame.image.tobytes()
        is_frozen, self._last_image = image == self._last_image, image
        if seen is None:
            return Rejection(t_ns, Reason.BAD_IMAGE, "dark")
        if is_frozen:
            return Rejection(t_ns, Reason.FROZEN, "the same picture as before")
        if telemetry.attitude is None or abs(telemetry.t_ns - t_ns) > NS_PER_S // 2:
            return Rejection(t_ns, Reason.STALE_TELEMETRY, "no attitude of that moment")
        noise = self._rng.normal(0.0, NOISE_M, 2)
        measured = seen[0] + float(noise[0]), seen[1] + float(noise[1])
        return self._decide(t_ns, measured, telemetry)

    def _decide(
        self, t_ns: int, measured: tuple[float, float], telemetry: Telemetry
    ) -> Fix | Rejection:
        age_s = (t_ns - self._last_ns) / NS_PER_S
        if self._agreed and age_s * NS_PER_S > COAST_NS:
            self.reset()
        east_m_s = telemetry.velocity_east_m_s or 0.0
        north_m_s = telemetry.velocity_north_m_s or 0.0
        expected = self._place_m[0] + east_m_s * age_s, self._place_m[1] + north_m_s * age_s
        sigma_m = math.hypot(1.41 * STATED_M, VELOCITY_ACCURACY_M_S * age_s)
        if self._agreed and math.dist(measured, expected) > MAX_SIGMAS * sigma_m:
            if self._agreed < CONFIRMATIONS:
                self.reset()
            return Rejection(t_ns, Reason.INCONSISTENT, "not where dead reckoning expects it")
        self._agreed, self._last_ns, self._place_m = self._agreed + 1, t_ns, measured
        if self._agreed < CONFIRMATIONS:
            return Rejection(t_ns, Reason.UNCONFIRMED, "not yet confirmed")
        lat_deg, lon_deg = self._local.to_geodetic(list(measured))
        return Fix(
            t_ns,
            float(lat_deg),
            float(lon_deg),
            STATED_M,
            telemetry.alt_amsl_m,
            telemetry.velocity_north_m_s,
            telemetry.velocity_east_m_s,
            1.0,
            1.0,
            0,
        )
