"""The recipes that come with the package: `geobridge train NAME`, or `NAME+SET` for a public set.

A set's file holds what a data set needs over any recipe: views, batches, epochs. Its epochs and its
pictures take the place of a recipe's steps and of its raster.
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
_NO_STEPS = "optim.steps=0"
_NO_RASTER = 'data={source="triples", folder="set"}'


def settings_of(config: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """The configuration of a file or recipe, of the data set after a plus, and of overrides.

    Raises:
        ConfigError: no such file, recipe or set, or a key of it is wrong.
    """
    name, _, data_set = (str(config), "", "") if config.exists() else str(config).partition("+")
    path = recipe(Path(name))
    told = _of_set(data_set, path) if data_set else ()
    return load(TrainConfig, path, [*told, *overrides])


def recipe(config: Path) -> Path:
    """A configuration's file: one's own, or that of a recipe by its name.

    Raises:
        ConfigError: neither; names the recipes that there are.
    """
    return config if config.exists() else _shipped(_FOLDER, config, "recipe")


def _of_set(data_set: str, over: Path) -> Iterator[str]:
    """The keys of a data set as overrides of a configuration that may have no room for them."""
    told = read_toml(_shipped(_SETS, Path(data_set), "data set"))
    data = read_toml(over).get("data")
    if isinstance(data, Mapping) and data.get("source") == "area":
        yield _NO_RASTER
    yield _NO_STEPS
    yield from _told(told)


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
