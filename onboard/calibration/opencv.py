"""What OpenCV's `FileStorage` holds after a calibration, by its sample's names or by common ones.

A `fisheye_model` other than 0, as the sample writes it, means the equidistant lens.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..camera import Lens
from ..errors import ConfigError
from .intrinsics import Intrinsics, checked, numbers

_MATRIX = ("camera_matrix", "cameraMatrix", "Camera_Matrix", "K")
_DISTORTION = ("distortion_coefficients", "distCoeffs", "Distortion_Coefficients", "D")
_SIZE = (("image_width", "image_height"), ("image_Width", "image_Height"))


def parse(text: str, path: str) -> Intrinsics:
    """The camera of a stored calibration.

    Raises:
        ConfigError: names the key, and what was expected.
    """
    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    except (cv2.error, SystemError):
        raise ConfigError(f"{path}: not a file that OpenCV can read") from None
    size = next((names for names in _SIZE if not storage.getNode(names[0]).empty()), _SIZE[0])
    size_px = [_number(storage, name, path) for name in size]
    matrix = _matrix(storage, _MATRIX, path)
    if matrix.shape != (3, 3) or matrix[0, 1]:
        raise ConfigError(f"{path}: {_MATRIX[0]}: expected 3x3 with axes at right angles")
    fx, fy, cx, cy = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
    flag = storage.getNode("fisheye_model")
    lens: Lens = "fisheye" if not flag.empty() and flag.real() else "pinhole"
    bent = _matrix(storage, _DISTORTION, path).ravel().tolist()
    where = f"{path}: {_DISTORTION[0]}"
    four = numbers([float(fx), float(fy), float(cx), float(cy)], f"{path}: {_MATRIX[0]}", 4)
    return checked(size_px, four, numbers(bent, where), lens, path)


def _number(storage: cv2.FileStorage, name: str, path: str) -> float:
    node = storage.getNode(name)
    if node.empty() or not (node.isInt() or node.isReal()):
        raise ConfigError(f"{path}: no {name}; without the size of its pictures it fits none")
    return float(node.real())


def _matrix(
    storage: cv2.FileStorage, names: tuple[str, ...], path: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    for name in names:
        node = storage.getNode(name)
        if not node.empty():
            found = node.mat() if node.isMap() else None
            if found is None:
                raise ConfigError(f"{path}: {name}: expected a matrix")
            return np.asarray(found, np.float64)
    raise ConfigError(f"{path}: no {names[0]}; expected a calibration of OpenCV, Kalibr or ROS")
