"""Kinds of arguments that several commands take, and what is wrong with a bad one in one line."""

from __future__ import annotations

import argparse
import math
import re
from argparse import ArgumentParser
from pathlib import Path

ROUTE = (
    "QGroundControl .plan, Mission Planner .waypoints, text file of lat,lon[,height_agl_m] lines,"
    " lat,lon:lat,lon in degrees, or m:east,north:east,north in metres from the middle of the land"
)
"""What a route may be."""
CENTURY_S = 36_525 * 86_400


def overrides(parser: ArgumentParser) -> None:
    """Settings over those of a file."""
    text = "settings over those of the file, as table.key=0.3"
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=text)


def as_json(parser: ArgumentParser) -> None:
    """The result as JSON."""
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON")


class Repeated(argparse.Action):
    """Every use of the option adds to a tuple; the first one replaces the default."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """As argparse calls it."""
        given = getattr(namespace, self.dest)
        setattr(namespace, self.dest, (*(() if given is self.default else given), values))


class LogsAndSettings(argparse.Action):
    """Flights and settings in any order: what begins as `table.key=` is a setting."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """As argparse calls it."""
        words = values if isinstance(values, list) else []
        settings = [word for word in words if re.match(r"[a-z_]+(\.\w+)*=", word)]
        namespace.logs = [word for word in words if word not in settings]
        namespace.overrides = settings
        if not namespace.logs:
            raise argparse.ArgumentError(self, "expected a flight")


def existing(text: str) -> Path:
    """A file or folder that is there."""
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text}: no such file or folder")
    return path


def finite(text: str) -> float:
    """A number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text}: expected a number")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    value = finite(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return value


def seconds(text: str) -> float:
    """Seconds, as far as a clock may be off: beyond that no nanoseconds are counted."""
    value = finite(text)
    if abs(value) > CENTURY_S:
        raise argparse.ArgumentTypeError(f"{text}: expected seconds, at most a hundred years")
    return value


def natural(text: str) -> int:
    """0, 1, 2 and so on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 0")
    return int(text)


def span(text: str) -> tuple[float, float]:
    """Two numbers with a colon between them."""
    low, colon, high = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text}: expected LOW:HIGH")
    return finite(low), finite(high)


def box(text: str) -> tuple[float, ...]:
    """West, south, east, north."""
    values = tuple(map(finite, text.split(",")))
    if len(values) != 4:
        raise argparse.ArgumentTypeError(f"{text}: expected west,south,east,north in degrees")
    return values


def count(text: str) -> int:
    """1, 2 and so on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1")
    return int(text)
