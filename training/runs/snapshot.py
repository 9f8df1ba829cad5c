"""A configuration as TOML that `geobridge train` reads again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..config import TrainConfig

_HEADER = "# The whole configuration of this run, defaults too; `geobridge train` takes it."


def as_toml(settings: TrainConfig) -> str:
    """Every key with its value; one that is unset is left out."""
    tables = settings.model_dump(mode="json")
    parts = [f"[{name}]\n" + "".join(_lines(table)) for name, table in tables.items()]
    return "\n".join([_HEADER + "\n", *parts])


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}\n" for key, value in table.items() if value is not None]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        entries = (f"{_key(key)} = {_value(entry)}" for key, entry in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    bare = key.replace("-", "").replace("_", "")
    return key if bare.isascii() and bare.isalnum() else json.dumps(key, ensure_ascii=False)
