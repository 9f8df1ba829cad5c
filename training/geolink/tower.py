"""The tower of the points: a cloud to a descriptor in the space of the images.

Of the family that GeoLink takes (Point-NN made parametric: positions as sines and cosines, local
aggregation of neighbours, largest and mean), with three changes. Clouds come in the order of
farthest point sampling, whose first n points are themselves such a sample, so a stage keeps the
first half and nothing is sampled while training. Neighbourhoods are measured in metres, not by
their own spread, for a shed and a hangar differ in nothing else. Layer norms take the place of
batch norms, so that a cloud's descriptor depends on no other: chunks and processes change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config_geolink import PointTowerConfig

_PLACE_FREQUENCIES = (0.5, 1.0, 2.0, 4.0)
"""Half waves to a unit, of a point's own position."""
_LOCAL_FREQUENCIES = (0.5, 1.0, 2.0)
"""Half waves to a neighbourhood's reach."""
_REACH = 0.25
"""Of the first stage's neighbourhoods, in units; it grows as points become fewer."""


class PointTower(nn.Module):
    """[b, N, 3] metres east, north, up to [b, D] unit descriptors; zeros where a row has none."""

    def __init__(self, config: PointTowerConfig, dimension: int) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * 2 ** ((stage + 1) // 2) for stage in range(config.stages + 1)]
        self.embed = nn.Linear(4 + 6 * len(_PLACE_FREQUENCIES), widths[0])
        self.stages = nn.ModuleList(
            Stage(narrow, wide, config.neighbours, _REACH * math.sqrt(2.0) ** number)
            for number, (narrow, wide) in enumerate(pairwise(widths))
        )
        self.head: nn.Module = nn.Linear(2 * widths[-1], dimension)
        if config.experts:
            self.head = Experts([2 * width for width in widths[1:]], dimension)

    def forward(self, clouds: Tensor, present: Tensor) -> Tensor:
        """`present` [b] says which rows have a cloud."""
        shown = present
        if not bool(present.any()):  # still a part of the graph, as other processes expect
            shown = torch.zeros_like(present)
            shown[0] = True
        rows = F.normalize(self._describe(clouds[shown]).float(), dim=-1)
        rows = rows * present[shown, None]
        return rows.new_zeros(len(clouds), rows.shape[1]).index_put((shown,), rows)

    def _describe(self, clouds: Tensor) -> Tensor:
        at = clouds / self.config.unit_m
        above = at[..., 2:] - at[..., 2:].amin(dim=1, keepdim=True)
        features = self.embed(torch.cat([at, above, waves(at, _PLACE_FREQUENCIES)], dim=-1))
        pooled = []
        for stage in self.stages:
            at, features = stage(at, features)
            pooled.append(_pooled(features, dim=1))
        whole: Tensor = self.head(pooled) if self.config.experts else self.head(pooled[-1])
        return whole


class Stage(nn.Module):
    """[b, N, 3] positions and [b, N, C] features to those of the first half of the points."""

    def __init__(self, narrow: int, wide: int, neighbours: int, reach: float) -> None:
        super().__init__()
        self.neighbours, self.reach = neighbours, reach
        self.before = nn.Linear(narrow, narrow)
        self.place = nn.Linear(3 + 6 * len(_LOCAL_FREQUENCIES), narrow)
        self.after = nn.Linear(2 * narrow, wide)
        self.mix = nn.Sequential(
            nn.LayerNorm(wide), nn.GELU(), nn.Linear(wide, wide), nn.GELU(), nn.Linear(wide, wide)
        )

    def forward(self, at: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Half as many, wider features."""
        middles = at[:, : at.shape[1] // 2]
        nearest = nearest_of(middles, at, self.neighbours)
        away = (_taken(at, nearest) - middles[:, :, None]) / self.reach
        where = self.place(torch.cat([away, waves(away, _LOCAL_FREQUENCIES)], dim=-1))
        around = F.gelu((_taken(self.before(features), nearest) + where) * where)
        wide = self.after(_pooled(around, dim=2))
        return middles, wide + self.mix(wide)


class Experts(nn.Module):
    """[b, W] of every stage to [b, D]: an expert for each, weighed by a gate that sees them all,
    and one that always speaks.

    GeoLink's block slides filters along the numbers of one descriptor, which have no order; what
    differs in scale here are the stages, so these have the experts.
    """

    def __init__(self, widths: Sequence[int], dimension: int) -> None:
        super().__init__()
        whole = sum(widths)
        self.gate = nn.Linear(whole, len(widths))
        self.shared = nn.Linear(whole, dimension)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, dimension), nn.GELU(), nn.Linear(dimension, dimension))
            for width in widths
        )

    def forward(self, pooled: Sequence[Tensor]) -> Tensor:
        """The weighted sum."""
        whole = torch.cat(list(pooled), dim=-1)
        weights = self.gate(whole).softmax(dim=-1)
        told = torch.stack([e(p) for e, p in zip(self.experts, pooled, strict=True)], dim=1)
        summed: Tensor = self.shared(whole) + (weights[..., None] * told).sum(dim=1)
        return summed


def waves(at: Tensor, frequencies: Sequence[float]) -> Tensor:
    """[..., 3] to [..., 6 F] sines and cosines of so many half waves to a unit."""
    phases = torch.cat([math.pi * frequency * at for frequency in frequencies], dim=-1)
    return torch.cat([phases.sin(), phases.cos()], dim=-1)


@torch.no_grad()
def nearest_of(middles: Tensor, at: Tensor, count: int) -> Tensor:
    """[b, M, k] numbers of the points nearest to each of the middles."""
    with torch.autocast(at.device.type, enabled=False):
        distances = torch.cdist(middles.float(), at.float())
        return distances.topk(min(count, at.shape[1]), dim=2, largest=False).indices


def _taken(values: Tensor, numbers: Tensor) -> Tensor:
    """[b, N, C] at [b, M, k] to [b, M, k, C]."""
    rows = torch.arange(len(values), device=values.device)[:, None, None]
    return values[rows, numbers]


def _pooled(values: Tensor, dim: int) -> Tensor:
    """Largest and mean, side by side."""
    return torch.cat([values.amax(dim=dim), values.mean(dim=dim)], dim=-1)
