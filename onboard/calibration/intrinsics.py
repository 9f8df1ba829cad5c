"""What a calibration file says about a camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..camera import Lens
from ..errors import ConfigError

COUNTS: dict[Lens, tuple[int, ...]] = {"pinhole": (0, 4, 5, 8, 12, 14), "fisheye": (0, 4)}
"""How many coefficients a lens may have, in OpenCV's order."""
_MOST = 1e12
"""Beyond any number of a camera; an integer of YAML may be too large for a float."""


@dataclass(frozen=True)
class Intrinsics:
    """Pixels of pictures of one size; the names are those of `Camera`."""

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, ...]
    lens: Lens


def numbers(values: Any, where: str, count: int | None = None) -> tuple[float, ...]:
    """A list of numbers, none of them beyond all bounds.

    Raises:
        ConfigError: it is none, or not of this length.
    """
    wanted = {None: "numbers", 1: "a number"}.get(count, f"{count} numbers")
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ConfigError(f"{where}: expected {wanted}")
    good = all(type(value) in (int, float) and -_MOST < value < _MOST for value in values)
    if not good or (count is not None and len(values) != count):
        raise ConfigError(f"{where}: expected {wanted}")
    return tuple(float(value) for value in values)


def told(value: Any) -> str:
    """A name in a file, as one line tells it; what is no name is not shown."""
    if value is None:
        return "nothing"
    is_name = isinstance(value, str) and len(value) <= 50 and value.isprintable()
    return str(value) if is_name else "something else"


def is_in_picture(axis_px: float, side_px: float) -> bool:
    """Whether the optical axis meets the picture, along one side of it."""
    return 0.0 <= axis_px < side_px


def checked(
    size_px: Sequence[float], matrix: Sequence[float], bent: Sequence[float], lens: Lens, where: str
) -> Intrinsics:
    """A record of plausible numbers.

    Args:
        size_px: width and height.
        matrix: fx, fy, cx, cy.
        bent: distortion coefficients; trailing zeros are left out.
        lens: which lens they are of.
        where: the file, and the camera in it, for what is said about it.

    Raises:
        ConfigError: names what is not plausible.
    """
    width, height = size_px
    if not (width >= 1 and height >= 1 and width == int(width) and height == int(height)):
        raise ConfigError(f"{where}: a picture of {width:g}x{height:g} px")
    fx, fy, cx, cy = matrix
    if not (fx > 0.0 and fy > 0.0):
        raise ConfigError(f"{where}: focal lengths {fx:g}, {fy:g}, expected more than 0")
    if not (is_in_picture(cx, width) and is_in_picture(cy, height)):
        raise ConfigError(f"{where}: the optical axis at {cx:g}, {cy:g} px is not in the picture")
    if len(bent) not in COUNTS[lens]:
        known = ", ".join(map(str, COUNTS[lens]))
        raise ConfigError(f"{where}: {len(bent)} coefficients for a {lens}, expected {known}")
    distortion = tuple(bent) if any(bent) else ()
    return Intrinsics(int(width), int(height), fx, fy, cx, cy, distortion, lens)
