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
    "replay": Command("localize a recorded flight", _replay, "geobridge.onboard.replay:replay"),
    "run": Command("localize in flight", _run, "geobridge.onboard.daemon:run"),
    "doctor": Command("what works on this machine", _as_json, "geobridge.onboard.doctor:doctor"),
}
"""Every command of `geobridge`, in the order in which they are used."""
