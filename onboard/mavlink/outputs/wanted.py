"""What the user must set on the autopilot, as data: printed, and compared with what is set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wanted:
    """A parameter, under each name it has had; `value` in words, `fits` the same as a rule."""

    names: tuple[str, ...]
    value: str
    fits: Callable[[float], bool]
    why: str

    @property
    def name(self) -> str:
        """As the newest version has it."""
        return self.names[0]


def exactly(names: str, value: int, why: str) -> Wanted:
    """`names` are separated by spaces, newest first."""
    return Wanted(tuple(names.split()), str(value), lambda is_: round(is_) == value, why)


def between(names: str, low: float, high: float, why: str) -> Wanted:
    """Both ends are good."""
    text = f"{low:g} to {high:g}"
    return Wanted(tuple(names.split()), text, lambda is_: low <= is_ <= high, why)


def bits(names: str, on: int, off: int, why: str) -> Wanted:
    """Some bits of a mask set, others not, the rest as they are."""
    text = f"bits {on} set" + (f", bits {off} not" if off else "")
    return Wanted(
        tuple(names.split()), text, lambda is_: round(is_) & on == on and not round(is_) & off, why
    )


def difference(wanted: Wanted, values: Mapping[str, float]) -> str | None:
    """One line where a value read from the autopilot is not what is wanted; None where it is."""
    found = next(((name, values[name]) for name in wanted.names if name in values), None)
    if found is None:
        return f"{wanted.name}: not there; expected {wanted.value}: {wanted.why}"
    name, value = found
    if math.isfinite(value) and wanted.fits(value):
        return None
    return f"{name} is {value:g}, expected {wanted.value}: {wanted.why}"
