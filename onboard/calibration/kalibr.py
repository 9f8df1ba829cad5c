"""Kalibr's camera chains: `cam0`, `cam1` and so on, each with a model and a distortion by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..camera import Lens
from ..errors import ConfigError
from .intrinsics import Intrinsics, checked, numbers, told

_NAME = re.compile(r"cam[0-9]+")
_MODELS: dict[str, tuple[Lens, int]] = {
    "radtan": ("pinhole", 4),
    "equidistant": ("fisheye", 4),
    "none": ("pinhole", 0),
}
"""What its distortions are, and how many coefficients they have."""


def is_chain(tree: Mapping[str, Any]) -> bool:
    """Whether it has a camera by Kalibr's names."""
    return any(_NAME.fullmatch(str(key)) for key in tree)


def parse(tree: Mapping[str, Any], camera: str | None, path: str) -> Intrinsics:
    """One camera of a chain.

    Raises:
        ConfigError: not that camera, or a model that is not a pinhole with a distortion known here.
    """
    names = sorted(str(key) for key in tree if _NAME.fullmatch(str(key)))
    if camera is None and len(names) > 1:
        raise ConfigError(f"{path}: holds {', '.join(names)}; camera.calibrated names the one")
    name = camera or names[0]
    if name not in names:
        raise ConfigError(f"{path}: no {name}, only {', '.join(names)}")
    where, found = f"{path}: {name}", tree[name]
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: expected a camera")
    model, bent = told(found.get("camera_model")), told(found.get("distortion_model"))
    if model != "pinhole" or bent not in _MODELS:
        known = ", ".join(_MODELS)
        raise ConfigError(f"{where}: {model} with {bent}, expected pinhole with one of {known}")
    lens, count = _MODELS[bent]
    return checked(
        numbers(found.get("resolution"), f"{where}.resolution", 2),
        numbers(found.get("intrinsics"), f"{where}.intrinsics", 4),
        numbers(found.get("distortion_coeffs"), f"{where}.distortion_coeffs", count)
        if count
        else (),
        lens,
        where,
    )
