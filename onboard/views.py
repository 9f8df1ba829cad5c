"""The three views of a place. Text is a modality, not a view."""

from __future__ import annotations

from enum import Enum


class View(str, Enum):
    """Where the camera stood. The only place where these strings exist."""

    DRONE = "drone"
    SATELLITE = "satellite"
    STREET = "street"

    def __str__(self) -> str:
        return self.value


VIEW_CODES: dict[View, int] = {View.DRONE: 0, View.SATELLITE: 1, View.STREET: 2}
"""Codes of the `view` column in a bundle's places; never renumbered."""
