"""A data set without its pictures: enough to cut them again from one's own copies of the sources.

<out>/recipe.jsonl   {"id", "street": {"source", "key"}, "mosaic", "lat_deg", "lon_deg",
                      "side_m", "satellite": {"captured", "shift_..."}, "split", "texts"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geobridge.onboard.durable import write_text
from geobridge.onboard.errors import DataError

from ..stage import Line

RECIPE = "recipe.jsonl"
_KEYS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "mosaic": str,
    "side_m": (int, float),
    "split": str,
    "texts": list,
}


def write_recipe(path: Path, places: Sequence[Line]) -> None:
    """A line for every place."""
    lines = [
        {
            "id": place["id"],
            "street": {key: place["views"]["street"][key] for key in ("source", "key")},
            "mosaic": place["views"]["drone"]["mosaic"],
            "lat_deg": place["lat_deg"],
            "lon_deg": place["lon_deg"],
            "side_m": place["footprint_m"],
            "satellite": {
                key: place["views"]["satellite"][key]
                for key in ("captured", "shift_east_m", "shift_north_m", "corrected")
            },
            "split": place["split"],
            "texts": place["texts"],
        }
        for place in places
    ]
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def read_recipe(path: Path) -> Mapping[str, Line]:
    """By id.

    Raises:
        DataError: names the line that is none.
    """
    found: dict[str, Any] = {}
    try:
        data = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    for number, text in enumerate(data.splitlines(), start=1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            raise DataError(f"{path}, line {number}: expected a JSON object")
        for key, kind in _KEYS.items():
            if not isinstance(line.get(key), kind):
                raise DataError(f"{path}, line {number}: {key} is missing or of another kind")
        if not all(isinstance(text, str) for text in line["texts"]):
            raise DataError(f"{path}, line {number}: expected texts to be a list of texts")
        if not line["side_m"] > 0.0 or line["split"] not in ("train", "val", "test"):
            raise DataError(f"{path}, line {number}: expected side_m above 0 and a split")
        found[line["id"]] = line
    if not found:
        raise DataError(f"{path}: holds no place")
    return found
