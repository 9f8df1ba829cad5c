"""Drone pictures to tiles of large maps: DenseUAV, GTA-UAV and UAV-VisLoc."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .figures import degrees_apart, haversine_m, sdm
from .protocol import Protocol, Scored
from .street import named

DENSEUAV_PER_DEGREE, GTA_PER_M = 5000.0, 0.001
_LIMITS_M = (3, 5, 10, 20, 30, 50)


def _dense(found: Scored, protocol: Protocol) -> dict[str, float]:
    """SDM@K over degrees, and MA@m: the part of the best references nearer than m metres."""
    here, there = found.task.queries.positions, found.task.gallery.positions
    assert here is not None, "the layout has a position for every folder"
    assert there is not None
    apart = degrees_apart(here, there, found.top, protocol.single)
    depth = apart.shape[1]
    figures = {
        f"sdm{k}": float(sdm(apart, k, DENSEUAV_PER_DEGREE).mean())
        for k in (1, 3, 5, 10)
        if k <= depth
    }
    error_m = haversine_m(here, there[found.top[:, 0]])
    return figures | {f"ma{limit}m": float(np.mean(error_m < limit)) for limit in _LIMITS_M}


def _gta(found: Scored, protocol: Protocol) -> dict[str, float]:
    """SDM@K and Dis@K over metres."""
    apart = found.distance_m
    assert apart is not None, "the layout knows where every tile lies"
    figures = {}
    for k in (k for k in (1, 3, 5) if k <= apart.shape[1]):
        figures[f"sdm{k}"] = float(sdm(apart, k, GTA_PER_M).mean())
        figures[f"dis{k}_m"] = float(apart[:, :k].mean())
    return figures


_DENSEUAV = Protocol(
    "denseuav",
    "denseuav",
    "Dmmm1997/DenseUAV evaluate_gpu.py, evaluateDistance.py",
    "all gallery pictures: six satellite pictures of every one of 3,033 places",
    "all six pictures of the query's place",
    ties="argsort",
    one_percent="layumi",
    ap="trapezoid",
    flips=True,
    row=("r1", "r5", "r1_percent", "sdm1", "sdm3"),
    extra=_dense,
)

_GTA = Protocol(
    "gta-uav-cross",
    "gta-uav",
    "Yux1angJi/GTA-UAV game4loc/evaluate/gta.py",
    "every file in satellite/",
    "tiles with an IoU above 0.39; queries without one are left out",
    ties="argsort",
    one_percent="layumi",
    ap="step",
    row=("r1", "r5", "ap", "sdm3", "dis1_m"),
    tasks=named("drone to satellite, cross area"),
    extra=_gta,
)

PROTOCOLS = (
    _DENSEUAV,
    replace(_DENSEUAV, name="denseuav-float32", single=True),
    _GTA,
    replace(_GTA, name="gta-uav-same", tasks=named("drone to satellite, same area")),
    replace(
        _GTA,
        name="uav-visloc",
        layout="uav-visloc",
        source="Yux1angJi/GTA-UAV game4loc/evaluate/visloc.py",
        gallery="every file in satellite/; scores of tiles on other maps are 0",
        tasks=list,
    ),
)
