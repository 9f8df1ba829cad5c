"""The arguments of the commands that render: demo, dataset render, fly, rehearse."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from .arguments import (
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


def dataset_render(parser: ArgumentParser) -> None:
    """Of `geobridge dataset render`."""
    add = parser.add_argument
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the data set")
    add("--count", type=count, default=1000, metavar="N", help="places in all (1000)")
    add("--seed", type=natural, default=0, metavar="S", help="draws everything (0)")
    add("--size-km", type=positive, metavar="K", help="side of a rendered world (3)")
    text = "GeoTIFF to render views of, instead of a world from the seed"
    add("--map", dest="raster", type=existing, metavar="RASTER", help=text)
    text = "its surface model; without one there are no street views"
    add("--dsm", type=existing, metavar="RASTER", help=text)
    add("--gsd-m", type=positive, metavar="G", help="of the map, else its own")
    add("--val", type=finite, default=0.1, metavar="V", help="share for validation (0.1)")
    add("--test", type=finite, default=0.1, metavar="T", help="share for tests (0.1)")
    text = "side of the squares of land that go to one split (400)"
    add("--block-m", type=positive, default=400.0, metavar="B", help=text)
    add("--size-px", type=count, default=384, metavar="P", help="height of a picture (384)")
    add("--samples", type=count, default=1, metavar="R", help="rays across a pixel (1)")
    text = "most that a drone looks away from straight down, to 45 (30)"
    add("--tilt-deg", type=finite, default=30.0, metavar="D", help=text)
    add("--weather", choices=("fair", "mixed", "hard"), default="mixed", help="mixed")
    add("--photo", action="store_true", help="street photos, not panoramas")
    add("--depth", action="store_true", help="exact distances and points of every view")
    text = "drone pictures as flight cuts them out: north up, by sensors that err"
    add("--rectified", action="store_true", help=text)
    text = "side of every place, 80 to 180; else drawn from the published five"
    add("--footprint-m", type=positive, metavar="F", help=text)
    text = "share of the ground that two places may have in common (0.5)"
    add("--overlap", type=finite, default=0.5, metavar="O", help=text)
    text = "places that are written as one (500)"
    add("--shard", dest="shard_size", type=count, default=500, metavar="N", help=text)
    as_json(parser)


def rehearse(parser: ArgumentParser) -> None:
    """Of `geobridge rehearse`."""
    add = parser.add_argument
    add("bundle", type=existing, metavar="BUNDLE", help="folder")
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the results")
    way = parser.add_mutually_exclusive_group()
    text = ".plan, .waypoints, lines of lat,lon[,height_agl_m], or lat,lon:lat,lon"
    way.add_argument("--route", metavar="ROUTE", help=text)
    text = "west,south,east,north in degrees (--area=-1.2,...); without either, the whole map"
    way.add_argument("--area", type=box, metavar="BOX", help=text)
    text = "GeoTIFF flown over, better of another date than the bundle's imagery, which it replaces"
    add("--map", dest="raster", type=existing, metavar="RASTER", help=text)
    add("--dsm", type=existing, metavar="RASTER", help="surface model of the map")
    add("--flights", type=count, default=24, metavar="N", help="simulated flights (24)")
    add("--cell-m", type=positive, default=50.0, metavar="M", help="side of a cell of the map (50)")
    add("--rate-hz", type=positive, default=2.0, metavar="R", help="pictures per second (2)")
    add("--seed", type=natural, default=0, metavar="S", help="draws everything (0)")
    add("--processes", type=count, metavar="N", help="else one per core")
    seasons = ("summer", "autumn", "winter")
    text = "else all three"
    add("--season", dest="seasons", action=Repeated, choices=seasons, default=seasons, help=text)
    for name, usual, text in (
        ("heights-agl-m", None, "a route's own, 100:140 over an area"),
        ("headings-deg", (0.0, 360.0), "courses over an area (0:360)"),
        ("solar-hours", (9.0, 15.0), "time of day, 12 is noon (9:15)"),
        ("cloud-cover", (0.0, 1.0), "0 clear, 1 overcast (0:1)"),
        ("visibility-m", (3_000.0, 20_000.0), "3000:20000"),
        ("map-age-years", (0.0, 4.0), "from the map to the flight (0:4)"),
        ("wind-m-s", (0.0, 7.0), "0:7"),
    ):
        add(f"--{name}", type=span, default=usual, metavar="LOW:HIGH", help=text)
    add("--config", type=existing, metavar="TOML", help="camera and localizer")
    overrides(parser)


def fly(parser: ArgumentParser) -> None:
    """Of `geobridge fly`."""
    add = parser.add_argument
    number: dict[str, Any] = {"type": finite, "metavar": "X"}
    text = ".plan, .waypoints, file of coordinates, lat,lon:lat,lon, or m:east,north:east,north"
    add("route", metavar="ROUTE", help=text)
    add("-o", dest="out", type=Path, metavar="FOLDER", help="new; live, of what happened")
    add("--seed", type=natural, default=0, metavar="S", help="of a rendered world (0)")
    add("--flight", dest="number", type=natural, default=0, metavar="N", help="other luck (0)")
    add("--size-km", type=positive, metavar="K", help="side of a rendered world (1)")
    add("--map", dest="raster", type=existing, metavar="RASTER", help="instead of a world")
    add("--dsm", type=existing, metavar="RASTER", help="surface model of the map")
    add("--airframe", choices=("multirotor", "fixed_wing"), default="multirotor")
    add("--speed-m-s", type=positive, metavar="X", help="in place of a plan's own, else 12")
    add("--height-agl-m", default=100.0, help="of coordinates without one (100)", **number)
    add("--day", default="summer_noon", metavar="DAY", help="light and weather (summer_noon)")
    add("--wind-m-s", default=4.0, help="mean wind (4)", **number)
    add("--wind-from-deg", default=250.0, help="where it blows from (250)", **number)
    add("--gust-m-s", default=1.0, help="1-sigma gusts (1)", **number)
    add("--camera-px", default="640x480", metavar="WxH", help="640x480")
    add("--hfov-deg", default=70.0, help="horizontal field of view (70)", **number)
    add("--pitch-deg", default=-90.0, help="of the camera; -90 looks down", **number)
    add("--rate-hz", type=positive, default=5.0, metavar="X", help="pictures per second (5)")
    add("--exposure-ms", default=3.0, help="of a picture (3)", **number)
    add("--vibration-deg", default=0.0, help="1-sigma shake of the camera (0)", **number)
    text = "outage@60, outage@60-90, drift@60:0.5,45 (m/s, bearing), jump@80:120,270 (m, bearing)"
    add("--gnss", action=Repeated, default=(), metavar="FAULT", help=text)
    text = "error of a sensor, as attitude_bias_deg=1.5; an unknown name lists them all"
    add("--sensor", dest="sensors", action=Repeated, default=(), metavar="key=value", help=text)
    add("--dropped-share", default=0.0, help="of the pictures; with --frames", **number)
    add("--late-share", default=0.0, help="of the pictures; with --live", **number)
    add("--clock-offset-s", default=0.0, help="how far the camera's clock is ahead", **number)
    add("--steer-by", choices=("truth", "belief"), default="truth", help="truth; live: belief")
    add("--log", dest="kept_log", choices=("tlog", "bin"), default="tlog", help="tlog")
    add("--frames", action="store_true", help="pictures, not a video")
    text = "fly in real time, the autopilot at this MAVLink address, as udpout:127.0.0.1:14550"
    add("--live", metavar="ADDRESS", help=text)
    add("--camera-socket", type=Path, metavar="PATH", help="where the live camera listens")
    add("--autopilot", choices=("arducopter", "px4"), default="arducopter", help="arducopter")
    text = "parameter of the live autopilot"
    add("--set", dest="parameters", action=Repeated, default=(), metavar="P=V", help=text)
    text = "how long the live flight waits for somebody to look through its camera (60)"
    add("--wait-s", type=positive, default=60.0, metavar="X", help=text)
    as_json(parser)


def demo(parser: ArgumentParser) -> None:
    """Of `geobridge demo`."""
    add = parser.add_argument
    add("-o", dest="out", type=Path, default=Path("runs/demo"), metavar="OUT", help="runs/demo")
    add("--quick", action="store_true", help="smaller, to see that it works")
    as_json(parser)
