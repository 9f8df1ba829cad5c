"""Topics of a PX4 `.ulg`, by pyulog, as columns of numbers."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ..series import Floats, Times

HEAD = b"ULog\x01\x12\x35"


@dataclass(frozen=True)
class Topic:
    """[N] times in microseconds, as logged, and [N] numbers by field."""

    name: str
    number: int
    time_us: Times
    columns: Mapping[str, Floats]

    def __contains__(self, field: str) -> bool:
        return field in self.columns

    def cells(self, *fields: str, scale: float = 1.0) -> Floats:
        """[N] of the first field that there is, NaN where there is none."""
        for field in fields:
            if field in self.columns:
                return self.columns[field] * scale
        return np.full(len(self.time_us), np.nan)


@dataclass(frozen=True)
class Topics:
    """What was logged, in the order of names and instances."""

    topics: tuple[Topic, ...]
    parameters: Mapping[str, float]
    facts: Mapping[str, Any]
    start_us: int
    dropped_ms: tuple[int, ...]
    is_damaged: bool
    is_appended: bool

    def first(self, *names: str) -> Topic | None:
        """The first instance of the first topic that has rows."""
        return next((each for name in names for each in self.all(name)), None)

    def all(self, name: str) -> list[Topic]:
        """Every instance of a topic."""
        return [topic for topic in self.topics if topic.name == name]


def read_topics(path: Path, names: list[str]) -> Topics:
    """Some topics of a log.

    Raises:
        DataError: it is no ULog, or its definitions are damaged.
    """
    from pyulog import ULog  # comes with an extra

    said = io.StringIO()
    try:
        with (
            path.open("rb") as file,
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            log = ULog(file, message_name_filter_list=names, disable_str_exceptions=True)
    except Exception as error:  # pyulog on damaged definitions raises nearly anything
        told = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a ULog that can be read: {told}") from None
    return Topics(
        tuple(_topic(dataset) for dataset in _ordered(log.data_list)),
        {
            name: float(value)
            for name, value in log.initial_parameters.items()
            if isinstance(value, int | float)  # a damaged one is bytes
        },
        dict(log.msg_info_dict),
        int(log.start_timestamp),
        tuple(int(dropout.duration) for dropout in log.dropouts),
        bool(log.file_corruption),
        bool(log.has_data_appended),
    )


def _ordered(datasets: list[Any]) -> list[Any]:
    filled = [each for each in datasets if len(each.data.get("timestamp", ()))]
    return sorted(filled, key=lambda each: (each.name, each.multi_id))


def _topic(dataset: Any) -> Topic:
    columns = {
        field: np.asarray(cells, np.float64)
        for field, cells in dataset.data.items()
        if field != "timestamp"
    }
    stamps = dataset.data["timestamp"].astype(np.uint64)
    time_us = np.where(stamps < 2**62, stamps, 0).astype(np.int64)
    return Topic(dataset.name, int(dataset.multi_id), time_us, columns)
