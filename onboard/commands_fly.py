"""The arguments of `geobridge fly`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from .arguments import ROUTE, Repeated, as_json, existing, finite, natural, positive

DAYS = (
    "summer_noon, spring_afternoon, autumn_overcast, winter_morning, broken_clouds, haze, rain"
    " or night"
)


def fly(parser: ArgumentParser) -> None:
    """Of `geobridge fly`, in groups."""
    parser.usage = """\
%(prog)s ROUTE -o FOLDER [options]
       %(prog)s ROUTE --live ADDRESS --camera-socket PATH [-o FOLDER] [options]"""
    parser.epilog = """\
writes FOLDER/flight.mp4 (or frames/), flight.tlog (or flight.bin), telemetry.csv, truth.csv and
truth_poses.csv, and flight.toml, the camera for `geobridge replay --config`; with --live
moments.jsonl, the truth and what the autopilot believed. Paths and figures go to stdout.

example:
  geobridge fly m:-200,-200:-200,200:200,200 -o runs/flight --day rain --gnss outage@20
  geobridge fly mission.plan --map map.tif --live udpout:127.0.0.1:14550 --camera-socket eye.sock
"""
    add = parser.add_argument
    add("route", metavar="ROUTE", help=ROUTE)
    text = "new folder of the flight; with --live it may be left out"
    add("-o", dest="out", type=Path, metavar="FOLDER", help=text)
    as_json(parser)
    for group in (_land, _vehicle, _weather, _camera, _faults, _disk, _live):
        group(parser)


def _land(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the land").add_argument
    text = "of a rendered world, and of what happens on the way (default %(default)s)"
    add("--seed", type=natural, default=0, metavar="S", help=text)
    text = "another flight of that seed: other gusts, errors, noise (default %(default)s)"
    add("--flight", dest="number", type=natural, default=0, metavar="N", help=text)
    text = "side of a rendered world, 0.2 to 10 km (default 1)"
    add("--size-km", type=positive, metavar="KM", help=text)
    text = "GeoTIFF to fly over, instead of a rendered world"
    add("--map", dest="raster", type=existing, metavar="RASTER", help=text)
    text = "surface model, only with --map; without one the land is flat"
    add("--dsm", type=existing, metavar="RASTER", help=text)


def _vehicle(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the vehicle").add_argument
    text = "default %(default)s"
    add("--airframe", choices=("multirotor", "fixed_wing"), default="multirotor", help=text)
    text = "along the route, metres per second (default: a plan's own, else 12)"
    add("--speed-m-s", type=positive, metavar="M_S", help=text)
    text = "above ground, of places that come without a height (default %(default)g)"
    add("--height-agl-m", type=finite, default=100.0, metavar="M", help=text)


def _weather(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("light and weather").add_argument
    add("--day", default="summer_noon", metavar="DAY", help=f"{DAYS} (default %(default)s)")
    text = "mean wind, metres per second (default %(default)g)"
    add("--wind-m-s", type=finite, default=4.0, metavar="M_S", help=text)
    text = "where it blows from, clockwise from north (default %(default)g)"
    add("--wind-from-deg", type=finite, default=250.0, metavar="DEG", help=text)
    text = "gusts, 1-sigma, metres per second (default %(default)g)"
    add("--gust-m-s", type=finite, default=1.0, metavar="M_S", help=text)


def _camera(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the camera, fixed to the vehicle").add_argument
    text = "width and height in pixels (default %(default)s)"
    add("--camera-px", default="640x480", metavar="WxH", help=text)
    text = "horizontal field of view (default %(default)g)"
    add("--hfov-deg", type=finite, default=70.0, metavar="DEG", help=text)
    text = "-90 looks down, 0 ahead (default %(default)g)"
    add("--pitch-deg", type=finite, default=-90.0, metavar="DEG", help=text)
    text = "pictures per second (default %(default)g)"
    add("--rate-hz", type=positive, default=5.0, metavar="HZ", help=text)
    text = "exposure time, milliseconds (default %(default)g)"
    add("--exposure-ms", type=finite, default=3.0, metavar="MS", help=text)
    text = "shake, 1-sigma (default %(default)g)"
    add("--vibration-deg", type=finite, default=0.0, metavar="DEG", help=text)


def _faults(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("what goes wrong").add_argument
    text = (
        "outage@60: no fix from 60 s on, outage@60-90: until 90 s; drift@60:0.5,45: off at 0.5 m/s"
        " towards 45 degrees; jump@80:120,270: 120 m off, to the west; may be given again"
    )
    add("--gnss", action=Repeated, default=(), metavar="FAULT", help=text)
    text = (
        "error of a sensor, as attitude_bias_deg=1.5; may be given again; x=0 has the names listed"
    )
    add("--sensor", dest="sensors", action=Repeated, default=(), metavar="NAME=VALUE", help=text)
    text = "how far the camera's clock is ahead, seconds (default %(default)g)"
    add("--clock-offset-s", type=finite, default=0.0, metavar="S", help=text)


def _disk(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("on disk, only without --live").add_argument
    add("--frames", action="store_true", help="a folder of pictures, not a video")
    text = "share of pictures that are missing, 0 to 1; only with --frames (default %(default)g)"
    add("--dropped-share", type=finite, default=0.0, metavar="SHARE", help=text)
    text = "tlog as a ground station keeps it, bin as ArduPilot does (default %(default)s)"
    add("--log", dest="kept_log", choices=("tlog", "bin"), default="tlog", help=text)
    text = "belief: by the sensors, errors and all; live it is always belief (default %(default)s)"
    add("--steer-by", choices=("truth", "belief"), default="truth", help=text)


def _live(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("live to a daemon, only with --live").add_argument
    text = "fly in real time; MAVLink address of the autopilot, as udpout:127.0.0.1:14550"
    add("--live", metavar="ADDRESS", help=text)
    text = "where the camera listens, the daemon's stream:PATH; needed with --live"
    add("--camera-socket", type=Path, metavar="PATH", help=text)
    text = "default %(default)s"
    add("--autopilot", choices=("arducopter", "px4"), default="arducopter", help=text)
    text = "parameter of the autopilot, as GPS2_DELAY_MS=20; may be given again"
    add("--set", dest="parameters", action=Repeated, default=(), metavar="NAME=VALUE", help=text)
    text = "share of pictures that are held up on their way, 0 to 1 (default %(default)g)"
    add("--late-share", type=finite, default=0.0, metavar="SHARE", help=text)
    text = "seconds to wait for somebody to look through the camera (default %(default)g)"
    add("--wait-s", type=positive, default=60.0, metavar="S", help=text)
