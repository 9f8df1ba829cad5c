"""GeoLoc's six directions, texts, and one's own lists."""

from __future__ import annotations

from dataclasses import replace

from .protocol import Protocol

_GEOLOC = Protocol(
    "geoloc",
    "geoloc",
    "GeoBridge (arXiv 2512.02697), Table 5; its evaluator was not at hand",
    "the places of the split that have both sides",
    "the picture of the same place",
    ties="pessimistic",
    one_percent="layumi",
    ap="trapezoid",
    row=("r1", "ap"),
)

PROTOCOLS = (
    _GEOLOC,
    replace(
        _GEOLOC,
        name="captions",
        layout="captions",
        source="text-to-image retrieval as RSIEval's page tells it",
        gallery="all pictures, or all captions",
        positives="the picture of the caption; any caption of the picture",
        row=("r1", "r5", "r10"),
        ap=None,
    ),
    replace(
        _GEOLOC,
        name="own",
        layout="own",
        source="this project",
        gallery="all references",
        positives="the same place, or else what lies within the radius",
        row=("r1", "r5", "ap", "median_m"),
        ap="step",
    ),
)
