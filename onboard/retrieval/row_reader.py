"""Single rows of a large array on disk, without mapping what lies around them.

A touched page of a memory map counts as memory of the process, and the kernel maps fifteen more
with each: ranking again a few rows here and there would soon hold the whole file.
"""

from __future__ import annotations

import os
from itertools import pairwise

import numpy as np
import numpy.typing as npt


class RowReader:
    """Reads rows of [N, D] float16; of a memory-mapped file by its descriptor, else as they are."""

    def __init__(self, rows: npt.NDArray[np.float16]) -> None:
        self._rows = rows
        self._file: int | None = None
        if type(rows) is np.memmap and rows.filename is not None:
            self._file = os.open(rows.filename, os.O_RDONLY)
            self._start = int(rows.offset)

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """[K, D] of [K] rows; those that follow each other are read as one.

        Raises:
            OSError: the file became shorter.
        """
        if self._file is None:
            return np.asarray(self._rows[rows], np.float32)
        dimension = self._rows.shape[1]
        length = dimension * self._rows.itemsize
        raw = b"".join(
            os.pread(self._file, length * count, self._start + length * first)
            for first, count in _runs(rows)
        )
        if len(raw) != length * len(rows):
            raise OSError(f"{self._rows.filename}: shorter than it was")  # type: ignore[attr-defined]
        return np.frombuffer(raw, np.float16).reshape(len(rows), dimension).astype(np.float32)


def _runs(rows: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """First row and length of every run of neighbours, in the order of the rows."""
    breaks = np.flatnonzero(rows[1:] != rows[:-1] + 1) + 1
    bounds = [0, *breaks.tolist(), len(rows)]
    return [(int(rows[start]), stop - start) for start, stop in pairwise(bounds) if start < stop]
