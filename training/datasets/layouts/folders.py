"""What stands where in an unpacked data set, and what a person did when it does not."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from geobridge.onboard.errors import DataError

from ..folder import PICTURES

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")


def pictures(folder: Path) -> list[str]:
    """The names of the pictures in a folder, in order."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if is_picture(path))


def is_picture(path: Path) -> bool:
    """By its ending, and not hidden."""
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, in order."""
    if not folder.is_dir():
        return []
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def expect(root: Path, relative: str) -> Path:
    """`root / relative`, which must be there.

    Raises:
        DataError: it is not; says whether it lies one folder too deep or is still packed.
    """
    path = root / relative
    if path.exists():
        return path
    raise DataError(f"{path}: expected there, {whereabouts(root, relative)}")


def whereabouts(root: Path, relative: str) -> str:
    """Where a part of a data set that is missing may be, and what to do."""
    parts = Path(relative).parts
    for depth in reversed(range(len(parts))):
        above = root.joinpath(*parts[:depth])
        for archive in sorted(path for path in _archives(above) if parts[depth] in path.name):
            return f"but {archive} is not unpacked: unpack it in {above}"
        nested = [above / name for name in subfolders(above)]
        for folder in (each for each in nested if each.joinpath(*parts[depth:]).exists()):
            return f"but it lies one folder too deep, in {folder}: move what is in there to {above}"
    return "and there is nothing like it near: was everything downloaded?"


def archives(folder: Path) -> list[Path]:
    """Packed files in a folder."""
    return sorted(_archives(folder))


def rows(path: Path, delimiter: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """The lines of a table of words, with their numbers; by spaces where there is no delimiter.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file, delimiter=delimiter) if delimiter else map(str.split, file)
            for number, line in enumerate(lines, start=1):
                if line:
                    yield number, line
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a table in UTF-8: {error}") from None


def degrees(lat: float, lon: float, where: str) -> tuple[float, float]:
    """A latitude and longitude that can be ones.

    Raises:
        DataError: they cannot; says whether they are swapped.
    """
    if abs(lat) <= 90 and abs(lon) <= 180:
        return lat, lon
    swapped = abs(lon) <= 90 and abs(lat) <= 180
    told = ", which are swapped: latitude comes first" if swapped else ""
    raise DataError(f"{where}: latitude {lat:g}, longitude {lon:g} are not in degrees{told}")


def number(text: str, where: str) -> float:
    """A finite number.

    Raises:
        DataError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value != value or abs(value) == float("inf"):
        raise DataError(f"{where}: expected a number, got {text!r}")
    return value


def _archives(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.name.lower().endswith(_ARCHIVES)]
