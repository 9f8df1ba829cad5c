"""What OpenCV's `FileStorage` holds after a calibration, by its sample's names or by common ones.

It is read without OpenCV, whose reader breaks on a damaged file. A `fisheye_model` of 1, as the
sample writes it, means the equidistant lens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from ..camera import Lens
from ..errors import ConfigError
from .intrinsics import Intrinsics, checked, numbers

_MATRIX = ("camera_matrix", "cameraMatrix", "Camera_Matrix", "K")
_DISTORTION = ("distortion_coefficients", "distCoeffs", "Distortion_Coefficients", "D")
_SIZE = (("image_width", "image_height"), ("image_Width", "image_Height"))
_XML, _OLD_YAML, _TYPE = "<?xml", "%YAML:", "opencv-matrix"
_LENSES: dict[float, Lens] = {0.0: "pinhole", 1.0: "fisheye"}


def is_stored(text: str) -> bool:
    """Whether it is as `FileStorage` writes: XML, or YAML (JSON too) with a matrix of OpenCV's."""
    return text.startswith((_XML, _OLD_YAML)) or _TYPE in text


def parse(text: str, path: str) -> Intrinsics:
    """The camera of a stored calibration.

    Raises:
        ConfigError: names the key, and what was expected.
    """
    tree = _from_xml(text, path) if text.startswith(_XML) else _from_yaml(text, path)
    size = next((names for names in _SIZE if names[0] in tree), _SIZE[0])
    matrix = _matrix(tree, _MATRIX, path, shape=(3, 3))
    if matrix[1]:
        raise ConfigError(f"{path}: {_MATRIX[0]}: expected axes at right angles")
    fx, _, cx, _, fy, cy, *_ = matrix
    lens = _LENSES.get(_number(tree.get("fisheye_model", "0")))
    if lens is None:
        raise ConfigError(f"{path}: fisheye_model: expected 0 or 1")
    size_px = [_side(tree, name, path) for name in size]
    return checked(size_px, (fx, fy, cx, cy), _matrix(tree, _DISTORTION, path), lens, path)


def _from_yaml(text: str, path: str) -> dict[str, Any]:
    """Scalars stay text; the first line names a version in a way that is no YAML."""
    import yaml  # only whoever has such a file waits for it

    body = text.partition("\n")[2] if text.startswith(_OLD_YAML) else text
    try:
        tree = yaml.load(body, yaml.BaseLoader)  # makes text, lists and mappings alone
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ConfigError(f"{path}: not whole, expected YAML as OpenCV writes it") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a calibration of OpenCV, Kalibr or ROS")
    return tree


def _from_xml(text: str, path: str) -> dict[str, Any]:
    """As from YAML; without entities, which OpenCV never writes and which can be made to grow."""
    try:
        if "<!DOCTYPE" in text:
            raise ConfigError(f"{path}: a DOCTYPE, expected XML as OpenCV writes it")
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        raise ConfigError(f"{path}: not whole, expected XML as OpenCV writes it") from None
    return {
        each.tag: {part.tag: part.text or "" for part in each} if len(each) else each.text or ""
        for each in root
    }


def _side(tree: Mapping[str, Any], name: str, path: str) -> float:
    if name not in tree:
        raise ConfigError(f"{path}: no {name}; without the size of its pictures it fits none")
    return numbers([_number(tree[name])], f"{path}: {name}", 1)[0]


def _matrix(
    tree: Mapping[str, Any],
    names: tuple[str, ...],
    path: str,
    shape: tuple[int, int] | None = None,
) -> tuple[float, ...]:
    """Its numbers by rows."""
    name = next((name for name in names if name in tree), None)
    if name is None:
        raise ConfigError(f"{path}: no {names[0]}; expected a calibration of OpenCV, Kalibr or ROS")
    where, found = f"{path}: {name}", tree[name]
    if not isinstance(found, dict) or not {"rows", "cols", "data"} <= found.keys():
        raise ConfigError(f"{where}: expected a matrix")
    rows, cols, data = _number(found["rows"]), _number(found["cols"]), found["data"]
    if shape is not None and (rows, cols) != shape:
        raise ConfigError(f"{where}: expected {shape[0]} rows and {shape[1]} columns")
    cells = data.split() if isinstance(data, str) else list(data)
    if any(math.isnan(_number(cell)) for cell in cells):
        raise ConfigError(f"{where}: expected numbers in plain text, not as base64")
    if min(rows, cols) < 0 or len(cells) != rows * cols:
        raise ConfigError(f"{where}: {len(cells)} numbers, expected as many as rows by cols")
    return numbers([_number(cell) for cell in cells], where)


def _number(text: Any) -> float:
    """NaN where it is none, which `numbers` refuses."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan
