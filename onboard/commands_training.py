"""Arguments of encoders in training: train, import, evaluate."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction
from pathlib import Path

from .arguments import Repeated, as_json, count, existing, overrides, positive
from .commands_encoders import ENGINES
from .views import View


def train(parser: ArgumentParser) -> None:
    """Of `geobridge train`."""
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


def import_(parser: ArgumentParser) -> None:
    """Of `geobridge import`."""
    add, views = parser.add_argument, [view.value for view in View]
    text = "safetensors, or .pth .pt .bin .ckpt that hold tensors alone"
    add("weights", type=existing, nargs="+", metavar="WEIGHTS", help=text)
    add("-o", dest="out", type=Path, required=True, metavar="RUN", help="folder to write")
    text = "open_clip's name of the towers, as ViT-L-14-quickgelu (default: by their shapes, which"
    text += " tell all but the activation)"
    add("--model", default="", metavar="NAME", help=text)
    text = "the activation of OpenAI's CLIP or not; needed where no --model tells"
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


def evaluate(parser: ArgumentParser) -> None:
    """Of `geobridge evaluate`."""
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
    add("--engine", default="onnxruntime", choices=ENGINES, help=text)
    add = parser.add_argument_group("the six directions of triples").add_argument
    add("--split", default="test", metavar="NAME", help="of the data (default %(default)s)")
    text = "so many of its places and no more, always the same ones"
    add("--max-places", type=count, metavar="N", help=text)
    as_json(parser)
