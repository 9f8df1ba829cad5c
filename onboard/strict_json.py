"""JSON that means one thing: no key twice, no NaN, no infinity, and no depth without bound."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def strict_json(raw: bytes) -> Any:
    """A tree of plain data.

    Raises:
        ValueError: not UTF-8, not JSON, nested without end, a key that stands twice, NaN.
    """
    try:
        return json.loads(raw, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _no_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        if key in tree:
            raise ValueError(f"key {key!r} stands twice")
        tree[key] = value
    return tree


def _no_constants(name: str) -> float:
    raise ValueError(f"{name} is not a number")
