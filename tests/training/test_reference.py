"""docs/training.md names every key that there is, with its default, and no other."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from geobridge.training.config import TrainConfig
from geobridge.training.config_data import AreaConfig, TriplesConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REFERENCE = Path(__file__).parents[2] / "docs" / "training.md"
SOURCES: dict[str, type[BaseModel]] = {
    '[data] with `source = "triples"`': TriplesConfig,
    '[data] with `source = "area"`': AreaConfig,
}


def documented() -> dict[str, dict[str, str]]:
    """Table to key to default, as it stands there."""
    tables: dict[str, dict[str, str]] = {}
    for line in REFERENCE.read_text().splitlines():
        if line.startswith("## "):
            rows = tables[line.removeprefix("## ")] = {}
        elif found := re.match(r"\| `(\w+)` \| (?:`(.*?)`)? ?\|", line):
            rows[found[1]] = found[2] or ""
    return tables


def known() -> dict[str, dict[str, Any]]:
    """Table to key to default; None where there is none."""
    tables = {f"[{n}]": f.annotation for n, f in TrainConfig.model_fields.items() if n != "data"}
    return {
        title: {
            key: None if field.is_required() else field.get_default(call_default_factory=True)
            for key, field in table.model_fields.items()
        }
        for title, table in (tables | SOURCES).items()
        if isinstance(table, type) and issubclass(table, BaseModel)
    }


def test_every_key_is_documented_with_its_default() -> None:
    written, there = documented(), known()
    assert written.keys() == there.keys()
    for title, keys in there.items():
        assert written[title].keys() == keys.keys(), f"docs/training.md, {title}"
        for key, default in keys.items():
            text = written[title][key]
            told = tomllib.loads(f"x = {text}")["x"] if text else None
            expected = list(default) if isinstance(default, tuple) else default
            if isinstance(default, BaseModel):
                expected = default.model_dump(exclude_defaults=True)
            assert told == expected, f"docs/training.md, {title}: {key}"
            assert type(told) is type(expected), f"docs/training.md, {title}: {key}"
