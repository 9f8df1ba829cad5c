"""All protocols by name."""

from __future__ import annotations

from collections.abc import Sequence

from geobridge.onboard.errors import DataError

from . import drone, own, street, university
from .protocol import Protocol

PROTOCOLS = {
    protocol.name: protocol
    for family in (university, street, drone, own)
    for protocol in family.PROTOCOLS
}


def chosen(layout: str, names: Sequence[str]) -> list[Protocol]:
    """Those that are asked for, or all of a layout.

    Raises:
        DataError: there is none of that name, or it is of another layout.
    """
    of_layout = {name: each for name, each in PROTOCOLS.items() if each.layout == layout}
    for name in names:
        if name not in PROTOCOLS:
            raise DataError(f"--protocol {name}: expected one of {', '.join(PROTOCOLS)}")
        if name not in of_layout:
            raise DataError(
                f"--protocol {name}: is of {PROTOCOLS[name].layout}, these data are {layout}:"
                f" {', '.join(of_layout)}"
            )
    return [of_layout[name] for name in names or of_layout]
