"""All rows of a job, chunk by chunk into a folder, from which a run that was stopped goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geobridge.onboard import durable
from geobridge.onboard.bundle import DIGEST_BYTES, MANIFEST, Bundle
from geobridge.onboard.errors import GeobridgeError

from .chunks import Encoded, Job, Known, encode_rows

log = logging.getLogger(__name__)

Engine = Callable[[Job, list[range], Known], Iterable[Encoded]]
"""Encodes chunks, and gives them in their order."""
_REPORT_S = 10.0


def encode(job: Job, work: Path, known: Known, engine: Engine) -> Encoded:
    """The job's descriptors; chunks already in the folder `work` are not encoded again.

    Raises:
        DataError, EngineError: a picture that cannot be read, an encoder that gives nonsense.
    """
    chunks = job.chunks()
    paths = [work / job.name / f"{number:06d}.npy" for number in range(len(chunks))]
    missing = [at for at, path in enumerate(paths) if not path.exists()]
    progress = _Progress(job, sum(len(chunks[at]) for at in missing))
    encoded = engine(job, [chunks[at] for at in missing], known)
    for at, part in zip(missing, encoded, strict=True):
        rows = _packed(part)
        durable.write_file(paths[at], partial(_save, rows))
        progress.add(len(rows))
    dtype = _row(job.encoder.dimension)
    parts = [np.load(path, allow_pickle=False) for path in paths]
    rows = np.concatenate(parts) if parts else np.empty(0, dtype)
    return Encoded(np.ascontiguousarray(rows["descriptor"]), np.ascontiguousarray(rows["digest"]))


def here(job: Job, chunks: list[range], known: Known) -> Iterator[Encoded]:
    """In this process, by all of its cores."""
    encoder = job.encoder.open() if chunks else None
    for rows in chunks:
        assert encoder is not None
        yield encode_rows(job, rows, encoder, known)


def known_from(bundle: Path) -> dict[bytes, npt.NDArray[np.float16]]:
    """The descriptors of an earlier bundle, if there is one that can be read."""
    if not (bundle / MANIFEST).exists():
        return {}
    try:
        opened = Bundle.open(bundle)
        descriptors, digests = opened.descriptors(), opened.digests()
    except GeobridgeError as error:
        log.info("nothing is taken over from what is there: %s", error)
        return {}
    keys = np.asarray(digests).tobytes()
    step = DIGEST_BYTES
    return {keys[i * step : (i + 1) * step]: descriptors[i] for i in range(len(descriptors))}


class _Progress:
    """Says how far it is, and how long it will take."""

    def __init__(self, job: Job, count: int) -> None:
        self._name, self._count, self._done = job.name, count, 0
        self._start_s = self._told_s = time.monotonic()

    def add(self, rows: int) -> None:
        """So many more are done."""
        self._done += rows
        now_s = time.monotonic()
        if now_s - self._told_s < _REPORT_S and self._done < self._count:
            return
        self._told_s = now_s
        left_s = (now_s - self._start_s) / self._done * (self._count - self._done)
        left = f", {left_s / 60.0:.0f} min left" if left_s >= 60.0 else ""
        log.info("encoded %d of %d %s%s", self._done, self._count, self._name, left)


def _row(dimension: int) -> np.dtype[Any]:
    return np.dtype([("descriptor", "<f2", (dimension,)), ("digest", "u1", (DIGEST_BYTES,))])


def _packed(part: Encoded) -> npt.NDArray[Any]:
    rows = np.zeros(len(part.descriptors), _row(part.descriptors.shape[1]))
    rows["descriptor"], rows["digest"] = part.descriptors, part.digests
    return rows


def _save(array: npt.NDArray[Any], path: Path) -> None:
    with path.open("wb") as file:  # np.save would append .npy to the temporary name
        np.save(file, array, allow_pickle=False)
