"""Places that show one and the same picture: a tile that several share, a copy under another name.

Such a picture cannot tell its places apart, so none of them is a negative of another. Files are
compared to the last byte; a picture that was stored anew is not found.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from .folder import Store

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]

MOST = 1000
"""More places with one picture have none: it stands for those that are missing."""


def same_pictures(store: Store, views: Sequence[View], places: Sequence[str]) -> list[Ints]:
    """For every view [N] numbers, equal for places with the same picture.

    Of every picture the size and the end are read, whole are only those that agree in both.

    Raises:
        DataError: a picture is that of more than `MOST` places.
    """
    found = []
    for view in views:
        numbers = np.arange(len(places))
        for group in _groups(store, view, places):
            numbers[group] = group[0]
            if len(group) > MOST:
                raise DataError(
                    f"{store.where(view, places[group[0]])}: {len(group)} places have this very"
                    " picture; leave it out of those where the view is missing"
                )
        _tell(store, view, places, numbers)
        found.append(numbers)
    return found


def _groups(store: Store, view: View, places: Sequence[str]) -> list[list[int]]:
    """Positions in `places`, rising, of all that have the same picture, where these are several."""
    having = set(store.names(view))

    def end(at: int) -> bytes:
        size, tail = store.end(view, places[at])
        return b"%d " % size + tail

    def whole(at: int) -> bytes:
        return hashlib.sha256(store.read(view, places[at])).digest()

    there = [at for at, place in enumerate(places) if place in having]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as readers:
        alike = _alike(end, there, readers)
        return _alike(whole, [at for group in alike for at in group], readers)


def _alike(
    key: Callable[[int], bytes], positions: list[int], readers: ThreadPoolExecutor
) -> list[list[int]]:
    def key_or_none(at: int) -> bytes | None:
        try:
            return key(at)
        except OSError:  # whoever needs the picture will tell
            return None

    groups: dict[bytes, list[int]] = {}
    for at, found in zip(positions, readers.map(key_or_none, positions), strict=True):
        if found is not None:
            groups.setdefault(found, []).append(at)
    return [group for group in groups.values() if len(group) > 1]


def _tell(store: Store, view: View, places: Sequence[str], numbers: Ints) -> None:
    _, first, count = np.unique(numbers, return_index=True, return_counts=True)
    if (count > 1).any():
        one = places[int(first[count > 1][0])]
        log.info(
            "%d places share their %s picture with others, as %s; they are no negatives",
            int(count[count > 1].sum()),
            view,
            store.where(view, one),
        )
