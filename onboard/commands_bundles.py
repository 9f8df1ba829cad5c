"""Arguments of what is carried on board: pack, calibrate, locate."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from .arguments import Repeated, as_json, count, existing, finite, positive, span
from .views import View


def pack(parser: ArgumentParser) -> None:
    """Of `geobridge pack`."""
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
    text = "rises with every bundle of an aircraft (default %(default)s)"
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


def calibrate(parser: ArgumentParser) -> None:
    """Of `geobridge calibrate`."""
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


def locate(parser: ArgumentParser) -> None:
    """Of `geobridge locate`."""
    parser.epilog = """\
examples:
  geobridge locate runs/bundle photo.jpg --ground-width-m 220
  geobridge locate runs/bundle --text "a roundabout beside a river" --checkpoint runs/run

stands_out: 0 where wrong places of this bundle are, 1 where right ones are; without calibrated
scores, standard deviations above the mean of all places
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
