"""The table of commands: their help, their arguments, and the functions the arguments go to.

Targets are text, so that nothing is imported before it is called and what flies names no training
code. Names of arguments are the names of the target's parameters.
"""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import commands_simulated as simulated
from .arguments import Repeated, as_json, count, existing, finite, natural, overrides, positive
from .commands_fly import fly
from .views import View

PRECISIONS = ("fp32", "fp16", "int8")
ENGINES = ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt")


@dataclass(frozen=True)
class Command:
    """A line of the table; `target` is `module:function` and takes the arguments by keyword."""

    help: str
    arguments: Callable[[ArgumentParser], None]
    target: str


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


def _train(parser: ArgumentParser) -> None:
    add = parser.add_argument
    text = "TOML file, or a recipe: area, area_foundation, finetune_last3, pretrain, tiny"
    add("config", type=_configuration, metavar="CONFIG", help=text)
    overrides(parser)
    add("--dry-run", action="store_true", help="tell what it will cost, and stop there")
    as_json(parser)


def _configuration(text: str) -> Path:
    """A file, or the bare name of a recipe."""
    return existing(text) if Path(text).suffix else Path(text)


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
    text = "of pixels, as the weights were trained (default %(default)s)"
    add("--normalisation", choices=("clip", "imagenet"), default="clip", help=text)
    text = "side of the ground that a picture from above shows, in metres (default %(default)g)"
    add("--footprint-m", type=positive, default=150.0, metavar="M", help=text)
    text = "side of a pixel of such a picture, in metres (default %(default)g)"
    add("--gsd-m", type=positive, default=1.0, metavar="M", help=text)


def _evaluate(parser: ArgumentParser) -> None:
    add = parser.add_argument
    text = "folder that training or import wrote"
    add("checkpoint", type=existing, metavar="CHECKPOINT", help=text)
    text = "triples to look for each other (default: those that it was trained on)"
    add("--data", type=existing, metavar="FOLDER", help=text)
    add("--split", default="test", metavar="NAME", help="of these data (default %(default)s)")
    text = "so many of its places and no more, always the same ones"
    add("--max-places", type=count, metavar="N", help=text)
    as_json(parser)


def _export(parser: ArgumentParser) -> None:
    parser.epilog = """\
every file is compared with the checkpoint, and the export fails where it differs: fp16 needs a
cosine of 0.9995 on the worst of 16 drawn pictures. OUT/parity.json has the figures.
"""
    add, views = parser.add_argument, [view.value for view in View]
    add("checkpoint", type=existing, metavar="CHECKPOINT", help="what training wrote")
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the encoders")
    text = "may be given again (default: fp32 and fp16); int8 is for computers without a GPU"
    add(
        "--precision",
        dest="precisions",
        action=Repeated,
        choices=PRECISIONS,
        default=PRECISIONS[:2],
        help=text,
    )
    add("--view", dest="views", action=Repeated, choices=views, default=(), help="else all")
    text = "length of descriptors, one that was trained for (default: all of them)"
    add("--dimension", type=count, metavar="D", help=text)
    text = "18, where a TensorRT does not take Gelu (default %(default)s)"
    add("--opset", type=count, default=20, metavar="N", help=text)
    text = "attention scores of fp16 in single precision, and not only where parity asks for it"
    add("--fp32-scores", action="store_true", help=text)
    text = "also compare what 200 squares find; writes OUT/parity.md, and int8 always does it"
    add("--report", action="store_true", help=text)
    text = "georeferenced raster the squares are of (default: a rendered land); means --report"
    add("--gallery", type=existing, metavar="RASTER", help=text)


def _pack(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("raster", type=existing, metavar="RASTER", help="georeferenced imagery")
    add("--encoders", type=existing, required=True, metavar="DIR", help="what export wrote")
    add("-o", dest="out", type=Path, required=True, metavar="BUNDLE", help="folder of the bundle")
    text = "side of a reference on the ground (default: what the encoders were trained for)"
    add("--footprint-m", type=positive, metavar="M", help=text)
    text = "from one reference to the next (default: an eighth of the footprint)"
    add("--spacing-m", type=positive, metavar="M", help=text)
    text = (
        "side of a pixel of the imagery in the bundle (default: what the encoders were trained for)"
    )
    add("--gsd-m", type=positive, metavar="M", help=text)
    text = (
        "error of the imagery's own georeference, 1-sigma per axis in metres (default %(default)g)"
    )
    add("--registration-m", type=positive, default=5.0, metavar="M", help=text)
    add("--licence", default="", metavar="TEXT", help="of the imagery")
    add("--attribution", default="", metavar="TEXT", help="of the imagery")
    add("--captured", default="", metavar="DATE", help="of the imagery")
    text = "counts up per area (default %(default)s)"
    add("--bundle-version", type=count, default=1, metavar="N", help=text)
    text = "street-level pictures with a positions.csv: file,lat_deg,lon_deg[,heading_deg]"
    add("--street", type=existing, metavar="FOLDER", help=text)
    text = "how far around them the ground is that they show, in metres (default %(default)g)"
    add("--street-reach-m", type=positive, default=60.0, metavar="M", help=text)
    add("--street-licence", default="", metavar="TEXT", help="of the street pictures")
    add("--street-attribution", default="", metavar="TEXT", help="of the street pictures")
    add("--street-captured", default="", metavar="DATE", help="of the street pictures")


def _keygen(parser: ArgumentParser) -> None:
    text = "writes NAME.key, to be kept secret, and NAME.pub"
    parser.add_argument("-o", dest="out", type=Path, required=True, metavar="NAME", help=text)
    as_json(parser)


def _sign(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("bundle", type=existing, metavar="BUNDLE", help="folder")
    add("--key", type=existing, required=True, metavar="PRIVATE", help="what keygen wrote")
    as_json(parser)


def _verify(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("bundle", type=existing, metavar="BUNDLE", help="folder")
    _trust(parser)
    text = (
        "also compare this engine's encoders with those in single precision, on squares of the"
        " bundle; which engine flies is found out on the computer that flies"
    )
    add("--engine", choices=ENGINES, metavar="ENGINE", help=f"{text}: {', '.join(ENGINES)}")
    text = "of its encoders (default: those of the bundle that the engine is for)"
    add("--precision", choices=PRECISIONS, help=text)
    _plans(parser)


def _build(parser: ArgumentParser) -> None:
    parser.epilog = """\
Plans are made on the computer that flies, and are kept for it alone: another GPU, driver, CUDA or
TensorRT needs its own. The same command says at once that there is nothing to do. It has not been
run on hardware so far.
"""
    add, views = parser.add_argument, [view.value for view in View]
    add("bundle", type=existing, metavar="BUNDLE", help="folder")
    text = "may be given again (default: drone, the one that flies)"
    add("--view", dest="views", action=Repeated, choices=views, default=("drone",), help=text)
    text = "of the bundle's encoder (default %(default)s)"
    add("--precision", choices=("fp32", "fp16"), default="fp16", help=text)
    text = "so many pictures at a time and fewer (default %(default)s)"
    add("--max-batch", type=count, default=1, metavar="N", help=text)
    text = "scratch memory of a layer, in MiB (default: a quarter of the free memory, at most 1024)"
    add("--workspace-mb", type=count, metavar="MB", help=text)
    text = "TensorRT's, 0 to 5: higher builds longer (default %(default)s)"
    levels = range(6)
    add("--optimization-level", type=int, choices=levels, default=3, metavar="N", help=text)
    _plans(parser)
    _trust(parser)
    as_json(parser)


def _bench(parser: ArgumentParser) -> None:
    add, views = parser.add_argument, [view.value for view in View]
    add("model", type=existing, metavar="BUNDLE", help="folder, or one exported ONNX file")
    text = "may be given again (default: onnxruntime)"
    add(
        "--engine",
        dest="engines",
        action=Repeated,
        choices=ENGINES,
        default=ENGINES[:1],
        metavar="ENGINE",
        help=f"{', '.join(ENGINES)}; {text}",
    )
    text = "may be given again (default: all that the bundle has)"
    add("--precision", dest="precisions", action=Repeated, choices=PRECISIONS, default=())
    add("--view", choices=views, default="drone", help="of the encoder (default %(default)s)")
    text = "pictures at a time; may be given again (default: 1)"
    add("--batch", dest="batches", type=count, action=Repeated, default=(1,), help=text)
    text = "seconds for each line of the table (default %(default)g)"
    add("--seconds", type=positive, default=10.0, metavar="S", help=text)
    text = "cores of the CPU (default: all)"
    add("--threads", type=natural, default=0, metavar="N", help=text)
    _plans(parser)
    text = "file for all that was measured, as JSON"
    add("-o", dest="out", type=Path, metavar="FILE", help=text)


def _trust(parser: ArgumentParser) -> None:
    text = "public key that may have signed it; if given, one of them must have"
    parser.add_argument(
        "--trust", type=existing, action=Repeated, default=(), metavar="PUBLIC", help=text
    )


def _plans(parser: ArgumentParser) -> None:
    text = "of TensorRT plans (default: ~/.cache/geobridge/plans)"
    parser.add_argument("--plans", type=Path, metavar="FOLDER", help=text)


def _locate(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("bundle", type=existing, metavar="BUNDLE", help="folder")
    add("image", type=existing, metavar="IMAGE", help="picture, looking down")
    add("--top", type=count, default=5, metavar="N", help="candidates (default 5)")
    add("--ground-width-m", type=positive, metavar="W", help="ground across the picture")
    add("--heading-deg", type=finite, metavar="H", help="bearing of the picture's upper edge")
    as_json(parser)


def _replay(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("frames", metavar="FRAMES", help="video file or folder of pictures")
    add("--telemetry", type=existing, required=True, metavar="CSV", help="of the autopilot")
    add("--bundle", type=existing, required=True, metavar="BUNDLE", help="folder")
    add("-o", dest="out", type=Path, required=True, metavar="OUT", help="folder of the report")
    add("--truth", type=existing, metavar="CSV", help="positions to compare with")
    add("--config", type=existing, metavar="TOML", help="camera and localizer")
    add("--rate-hz", type=positive, metavar="R", help="pictures per second")
    overrides(parser)
    as_json(parser)


def _run(parser: ArgumentParser) -> None:
    parser.add_argument("config_path", type=existing, metavar="CONFIG", help="TOML file")
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
    "dataset shard": Command(
        "put a data set into a few large files",
        _dataset_shard,
        "geobridge.training.datasets.shard:shard",
    ),
    "train": Command("train the encoders", _train, "geobridge.training.trainer:train_or_tell"),
    "import": Command(
        "take weights that others trained",
        _import,
        "geobridge.training.imports.weights:import_weights",
    ),
    "evaluate": Command(
        "how well a checkpoint finds places",
        _evaluate,
        "geobridge.training.evaluation.evaluate_checkpoint:evaluate",
    ),
    "export": Command("write encoders as ONNX", _export, "geobridge.export.encoders:export"),
    "pack": Command("make a bundle of an area", _pack, "geobridge.export.pack:pack"),
    "keygen": Command(
        "make a pair of keys to sign with", _keygen, "geobridge.export.signing:keygen"
    ),
    "sign": Command("vouch for a bundle", _sign, "geobridge.export.signing:sign"),
    "verify": Command("check a bundle", _verify, "geobridge.onboard.verify_bundle:verify"),
    "build": Command(
        "make TensorRT plans of a bundle, where it flies", _build, "geobridge.export.tensorrt:build"
    ),
    "bench": Command(
        "time encoders on this machine", _bench, "geobridge.onboard.bench.bench:bench"
    ),
    "locate": Command("find a picture on the map", _locate, "geobridge.onboard.locate:locate"),
    "rehearse": Command(
        "where fixes are to be expected",
        simulated.rehearse,
        "geobridge.export.rehearsal.rehearse:rehearse_and_tell",
    ),
    "replay": Command("localize a recorded flight", _replay, "geobridge.onboard.replay:replay"),
    "fly": Command("simulate a flight", fly, "geobridge.export.flights.fly:fly"),
    "run": Command("localize in flight", _run, "geobridge.onboard.daemon:run"),
    "doctor": Command("what works on this machine", as_json, "geobridge.onboard.doctor:doctor"),
}
"""Every command of `geobridge`, in the order in which they are used."""
