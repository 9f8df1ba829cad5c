"""What a reader of a data set gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .rows import Row
from .task import Plane, Task

VAL_SHARE = 0.05
"""Of the training places, held out to choose a checkpoint by; test pictures never choose."""


class Layout(Protocol):
    """A data set that was recognised."""

    @property
    def root(self) -> Path:
        """Its folder; paths of rows are below it."""

    @property
    def plane(self) -> Plane | None:
        """What the positions of rows are in."""

    @property
    def expected(self) -> dict[str, int]:
        """How many pictures each part has as published, by the part's name in `counts`."""

    def counts(self) -> dict[str, int]:
        """How many pictures each part has here."""

    def tasks(self) -> list[Task]:
        """All that can be asked of its test part.

        Raises:
            DataError: names the file or folder that is missing or broken.
        """

    def rows(self) -> Sequence[Row]:
        """All that can be trained on; none where there is no training part.

        Raises:
            DataError: names the file or folder that is missing or broken.
        """
