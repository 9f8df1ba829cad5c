"""The arguments of demo, dataset render and rehearse."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from .arguments import (
    ROUTE,
    Repeated,
    as_json,
    box,
    count,
    existing,
    finite,
    natural,
    overrides,
    positive,
    span,
)

WEATHERS = (
    *("fair", "mixed", "hard"),
    *("noon", "morning", "dusk", "clouds", "overcast", "haze", "fog", "drizzle", "rain", "night"),
)


def dataset_render(parser: ArgumentParser) -> None:
    """Of `geobridge dataset render`."""
    parser.usage = "%(prog)s -o OUT [options]"
    parser.epilog = """\
writes OUT/{train,val,test}/{satellite,drone,street}/ID.jpg, text.jsonl and metadata.jsonl beside
them, and dataset.json; counts to stdout. Stopped, the same command goes on.

example:
  geobridge dataset render -o runs/set --size-km 2 --count 300
"""
    add = parser.add_argument
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the data set")
    as_json(parser)
    add = parser.add_argument_group("the land").add_argument
    text = "draws the land and everything else (default %(default)s)"
    add("--seed", type=natural, default=0, metavar="S", help=text)
    text = "side of a rendered world, 0.4 to 10 km (default 3)"
    add("--size-km", type=positive, metavar="KM", help=text)
    text = "GeoTIFF to render views of, instead of a world"
    add("--map", dest="raster", type=existing, metavar="RASTER", help=text)
    text = "surface model, only with --map; a map without one has no street views"
    add("--dsm", type=existing, metavar="RASTER", help=text)
    text = "side of a pixel in metres; with --map (default: the map's own)"
    add("--gsd-m", type=positive, metavar="M", help=text)
    add = parser.add_argument_group("the places").add_argument
    add("--count", type=count, default=1000, metavar="N", help="places in all (default 1000)")
    text = "side of a place in metres, 80 to 180 (default: drawn from 80, 100, 120, 150, 180)"
    add("--footprint-m", type=positive, metavar="M", help=text)
    text = "share of the ground that two places may have in common (default %(default)s)"
    add("--overlap", type=finite, default=0.5, metavar="SHARE", help=text)
    text = "share of the places for validation (default %(default)s)"
    add("--val", type=finite, default=0.1, metavar="SHARE", help=text)
    text = "share of the places for tests (default %(default)s)"
    add("--test", type=finite, default=0.1, metavar="SHARE", help=text)
    text = "side of the squares of land that go to one split, in metres (default %(default)g)"
    add("--block-m", type=positive, default=400.0, metavar="M", help=text)
    text = "places between two points where a stopped run goes on (default %(default)s)"
    add("--shard", dest="shard_size", type=count, default=500, metavar="N", help=text)
    _pictures(parser)


def _pictures(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the pictures").add_argument
    text = "height of every picture (default %(default)s)"
    add("--size-px", type=count, default=384, metavar="PX", help=text)
    text = "rays across a pixel, 1 or 3; 3 is smoother and slower (default %(default)s)"
    add("--samples", type=count, default=1, metavar="N", help=text)
    text = (
        "mixed has haze and rain, hard the night as well, and the others are one weather for every"
        " picture on the ground (default %(default)s)"
    )
    add("--weather", choices=WEATHERS, default="mixed", help=text)
    text = "most that a drone's camera looks away from straight down, 0 to 45 (default %(default)g)"
    add("--tilt-deg", type=finite, default=30.0, metavar="DEG", help=text)
    text = "drone pictures as flight cuts them out: north up, by sensors that err"
    add("--rectified", action="store_true", help=text)
    add("--photo", action="store_true", help="street photos instead of panoramas")
    text = (
        "depth/VIEW/ID.npz too: distance and point seen by the middle of every pixel;"
        " with --rectified those of the drone picture before it was cut out"
    )
    add("--depth", action="store_true", help=text)
    text = "points/ID.npz too: the exact geometry of every place, for geobridge dataset points"
    add("--points", action="store_true", help=text)


def rehearse(parser: ArgumentParser) -> None:
    """Of `geobridge rehearse`."""
    parser.usage = "%(prog)s BUNDLE -o OUT [options] [key=value ...]"
    parser.epilog = """\
writes OUT/rehearsal.png, the map for a pilot; localizability.tif and localizability.geojson for
QGIS; rehearsal.json, all figures; flights/, from where a stopped rehearsal goes on. The verdict
goes to stdout.

example:
  geobridge rehearse runs/bundle --route mission.plan --map newer.tif --heights-agl-m 90:120 \\
      -o runs/rehearsal camera.hfov_deg=73.7
"""
    add = parser.add_argument
    add("bundle", type=existing, metavar="BUNDLE", help="folder of the bundle that will be flown")
    overrides(parser)
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the results")
    text = "tables camera (needed, here or as camera.hfov_deg=73.7) and localizer, as for replay"
    add("--config", type=existing, metavar="TOML", help=text)
    group = parser.add_argument_group("the way (default: lanes over all that the map shows)")
    way = group.add_mutually_exclusive_group()
    way.add_argument("--route", metavar="ROUTE", help=ROUTE)
    text = "lanes over west,south,east,north in degrees"
    way.add_argument("--area", type=box, metavar="BOX", help=text)
    add = parser.add_argument_group("the land").add_argument
    text = (
        "GeoTIFF to fly over, better of another date than the bundle's imagery"
        " (default: the bundle's imagery itself)"
    )
    add("--map", dest="raster", type=existing, metavar="RASTER", help=text)
    text = "surface model, only with --map; without one the land is flat"
    add("--dsm", type=existing, metavar="RASTER", help=text)
    _effort(parser)
    _conditions(parser)


def _effort(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("how much").add_argument
    add("--flights", type=count, default=24, metavar="N", help="simulated flights (default 24)")
    text = "pictures per second (default %(default)g)"
    add("--rate-hz", type=positive, default=2.0, metavar="HZ", help=text)
    text = "side of a cell of the results, in metres (default %(default)g)"
    add("--cell-m", type=positive, default=50.0, metavar="M", help=text)
    text = "draws what every flight meets (default %(default)s)"
    add("--seed", type=natural, default=0, metavar="S", help=text)
    text = "flights at a time (default: one per core)"
    add("--processes", type=count, metavar="N", help=text)


def _conditions(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("what the flights meet, from LOW to HIGH").add_argument
    for name, usual, text in (
        (
            "heights-agl-m",
            None,
            "metres above ground (default: a route's own; 100:140 over an area)",
        ),
        ("headings-deg", (0.0, 360.0), "courses over an area, clockwise from north"),
        ("solar-hours", (9.0, 15.0), "time of day; at 12 the sun is highest"),
        ("cloud-cover", (0.0, 1.0), "0 clear, to 0.5 single clouds, to 1 overcast"),
        ("visibility-m", (3_000.0, 20_000.0), "in metres"),
        ("wind-m-s", (0.0, 7.0), "metres per second, from anywhere"),
        (
            "map-age-years",
            (0.0, 4.0),
            "from the map to the flight: cars, small things, houses change",
        ),
    ):
        if usual:
            text += f" (default {usual[0]:g}:{usual[1]:g})"
        add(f"--{name}", type=span, default=usual, metavar="LOW:HIGH", help=text)
    seasons = ("summer", "autumn", "winter")
    text = "may be given again (default: all three)"
    add("--season", dest="seasons", action=Repeated, choices=seasons, default=seasons, help=text)


def demo(parser: ArgumentParser) -> None:
    """Of `geobridge demo`."""
    add = parser.add_argument
    text = "folder of everything; index.html tells it (default %(default)s)"
    add("-o", dest="out", type=Path, default=Path("runs/demo"), metavar="OUT", help=text)
    add("--quick", action="store_true", help="less of everything, to see that it works")
    as_json(parser)
