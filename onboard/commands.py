"""The table of commands: their help, their arguments, and the functions the arguments go to.

Targets are text, so that nothing is imported before it is called and what flies names no training
code. Names of arguments are the names of the target's parameters.
"""

from __future__ import annotations

import argparse
import math
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .views import View


@dataclass(frozen=True)
class Command:
    """A line of the table; `target` is `module:function` and takes the arguments by keyword."""

    help: str
    arguments: Callable[[ArgumentParser], None]
    target: str


def _demo(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("-o", dest="out", type=Path, default=Path("runs/demo"), metavar="OUT", help="runs/demo")
    add("--quick", action="store_true", help="smaller, to see that it works")
    _as_json(parser)


def _dataset_render(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the data set")
    add("--count", type=_count, default=1000, metavar="N", help="places in all (1000)")
    add("--seed", type=_natural, default=0, metavar="S", help="draws everything (0)")
    add("--size-km", type=_positive, metavar="K", help="side of a rendered world (3)")
    text = "GeoTIFF to render views of, instead of a world from the seed"
    add("--map", dest="raster", type=_existing, metavar="RASTER", help=text)
    text = "its surface model; without one there are no street views"
    add("--dsm", type=_existing, metavar="RASTER", help=text)
    add("--gsd-m", type=_positive, metavar="G", help="of the map, else its own")
    add("--val", type=_finite, default=0.1, metavar="V", help="share for validation (0.1)")
    add("--test", type=_finite, default=0.1, metavar="T", help="share for tests (0.1)")
    text = "side of the squares of land that go to one split (400)"
    add("--block-m", type=_positive, default=400.0, metavar="B", help=text)
    add("--size-px", type=_count, default=384, metavar="P", help="height of a picture (384)")
    add("--samples", type=_count, default=1, metavar="R", help="rays across a pixel (1)")
    text = "most that a drone looks away from straight down, to 45 (30)"
    add("--tilt-deg", type=_finite, default=30.0, metavar="D", help=text)
    add("--weather", choices=("fair", "mixed", "hard"), default="mixed", help="mixed")
    add("--photo", action="store_true", help="street photos, not panoramas")
    add("--depth", action="store_true", help="exact distances and points of every view")
    text = "drone pictures as flight cuts them out: north up, by sensors that err"
    add("--rectified", action="store_true", help=text)
    text = "side of every place, 80 to 180; else drawn from the published five"
    add("--footprint-m", type=_positive, metavar="F", help=text)
    text = "share of the ground that two places may have in common (0.5)"
    add("--overlap", type=_finite, default=0.5, metavar="O", help=text)
    text = "places that are written as one (500)"
    add("--shard", dest="shard_size", type=_count, default=500, metavar="N", help=text)
    _as_json(parser)


def _train(parser: ArgumentParser) -> None:
    parser.add_argument("config", type=_existing, metavar="CONFIG", help="TOML file")
    _overrides(parser)


def _export(parser: ArgumentParser) -> None:
    add, both, views = parser.add_argument, ("fp32", "fp16"), [view.value for view in View]
    add("checkpoint", type=_existing, metavar="CHECKPOINT", help="what training wrote")
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the encoders")
    add("--precision", dest="precisions", action=_Repeated, choices=both, default=both)
    add("--view", dest="views", action=_Repeated, choices=views, default=(), help="else all")


def _pack(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("raster", type=_existing, metavar="RASTER", help="georeferenced imagery")
    add("--encoders", type=_existing, required=True, metavar="DIR", help="what export wrote")
    add("-o", dest="out", type=Path, required=True, metavar="BUNDLE", help="folder of the bundle")
    add("--footprint-m", type=_positive, metavar="F", help="side of a reference on the ground")
    add("--spacing-m", type=_positive, metavar="S", help="from one reference to the next")
    add("--gsd-m", type=_positive, metavar="G", help="of the imagery in the bundle")
    text = "error of the imagery's own georeference, 1-sigma per axis (5)"
    add("--registration-m", type=_positive, default=5.0, metavar="R", help=text)
    add("--licence", default="", metavar="TEXT", help="of the imagery")
    add("--attribution", default="", metavar="TEXT", help="of the imagery")
    add("--captured", default="", metavar="DATE", help="of the imagery")
    add("--bundle-version", type=_count, default=1, metavar="N", help="counts up per area")
    text = "street-level pictures with a positions.csv: file,lat_deg,lon_deg[,heading_deg]"
    add("--street", type=_existing, metavar="FOLDER", help=text)
    text = "how far around them the ground is that they show (60)"
    add("--street-reach-m", type=_positive, default=60.0, metavar="R", help=text)
    add("--street-licence", default="", metavar="TEXT", help="of the street pictures")
    add("--street-attribution", default="", metavar="TEXT", help="of the street pictures")
    add("--street-captured", default="", metavar="DATE", help="of the street pictures")


def _keygen(parser: ArgumentParser) -> None:
    text = "writes NAME.key, to be kept secret, and NAME.pub"
    parser.add_argument("-o", dest="out", type=Path, required=True, metavar="NAME", help=text)
    _as_json(parser)


def _sign(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("bundle", type=_existing, metavar="BUNDLE", help="folder")
    add("--key", type=_existing, required=True, metavar="PRIVATE", help="what keygen wrote")
    _as_json(parser)


def _verify(parser: ArgumentParser) -> None:
    parser.add_argument("bundle", type=_existing, metavar="BUNDLE", help="folder")
    text = "public key that may have signed it; if given, one of them must have"
    parser.add_argument(
        "--trust", type=_existing, action=_Repeated, default=(), metavar="PUBLIC", help=text
    )


def _locate(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("bundle", type=_existing, metavar="BUNDLE", help="folder")
    add("image", type=_existing, metavar="IMAGE", help="picture, looking down")
    add("--top", type=_count, default=5, metavar="N", help="candidates (5)")
    add("--ground-width-m", type=_positive, metavar="W", help="ground across the picture")
    add("--heading-deg", type=_finite, metavar="H", help="bearing of the picture's upper edge")
    _as_json(parser)


def _rehearse(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("bundle", type=_existing, metavar="BUNDLE", help="folder")
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the results")
    way = parser.add_mutually_exclusive_group()
    text = ".plan, .waypoints, lines of lat,lon[,height_agl_m], or lat,lon:lat,lon"
    way.add_argument("--route", metavar="ROUTE", help=text)
    text = "west,south,east,north in degrees (--area=-1.2,...); without either, the whole map"
    way.add_argument("--area", type=_box, metavar="BOX", help=text)
    text = "GeoTIFF flown over, better of another date than the bundle's imagery, which it replaces"
    add("--map", dest="raster", type=_existing, metavar="RASTER", help=text)
    add("--dsm", type=_existing, metavar="RASTER", help="surface model of the map")
    add("--flights", type=_count, metavar="N", help="simulated flights (24)")
    add("--cell-m", type=_positive, metavar="M", help="side of a cell of the map (50)")
    add("--rate-hz", type=_positive, metavar="R", help="pictures per second (2)")
    add("--seed", type=_natural, metavar="S", help="draws everything (0)")
    add("--processes", type=_count, metavar="N", help="else one per core")
    seasons = ("summer", "autumn", "winter")
    add("--season", dest="seasons", action=_Repeated, choices=seasons, help="else all three")
    for name, text in (
        ("heights-agl-m", "a route's own, 100:140 over an area"),
        ("headings-deg", "courses over an area (0:360)"),
        ("solar-hours", "time of day, 12 is noon (9:15)"),
        ("cloud-cover", "0 clear, 1 overcast (0:1)"),
        ("visibility-m", "3000:20000"),
        ("map-age-years", "from the map to the flight (0:4)"),
        ("wind-m-s", "0:7"),
    ):
        add(f"--{name}", type=_span, metavar="LOW:HIGH", help=text)
    add("--config", type=_existing, metavar="TOML", help="camera and localizer")
    _overrides(parser)


def _replay(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("frames", metavar="FRAMES", help="video file or folder of pictures")
    add("--telemetry", type=_existing, required=True, metavar="CSV", help="of the autopilot")
    add("--bundle", type=_existing, required=True, metavar="BUNDLE", help="folder")
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the report")
    add("--truth", type=_existing, metavar="CSV", help="positions to compare with")
    add("--config", type=_existing, metavar="TOML", help="camera and localizer")
    add("--rate-hz", type=_positive, metavar="R", help="pictures per second")
    _overrides(parser)
    _as_json(parser)


def _fly(parser: ArgumentParser) -> None:
    add = parser.add_argument
    number: dict[str, Any] = {"type": _finite, "metavar": "X"}
    text = ".plan, .waypoints, file of coordinates, lat,lon:lat,lon, or m:east,north:east,north"
    add("route", metavar="ROUTE", help=text)
    add("-o", dest="out", type=Path, metavar="FOLDER", help="new; live, of what happened")
    add("--seed", type=_natural, default=0, metavar="S", help="of a rendered world (0)")
    add("--flight", dest="number", type=_natural, default=0, metavar="N", help="other luck (0)")
    add("--size-km", type=_positive, metavar="K", help="side of a rendered world (1)")
    add("--map", dest="raster", type=_existing, metavar="RASTER", help="instead of a world")
    add("--dsm", type=_existing, metavar="RASTER", help="surface model of the map")
    add("--airframe", choices=("multirotor", "fixed_wing"), default="multirotor")
    add("--speed-m-s", type=_positive, metavar="X", help="in place of a plan's own, else 12")
    add("--height-agl-m", default=100.0, help="of coordinates without one (100)", **number)
    add("--day", default="summer_noon", metavar="DAY", help="light and weather (summer_noon)")
    add("--wind-m-s", default=4.0, help="mean wind (4)", **number)
    add("--wind-from-deg", default=250.0, help="where it blows from (250)", **number)
    add("--gust-m-s", default=1.0, help="1-sigma gusts (1)", **number)
    add("--camera-px", default="640x480", metavar="WxH", help="640x480")
    add("--hfov-deg", default=70.0, help="horizontal field of view (70)", **number)
    add("--pitch-deg", default=-90.0, help="of the camera; -90 looks down", **number)
    add("--rate-hz", type=_positive, default=5.0, metavar="X", help="pictures per second (5)")
    add("--exposure-ms", default=3.0, help="of a picture (3)", **number)
    add("--vibration-deg", default=0.0, help="1-sigma shake of the camera (0)", **number)
    text = "outage@60, outage@60-90, drift@60:0.5,45 (m/s, bearing), jump@80:120,270 (m, bearing)"
    add("--gnss", action=_Repeated, default=(), metavar="FAULT", help=text)
    text = "error of a sensor, as attitude_bias_deg=1.5; an unknown name lists them all"
    add("--sensor", dest="sensors", action=_Repeated, default=(), metavar="key=value", help=text)
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
    add("--set", dest="parameters", action=_Repeated, default=(), metavar="P=V", help=text)
    text = "how long the live flight waits for somebody to look through its camera (60)"
    add("--wait-s", type=_positive, default=60.0, metavar="X", help=text)
    _as_json(parser)


def _run(parser: ArgumentParser) -> None:
    parser.add_argument("config_path", type=_existing, metavar="CONFIG", help="TOML file")
    _overrides(parser)


def _overrides(parser: ArgumentParser) -> None:
    text = "settings over those of the file, as table.key=0.3"
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=text)


def _as_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON")


class _Repeated(argparse.Action):
    """Every use of the option adds to a tuple; the first one replaces the default."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        given = getattr(namespace, self.dest)
        setattr(namespace, self.dest, (*(() if given is self.default else given), values))


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text}: no such file or folder")
    return path


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text}: expected a number")
    return value


def _positive(text: str) -> float:
    value = _finite(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return value


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 0")
    return int(text)


def _span(text: str) -> tuple[float, float]:
    low, colon, high = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text}: expected LOW:HIGH")
    return _finite(low), _finite(high)


def _box(text: str) -> tuple[float, ...]:
    values = tuple(map(_finite, text.split(",")))
    if len(values) != 4:
        raise argparse.ArgumentTypeError(f"{text}: expected west,south,east,north in degrees")
    return values

    # in COMMANDS, after "locate":
    #


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1")
    return int(text)


COMMANDS = {
    "demo": Command(
        "the whole path on a rendered world", _demo, "geobridge.export.demonstration.demo:demo"
    ),
    "dataset render": Command(
        "render views to train on",
        _dataset_render,
        "geobridge.training.datasets.render:render",
    ),
    "train": Command("train the encoders", _train, "geobridge.training.trainer:train"),
    "export": Command("write encoders as ONNX", _export, "geobridge.export.encoders:export"),
    "pack": Command("make a bundle of an area", _pack, "geobridge.export.pack:pack"),
    "keygen": Command(
        "make a pair of keys to sign with", _keygen, "geobridge.export.signing:keygen"
    ),
    "sign": Command("vouch for a bundle", _sign, "geobridge.export.signing:sign"),
    "verify": Command("check a bundle", _verify, "geobridge.onboard.verify_bundle:verify"),
    "locate": Command("find a picture on the map", _locate, "geobridge.onboard.locate:locate"),
    "rehearse": Command(
        "where fixes are to be expected",
        _rehearse,
        "geobridge.export.rehearsal.rehearse:rehearse_and_tell",
    ),
    "replay": Command("localize a recorded flight", _replay, "geobridge.onboard.replay:replay"),
    "fly": Command("simulate a flight", _fly, "geobridge.export.flights.fly:fly"),
    "run": Command("localize in flight", _run, "geobridge.onboard.daemon:run"),
    "doctor": Command("what works on this machine", _as_json, "geobridge.onboard.doctor:doctor"),
}
"""Every command of `geobridge`, in the order in which they are used."""
