"""TOML files and `key=value` overrides to validated, frozen models."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """One table of a configuration file: typed, frozen, without room for unknown keys or NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def load(
    model: type[S],
    path: Path | None = None,
    overrides: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
) -> S:
    """A configuration from a TOML file and `table.key=value` overrides; later overrides win.

    Tables of the file take the place of those of `base`, whole; overrides change single keys.

    Raises:
        ConfigError: names the file and the full key, in one line.
    """
    where = str(path) if path else "configuration"
    tree = {**(base or {}), **(read_toml(path) if path else {})}
    for override in overrides:
        _override(tree, override)
    return validate(model, tree, where, overrides if path else ())


def validate(
    model: type[S], tree: Mapping[str, Any], where: str, overrides: Sequence[str] = ()
) -> S:
    """A model from plain data, into which overrides went already.

    Raises:
        ConfigError: names `where`, or the command line for what an override says, and the full
            path of the first wrong key.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        told = "command line" if _is_of(overrides, error) else where
        raise ConfigError(f"{told}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first complaint as `full.key: what was expected`."""
    problem = _first(error)
    key = _key(problem)
    text = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        text = "unknown key"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{key}: {text}{more}" if key else f"{text}{more}"


def _first(error: ValidationError) -> Any:
    """An unknown key before all else: what is missing may be what was misspelt."""
    return min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")


def _key(problem: Any) -> str:
    return ".".join(str(part) for part in problem["loc"])


def _is_of(overrides: Sequence[str], error: ValidationError) -> bool:
    """Whether the first complaint is about what an override says."""
    location = [str(part) for part in _first(error)["loc"]]
    keys = [override.partition("=")[0].strip().split(".") for override in overrides]
    return any(_leads_to(location, key) for key in keys)


def _leads_to(location: Sequence[str], key: Sequence[str]) -> bool:
    """Whether a key's parts follow each other there; kinds of tables may lie between."""
    parts = iter(location)
    return all(part in parts for part in key)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, beyond all bounds
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override {override!r}: expected table.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    table = tree
    for depth, part in enumerate(parts[:-1], start=1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"override {override!r}: {'.'.join(parts[:depth])} is not a table")
    table[parts[-1]] = value
