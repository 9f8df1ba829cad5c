"""The recipes that come with the package: `geobridge train NAME`."""

from __future__ import annotations

from pathlib import Path

from geobridge.onboard.errors import ConfigError

_FOLDER = Path(__file__).parent / "configs"


def recipe(config: Path) -> Path:
    """A configuration's file: one's own, or that of a recipe by its name.

    Raises:
        ConfigError: neither; names the recipes that there are.
    """
    if config.exists():
        return config
    shipped = {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}
    if str(config) not in shipped:
        raise ConfigError(
            f"{config}: no such file, and no recipe of that name: {', '.join(shipped)}"
        )
    return shipped[str(config)]
