"""The cache of a stage: a file of lines for every finished unit of work.

    <work>/<stage>/<digest>.jsonl    that it exists says that the unit is finished

A unit is a dataclass that holds all that its lines depend on, and its digest names the file: what
was done once is not done again, and what depends on anything else is done anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from geobridge.onboard.durable import write_text
from geobridge.onboard.errors import DataError

from ..datasets.render_progress import Progress
from .rates import Rates
from .spread import Spread

log = logging.getLogger(__name__)

Line = dict[str, Any]
Unit = TypeVar("Unit")


class Stage:
    """One of a build's.

    Args:
        work: folder of all stages.
        name: of this one.
        rates: learns how long it takes.
    """

    def __init__(self, work: Path, name: str, rates: Rates) -> None:
        self._folder, self._name, self._rates = work / name, name, rates

    def run(
        self, units: Sequence[Unit], do: Callable[[Unit], list[Line]], spread: Spread
    ) -> list[Line]:
        """The lines of all units in their order; only what is not there yet is done.

        Raises:
            DataError: as `do` does, or a file of the cache is damaged.
        """
        paths = [self._path(unit) for unit in units]
        missing = [at for at, path in enumerate(paths) if not path.exists()]
        if missing:
            log.info("%s: %d of %d units to do", self._name, len(missing), len(units))
        progress = Progress(len(missing), "units")
        with self._rates.of(self._name) as done:
            for number, lines in progress.over(spread(do, [units[at] for at in missing])):
                _keep(paths[missing[number]], lines)
                done.places += len(lines)
        return [line for path in paths for line in _read(path)]

    def has(self, unit: object) -> bool:
        """Whether a unit is finished."""
        return self._path(unit).exists()

    def _path(self, unit: object) -> Path:
        return self._folder / f"{digest([version('geobridge-uav'), unit])[:20]}.jsonl"


def _keep(path: Path, lines: Sequence[Line]) -> None:
    write_text(path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))


def _read(path: Path) -> list[Line]:
    try:
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    except ValueError:
        raise DataError(f"{path}: damaged; delete it and run the command again") from None


def chunks(lines: Sequence[Line], size: int, *keys: str) -> list[list[Line]]:
    """Lines in groups of up to `size` with equal values of `keys`, in the order of their ids."""
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in sorted(lines, key=lambda each: str(each["id"])):
        groups.setdefault(tuple(str(line[key]) for key in keys), []).append(line)
    return [
        group[first : first + size]
        for _, group in sorted(groups.items())
        for first in range(0, len(group), size)
    ]


def digest(value: Any) -> str:
    """SHA-256 of JSON values, dataclasses, configuration and paths, whatever the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}


def place_id(source: str, key: str) -> str:
    """The name of a place: that of its street picture, wherever it stands in a configuration."""
    return hashlib.sha256(f"{source}\n{key}".encode()).hexdigest()[:14]


def stamp(path: Path) -> list[int]:
    """What tells a file from another one of its name: its size and when it was changed."""
    told = path.stat()
    return [told.st_size, told.st_mtime_ns]
