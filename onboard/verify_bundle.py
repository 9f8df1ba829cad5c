"""`geobridge verify`: is a bundle whole, and do its encoders answer as they did when packed?"""

from __future__ import annotations

from pathlib import Path

from .bundle import Bundle
from .retrieval.encoder import Encoder
from .retrieval.index import Index
from .views import View


def verify(bundle: Path) -> str:
    """What the bundle holds, after every file was hashed and every known answer was given.

    Raises:
        BundleError, EngineError: the first thing that is wrong with it.
    """
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    coverage, index = manifest.coverage, Index.open(opened)
    for encoder in manifest.encoders:
        Encoder.open(opened, View(encoder.view), "onnxruntime", encoder.precision)
    size_mb = sum(file.size_bytes for file in manifest.files) / 1e6
    rows = {
        "bundle": f"{bundle}, version {manifest.bundle_version}, by {manifest.producer}",
        "files": f"{len(manifest.files)}, {size_mb:.1f} MB, every hash as in the manifest",
        "encoders": ", ".join(f"{e.view} {e.precision}" for e in manifest.encoders),
        "known answers": "given by every encoder",
        "places": f"{len(index.places)} of {coverage.footprint_m:g} m,"
        f" {coverage.spacing_m:g} m apart",
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
