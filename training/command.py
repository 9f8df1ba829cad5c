"""`geobridge train`: what a configuration shows to be wrong is told before torch is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .recipes import settings_of
from .runs import plan


def train(
    config: Path, overrides: Sequence[str] = (), dry_run: bool = False
) -> Path | dict[str, Any] | None:
    """Train, or tell what it would cost; nothing from other processes than the first.

    Raises:
        ConfigError: the configuration cannot be used.
        DataError: the data or a checkpoint cannot be used.
    """
    settings = settings_of(config, overrides)
    plan.check(settings)
    plan.check_paths(settings)
    if "RANK" in os.environ:  # what its C++ has to say, with a trace, we say in one line
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    from .trainer import train_or_tell  # it takes seconds to load torch

    return train_or_tell(settings, dry_run)
