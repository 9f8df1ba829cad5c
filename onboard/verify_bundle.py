"""`geobridge verify`: is a bundle whole, and do its encoders answer as they did when packed?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from .bundle import Bundle
from .manifest import CoverageEntry
from .retrieval.encoder import Encoder
from .retrieval.index import Index
from .views import VIEW_CODES, View


def verify(bundle: Path, trust: Sequence[Path] = ()) -> str:
    """What the bundle holds, after every file was hashed and every known answer was given.

    Args:
        bundle: the folder.
        trust: public keys, one of which must have signed it, if any are given.

    Raises:
        BundleError, ConfigError, EngineError: the first thing that is wrong with it.
    """
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
        "covers": f"{coverage.east_m - coverage.west_m:.0f} x"
        f" {coverage.north_m - coverage.south_m:.0f} m at {manifest.imagery.gsd_m:g} m",
        "index": f"HNSW recall@10 {manifest.index.recall_at_10:.3f} with ef {manifest.index.ef}",
        "accuracy": f"registration {manifest.accuracy.registration_m:g} m,"
        f" alignment {manifest.accuracy.alignment_m:g} m; {manifest.accuracy.evidence}",
    }
    rows |= {
        f"source {number}": f"{source.name}; licence {source.licence or 'not stated'}"
        for number, source in enumerate(coverage.sources, start=1)
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())


def _signature(bundle: Bundle) -> str:
    if bundle.signed_by is not None:
        return f"by key {bundle.signed_by}, which is trusted"
    return "by a key unknown here; --trust checks it" if bundle.has_signature else "not signed"


def _places(places: npt.NDArray[Any], coverage: CoverageEntry) -> str:
    streets = places[places["view"] == VIEW_CODES[View.STREET]]
    squares = f"{len(places) - len(streets)} of {coverage.footprint_m:g} m"
    text = f"{squares}, {coverage.spacing_m:g} m apart"
    return f"{text}; {len(streets)} street pictures" if len(streets) else text
