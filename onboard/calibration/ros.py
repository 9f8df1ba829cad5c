"""ROS's camera_info: what its calibrator writes, or the message as text (ROS 1: K, D; ROS 2: k, d).

Of a stereo pair it is the camera alone: rectification and projection are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..camera import Lens
from ..errors import ConfigError
from .intrinsics import Intrinsics, checked, numbers, told

_LENSES: dict[str, Lens] = {
    "plumb_bob": "pinhole",
    "rational_polynomial": "pinhole",
    "equidistant": "fisheye",
    "fisheye": "fisheye",
}
_WIDTH, _HEIGHT = ("image_width", "width"), ("image_height", "height")


def parse(tree: Mapping[str, Any], path: str) -> Intrinsics:
    """The camera of a camera_info.

    Raises:
        ConfigError: names the key, and what was expected.
    """
    size = [_first(tree, names, path) for names in (_WIDTH, _HEIGHT)]
    model = told(tree.get("distortion_model", "plumb_bob"))
    lens = _LENSES.get(model)
    if lens is None:
        known = ", ".join(_LENSES)
        raise ConfigError(f"{path}: distortion_model {model}, expected one of {known}")
    matrix = _data(_first(tree, ("camera_matrix", "K", "k"), path))
    fx, skew, cx, _, fy, cy, *_ = numbers(matrix, f"{path}: camera_matrix", 9)
    if skew:
        raise ConfigError(f"{path}: camera_matrix: axes that are not at right angles")
    bent = _data(_first(tree, ("distortion_coefficients", "D", "d"), path))
    return checked(
        numbers(size, f"{path}: image_width, image_height", 2),
        (fx, fy, cx, cy),
        numbers(bent, f"{path}: distortion_coefficients"),
        lens,
        path,
    )


def _first(tree: Mapping[str, Any], names: tuple[str, ...], path: str) -> Any:
    for name in names:
        if name in tree:
            return tree[name]
    raise ConfigError(f"{path}: no {names[0]}; expected a calibration of OpenCV, Kalibr or ROS")


def _data(matrix: Any) -> Any:
    """The numbers of a matrix, which the calibrator writes with its shape."""
    return matrix.get("data") if isinstance(matrix, dict) else matrix
