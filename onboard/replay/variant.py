"""What a flight is replayed with: a bundle and settings, under a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import ReplayConfig, load


@dataclass(frozen=True)
class Variant:
    """A bundle, the file of settings over it, and single settings over that."""

    name: str
    bundle: Path
    config: Path | None = None
    overrides: tuple[str, ...] = ()

    def resolved(self) -> Variant:
        """The same from whatever folder somebody looks."""
        config = self.config.resolve() if self.config else None
        return replace(self, bundle=self.bundle.resolve(), config=config)

    @property
    def paths(self) -> str:
        """Where the bundle and the settings lie: names may be alike."""
        return ", ".join(str(each.resolve()) for each in (self.bundle, self.config) if each)

    def settings(self, base: Mapping[str, Any] | None = None) -> ReplayConfig:
        """Read and checked, over those that a flight was flown with.

        Raises:
            ConfigError: names the file and the key.
        """
        return load(ReplayConfig, self.config, self.overrides, base)


def variants(
    bundles: Sequence[Path], configs: Sequence[Path], overrides: Sequence[str]
) -> list[Variant]:
    """Every bundle with every file of settings, named by what tells them apart."""
    files: Sequence[Path | None] = configs or [None]
    found = []
    for bundle in bundles:
        for config in files:
            parts = [bundle.resolve().name] if len(bundles) > 1 else []
            parts += [config.stem] if config is not None and len(files) > 1 else []
            name = "-".join(parts)
            found.append(Variant(name, bundle, config, tuple(overrides)))
    return [
        Variant(name, each.bundle, each.config, each.overrides)
        for each, name in zip(found, unlike([each.name for each in found]), strict=True)
    ]


def unlike(names: Sequence[str]) -> list[str]:
    """Names of which no two are the same: later ones are counted."""
    given: list[str] = []
    for name in names:
        count, new = 1, name
        while new in given:
            count += 1
            new = f"{name}-{count}"
        given.append(new)
    return given
