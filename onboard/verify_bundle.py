"""`geobridge verify`: is a bundle whole, do its encoders answer as they did, and what is in it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import durable
from .agreement import Agreement
from .bundle import FEATURELESS, WATER, Bundle
from .bundle_page import page_of
from .engine_parity import engine_parity
from .engines.engine import EngineSettings
from .errors import ConfigError
from .geodesy import Floats
from .manifest import Manifest
from .manifest_entries import CoverageEntry, SourceEntry
from .pairing import check_pairing
from .retrieval.encoder import Encoder
from .retrieval.imagery import ReferenceImagery, check_tiles
from .retrieval.index import Index
from .retrieval.layer import Layer
from .terrain import Terrain
from .views import View


def verify(
    bundle: Path,
    trust: Sequence[Path] = (),
    page: Path | None = None,
    engine: str | None = None,
    precision: str | None = None,
    plans: Path | None = None,
) -> dict[str, Any]:
    """What the bundle holds, after every file was hashed and every known answer was given.

    Args:
        bundle: the folder.
        trust: public keys, one of which must have signed it, if any are given.
        page: an HTML file to write, with maps of what it covers and where it looks alike.
        engine: also compare what this engine finds with single precision, see `engine_parity`.
        precision: of the drone's encoder in it; None tries those that the engine is for.
        plans: folder of TensorRT plans.

    Raises:
        BundleError, ConfigError, EngineError: the first thing that is wrong with it.
    """
    if engine is None and (precision or plans):
        raise ConfigError("--precision and --plans: expected --engine too")
    opened = Bundle.open(bundle, trust)
    index = Index.open(opened)
    for encoder in opened.manifest.encoders:
        Encoder.open(opened, View(encoder.view), "onnxruntime", encoder.precision)
    check_pairing(opened, index, "onnxruntime")
    has_imagery = opened.manifest.imagery is not None
    imagery = ReferenceImagery.open(opened) if has_imagery else None
    check_tiles(opened)
    Terrain.open(opened)
    facts = explain(opened, index)
    for each in _fitting(opened, engine, precision) if engine else ():
        agreement = engine_parity(opened, engine or "", each, EngineSettings(plans=plans))
        facts[f"{engine} {each}"] = _agrees(agreement)
    if page is not None:
        durable.write_text(page, page_of(facts, index, imagery))
        facts["page"] = str(page)
    return facts


def explain(opened: Bundle, index: Index) -> dict[str, Any]:
    """The facts of an opened bundle, as they are told and as they go into JSON."""
    manifest = opened.manifest
    coverage = manifest.coverage
    facts: dict[str, Any] = {
        "bundle": f"{opened.path}, version {manifest.bundle_version}, by {manifest.producer}",
        "signature": _signature(opened),
        "files": f"{len(manifest.files)}, {opened.size_bytes / 1e6:.1f} MB,"
        " every hash as in the manifest",
        "size": _sizes(manifest),
        "encoders": ", ".join(f"{e.view} {e.precision}" for e in manifest.encoders),
        "known answers": "given by every encoder",
        "places": len(index.places),
        "origin": f"{coverage.origin_lat_deg:.4f}, {coverage.origin_lon_deg:.4f}",
        "covers": _covers(index, coverage),
        "imagery": f"{manifest.imagery.gsd_m:g} m per pixel" if manifest.imagery else "none",
        "terrain": f"every {manifest.terrain.spacing_m:g} m" if manifest.terrain else "none",
        "accuracy": f"registration {manifest.accuracy.registration_m:g} m,"
        f" alignment {manifest.accuracy.alignment_m:g} m; {manifest.accuracy.evidence}",
    }
    for layer in index.layers:
        facts[f"{layer.view} {layer.entry.footprint_m:g} m"] = _layer(layer, index)
    facts |= {
        f"source {number}": _source(source, number - 1, index)
        for number, source in enumerate(coverage.sources, start=1)
    }
    return facts


def _layer(layer: Layer, index: Index) -> dict[str, Any]:
    entry = layer.entry
    own = index.places[entry.first : entry.first + entry.count]
    graph = entry.graph
    told: dict[str, Any] = {
        "places": entry.count,
        "apart": "as they were taken" if entry.spacing_m is None else f"{entry.spacing_m:g} m",
        "search": "exact"
        if graph is None
        else f"HNSW, recall@10 {graph.recall_at_10:.3f} with ef {graph.ef}",
        "alike": _alike(layer, own),
    }
    if entry.scores is not None:
        right, wrong = entry.scores.genuine[3], entry.scores.impostor[3]
        told["scores"] = (
            f"right {right:.2f}, wrong {wrong:.2f} in the middle;"
            f" {entry.scores.min_score:.2f} needed"
        )
    for name, flag in (("featureless", FEATURELESS), ("water", WATER)):
        told[name] = int(np.count_nonzero(own["flags"] & flag))
    if layer.view is View.STREET:
        told["headings known"] = int(np.count_nonzero(~np.isnan(own["heading_deg"])))
    return told


def _alike(layer: Layer, own: npt.NDArray[Any]) -> str:
    """How similar far places are, and how many are as similar as neighbours."""
    similar = own["aliasing"][own["aliasing"] >= -1.0]
    if not len(similar) or similar.max() <= -1.0:
        return "no place is far from another"
    middle, most = np.quantile(similar, (0.5, 0.99))
    text = f"most similar place beyond {layer.entry.apart_m:g} m: {middle:.2f}, 99 % {most:.2f}"
    scores = layer.entry.scores
    if scores is None:
        return text
    share = float(np.mean(own["aliasing"] >= scores.alike))
    return f"{text}; {share:.1%} of places look like another"


def _source(source: SourceEntry, row: int, index: Index) -> dict[str, Any]:
    return {
        "name": f"{source.name}; licence {source.licence or 'not stated'}",
        "kind": source.kind,
        "attribution": source.attribution or "not stated",
        "captured": source.captured or "not stated",
        "places": int(np.count_nonzero(index.places["source"] == row)),
        **({"notes": "; ".join(source.notes)} if source.notes else {}),
    }


def _sizes(manifest: Manifest) -> str:
    """Megabytes by what the files are for, largest first."""
    sizes = Counter[str]()
    for file in manifest.files:
        sizes[file.role.removeprefix("known_")] += file.size_bytes
    return ", ".join(f"{role} {size / 1e6:.1f}" for role, size in sizes.most_common()) + " MB"


def _fitting(bundle: Bundle, engine: str, precision: str | None) -> list[str]:
    """Half precision is for GPUs, 8 bits for computers without; single precision is for all."""
    if precision:
        return [precision]
    wanted = ("fp32", "int8") if engine == "onnxruntime" else ("fp16",)
    have = [e.precision for e in bundle.manifest.encoders if e.view == View.DRONE.value]
    return [each for each in wanted if each in have] or [wanted[0]]


def _agrees(agreement: Agreement) -> str:
    return (
        f"cosine to single precision mean {agreement.cosine_mean:.6f}, min"
        f" {agreement.cosine_min:.6f}; of {agreement.queries} squares {agreement.rank1:.1%} find"
        f" the same place first, {agreement.rank10:.1%} of the first ten are the same; control"
        f" {agreement.shuffled_cosine_mean:.3f}, {agreement.shuffled_rank1:.1%}"
    )


def _signature(bundle: Bundle) -> str:
    if bundle.signed_by is not None:
        return f"by key {bundle.signed_by}, which is trusted"
    return "by a key unknown here; --trust checks it" if bundle.has_signature else "not signed"


def covered_m2(centres_m: Floats, sides_m: Floats) -> float:
    """Area of the union of north-up squares.

    Args:
        centres_m: [N, 2] metres east and north.
        sides_m: [N] lengths of their sides.
    """
    (west, south), (east, north) = (centres_m.T + sign * sides_m / 2.0 for sign in (-1.0, 1.0))
    by_west, area_m2 = np.argsort(west), 0.0
    for low, high in pairwise(np.unique([south, north])):
        row = by_west[(south[by_west] <= low) & (high <= north[by_west])]
        if len(row):
            reached = np.maximum.accumulate(east[row])
            new = reached - np.maximum(west[row], np.r_[-np.inf, reached[:-1]])
            area_m2 += float(np.maximum(new, 0.0).sum() * (high - low))
    return area_m2


def _covers(index: Index, coverage: CoverageEntry) -> str:
    """By footprints, of which those at the edge hang over the imagery by up to half; and by the
    spacing around the centres, where a frame has a place right below. Street pictures only point
    at squares."""
    squares = [layer for layer in index.layers if layer.view is not View.STREET]
    width_m, height_m = coverage.east_m - coverage.west_m, coverage.north_m - coverage.south_m
    box = f"{width_m:.0f} x {height_m:.0f} m, {width_m * height_m / 1e6:.2f} km2"
    if not squares:
        return f"no ground; street pictures in a box of {box}"
    rows = np.concatenate([layer.rows() for layer in squares])
    centres_m = index.centres_m[rows]
    sides_m = index.places["footprint_m"][rows].astype(np.float64)
    steps_m = np.concatenate(
        [np.full(layer.entry.count, layer.entry.spacing_m or 0.0) for layer in squares]
    )
    seen, beneath = (
        covered_m2(centres_m, each) / 1e6 for each in (sides_m, np.minimum(sides_m, steps_m))
    )
    return f"{seen:.2f} km2 by footprints, {beneath:.2f} km2 by their centres; in a box of {box}"
