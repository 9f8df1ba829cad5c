"""GPS weeks to UTC. Leap seconds as announced in IERS Bulletins C; none since 2017."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

GPS_EPOCH_UNIX_S = 315_964_800
_WEEK_S = 7 * 86400
_LEAPS_UNIX_S = (
    *(362_793_600, 394_329_600, 425_865_600, 489_024_000, 567_993_600, 631_152_000),
    *(662_688_000, 709_948_800, 741_484_800, 773_020_800, 820_454_400, 867_715_200),
    *(915_148_800, 1_136_073_600, 1_230_768_000, 1_341_100_800, 1_435_708_800, 1_483_228_800),
)
"""From when on UTC is one second more behind GPS time."""
_FIRST_WEEK, _LAST_WEEK = 1024, 4096
"""1999 to 2058; a receiver that counts weeks anew tells a time of the last century."""


def leap_seconds(unix_s: float) -> int:
    """How far GPS time is ahead of UTC, 18 since 2017."""
    return bisect_right(_LEAPS_UNIX_S, unix_s)


def utc_ns(week: npt.ArrayLike, week_ms: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """[N] nanoseconds since 1970, -1 where the pair is no time of this century."""
    weeks = np.nan_to_num(np.asarray(week, np.float64), nan=-1.0)
    millis = np.nan_to_num(np.asarray(week_ms, np.float64), nan=-1.0)
    sound = (weeks >= _FIRST_WEEK) & (weeks < _LAST_WEEK)
    sound &= (millis >= 0) & (millis < _WEEK_S * 1000)
    weeks, millis = np.where(sound, weeks, 0.0), np.where(sound, millis, 0.0)
    gps_s = GPS_EPOCH_UNIX_S + weeks * _WEEK_S
    leaps = np.array([leap_seconds(second) for second in np.atleast_1d(gps_s + millis / 1e3)])
    unix_ns = (gps_s - leaps.reshape(gps_s.shape)).astype(np.int64) * 10**9
    return np.where(sound, unix_ns + (millis * 1e6).astype(np.int64), -1)
