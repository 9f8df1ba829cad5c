"""A table of one's own as rows of words: CSV, JSON, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from geobridge.onboard.errors import DataError

ENDINGS = (".csv", ".jsonl", ".json", ".parquet")


def read_table(path: Path, required: Sequence[str]) -> list[tuple[dict[str, str], str]]:
    """The rows by column, empty where there is nothing, each with where it stands.

    Raises:
        DataError: it cannot be read, or lacks a column; names those that there are.
    """
    try:
        found = [
            ({str(key): _word(value) for key, value in row.items()}, f"{path}, row {at}")
            for at, row in enumerate(_READERS[path.suffix.lower()](path), start=1)
        ]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as {path.suffix}: {error}") from None
    if not found:
        raise DataError(f"{path}: holds no rows")
    columns = found[0][0]
    for column in required:
        if column not in columns:
            raise DataError(f"{path}: has no column {column!r}; it has {', '.join(columns)}")
    return found


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, restval="")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    yield from (json.loads(line) for line in path.read_bytes().splitlines() if line.strip())


def _json(path: Path) -> Iterator[dict[str, Any]]:
    """A list, alone or under any one key."""
    tree = json.loads(path.read_bytes())
    if isinstance(tree, dict):
        tree = next((value for value in tree.values() if isinstance(value, list)), [])
    yield from tree


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    yield from parquet.read_table(path).to_pylist()


def _word(value: Any) -> str:
    return "" if value is None else str(value).strip()


_READERS = {".csv": _csv, ".jsonl": _lines, ".json": _json, ".parquet": _parquet}
