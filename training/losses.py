"""The six-edge objective of GeoBridge: L = L_img + L_text over the views and texts a batch has.

L_img is the mean over the edges drone-satellite, satellite-street, street-drone; L_text the mean
over the edges from text to each view (arXiv 2512.02697). Every edge is symmetric InfoNCE, the mean
of both directions, as the field's trainers read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from geobridge.onboard.views import View

IMAGE_EDGES: tuple[tuple[View, View], ...] = (
    (View.DRONE, View.SATELLITE),
    (View.SATELLITE, View.STREET),
    (View.STREET, View.DRONE),
)


class NothingToCompareError(ValueError):
    """A batch whose places share no two views or texts."""


@dataclass(frozen=True)
class Loss:
    """`total` to minimise; each edge's loss and share of rows matched first, by name."""

    total: Tensor
    edges: dict[str, Tensor]
    accuracy: dict[str, Tensor]


def geobridge_loss(
    images: Mapping[View, Tensor],
    present: Mapping[View, Tensor],
    text: Tensor | None,
    text_present: Tensor | None,
    logit_scale: Tensor,
    image_weight: float = 1.0,
    text_weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> Loss:
    """Row i of every tensor belongs to the same place, and no two rows to one place.

    Args:
        images: view to [B, D] unit descriptors.
        present: view to [B] bool; rows without that view take part in no edge of it.
        text, text_present: [B, D] unit descriptors and [B] bool, or None.
        logit_scale: 1 / temperature.

    Raises:
        NothingToCompareError: not one edge has two rows.
    """
    edges: dict[str, Tensor] = {}
    accuracy: dict[str, Tensor] = {}

    def add(name: str, a: Tensor, b: Tensor, both: Tensor) -> Tensor | None:
        if int(both.sum()) < 2:
            return None
        edges[name], accuracy[name] = info_nce(a[both], b[both], logit_scale, label_smoothing)
        return edges[name]

    image_terms = [
        add(f"{a}-{b}", images[a], images[b], present[a] & present[b])
        for a, b in IMAGE_EDGES
        if a in images and b in images
    ]
    text_terms: list[Tensor | None] = []
    if text is not None and text_present is not None:
        text_terms = [
            add(f"text-{view}", text, images[view], text_present & present[view]) for view in images
        ]
    if not edges:
        raise NothingToCompareError("no edge of the batch has two places; nothing to learn from")
    total = image_weight * _mean(image_terms, logit_scale)
    total = total + text_weight * _mean(text_terms, logit_scale)
    return Loss(total, edges, accuracy)


def info_nce(
    a: Tensor, b: Tensor, logit_scale: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Symmetric InfoNCE of [B, D] unit descriptors, and the share of rows of a that find theirs."""
    logits = logit_scale * (a @ b.T)
    target = torch.arange(len(a), device=a.device)
    forward = F.cross_entropy(logits, target, label_smoothing=label_smoothing)
    backward = F.cross_entropy(logits.T, target, label_smoothing=label_smoothing)
    found = (logits.argmax(dim=1) == target).float().mean()
    return 0.5 * (forward + backward), found


def _mean(terms: list[Tensor | None], like: Tensor) -> Tensor:
    there = [term for term in terms if term is not None]
    return torch.stack(there).mean() if there else torch.zeros_like(like)
