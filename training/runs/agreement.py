"""Processes that fail together: what one of them cannot do, none goes on without."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from geobridge.onboard.errors import DataError, GeobridgeError

from ..distributed import World, gather_text

T = TypeVar("T")


def together(world: World, action: Callable[[], T]) -> T:
    """Do it on every process; the first mistake of any is the mistake of all.

    Raises:
        DataError: the mistake of another process; its own one is raised as it is.
    """
    mistake: GeobridgeError | OSError | None = None
    try:
        result = action()
    except (GeobridgeError, OSError) as error:
        mistake = error
    told = gather_text([] if mistake is None else [str(mistake)], world)
    if mistake is not None:
        raise mistake
    if told:
        raise DataError(told[0])
    return result


def on_first(world: World, action: Callable[[], T]) -> T | None:
    """Do it on the first process alone; its mistake is the mistake of all."""
    return together(world, lambda: action() if world.is_first else None)
