"""Unified View Relation Distillation: the images' distances learn from those of the points.

With a_i the descriptors of one side and b_j of the same or another one, and P the pairs i, j of
places that have both and the points, without every place itself and its kin,

    D(a, b)_ij = |a_i - b_j| / mean over P of |a_i - b_j|
    loss(a, b) = mean over P of l(D(a, b)_ij - D(p, p)_ij)

with l smooth L1 or the square, and p the descriptors of the points, which only teach. Turning p's
space and scaling it change nothing. The paper's code takes the mean with the zeros of the diagonal
and lets the teacher learn from its pupils; neither is done here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..datasets.batch import POINTS, POSITIVE


def relation_loss(
    rows: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    relation: Tensor,
    views: Sequence[str],
    kind: Literal["smooth_l1", "mse"] = "smooth_l1",
    across: bool = False,
) -> Tensor:
    """The mean of the losses of all views, and of all pairs of views if `across`.

    Args:
        rows: side to [B, D] descriptors of the places of all processes.
        present: side to [B] bool.
        relation: [B, B] what the places are to each other; positives are left out.
        views: that learn.

    Returns:
        0, hanging on every view's descriptors, where no two places can be compared.
    """
    teacher = apart(rows[POINTS].detach(), rows[POINTS].detach())
    pairs = [(view, view) for view in views] + (list(combinations(views, 2)) if across else [])
    terms = []
    for one, other in pairs:
        has = present[one] & present[POINTS], present[other] & present[POINTS]
        among = has[0][:, None] & has[1] & (relation != POSITIVE)
        among.fill_diagonal_(False)
        if int(among.sum()) >= 2:
            pupil = apart(rows[one], rows[other])[among]
            terms.append(_difference(_relative(pupil), _relative(teacher[among]), kind))
    if not terms:
        return 0.0 * torch.stack([rows[view].sum() for view in views]).sum()
    return torch.stack(terms).mean()


def apart(one: Tensor, other: Tensor) -> Tensor:
    """[n, m] distances of [n, D] from [m, D], exact also where they are small."""
    with torch.autocast(one.device.type, enabled=False):
        mode = "donot_use_mm_for_euclid_dist"
        return torch.cdist(one, other, compute_mode=mode)


def _relative(distances: Tensor) -> Tensor:
    return distances / distances.mean().clamp(min=torch.finfo(distances.dtype).tiny)


def _difference(pupil: Tensor, teacher: Tensor, kind: str) -> Tensor:
    if kind == "mse":
        return F.mse_loss(pupil, teacher)
    return F.smooth_l1_loss(pupil, teacher)
