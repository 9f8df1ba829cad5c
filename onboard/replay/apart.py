"""Results lie apart from what they are made of: a bundle must stay as it was signed, and a table or
a track among photos or records would be taken for one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import DataError
from .conclude import TIMING
from .flight import Source
from .localize import FIXES, WORK, Job
from .reflown import is_record

_OWN = (FIXES, TIMING, WORK)
"""One of them is in every folder of results, whole or not."""


def must_lie_apart(out: Path, jobs: Sequence[Job]) -> None:
    """Refuse a folder of results that would spoil what is replayed.

    Raises:
        DataError: it lies in a bundle, is a folder of photos or of flight records, or holds what no
            replay wrote.
    """
    bundles = {job.variant.bundle.resolve() for job in jobs}
    folders = {folder.resolve() for job in jobs for folder in _folders_of(job.source)}
    for place in dict.fromkeys([out, *(job.out for job in jobs)]):
        resolved = place.resolve()
        for bundle in bundles.intersection([resolved, *resolved.parents]):
            raise DataError(f"{place}: expected a folder outside the bundle {bundle}")
        if resolved in folders:
            raise DataError(f"{place}: expected a folder apart from the photos or records in it")
    for job in jobs:
        if not _is_free(job.out):
            raise DataError(f"{job.out}: holds something else than a replay; choose another folder")


def _is_free(folder: Path) -> bool:
    """Not there, empty, or of an earlier replay."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return True
    return any((folder / name).exists() for name in _OWN)


def _folders_of(source: Source) -> Iterator[Path]:
    """Whatever lies in them counts as a part of a flight."""
    for path in map(Path, filter(None, (source.log, source.frames))):
        if path.is_dir():
            yield path
        elif is_record(str(path)):
            yield path.parent
