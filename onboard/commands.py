"""The table of commands: their help, their arguments, and the functions the arguments go to.

Targets are text, so that nothing is imported before it is called and what flies names no training
code. Names of arguments are the names of the target's parameters.
"""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import commands_encoders as encoders
from . import commands_replay as replayed
from . import commands_simulated as simulated
from . import commands_trusted as trusted
from .arguments import Repeated, as_json, count, existing, finite, overrides, positive, span
from .commands_fly import fly
from .views import View


@dataclass(frozen=True)
class Command:
    """A line of the table; `target` is `module:function` and takes the arguments by keyword."""

    help: str
    arguments: Callable[[ArgumentParser], None]
    target: str


def _dataset_build(parser: ArgumentParser) -> None:
    parser.epilog = """\
CONFIG lists [[drone]] mosaics, [[street]] pictures and [[satellite]] imagery; docs/geoloc.md has
every key. Writes the set, metadata.parquet, webdataset/, recipe.jsonl and card.html into `out`;
counts to stdout. Stopped, the same command goes on; work/gates.html shows what the gates threw
away.
"""
    add = parser.add_argument
    add("config", type=existing, metavar="CONFIG", help="TOML file")
    overrides(parser)
    text = "here, or on the processors of a Ray cluster (default %(default)s)"
    add("--engine", choices=("local", "ray"), default="local", help=text)
    text = "stop before captions, after saying what they will cost"
    add("--dry-run", action="store_true", help=text)
    as_json(parser)


def _dataset_shard(parser: ArgumentParser) -> None:
    parser.epilog = """\
writes OUT/{train,val,test}/000000.tar and so on, which train reads as it reads FOLDER; depth stays
behind. Counts to stdout. Stopped, the same command goes on.
"""
    add = parser.add_argument
    add("folder", type=existing, metavar="FOLDER", help="holds {train,val,test}/VIEW/ID.jpg")
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the shards")
    text = "a shard is full with so many megabytes of pictures (default %(default)s)"
    add("--shard-mb", type=count, default=512, metavar="MB", help=text)
    as_json(parser)


def _dataset_check(parser: ArgumentParser) -> None:
    parser.epilog = """\
examples:
  geobridge dataset check University-1652 -o runs/check

recognises the data set by its layout, reads every picture, and tells counts, what is missing or
broken, and how the test part leaks into training. With -o a page with a map and pairs to look at.
"""
    add = parser.add_argument
    add("folder", type=existing, metavar="PATH", help="of the data set, or a table of one's own")
    add("-o", dest="out", type=Path, metavar="OUT", help="folder of the page")
    text = "of the data set: same or cross area, a height, a split of triples"
    add("--variant", default="", metavar="NAME", help=text)
    text = "tell queries nearer than this to a training picture (default %(default)g)"
    add("--near-m", type=positive, default=50.0, metavar="M", help=text)
    as_json(parser)


def _dataset_points(parser: ArgumentParser) -> None:
    parser.epilog = """\
SOURCE is a set that dataset render --points wrote, a folder with ID/points3D.txt or
ID_groupN/points3D.txt, or a manifest of lines {"id": ..., "path": ..., "up": "z"} for COLMAP's
.txt, .ply, .npz, .las, .laz and parts of a surface model .tif (docs/geolink.md has every key).

writes OUT/clouds/*.npy, index.jsonl, rejected.jsonl and samples.jpg to look at; train takes OUT as
geolink.points. Counts to stdout. Stopped, the same command goes on.
"""
    add = parser.add_argument
    add("source", type=existing, metavar="SOURCE", help="what there is")
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the clouds")
    text = "points that are kept of a cloud (default %(default)s)"
    add("--count", type=count, default=2048, metavar="N", help=text)
    text = "side of a place of which nothing else is known (default %(default)g)"
    add("--footprint-m", type=positive, default=150.0, metavar="M", help=text)
    text = "leave out points of less, where a file has a confidence (default %(default)g)"
    add("--min-confidence", type=finite, default=0.0, metavar="C", help=text)
    text = "leave out points of COLMAP with a larger error (default %(default)g)"
    add("--max-error-px", type=positive, default=4.0, metavar="PX", help=text)
    text = "refuse if more than this part of the clouds is of no use (default %(default)g)"
    add("--max-rejected", type=finite, default=0.05, metavar="SHARE", help=text)
    text = "the set that they are of: tell which of its places have none"
    add("--set", dest="data", type=existing, metavar="FOLDER", help=text)
    add("--processes", type=count, metavar="N", help="at a time (default: one per core)")
    as_json(parser)


def _dataset_tile(parser: ArgumentParser) -> None:
    parser.epilog = """\
RAW has a folder for every map: MAP/satelliteMAP.tif, MAP/MAP.csv with filename, lat, lon, height
and Phi1 (heading) of every picture, and MAP/drone/. Stopped, the same command goes on.
"""
    add = parser.add_argument
    add("raw", type=existing, metavar="RAW", help="as UAV-VisLoc is released, or one's own maps")
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder to write")
    text = "of the camera, across the flight (default %(default)g)"
    add("--hfov-deg", type=positive, default=48.44, metavar="DEG", help=text)
    text = "of the camera, along the flight (default %(default)g)"
    add("--vfov-deg", type=positive, default=33.48, metavar="DEG", help=text)
    text = "so many zooms below a map's own are cut (default %(default)s)"
    add("--zooms", type=count, default=2, metavar="N", help=text)
    text = "a map that cross-area training does not see; repeatable"
    add("--test", action=Repeated, default=(), metavar="MAP", help=text)
    as_json(parser)


def _train(parser: ArgumentParser) -> None:
    add = parser.add_argument
    parser.epilog = """\
recipes: area, area_foundation, distill, finetune_last3, full, geobridge_geolink, geolink, pretrain,
  tiny
data sets: captions, cvact, cvusa, denseuav, gta-uav, sues200, uav-visloc, university1652, vigor
"""
    text = "TOML file or recipe, with +DATASET for what a public data set needs besides"
    add("config", type=_configuration, metavar="CONFIG", help=text)
    overrides(parser)
    add("--dry-run", action="store_true", help="tell what it will cost, and stop there")
    as_json(parser)


def _configuration(text: str) -> Path:
    """A file or the bare name of a recipe, with a plus and the name of a data set or without."""
    name = text if Path(text).exists() else text.partition("+")[0]
    if Path(name).suffix:
        existing(name)
    return Path(text)


def _import(parser: ArgumentParser) -> None:
    add, views = parser.add_argument, [view.value for view in View]
    text = "safetensors, or .pth .pt .bin .ckpt that hold tensors alone"
    add("weights", type=existing, nargs="+", metavar="WEIGHTS", help=text)
    add("-o", dest="out", type=Path, required=True, metavar="RUN", help="folder to write")
    text = "open_clip's name of the towers, as ViT-L-14-quickgelu (default: by their shapes)"
    add("--model", default="", metavar="NAME", help=text)
    text = "the activation of OpenAI's CLIP, where no --model tells"
    add("--quick-gelu", action=BooleanOptionalAction, default=None, help=text)
    text = "a view wanted (default: all that are found)"
    add("--view", dest="views", action=Repeated, choices=views, default=(), help=text)
    text = "VIEW=PREFIX or text=PREFIX of the names of its tensors, where no word of them tells"
    add("--map", dest="sides", action=Repeated, default=(), metavar="SIDE=PREFIX", help=text)
    text = "the one image tower becomes that of every view"
    add("--all-views", action="store_true", help=text)
    text = "equal image towers under several names are one, and stay one"
    add("--shared", action="store_true", help=text)
    text = "tensors that begin so are no part of a tower, and are meant to be left out"
    add("--leave", action=Repeated, default=(), metavar="PREFIX", help=text)
    text = "of pixels, as the weights were trained (default %(default)s)"
    add("--normalisation", choices=("clip", "imagenet"), default="clip", help=text)
    text = "side of the ground that a picture from above shows, in metres (default %(default)g)"
    add("--footprint-m", type=positive, default=150.0, metavar="M", help=text)
    text = "side of a pixel of such a picture, in metres (default %(default)g)"
    add("--gsd-m", type=positive, default=1.0, metavar="M", help=text)


def _evaluate(parser: ArgumentParser) -> None:
    parser.epilog = """\
examples:
  geobridge evaluate runs/run --dataset University-1652 -o runs/university
  geobridge evaluate runs/run runs/encoders --dataset VIGOR --protocol vigor-cross --dims 256
  geobridge evaluate runs/run                             # six directions, on its own test split

Data sets are recognised by their layout; protocols and layouts stand in docs/protocols.md.
"""
    add = parser.add_argument
    text = "checkpoint, what export wrote, an ONNX file of it, or a bundle; several are compared"
    add("models", type=existing, nargs="+", metavar="MODEL", help=text)
    text = "data set (default: the triples that the checkpoint was trained on)"
    add("--dataset", "--data", dest="data", type=existing, metavar="PATH", help=text)
    text = "how to count; repeatable (default: every protocol of the data set)"
    add("--protocol", dest="protocols", action=Repeated, default=(), metavar="NAME", help=text)
    text = "of the data set: same or cross area, a height, a split of triples"
    add("--variant", default="", metavar="NAME", help=text)
    text = "folder for JSON, CSV, LaTeX, rank lists, pictures and a page; goes on where it stopped"
    add("-o", dest="out", type=Path, metavar="OUT", help=text)
    text = "descriptors cut to so many numbers, besides the whole; repeatable"
    add("--dims", type=count, action=Repeated, default=(), metavar="D", help=text)
    text = "exact, or hnsw as on board; repeatable (default exact)"
    add(
        "--search",
        dest="searches",
        action=Repeated,
        default=("exact",),
        choices=("exact", "hnsw"),
        help=text,
    )
    text = "add up descriptors of picture and mirror image (default: as the protocol has it)"
    add("--flips", action=BooleanOptionalAction, default=None, help=text)
    text = "for ONNX files and bundles (default %(default)s)"
    add("--engine", default="onnxruntime", choices=encoders.ENGINES, help=text)
    add = parser.add_argument_group("the six directions of triples").add_argument
    add("--split", default="test", metavar="NAME", help="of the data (default %(default)s)")
    text = "so many of its places and no more, always the same ones"
    add("--max-places", type=count, metavar="N", help=text)
    as_json(parser)


def _pack(parser: ArgumentParser) -> None:
    parser.epilog = """\
examples:
  geobridge pack map.tif --encoders runs/encoders -o runs/bundle
  geobridge pack references.toml --encoders runs/encoders -o runs/bundle --area mission.plan

references.toml lists any number of sources: rasters, MBTiles, tile folders, tile servers, street
pictures, earlier flights; README shows one. Where a bundle is replaced, what did not change is not
encoded again.
"""
    add = parser.add_argument
    text = "a raster, MBTiles, a folder of tiles, or a .toml with any number of sources"
    add("references", type=existing, metavar="REFERENCES", help=text)
    add("--encoders", type=existing, required=True, metavar="DIR", help="what export wrote")
    add("-o", dest="out", type=Path, required=True, metavar="BUNDLE", help="folder of the bundle")
    add("--area", type=existing, metavar="FILE", help="polygon to cover: GeoJSON, KML or .plan")
    add("--terrain", type=existing, metavar="RASTER", help="heights of the surface, metres AMSL")
    text = "counts up per area (default %(default)s)"
    add("--bundle-version", type=count, default=1, metavar="N", help=text)
    text = "ray: on all machines of the cluster that RAY_ADDRESS names (default %(default)s)"
    add("--engine", choices=("local", "ray"), default="local", help=text)
    text = "that encodes; only cpu gives the same bytes every time (default %(default)s)"
    add("--device", choices=("cpu", "cuda"), default="cpu", help=text)
    _pack_squares(parser)
    add = parser.add_argument_group("terms of a single source").add_argument
    for name, metavar in (("licence", "TEXT"), ("attribution", "TEXT"), ("captured", "DATE")):
        add(f"--{name}", default="", metavar=metavar, help="travels in the manifest")


def _pack_squares(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the squares").add_argument
    text = "side of a reference, once for each scale (default: what the encoders were trained for)"
    add(
        "--footprint-m",
        dest="footprints_m",
        type=positive,
        action=Repeated,
        default=(),
        metavar="M",
        help=text,
    )
    text = "heights that will be flown: chooses the footprints"
    add("--height-agl-m", dest="heights_agl_m", type=span, metavar="LOW:HIGH", help=text)
    text = "field of view of the camera that will fly (default %(default)g)"
    add("--hfov-deg", type=positive, default=70.0, metavar="DEG", help=text)
    text = "from one reference to the next (default: an eighth of the footprint)"
    add("--spacing-m", type=positive, metavar="M", help=text)
    text = "1-sigma error per axis that retrieval alone may have: chooses the spacing"
    add("--accuracy-m", type=positive, metavar="M", help=text)
    text = "side of a pixel of the imagery (default: what the encoders were trained for)"
    add("--gsd-m", type=positive, metavar="M", help=text)
    text = "1-sigma error per axis of the imagery's own georeference (default %(default)g)"
    add("--registration-m", type=positive, default=5.0, metavar="M", help=text)


def _calibrate(parser: ArgumentParser) -> None:
    parser.epilog = """\
flights that settings or encoders were tuned on say nothing about others, and a truth that was
matched against the bundle's own imagery says nothing about the imagery's error.

example:
  geobridge calibrate runs/bundle runs/replay_a runs/replay_b -o runs/calibrated
"""
    add = parser.add_argument
    add("bundle", type=existing, metavar="BUNDLE", help="folder of the bundle that was flown")
    text = "folders that replay left of flights with --truth"
    add("flights", type=existing, nargs="+", metavar="REPLAY", help=text)
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the new bundle")
    as_json(parser)


def _locate(parser: ArgumentParser) -> None:
    parser.epilog = """\
examples:
  geobridge locate runs/bundle photo.jpg --ground-width-m 220
  geobridge locate runs/bundle --text "a roundabout beside a river" --checkpoint runs/run
"""
    add, views = parser.add_argument, [view.value for view in View]
    add("bundle", type=existing, metavar="BUNDLE", help="folder")
    add("image", type=existing, nargs="?", metavar="IMAGE", help="picture of any view")
    add("--text", metavar="WORDS", help="what is there, in the place of a picture")
    text = "what the bundle's encoders were exported from, for --text"
    add("--checkpoint", type=existing, metavar="CHECKPOINT", help=text)
    text = "of the picture; drone and satellite look down (default %(default)s)"
    add("--view", choices=views, default="drone", help=text)
    text = "look among places of this view alone"
    add("--among", choices=views, action=Repeated, default=(), help=text)
    text = "one more bundle to look in, made with the same encoders"
    add("--also", type=existing, action=Repeated, default=(), metavar="BUNDLE", help=text)
    add("--top", type=count, default=5, metavar="N", help="candidates (default %(default)s)")
    add("--ground-width-m", type=positive, metavar="W", help="ground across the picture")
    add("--heading-deg", type=finite, metavar="H", help="bearing of the picture's upper edge")
    add("--heat-map", type=Path, metavar="PNG", help="write how well every place fits")
    text = "write where it most likely is; prior=GEOJSON gives it to run and replay"
    add("--area", type=Path, metavar="GEOJSON", help=text)
    as_json(parser)


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
    add("--shift-s", type=finite, default=0.0, metavar="S", help=text)
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
        _dataset_build,
        "geobridge.training.geoloc.build:build",
    ),
    "dataset check": Command(
        "whether a data set is whole, and what it asks",
        _dataset_check,
        "geobridge.training.checks.check:check",
    ),
    "dataset shard": Command(
        "put a data set into a few large files",
        _dataset_shard,
        "geobridge.training.datasets.shard:shard",
    ),
    "dataset points": Command(
        "prepare point clouds to train with",
        _dataset_points,
        "geobridge.training.geolink.points:prepare_points",
    ),
    "dataset tile": Command(
        "cut maps into tiles and pair drone pictures with them",
        _dataset_tile,
        "geobridge.training.datasets.tiling.tile:tile",
    ),
    "train": Command("train the encoders", _train, "geobridge.training.command:train"),
    "import": Command(
        "take weights that others trained",
        _import,
        "geobridge.training.imports.weights:import_weights",
    ),
    "evaluate": Command(
        "figures of a benchmark",
        _evaluate,
        "geobridge.export.evaluate:evaluate",
    ),
    "export": Command(
        "write encoders as ONNX", encoders.export, "geobridge.export.encoders:export"
    ),
    "pack": Command("make a bundle of an area", _pack, "geobridge.export.pack:pack"),
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
        "which bundle flies, and why", trusted.status, "geobridge.onboard.store.install:status"
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
        "find a picture or words on the map", _locate, "geobridge.export.locate:locate"
    ),
    "rehearse": Command(
        "where fixes are to be expected",
        simulated.rehearse,
        "geobridge.export.rehearsal.rehearse:rehearse_and_tell",
    ),
    "calibrate": Command(
        "state the accuracy that flights had", _calibrate, "geobridge.export.calibration:calibrate"
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
