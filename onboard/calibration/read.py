"""A calibration file of any of the kinds, told apart by what is in it.

OpenCV's is YAML or XML as `FileStorage` writes it, Kalibr's a `camchain.yaml`, ROS's the YAML of
its calibrator or a dumped `camera_info`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ConfigError
from . import kalibr, opencv, ros
from .intrinsics import Intrinsics

MAX_BYTES = 1_000_000
_WRONG_FOR_ITS_TAG = (ValueError, AttributeError, LookupError, ArithmeticError)
"""What PyYAML raises over a text that is not of the kind its tag says, as `!!bool abc`."""


def read_calibration(path: Path, camera: str | None = None) -> Intrinsics:
    """The intrinsics in a file.

    Args:
        path: the file.
        camera: which one, of a Kalibr chain of several.

    Raises:
        ConfigError: names the file and what was expected in it.
    """
    text = _read(path)
    if opencv.is_stored(text):
        found = opencv.parse(text, str(path))
    else:
        tree = _tree(text, path)
        if kalibr.is_chain(tree):
            return kalibr.parse(tree, camera, str(path))
        found = ros.parse(tree, str(path))
    if camera is not None:
        raise ConfigError(f"{path}: holds one camera without a name, not {camera}")
    return found


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: too large for a calibration")
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file") from None


def _tree(text: str, path: Path) -> dict[str, Any]:
    import yaml  # only whoever has such a file waits for it

    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, *_WRONG_FOR_ITS_TAG):
        raise ConfigError(f"{path}: expected a calibration of OpenCV, Kalibr or ROS") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a calibration of OpenCV, Kalibr or ROS")
    return tree
