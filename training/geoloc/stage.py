"""The cache of a stage: what it was made from, and a file of lines for every finished unit of work.

    <work>/<stage>/settings.json     everything that the lines depend on
    <work>/<stage>/<unit>.jsonl      its lines; that the file exists says that the unit is finished

A stage whose settings have changed begins anew; a unit is there as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from geobridge.onboard.durable import write_text
from geobridge.onboard.errors import DataError

from ..datasets.render_progress import Progress
from .spread import Spread

log = logging.getLogger(__name__)

Line = dict[str, Any]
P = TypeVar("P")
SETTINGS = "settings.json"


class Stage:
    """Its folder, emptied if it was made with other settings.

    Args:
        work: folder of all stages.
        name: of this one.
        settings: JSON values; digests of files and of earlier stages' lines among them.
    """

    def __init__(self, work: Path, name: str, settings: Mapping[str, Any]) -> None:
        self.name, self.folder = name, work / name
        text = json.dumps(settings, sort_keys=True, indent=1, default=str) + "\n"
        path = self.folder / SETTINGS
        if path.exists() and path.read_text(encoding="utf-8") != text:
            log.info("%s: settings have changed, begins anew", name)
            shutil.rmtree(self.folder)
        if not path.exists():
            write_text(path, text)

    def run(
        self, units: Mapping[str, P], do: Callable[[P], list[Line]], spread: Spread
    ) -> list[Line]:
        """The lines of all units in their order; only what is not there yet is done.

        Raises:
            DataError: as `do` does, or a file of the cache is damaged.
        """
        missing = [name for name in units if not self.has(name)]
        if missing:
            log.info("%s: %d of %d units to do", self.name, len(missing), len(units))
        progress = Progress(len(missing), "units")
        for number, lines in progress.over(spread(do, [units[name] for name in missing])):
            self._keep(missing[number], lines)
        return [line for name in units for line in self._read(name)]

    def has(self, unit: str) -> bool:
        """Whether a unit is finished."""
        return self._path(unit).exists()

    def _path(self, unit: str) -> Path:
        return self.folder / f"{unit}.jsonl"

    def _keep(self, unit: str, lines: Sequence[Line]) -> None:
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        write_text(self._path(unit), text)

    def _read(self, unit: str) -> list[Line]:
        path = self._path(unit)
        try:
            return [json.loads(line) for line in path.read_bytes().splitlines()]
        except ValueError:
            raise DataError(f"{path}: damaged; delete it and run the command again") from None


def chunks(lines: Sequence[Line], size: int, *keys: str) -> dict[str, list[Line]]:
    """Lines in groups of up to `size` with equal values of `keys`, named by what is in them, so
    that more places leave finished groups alone where they can."""
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in sorted(lines, key=lambda each: str(each["id"])):
        groups.setdefault(tuple(str(line[key]) for key in keys), []).append(line)
    units: dict[str, list[Line]] = {}
    for _, group in sorted(groups.items()):
        for first in range(0, len(group), size):
            part = group[first : first + size]
            units[digest(part)[:16]] = part
    return units


def digest(value: Any) -> str:
    """SHA-256 of JSON values, whatever the order of keys."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def place_id(source: str, key: str) -> str:
    """The name of a place: that of its street picture, wherever it stands in a configuration."""
    return hashlib.sha256(f"{source}\n{key}".encode()).hexdigest()[:14]
