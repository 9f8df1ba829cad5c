"""Dates of imagery, as precise as their sources tell them."""

from __future__ import annotations

import re
from datetime import date

UNDATED_DAYS = 36_500
"""A source that does not say its date comes after all that do."""


def days_apart(one: str, other: str) -> int:
    """Between two dates that begin as 2026-05-01, 2026-05 or 2026."""
    first, second = day_of(one), day_of(other)
    return UNDATED_DAYS if first is None or second is None else abs((first - second).days)


def day_of(text: str) -> date | None:
    """The middle of what a date leaves open; None if it is none."""
    found = re.match(r"(\d{4})(?:[-:](\d{2}))?(?:[-:](\d{2}))?", text)
    if not found:
        return None
    year, month, day = (int(part) if part else 0 for part in found.groups())
    try:
        return date(year, month or 7, day or (15 if month else 2))
    except ValueError:
        return None
