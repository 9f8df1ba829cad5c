"""Arguments of what to train on: dataset build, shard, check, points, tile."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from .arguments import Repeated, as_json, count, existing, finite, overrides, positive


def build(parser: ArgumentParser) -> None:
    """Of `geobridge dataset build`."""
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


def shard(parser: ArgumentParser) -> None:
    """Of `geobridge dataset shard`."""
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


def check(parser: ArgumentParser) -> None:
    """Of `geobridge dataset check`."""
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


def points(parser: ArgumentParser) -> None:
    """Of `geobridge dataset points`."""
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


def tile(parser: ArgumentParser) -> None:
    """Of `geobridge dataset tile`."""
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
