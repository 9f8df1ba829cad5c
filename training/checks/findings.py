"""What is wrong with a data set, and what a person should know of it."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..datasets.decode import UnreadableError, decode
from ..datasets.layouts.layout import Layout
from ..datasets.layouts.task import Floats, Items, Reader
from ..protocols.figures import haversine_m
from .parts import TEST, TRAIN, Parts, metres

log = logging.getLogger(__name__)

FAR_M = 5_000.0
"""Between a query and its right reference no data set has so much."""
_DECODED_PX = 16
"""A picture is decoded for an input of this size, which for a JPEG is an eighth of the work."""
_TELL_S = 20.0


@dataclass(frozen=True)
class Finding:
    """In one line; `wrong` where figures could not be trusted, else only worth knowing."""

    told: str
    wrong: bool = False


def all_of(layout: Layout, parts: Parts, near_m: float) -> list[Finding]:
    """Everything that was found, the wrong first."""
    found = [
        *_unlike_published(layout),
        *_files(parts),
        *_twice(parts),
        *_same_places(parts),
        *_near_places(parts, near_m),
        *_far_positions(parts),
    ]
    return sorted(found, key=lambda each: not each.wrong)


def _unlike_published(layout: Layout) -> list[Finding]:
    counts = layout.counts()
    return [
        Finding(f"{name}: {counts.get(name, 0)} here, {count} as published")
        for name, count in layout.expected.items()
        if counts.get(name, 0) != count
    ]


def _files(parts: Parts) -> list[Finding]:
    """Pictures that are missing or broken, or that are the same bytes in both parts."""
    needed: dict[str, tuple[Reader, str, str]] = {}
    for part, items in parts.pictures():
        for name in items.names:
            needed.setdefault(items.reader.where(name), (items.reader, name, part))
    missing, broken = [], []
    digests: dict[str, dict[bytes, str]] = {TRAIN: {}, TEST: {}}
    for where, result in _looked(needed):
        if isinstance(result, OSError):
            missing.append(where)
        elif isinstance(result, UnreadableError):
            broken.append(f"{where}: {result}")
        else:
            digests[needed[where][2]].setdefault(result, where)
    shared = [
        f"{where} and {digests[TRAIN][digest]}"
        for digest, where in digests[TEST].items()
        if digest in digests[TRAIN]
    ]
    return [
        *_listed("pictures are missing", missing, wrong=True),
        *_listed("pictures cannot be decoded", broken, wrong=True),
        *_listed("test pictures are also in the training part, byte for byte", shared),
    ]


def _looked(
    needed: dict[str, tuple[Reader, str, str]],
) -> Iterator[tuple[str, bytes | OSError | UnreadableError]]:
    """Each with the digest of its bytes, or what is wrong with it."""
    started = told = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as readers:
        results = readers.map(lambda at: _look(at[0], at[1]), needed.values())
        for done, pair in enumerate(zip(needed, results, strict=True), start=1):
            yield pair
            now = time.monotonic()
            if now - told > _TELL_S:
                told = now
                left_s = (now - started) * (len(needed) / done - 1)
                log.info("looked at %d of %d pictures, %.0f s to go", done, len(needed), left_s)


def _look(reader: Reader, name: str) -> bytes | OSError | UnreadableError:
    try:
        data = reader.read(name)
        decode(data, _DECODED_PX, _DECODED_PX)
    except (OSError, UnreadableError) as error:
        return error
    return hashlib.blake2b(data, digest_size=16).digest()


def _twice(parts: Parts) -> list[Finding]:
    """Pictures that a list of queries or a gallery names more than once."""
    found = {
        items.reader.where(name)
        for task in parts.tasks
        for items in (task.queries, task.gallery)
        for name, count in Counter(items.names).items()
        if count > 1
    }
    return _listed("pictures are asked for or searched twice", sorted(found), wrong=True)


def _same_places(parts: Parts) -> list[Finding]:
    """Places that are trained on and asked for."""
    trained = {place for items in parts.train for place in items.places}
    asked = {place for task in parts.tasks for place in task.queries.places}
    return _listed("places are trained on and asked for", sorted(trained & asked))


def _near_places(parts: Parts, near_m: float) -> list[Finding]:
    """Queries so near a training picture that they show the same ground."""
    trained = [items.positions for items in parts.train if items.positions is not None]
    asked = _unlike([task.queries for task in parts.tasks if task.queries.positions is not None])
    if not trained or not asked:
        return []
    from scipy.spatial import cKDTree

    positions = [items.positions for items in asked if items.positions is not None]
    *there, here = metres([*trained, np.concatenate(positions)], parts.plane)
    if not len(here) or not any(map(len, there)):
        return []
    distance_m, _ = cKDTree(np.concatenate(there)).query(here)
    close = int(np.count_nonzero(distance_m < near_m))
    if not close:
        return []
    nearest = f"the nearest is {distance_m.min():.1f} m away"
    return [Finding(f"{close} queries lie within {near_m:g} m of a training picture; {nearest}")]


def _unlike(some: Sequence[Items]) -> list[Items]:
    """Each list of names once: several tasks may ask the same queries."""
    return list({items.names: items for items in some}.values())


def _far_positions(parts: Parts) -> list[Finding]:
    """References so far from their own query that one of the two positions must be wrong."""
    listed = []
    for task in parts.tasks:
        here, there = task.queries.positions, task.gallery.positions
        if here is None or there is None or task.plane is None:
            continue
        apart_m = _apart_m(here, there[task.positive.items[task.positive.offsets[:-1]]], task.plane)
        for at in np.flatnonzero(apart_m > FAR_M):
            name = task.queries.reader.where(task.queries.names[at])
            listed.append(f"{name}: {apart_m[at] / 1000:.1f} km from its reference")
    return _listed("right references lie far from their query", listed, wrong=True)


def _apart_m(here: Floats, there: Floats, plane: str) -> Floats:
    if plane == "metres":
        return np.asarray(np.linalg.norm(here - there, axis=1))
    return haversine_m(here, there)


def _listed(told: str, some: Sequence[str], wrong: bool = False) -> list[Finding]:
    return [Finding(f"{len(some)} {told}, as {some[0]}", wrong)] if some else []
