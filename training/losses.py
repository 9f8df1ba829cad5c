"""The six-edge objective of GeoBridge: L = L_img + L_text over the sides that places have.

L_img is the mean over the edges drone-satellite, satellite-street, street-drone; L_text the mean
over the edges from text to each view (arXiv 2512.02697). Where places have point clouds L_points,
the mean over the edges from points to every other side, is added (arXiv 2604.13183).

A row of an edge is a place that has both of its sides; the candidates of a row are all such places
of the whole batch. With s_j a row's logits, P its positives and N its negatives, the row's loss is

    mean over p in P of  -s_p + log(exp s_p + sum over n in N of exp s_n)

so a positive meets the negatives alone: neither another positive nor a place that is NEITHER stands
in its denominator. With one positive this is InfoNCE. Label smoothing e takes the target of p from
1 to 1 - e and spreads e evenly over p and N, as torch's cross_entropy does with the logits of p and
N; it adds e |N| / (|N| + 1) (s_p - mean of s_n).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import Edge, ObjectiveConfig
from .datasets.batch import NEGATIVE, POSITIVE

Descriptors = dict[str, Tensor]
"""Side (a view's value, "text" or "points") to [N, D] unit descriptors, float32."""

TEXT_EDGES = tuple(edge for edge in get_args(Edge) if edge.startswith("text-"))
POINT_EDGES = tuple(edge for edge in get_args(Edge) if edge.startswith("points-"))
IMAGE_EDGES = tuple(edge for edge in get_args(Edge) if edge not in TEXT_EDGES + POINT_EDGES)


class NothingToCompareError(ValueError):
    """A batch whose places share no two views or texts."""


@dataclass(frozen=True)
class Loss:
    """`total` to minimise, and the loss and the share of rows matched of every edge in it.

    A row is matched if one of its positives scores above all its negatives. Loss and share carry no
    gradient and are of this process's rows; where it has none of an edge, there is no share.
    """

    total: Tensor
    edges: dict[str, Tensor]
    accuracy: dict[str, Tensor]


def geobridge_loss(
    rows: Descriptors,
    rows_present: Mapping[str, Tensor],
    columns: Descriptors,
    columns_present: Mapping[str, Tensor],
    relation: Tensor,
    logit_scale: Tensor,
    objective: ObjectiveConfig,
    nested_dims: Sequence[int] = (),
    world_size: int = 1,
) -> Loss:
    """The objective of this process's rows against the places of all processes.

    A kind's edges that have at least two places are averaged as sum(w * loss) / sum(w), w from
    `edge_weights`. A row counts `world_size` / (rows of all processes), so that the mean of the
    totals over processes is the loss of the whole batch in one process, and the mean of their
    gradients its gradient. Nothing is communicated. The total hangs on every row's descriptor, if
    only with gradient 0, so that no tower is left waiting for its gradient.

    Args:
        rows: side to [b, D] unit descriptors of this process's places.
        rows_present: side to [b] bool; a place takes part in the edges both of whose sides it has.
        columns, columns_present: the same of all B places of all processes, in one order
            everywhere; the rows themselves where there is one process.
        relation: [b, B] what every place is to each row: POSITIVE (itself too), NEITHER, NEGATIVE.
        logit_scale: 1 / temperature.
        nested_dims: so many first numbers of every descriptor, renormalised, must do the same; the
            total is the mean over these and the whole, `edges` and `accuracy` are of the whole.

    Raises:
        NothingToCompareError: not one edge that has a weight has two places on all processes.
    """
    edges = _edges(rows, rows_present, columns_present, relation, objective, world_size)
    if not edges:
        raise NothingToCompareError("no edge of the batch has two places; nothing to learn from")
    whole = _compare(edges, rows, columns, logit_scale, objective)
    totals = [whole.total]
    for dims in nested_dims:
        parts = _first(rows, dims), _first(columns, dims)
        totals.append(_compare(edges, *parts, logit_scale, objective).total)
    nothing = 0.0 * torch.stack([side.sum() for side in rows.values()]).sum()
    return replace(whole, total=torch.stack(totals).mean() + nothing)


@dataclass(frozen=True)
class _Edge:
    """What one edge compares. `pairs` are rows and columns of the P positives of the relation."""

    name: str
    weight: float
    """Factor on its loss in the total."""
    both: Tensor
    """[b] bool, the rows of it."""
    excluded: Tensor
    """[b, B] bool, all but the negatives of each row."""
    pairs: tuple[Tensor, Tensor]
    share: Tensor
    """[P] factor on every pair in the loss, 0 for a pair that is not of this edge."""


def _edges(
    rows: Descriptors,
    rows_present: Mapping[str, Tensor],
    columns_present: Mapping[str, Tensor],
    relation: Tensor,
    objective: ObjectiveConfig,
    world_size: int,
) -> list[_Edge]:
    """The edges that have a weight and, on all processes together, at least two places."""
    names = [name for name in get_args(Edge) if rows.keys() >= set(name.split("-"))]
    both = {name: _both(name, rows_present) for name in names}
    candidates = {name: _both(name, columns_present) for name in names}
    weights = _weights(_counts(candidates), objective)
    first, second = (relation == POSITIVE).nonzero(as_tuple=True)
    edges = []
    for name, weight in weights.items():
        row, column = both[name], candidates[name]
        part = (row[first] & column[second]).to(rows[name.split("-")[0]].dtype)
        positives = part.new_zeros(len(row)).index_add(0, first, part)
        share = part / positives.clamp(min=1)[first] * world_size / column.sum().to(part)
        excluded = ~column | (relation != NEGATIVE)
        edges.append(_Edge(name, weight, row, excluded, (first, second), share))
    return edges


def _both(name: str, present: Mapping[str, Tensor]) -> Tensor:
    a, b = name.split("-")
    return present[a] & present[b]


def _counts(masks: Mapping[str, Tensor]) -> dict[str, int]:
    """How many are set; one wait for the device for all of them."""
    if not masks:
        return {}
    counts = torch.stack([mask.sum() for mask in masks.values()]).tolist()
    return dict(zip(masks, counts, strict=True))


def _weights(places: Mapping[str, int], objective: ObjectiveConfig) -> dict[str, float]:
    """Factor of every edge in the total, of those that have one."""
    factors: dict[str, float] = {}
    kinds = (
        (IMAGE_EDGES, objective.image_weight),
        (TEXT_EDGES, objective.text_weight),
        (POINT_EDGES, objective.points_weight),
    )
    for kind, kind_weight in kinds:
        usable = [name for name in kind if places.get(name, 0) >= 2]
        weights = {name: objective.edge_weights.get(name, 1.0) for name in usable}
        whole = sum(weights.values())
        factors |= {name: kind_weight * w / whole for name, w in weights.items() if w > 0}
    return {name: factor for name, factor in factors.items() if factor > 0}


def _compare(
    edges: Sequence[_Edge],
    rows: Descriptors,
    columns: Descriptors,
    logit_scale: Tensor,
    objective: ObjectiveConfig,
) -> Loss:
    """The weighted sum over the edges."""
    total = torch.zeros_like(logit_scale)
    losses, matched = {}, {}
    for edge in edges:
        a, b = edge.name.split("-")
        loss, found = _one_way(edge, logit_scale * rows[a], columns[b], objective.label_smoothing)
        if objective.form == "symmetric":
            back, _ = _one_way(edge, logit_scale * rows[b], columns[a], objective.label_smoothing)
            loss = 0.5 * (loss + back)
        total = total + edge.weight * loss
        losses[edge.name], matched[edge.name] = loss.detach(), found
    here = _counts({edge.name: edge.both for edge in edges})
    accuracy = {name: found / here[name] for name, found in matched.items() if here[name]}
    return Loss(total, losses, accuracy)


def _one_way(edge: _Edge, rows: Tensor, columns: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """The loss of one direction, and how many rows are matched; `rows` are scaled."""
    first, second = edge.pairs
    logits = rows @ columns.T
    positive = logits[first, second]
    # the lowest number, not -inf: a row without negatives has a loss and a gradient of exactly 0
    negatives = logits.masked_fill(edge.excluded, torch.finfo(logits.dtype).min)
    terms = -F.logsigmoid(positive - negatives.logsumexp(dim=1)[first])
    if smoothing:
        count = (~edge.excluded).sum(dim=1)
        excess = count[first] * positive - logits.masked_fill(edge.excluded, 0.0).sum(dim=1)[first]
        terms = terms + smoothing * excess / (count + 1)[first]
    won = (edge.share > 0) & (positive > negatives.amax(dim=1)[first])
    wins = edge.share.new_zeros(len(rows)).index_add(0, first, won.to(edge.share.dtype))
    return (edge.share * terms).sum(), (wins > 0).sum()


def _first(descriptors: Descriptors, dims: int) -> Descriptors:
    return {side: F.normalize(whole[:, :dims], dim=1) for side, whole in descriptors.items()}
