"""Arguments of what is done with encoders: export, build, bench, verify."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from .arguments import Repeated, as_json, count, existing, natural, positive
from .views import View

PRECISIONS = ("fp32", "fp16", "int8")
ENGINES = ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt")
"""As `engines.engine` has them, which would have to import numpy for a help text."""


def export(parser: ArgumentParser) -> None:
    """Of `geobridge export`."""
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


def verify(parser: ArgumentParser) -> None:
    """Of `geobridge verify`."""
    add = parser.add_argument
    add("bundle", type=existing, metavar="BUNDLE", help="folder")
    _trust(parser)
    text = "write a page with maps of what it covers and where it looks alike"
    add("--page", type=Path, metavar="HTML", help=text)
    text = (
        "also compare this engine's encoders with those in single precision, on squares of the"
        " bundle; which engine flies is found out on the computer that flies"
    )
    add("--engine", choices=ENGINES, metavar="ENGINE", help=f"{text}: {', '.join(ENGINES)}")
    text = "of its encoders (default: those of the bundle that the engine is for)"
    add("--precision", choices=PRECISIONS, help=text)
    _plans(parser)
    as_json(parser)


def build(parser: ArgumentParser) -> None:
    """Of `geobridge build`."""
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


def bench(parser: ArgumentParser) -> None:
    """Of `geobridge bench`."""
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
