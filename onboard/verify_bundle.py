"""`geobridge verify`: is a bundle whole, and do its encoders answer as they did when packed?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .agreement import Agreement
from .bundle import Bundle
from .engine_parity import engine_parity
from .engines.engine import EngineSettings
from .errors import ConfigError
from .geodesy import Floats
from .manifest import CoverageEntry
from .retrieval.encoder import Encoder
from .retrieval.index import Index
from .views import VIEW_CODES, View


def verify(
    bundle: Path,
    trust: Sequence[Path] = (),
    engine: str | None = None,
    precision: str | None = None,
    plans: Path | None = None,
) -> str:
    """What the bundle holds, after every file was hashed and every known answer was given.

    Args:
        bundle: the folder.
        trust: public keys, one of which must have signed it, if any are given.
        engine: also compare what this engine finds with single precision, see `engine_parity`.
        precision: of the drone's encoder in it; None tries those that the engine is for.
        plans: folder of TensorRT plans.

    Raises:
        BundleError, ConfigError, EngineError: the first thing that is wrong with it.
    """
    if engine is None and (precision or plans):
        raise ConfigError("--precision and --plans: expected --engine too")
    opened = Bundle.open(bundle, trust)
    manifest = opened.manifest
    coverage, index = manifest.coverage, Index.open(opened)
    for encoder in manifest.encoders:
        Encoder.open(opened, View(encoder.view), "onnxruntime", encoder.precision)
    size_mb = sum(file.size_bytes for file in manifest.files) / 1e6
    rows = {
        "bundle": f"{bundle}, version {manifest.bundle_version}, by {manifest.producer}",
        "signature": _signature(opened),
        "files": f"{len(manifest.files)}, {size_mb:.1f} MB, every hash as in the manifest",
        "encoders": ", ".join(f"{e.view} {e.precision}" for e in manifest.encoders),
        "known answers": "given by every encoder",
        "places": _places(index.places, coverage),
        "origin": f"{coverage.origin_lat_deg:.4f}, {coverage.origin_lon_deg:.4f}",
        "covers": _covers(index.places, coverage),
        "imagery": f"{manifest.imagery.gsd_m:g} m per pixel",
        "index": f"HNSW recall@10 {manifest.index.recall_at_10:.3f} with ef {manifest.index.ef}",
        "accuracy": f"registration {manifest.accuracy.registration_m:g} m,"
        f" alignment {manifest.accuracy.alignment_m:g} m; {manifest.accuracy.evidence}",
    }
    rows |= {
        f"source {number}": f"{source.name}; licence {source.licence or 'not stated'}"
        for number, source in enumerate(coverage.sources, start=1)
    }
    for each in _fitting(opened, engine, precision) if engine else ():
        agreement = engine_parity(opened, engine or "", each, EngineSettings(plans=plans))
        rows[f"{engine} {each}"] = _agrees(agreement)
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())


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


def _covers(places: npt.NDArray[Any], coverage: CoverageEntry) -> str:
    """By footprints, of which those at the edge hang over the imagery by up to half; and by the
    spacing around the centres, where a frame has a place right below. Street pictures only point
    at squares."""
    squares = places[places["view"] != VIEW_CODES[View.STREET]]
    centres_m = np.column_stack([squares["east_m"], squares["north_m"]])
    sides_m = squares["footprint_m"].astype(np.float64)
    seen, beneath = (
        covered_m2(centres_m, each) / 1e6
        for each in (sides_m, np.minimum(sides_m, coverage.spacing_m))
    )
    width_m, height_m = coverage.east_m - coverage.west_m, coverage.north_m - coverage.south_m
    box = f"{width_m:.0f} x {height_m:.0f} m, {width_m * height_m / 1e6:.2f} km2"
    return f"{seen:.2f} km2 by footprints, {beneath:.2f} km2 by their centres; in a box of {box}"


def _places(places: npt.NDArray[Any], coverage: CoverageEntry) -> str:
    streets = places[places["view"] == VIEW_CODES[View.STREET]]
    squares = f"{len(places) - len(streets)} of {coverage.footprint_m:g} m"
    text = f"{squares}, {coverage.spacing_m:g} m apart"
    return f"{text}; {len(streets)} street pictures" if len(streets) else text
