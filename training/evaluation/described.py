"""All that tasks show, as descriptors: each picture once, in pieces that survive a stop."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geobridge.onboard import durable
from geobridge.onboard.errors import DataError
from geobridge.onboard.preprocess import Preprocess, apply
from geobridge.onboard.records import Image
from geobridge.onboard.views import View

from ..datasets.batch import TEXT
from ..datasets.decode import UnreadableError, decode
from ..datasets.layouts.task import Items, Reader
from .describer import Describer
from .standing import Descriptors

log = logging.getLogger(__name__)

CHUNK = 256
"""So many pictures at a time are in memory and, described, a file."""
_TELL_S = 20.0

Shown = Mapping[str, tuple[Reader, str]]


@dataclass(frozen=True)
class Described:
    """[N, D] descriptors of a side, and which row is whose."""

    rows: Mapping[str, int]
    descriptors: Descriptors

    def of(self, items: Items) -> Descriptors:
        """[n, D] in the order of the items."""
        at = [self.rows[items.reader.where(name)] for name in items.names]
        return self.descriptors[at]


def describe_side(
    describer: Describer, side: str, shown: Shown, flips: bool, keep: Path | None = None
) -> Described:
    """The descriptors of all pictures or texts of a side.

    With `flips`, those of a picture and of its mirror image are added up and brought to unit
    length. What was described before, by the same network from the same list, is read from `keep`.

    Raises:
        DataError: names a picture that cannot be read: figures over fewer pictures are nobody's.
    """
    names = list(shown)
    flips = flips and side != TEXT
    folder = keep / _digest(describer, side, names, flips) if keep else None
    parts, started, told = [], time.monotonic(), time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as readers:
        for first in range(0, len(names), CHUNK):
            chunk = [shown[name] for name in names[first : first + CHUNK]]
            path = folder / f"{first:08d}.npy" if folder else None
            parts.append(_kept(path, len(chunk)))
            if parts[-1] is None:
                parts[-1] = _describe(describer, side, chunk, flips, readers)
                _keep(path, parts[-1])
            now, done = time.monotonic(), first + len(chunk)
            if now - told > _TELL_S and done < len(names):
                told = now
                left_s = (now - started) * (len(names) / done - 1)
                log.info("%s: described %d of %d, %.0f s to go", side, done, len(names), left_s)
    found = [part for part in parts if part is not None]
    return Described({name: at for at, name in enumerate(names)}, np.concatenate(found))


def _describe(
    describer: Describer,
    side: str,
    chunk: Sequence[tuple[Reader, str]],
    flips: bool,
    readers: ThreadPoolExecutor,
) -> Descriptors:
    if side == TEXT:
        return describer.words([reader.read(name).decode() for reader, name in chunk])
    view = View(side)
    spec = describer.preprocess(view)
    images = np.stack(list(readers.map(lambda at: _prepared(at[0], at[1], spec), chunk)))
    descriptors = describer.pictures(view, images)
    if not flips:
        return descriptors
    both = descriptors + describer.pictures(view, np.ascontiguousarray(images[:, :, ::-1]))
    return np.asarray(both / np.linalg.norm(both, axis=1, keepdims=True), np.float32)


def _prepared(reader: Reader, name: str, spec: Preprocess) -> Image:
    try:
        return apply(decode(reader.read(name), spec.height_px, spec.width_px), spec)
    except OSError as error:
        why = error.strerror
    except UnreadableError as error:
        why = str(error)
    raise DataError(f"{reader.where(name)}: {why}")


def _digest(describer: Describer, side: str, names: Sequence[str], flips: bool) -> str:
    told = repr((describer.digest, side, flips, names, _spec(describer, side)))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _spec(describer: Describer, side: str) -> str:
    return "" if side == TEXT else describer.preprocess(View(side)).sha256


def _kept(path: Path | None, count: int) -> Descriptors | None:
    """What is there, if it is whole."""
    if path is None or not path.exists():
        return None
    try:
        found: Descriptors = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return None
    return found if found.dtype == np.float32 and len(found) == count else None


def _keep(path: Path | None, descriptors: Descriptors | None) -> None:
    if path is None or descriptors is None:
        return

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, descriptors, allow_pickle=False)

    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_file(path, write)
