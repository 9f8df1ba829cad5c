"""The places that a model takes for most similar: hard negatives for the epochs to come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..config_model import ModelConfig
from ..datasets.triples import TriplesSource
from ..distributed import World, gather
from ..evaluation.describe import describe
from ..model import GeoBridge
from .kin import Ints, Kin

CHUNK = 4096
"""So many places are compared at a time with as many."""
_NO_TEXTS = ModelConfig(name="ViT-B-32", text_tower=False)
"""All that `describe` asks of it is whether texts are wanted."""


@torch.no_grad()
def mine(
    model: GeoBridge, source: TriplesSource, k: int, world: World, chunk: int = CHUNK
) -> npt.NDArray[np.int32]:
    """[N, K] numbers of the most similar places that are no kin, most similar first, then -1.

    The similarity of two places i and j is the mean, over the image edges u-v for which they have
    the pictures, of cos(u_i, v_j) and cos(v_i, u_j): but for the temperature the mean of the logits
    by which each is a negative of the other in the loss, so the highest are its hardest ones. It is
    symmetric. Places without such an edge are no neighbours; texts, which share their words, have
    no say.

    Every process encodes and searches its share, and all get the same lists. Random numbers are
    neither drawn nor moved. Held are the descriptors of all places, their lists, and on the device
    a few matrices of `chunk` x `chunk`.

    Args:
        model: on `world.device`; encodes in evaluation mode and in the caller's autocast.
        source: its pictures are read without changes; one that cannot be read counts as missing.
        k: neighbours of each place.
        world: the processes, all of which call this at the same time.
        chunk: places that are compared at a time with as many.
    """
    own = _share(source.places, world)
    sides = gather(_sides(model, source, own, world), world)[: source.places]
    with torch.autocast(world.device.type, enabled=False):
        lists = [
            _nearest(sides, own[first : first + chunk], source.kin, k, chunk)
            for first in range(0, len(own), chunk)
        ]
    return gather(torch.cat(lists), world)[: source.places].cpu().numpy()


def _share(places: int, world: World) -> Ints:
    """As many for each; the last shares go on with the first places, to be dropped once gathered"""
    each = -(-places // world.size)
    return np.arange(world.rank * each, (world.rank + 1) * each) % places


def _sides(model: GeoBridge, source: TriplesSource, places: Ints, world: World) -> Tensor:
    """[n, views, D] on the device; zeros where a place has no picture."""
    found = describe(model, _NO_TEXTS, source, [source.names[place] for place in places])
    lengths = torch.tensor([side.descriptors.shape[1] for side in found.values()])
    length = int(gather(lengths.to(world.device), world).max())
    sides = torch.zeros(len(places), len(found), length)
    for view, side in enumerate(found.values()):
        if len(side.places):
            sides[torch.from_numpy(side.places), view] = torch.from_numpy(side.descriptors)
    return sides.to(world.device)


def _nearest(sides: Tensor, places: Ints, kin: Kin, k: int, chunk: int) -> Tensor:
    """[n, K] int32."""
    queries = sides[torch.from_numpy(places).to(sides.device)]
    rows, taboo = (torch.from_numpy(each).to(sides.device) for each in _taboo(kin, places))
    scores = torch.full((len(places), k), -torch.inf, device=sides.device)
    items = torch.full((len(places), k), -1, device=sides.device)
    for first in range(0, len(sides), chunk):
        score = _similarity(queries, sides[first : first + chunk])
        here = (taboo >= first) & (taboo < first + chunk)
        score[rows[here], taboo[here] - first] = -torch.inf
        score, item = score.topk(min(k, score.shape[1]))
        scores, best = torch.cat([scores, score], dim=1).topk(k)
        items = torch.cat([items, first + item], dim=1).gather(1, best)
    return torch.where(scores.isfinite(), items, -1).int()


def _taboo(kin: Kin, places: Ints) -> tuple[Ints, Ints]:
    """Positions in `places`, and who is no neighbour of the place there: its kin and itself."""
    parts = [lists.of_all(places) for lists in (kin.positive, kin.neither)]
    rows = [np.arange(len(places)), *(rows for rows, _ in parts)]
    return np.concatenate(rows), np.concatenate([places, *(items for _, items in parts)])


def _similarity(a: Tensor, b: Tensor) -> Tensor:
    """[n, views, D] and [m, views, D] to [n, m], -inf without an edge in common.

    Each side of a meets the sum of the other sides of b: one product for all edges both ways.
    """
    present_a, present_b = (each.any(dim=2).float() for each in (a, b))
    products = a.flatten(1) @ (b.sum(dim=1, keepdim=True) - b).flatten(1).T
    pairs = present_a @ (present_b.sum(dim=1, keepdim=True) - present_b).T
    return torch.where(pairs > 0, products / pairs.clamp(min=1), -torch.inf)
