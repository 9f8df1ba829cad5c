"""The recipes that come with the package: `geobridge train NAME`, or `NAME+SET` for a public set.

A set's file holds what a data set needs over any recipe: views, batches, epochs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from geobridge.onboard.config import load, read_toml
from geobridge.onboard.errors import ConfigError

from .config import TrainConfig

_FOLDER = Path(__file__).parent / "configs"
_SETS = _FOLDER / "sets"


def settings_of(config: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """The configuration of a file or recipe, of the data set after a plus, and of overrides.

    Raises:
        ConfigError: no such file, recipe or set, or a key of it is wrong.
    """
    name, _, data_set = (str(config), "", "") if config.exists() else str(config).partition("+")
    told = _told(read_toml(_shipped(_SETS, Path(data_set), "data set"))) if data_set else ()
    return load(TrainConfig, recipe(Path(name)), [*told, *overrides])


def recipe(config: Path) -> Path:
    """A configuration's file: one's own, or that of a recipe by its name.

    Raises:
        ConfigError: neither; names the recipes that there are.
    """
    return config if config.exists() else _shipped(_FOLDER, config, "recipe")


def _shipped(folder: Path, name: Path, kind: str) -> Path:
    shipped = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if str(name) not in shipped:
        raise ConfigError(f"{name}: no such file, and no {kind} of that name: {', '.join(shipped)}")
    return shipped[str(name)]


def _told(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys of a file as overrides."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _told(value, f"{path}.")
        else:
            yield f"{path}={json.dumps(value)}"
