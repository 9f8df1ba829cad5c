"""When pictures were taken, as their names or their tags tell it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path

from .photo_tags import PhotoTags

NS_PER_S = 1_000_000_000
_NAMED = re.compile(r"(?<!\d)((?:19|20)\d{12})(\d{0,6})Z?$")
_SEPARATED = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[T_ -]"
    r"(\d\d)[-_.:]?(\d\d)[-_.:]?(\d\d)(?:[.,_-](\d{1,6}))?Z$"
)
_ZONE = re.compile(r"([+-])(\d\d):(\d\d)$")


class Told(str, Enum):
    """What tells when pictures were taken, the most trusted first."""

    NAME = "UTC in the names of the pictures"
    GNSS = "UTC by GNSS, in EXIF"
    ZONED = "the camera's clock and its time zone, in EXIF"
    CAMERA = "the camera's clock, in EXIF: local time of an unknown zone"
    NOTHING = "nothing: a second apart in the order of the names"

    @property
    def is_utc(self) -> bool:
        """Whether another clock on UTC can be compared."""
        return self in (Told.NAME, Told.GNSS, Told.ZONED)


def taken_ns(pictures: Sequence[tuple[Path, PhotoTags | None]]) -> tuple[list[int], Told]:
    """[N] nanoseconds since 1970 by the most trusted clock that all pictures tell."""
    ways: list[tuple[Told, Callable[[Path, PhotoTags | None], int | None]]] = [
        (Told.NAME, lambda path, tags: named_ns(path)),
        (Told.GNSS, lambda path, tags: _gnss_ns(tags)),
        (Told.ZONED, lambda path, tags: _zoned_ns(tags)),
        (Told.CAMERA, lambda path, tags: _camera_ns(tags)),
    ]
    for told, way in ways:
        times_ns = [way(path, tags) for path, tags in pictures]
        found = [t_ns for t_ns in times_ns if t_ns is not None]
        # a receiver's clock that stands still tells of its last fix, not of the pictures
        if len(found) == len(pictures) and (len(set(found)) > 1 or len(found) == 1):
            return found, told
    return [number * NS_PER_S for number in range(len(pictures))], Told.NOTHING


def increasing(times_ns: Sequence[int]) -> list[int]:
    """[N] the same times, with those told twice spread over the way to the next, at most a second:
    a clock of whole seconds says the same of several pictures."""
    order = sorted(range(len(times_ns)), key=lambda row: times_ns[row])
    spread = list(times_ns)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and times_ns[order[end + 1]] == times_ns[order[start]]:
            end += 1
        following = times_ns[order[end + 1]] if end + 1 < len(order) else None
        room_ns = NS_PER_S if following is None else following - times_ns[order[start]]
        step_ns = min(room_ns, NS_PER_S) // (end - start + 1)
        for place in range(start, end + 1):
            spread[order[place]] += (place - start) * step_ns
        start = end + 1
    return spread


def named_ns(path: Path) -> int | None:
    """UTC in a name that ends as YYYYMMDDhhmmss and a fraction, `Z` or not, or with separators and
    `Z`; None where it is none."""
    found = _NAMED.search(path.stem)
    digits, fraction = (found[1], found[2]) if found else ("", "")
    if found is None:
        parts = _SEPARATED.search(path.stem)
        if parts is None:
            return None
        *whole, last = parts.groups()
        digits, fraction = "".join(whole), last or ""
    return _since_1970_ns(digits, "%Y%m%d%H%M%S", fraction)


def _gnss_ns(tags: PhotoTags | None) -> int | None:
    if tags is None or tags.gps_time_s is None:
        return None
    return round(tags.gps_time_s * 1000) * 1_000_000


def _camera_ns(tags: PhotoTags | None) -> int | None:
    if tags is None:
        return None
    whole, _, fraction = tags.taken.partition(".")
    return _since_1970_ns(whole, "%Y:%m:%d %H:%M:%S", fraction)


def _zoned_ns(tags: PhotoTags | None) -> int | None:
    local_ns = _camera_ns(tags)
    zone = _ZONE.match(tags.zone) if tags is not None else None
    if local_ns is None or zone is None:
        return None
    ahead_s = (int(zone[2]) * 60 + int(zone[3])) * 60
    return local_ns - (ahead_s if zone[1] == "+" else -ahead_s) * NS_PER_S


def _since_1970_ns(text: str, shape: str, fraction: str) -> int | None:
    try:
        whole = datetime.strptime(text, shape).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    digits = fraction if fraction.isascii() and fraction.isdecimal() else ""
    return int(whole.timestamp()) * NS_PER_S + int(digits[:9].ljust(9, "0") or "0")
