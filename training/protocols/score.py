"""Descriptors of a task to its figures under a protocol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from geobridge.onboard.metrics import one_percent_k, recall_at_k

from ..batches.kin import Lists
from ..datasets.layouts.task import Floats, Task
from ..evaluation.standing import Descriptors, Standing
from ..evaluation.within import stand_within
from .figures import (
    Ints,
    average_precisions,
    distances_m,
    first_ranks,
    hits,
    owners,
    ranks,
)
from .protocol import TOP, Protocol, Scored

WITHIN_M = (5.0, 10.0, 25.0, 50.0, 100.0)
"""Of L@m: the best reference lies so near."""


def score(
    protocol: Protocol,
    task: Task,
    queries: Descriptors,
    gallery: Descriptors,
    device: torch.device | None = None,
) -> Scored:
    """Compare all, and count as the protocol counts.

    Args:
        queries, gallery: [Q, D] and [R, D] descriptors of the task's two sides.
        device: where products are computed.

    Raises:
        DataError: a descriptor is not finite.
    """
    listed, is_semi = _listed(task)
    standing = stand_within(queries, gallery, listed, TOP, task.maps, device)
    right = _part(standing, ~is_semi)
    rank = ranks(right, task.positive, protocol.ties)
    kind = protocol.ap or "trapezoid"
    found = Scored(
        task,
        first_ranks(rank, task.positive),
        average_precisions(rank, task.positive, kind),
        standing.top,
        standing.top_score,
        _distances(task, standing.top),
        right,
        {},
    )
    figures = _recalls(protocol, found)
    if task.semi is not None:
        strict, best = hits(standing, listed, is_semi)
        figures |= {"hit_code": float(strict.mean()), "hit_paper": float(best.mean())}
    if protocol.extra:
        figures |= protocol.extra(found, protocol)
    return replace(found, figures=figures | _by_distance(found.distance_m))


def _recalls(protocol: Protocol, found: Scored) -> dict[str, float]:
    """R@k, R@1 % in the protocol's rounding and in both, and AP where the protocol has it."""
    size = found.task.counted or len(found.task.gallery)
    both = {
        f"r1_percent_{rule}": recall_at_k(found.rank, one_percent_k(size, rule))
        for rule in ("layumi", "floor")
    }
    figures = {f"r{k}": recall_at_k(found.rank, k) for k in protocol.recalls}
    figures["r1_percent"] = both[f"r1_percent_{protocol.one_percent}"]
    if protocol.ap:
        figures["ap"] = float(found.precision.mean())
    return figures | both


def _by_distance(distance_m: Floats | None) -> dict[str, float]:
    """L@m and the median distance of the best reference."""
    if distance_m is None:
        return {}
    best_m = distance_m[:, 0]
    known = best_m[~np.isnan(best_m)]
    if not len(known):
        return {}
    within = {f"l{limit:g}m": float(np.mean(known <= limit)) for limit in WITHIN_M}
    return within | {"median_m": float(np.median(known))}


def _distances(task: Task, top: Ints) -> Floats | None:
    here, there = task.queries.positions, task.gallery.positions
    if here is None or there is None or task.plane is None:
        return None
    return distances_m(here, there, top, task.plane)


def _listed(task: Task) -> tuple[Lists, npt.NDArray[np.bool_]]:
    """Positives and semi-positives in one list, positives first, and which are which."""
    if task.semi is None:
        return task.positive, np.zeros(len(task.positive.items), bool)
    parts = (task.positive, task.semi)
    owner = np.concatenate([owners(part) for part in parts])
    is_semi = np.repeat([False, True], [len(part.items) for part in parts])
    order = np.argsort(owner, kind="stable")
    items = np.concatenate([part.items for part in parts])[order]
    return Lists(parts[0].offsets + parts[1].offsets, items), is_semi[order]


def _part(standing: Standing, kept: npt.NDArray[np.bool_]) -> Standing:
    names = ("score", "above", "tied_before", "tied_behind")
    return replace(standing, **{name: getattr(standing, name)[kept] for name in names})
