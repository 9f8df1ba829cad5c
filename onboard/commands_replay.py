"""Arguments of the commands that replay flights."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from .arguments import (
    LogsAndSettings,
    Repeated,
    as_json,
    count,
    existing,
    finite,
    natural,
    positive,
    seconds,
)


def replay(parser: ArgumentParser) -> None:
    """Of `geobridge replay`."""
    parser.epilog = """\
examples:
  geobridge replay flights/20260501.mcap --bundle runs/bundle -o runs/replay
  geobridge replay flight.bin --frames photos --bundle runs/bundle -o out camera.hfov_deg=73.7
  geobridge replay flight.mp4 --telemetry t.csv --truth truth.csv --bundle runs/bundle -o out

Stopped, the same command goes on. Several bundles or configurations have a folder each below OUT,
and in it several flights, with a table over all of them. docs/replay.md is a tour.
"""
    add = parser.add_argument
    text = (
        "flight record (.mcap or its folder), log of an autopilot, or video or folder of pictures"
    )
    words = add("words", nargs="+", action=LogsAndSettings, metavar="LOG | key=value", help=text)
    words.dest = "logs"
    text = "the pictures, where LOG has none: once for each LOG, in their order"
    add("--frames", action=Repeated, default=(), metavar="PATH", help=text)
    text = "telemetry as a table, where LOG has none: as --frames"
    add("--telemetry", type=existing, action=Repeated, default=(), metavar="CSV", help=text)
    text = "true positions to compare with: as --frames"
    add("--truth", type=existing, action=Repeated, default=(), metavar="CSV", help=text)
    text = "folder; each of several"
    add(
        "--bundle",
        dest="bundles",
        type=existing,
        action=Repeated,
        required=True,
        metavar="BUNDLE",
        help=text,
    )
    text = "camera and localizer; each of several"
    add(
        "--config",
        dest="configs",
        type=existing,
        action=Repeated,
        default=(),
        metavar="TOML",
        help=text,
    )
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the results")
    add("--rate-hz", type=positive, metavar="R", help="pictures per second of a folder")
    text = "when the video began, in seconds since the first row of a log on another clock"
    add("--video-at", dest="video_at_s", type=seconds, metavar="S", help=text)
    text = "find by the vehicle's turns how far the clock of photos is off that of LOG"
    add("--estimate-lag", action="store_true", help=text)
    _what(parser)
    as_json(parser)


def _what(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("what is replayed, and how").add_argument
    text = "first moment, in seconds since the first frame (default %(default)g)"
    add("--from", dest="from_s", type=finite, default=0.0, metavar="S", help=text)
    add("--to", dest="to_s", type=finite, metavar="S", help="last moment")
    text = "from this moment on telemetry says nothing that came of GNSS"
    add("--without-gnss-after", dest="without_gnss_after_s", type=finite, metavar="S", help=text)
    text = "fixes.jsonl that must come out again; exit code 3 where it does not"
    add("--expect", type=existing, metavar="FIXES", help=text)
    text = "moments that the report shows with pictures (default %(default)s)"
    add("--pictures", type=natural, default=60, metavar="N", help=text)
    text = "flights at a time (default %(default)s)"
    add("--workers", type=count, default=1, metavar="N", help=text)
    text = "ray: on all machines of the cluster that RAY_ADDRESS names (default %(default)s)"
    add("--engine", choices=("local", "ray"), default="local", help=text)


def compare(parser: ArgumentParser) -> None:
    """Of `geobridge replay compare`."""
    parser.epilog = """\
example:
  geobridge replay flights/*.mcap --bundle old --bundle new -o runs/both
  geobridge replay compare runs/both/old runs/both/new -o runs/compared

A and B are what two replays of the same flights left, one flight or many. Differences are B less A,
with 95 % intervals from flights and pieces of them drawn again and again.
"""
    add = parser.add_argument
    add("a", type=existing, metavar="A", help="folder that replay left")
    add("b", type=existing, metavar="B", help="another one of the same flights")
    text = "folder of the comparison"
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help=text)
    text = "frames that are shown, those that differ most (default %(default)s)"
    add("--pictures", type=natural, default=12, metavar="N", help=text)
    as_json(parser)
