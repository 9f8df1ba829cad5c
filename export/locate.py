"""`geobridge locate`: a photo or words, and the places of bundles that are most like them.

On the ground: words take the checkpoint's text tower, and torch with it. A photo takes neither.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geobridge.onboard.errors import DataError
from geobridge.onboard.found import save_heat_map, save_prior
from geobridge.onboard.frames.picture import read_upright
from geobridge.onboard.locate import Query, query_of_ground, query_of_street, rank
from geobridge.onboard.retrieval.atlas import Area, Atlas
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.views import View

log = logging.getLogger(__name__)


def locate(
    bundle: Path,
    image: Path | None = None,
    text: str | None = None,
    checkpoint: Path | None = None,
    view: str = "drone",
    among: Sequence[str] = (),
    also: Sequence[Path] = (),
    top: int = 5,
    ground_width_m: float | None = None,
    heading_deg: float | None = None,
    heat_map: Path | None = None,
    area: Path | None = None,
) -> list[dict[str, Any]]:
    """The best candidates, best first, no two within half a footprint of each other.

    Args:
        bundle: what to search.
        image: a picture of the place; turned as its EXIF says.
        text: words about it, in the place of a picture.
        checkpoint: what the bundle's encoders were exported from, for words.
        view: of the picture; `drone` and `satellite` look down.
        among: views of the places to look among; all if none are named.
        also: more bundles, made with the same encoders.
        top: how many candidates.
        ground_width_m: ground across a picture looking down; searched over if None.
        heading_deg: true bearing of its upper edge; searched over if None.
        heat_map: a PNG to write: how well every place of `bundle` fits.
        area: GeoJSON to write: where it most likely is, for `prior` of run and replay.

    Raises:
        BundleError, DataError, EngineError: in one line.
    """
    if (image is None) == (text is None):
        raise DataError("expected either a picture or --text")
    atlas = Atlas.open([bundle, *also])
    here = atlas.areas[0]
    if text is not None:
        query = _words(text, checkpoint, here)
    else:
        assert image is not None
        query = _picture(image, View(view), here, ground_width_m, heading_deg)
    log.warning("candidates only: nothing is verified, and every map has a most similar place")
    rows, heats = rank(query, atlas.areas, top, _among(here, among))
    if heat_map is not None:
        there = here.bundle.manifest.imagery is not None
        imagery = ReferenceImagery.open(here.bundle) if there else None
        save_heat_map(heat_map, heats[0], here.index, imagery)
    if area is not None:
        save_prior(area, heats[0], here.index, here.bundle.manifest.coverage.frame)
    return rows


def _words(text: str, checkpoint: Path | None, here: Area) -> Query:
    if checkpoint is None:
        raise DataError("--text takes a text tower: give the --checkpoint that was exported")
    from geobridge.training.evaluation.words import describe_words  # torch, only for words

    manifest = here.bundle.manifest
    trained_as = frozenset(encoder.checkpoint_sha256 for encoder in manifest.encoders)
    descriptor = describe_words(text, checkpoint, manifest.descriptor.dimension, trained_as)
    return Query(descriptor[None], ({},))


def _picture(
    image: Path, view: View, here: Area, ground_width_m: float | None, heading_deg: float | None
) -> Query:
    encoder = Encoder.open(here.bundle, view, "onnxruntime", "fp32")
    photo = read_upright(image)
    if view is View.STREET:
        return query_of_street(photo, encoder)
    footprint_m = here.bundle.manifest.coverage.footprint_m
    of_drone = view is View.DRONE
    return query_of_ground(photo, encoder, footprint_m, ground_width_m, heading_deg, of_drone)


def _among(here: Area, among: Sequence[str]) -> list[View]:
    there = {layer.view for layer in here.index.layers}
    wanted = {View(name) for name in among} or there
    if not wanted & there:
        have = ", ".join(sorted(view.value for view in there))
        raise DataError(f"{here.bundle.path}: has no such places; it has {have}")
    return sorted(wanted & there, key=lambda view: view.value)
