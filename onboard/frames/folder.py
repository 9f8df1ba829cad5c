"""A folder of pictures, as a survey or a recording leaves them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import DataError
from ..records import Frame
from .picture import read_picture, size_of

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
NS_PER_S = 1_000_000_000


class FolderSource:
    """Pictures in the order of their times, or of their names at a steady rate from zero.

    Raises:
        DataError: no pictures, nothing that tells their times, or a picture without one; while
            iterating, a picture that cannot be read or has another size than the first.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate_hz: float | None = None,
        times_ns: Mapping[str, int] | None = None,
        only_timed: bool = False,
    ) -> None:
        """`only_timed` leaves out pictures that `times_ns` does not name."""
        paths = pictures_of(path)
        if only_timed and times_ns is not None:
            paths = [each for each in paths if each.name in times_ns]
        times = _steady(path, len(paths), rate_hz) if times_ns is None else _named(paths, times_ns)
        self._taken = sorted(zip(times, paths, strict=True))
        self._size_px = size_of(read_picture(self._taken[0][1]))
        self._closed = False

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of every picture."""
        return self._size_px

    def __iter__(self) -> Iterator[Frame]:
        width_px, height_px = self._size_px
        for t_capture_ns, path in self._taken:
            if self._closed:
                return
            image = read_picture(path)
            if size_of(image) != self._size_px:
                raise DataError(f"{path}: expected {width_px}x{height_px} px as the first picture")
            yield Frame(image, t_capture_ns, path.name)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


def pictures_of(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their names.

    Raises:
        DataError: there is none.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise DataError(f"{folder}: holds no pictures")
    return paths


def _steady(folder: Path, count: int, rate_hz: float | None) -> list[int]:
    if rate_hz is None:
        raise DataError(
            f"{folder}: nothing tells when the pictures were taken; give a rate, or telemetry with"
            " a file column"
        )
    return [round(number * NS_PER_S / rate_hz) for number in range(count)]


def _named(paths: list[Path], times_ns: Mapping[str, int]) -> list[int]:
    for path in paths:
        if path.name not in times_ns:
            raise DataError(f"{path}: the telemetry has no row for this picture")
    return [times_ns[path.name] for path in paths]
