"""What lines beside the pictures tell of places: their texts, and where they lie.

    {"id": "...", "text": "..."}
    {"id": "...", "east_m": 12.5, "north_m": -80.0, "footprint_m": 120.0}

The second may tell more. Metres are in one local frame of the split; the footprint is the side of
the square, north up, that the place is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError

from .folder import Line

Floats = npt.NDArray[np.float64]

_TEXT = '{"id": "...", "text": "..."}'
_POSITION = '{"id": "...", "east_m": x, "north_m": y, "footprint_m": side above 0}'


def texts_of(lines: Iterable[Line], places: Set[str]) -> dict[str, str]:
    """By id; without those that are empty.

    Raises:
        DataError: names the line that is broken, or says that no line is of one of the places.
    """
    texts: dict[str, str] = {}
    where = ""
    for line, where in lines:
        entry = _entry(line)
        text = entry.get("text")
        if not isinstance(text, str) or "id" not in entry:
            raise DataError(f"{where}: expected {_TEXT}")
        texts[str(entry["id"])] = text
    if where and not places & texts.keys():
        path = where.rpartition(", line ")[0]
        raise DataError(f"{path}: none of its ids is the name of a picture, as {min(places)!r}")
    return {place: text for place, text in texts.items() if text.strip()}


def positions_of(lines: Iterable[Line], places: Sequence[str]) -> tuple[Floats, Floats]:
    """[N, 2] metres east and north, NaN where no line tells it, and [N] footprints in metres.

    Raises:
        DataError: names the line that is broken.
    """
    number = {place: at for at, place in enumerate(places)}
    east_north_m = np.full((len(places), 2), np.nan)
    footprint_m = np.ones(len(places))
    for line, where in lines:
        entry = _entry(line)
        values = [entry.get(key) for key in ("east_m", "north_m", "footprint_m")]
        if "id" not in entry or not all(map(_is_number, values)) or not values[2] > 0:  # type: ignore[operator]
            raise DataError(f"{where}: expected {_POSITION}")
        at = number.get(str(entry["id"]))
        if at is not None:
            *east_north_m[at], footprint_m[at] = values
    return east_north_m, footprint_m


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
