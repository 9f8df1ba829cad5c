"""The table of commands: their help, their arguments, and the functions the arguments go to.

Targets are text, so that nothing is imported before it is called and what flies names no training
code. Names of arguments are the names of the target's parameters.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import commands_bundles as bundles
from . import commands_datasets as datasets
from . import commands_encoders as encoders
from . import commands_replay as replayed
from . import commands_simulated as simulated
from . import commands_training as training
from . import commands_trusted as trusted
from .arguments import as_json, existing, overrides, seconds
from .commands_fly import fly


@dataclass(frozen=True)
class Command:
    """A line of the table; `target` is `module:function` and takes the arguments by keyword."""

    help: str
    arguments: Callable[[ArgumentParser], None]
    target: str


def _log(parser: ArgumentParser) -> None:
    parser.epilog = """\
reads ArduPilot's .bin and .log, .tlog, PX4's .ulg, our own records, DJI's .SRT, GoPro's videos, a
folder of photos, and CSV. With one log all of it is told, with several a line for each.

examples:
  geobridge log flight.bin
  geobridge log flight.tlog --telemetry telemetry.csv --truth truth.csv
  geobridge log flight.tlog --pictures photos --config camera.toml --telemetry telemetry.csv
"""
    add = parser.add_argument
    add("logs", type=existing, nargs="+", metavar="LOG", help="a log, a video, a folder of photos")
    text = "CSV to write, as replay reads it; with --pictures one row per picture"
    add("--telemetry", type=Path, metavar="FILE", help=text)
    text = "CSV to write: positions that may be called truth"
    add("--truth", type=Path, metavar="FILE", help=text)
    text = "photos of the flight, to be put on the clock of the log"
    add("--pictures", type=existing, metavar="FOLDER", help=text)
    text = "TOML with a camera table, to estimate by how much the photos' clock is off"
    add("--config", type=existing, metavar="FILE", help=text)
    text = "seconds to add to the times of the photos (default %(default)g)"
    add("--shift-s", type=seconds, default=0.0, metavar="S", help=text)
    as_json(parser)


def _run(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("config_path", type=existing, metavar="CONFIG", help="TOML file")
    one = parser.add_mutually_exclusive_group()
    text = "print what the autopilot must have set, and do not fly"
    one.add_argument("--params", action="store_true", help=text)
    text = "read the autopilot's parameters and print what differs, and do not fly"
    one.add_argument("--check-params", action="store_true", help=text)
    overrides(parser)


COMMANDS = {
    "demo": Command(
        "the whole path on a rendered world",
        simulated.demo,
        "geobridge.export.demonstration.demo:demo",
    ),
    "dataset render": Command(
        "render views to train on",
        simulated.dataset_render,
        "geobridge.training.datasets.render:render",
    ),
    "dataset build": Command(
        "build triples from mosaics, street pictures and satellite imagery",
        datasets.build,
        "geobridge.training.geoloc.build:build",
    ),
    "dataset check": Command(
        "whether a data set is whole, and what it asks",
        datasets.check,
        "geobridge.training.checks.check:check",
    ),
    "dataset shard": Command(
        "put a data set into a few large files",
        datasets.shard,
        "geobridge.training.datasets.shard:shard",
    ),
    "dataset points": Command(
        "prepare point clouds to train with",
        datasets.points,
        "geobridge.training.geolink.points:prepare_points",
    ),
    "dataset tile": Command(
        "cut maps into tiles and pair drone pictures with them",
        datasets.tile,
        "geobridge.training.datasets.tiling.tile:tile",
    ),
    "train": Command("train the encoders", training.train, "geobridge.training.command:train"),
    "import": Command(
        "take weights that others trained",
        training.import_,
        "geobridge.training.imports.weights:import_weights",
    ),
    "evaluate": Command(
        "figures of a benchmark",
        training.evaluate,
        "geobridge.export.evaluate:evaluate",
    ),
    "export": Command(
        "write encoders as ONNX", encoders.export, "geobridge.export.encoders:export"
    ),
    "pack": Command("make a bundle of an area", bundles.pack, "geobridge.export.pack:pack"),
    "keys new": Command(
        "make a pair of keys to sign with", trusted.keys_new, "geobridge.export.keys:new_key"
    ),
    "keys list": Command(
        "say which keys a fleet trusts, and which no more",
        trusted.keys_list,
        "geobridge.export.keys:write_list",
    ),
    "keys sign": Command(
        "sign a list of keys with a root key", trusted.keys_sign, "geobridge.export.keys:sign_list"
    ),
    "keys show": Command(
        "what a key is for, or what a list says", trusted.keys_show, "geobridge.export.keys:show"
    ),
    "sign": Command("vouch for a bundle", trusted.sign, "geobridge.export.signing:sign"),
    "install": Command(
        "bring a bundle aboard", trusted.install, "geobridge.onboard.store.install:install"
    ),
    "status": Command(
        "which bundle flies, and why", trusted.status, "geobridge.onboard.store.status:status"
    ),
    "verify": Command("check a bundle", encoders.verify, "geobridge.onboard.verify_bundle:verify"),
    "build": Command(
        "make TensorRT plans of a bundle, where it flies",
        encoders.build,
        "geobridge.export.tensorrt.build:build",
    ),
    "bench": Command(
        "time encoders on this machine", encoders.bench, "geobridge.onboard.bench.bench:bench"
    ),
    "locate": Command(
        "find a picture or words on the map", bundles.locate, "geobridge.export.locate:locate"
    ),
    "rehearse": Command(
        "where fixes are to be expected",
        simulated.rehearse,
        "geobridge.export.rehearsal.rehearse:rehearse_and_tell",
    ),
    "calibrate": Command(
        "state the accuracy that flights had",
        bundles.calibrate,
        "geobridge.export.calibration:calibrate",
    ),
    "log": Command("what is in a flight log", _log, "geobridge.onboard.flightlogs.command:tell"),
    "replay": Command(
        "localize recorded flights", replayed.replay, "geobridge.onboard.replay.replay:replay"
    ),
    "replay compare": Command(
        "what another bundle or setting changed",
        replayed.compare,
        "geobridge.onboard.replay.compare:compare",
    ),
    "fly": Command("simulate a flight", fly, "geobridge.export.flights.fly:fly"),
    "run": Command("localize in flight", _run, "geobridge.onboard.daemon.run:run"),
    "doctor": Command("what works on this machine", as_json, "geobridge.onboard.doctor:doctor"),
}
"""Every command of `geobridge`, in the order in which they are used."""
