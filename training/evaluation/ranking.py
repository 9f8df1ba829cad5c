"""Where the one right reference of every query stands among all others, counted piece by piece.

Nothing here is as large as queries times references, so a gallery may be as large as its
descriptors allow: 100,000 places of 768 numbers are 0.3 GB a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from geobridge.onboard.metrics import one_percent_k, recall_at_k

Descriptors = npt.NDArray[np.float32]
Ranks = npt.NDArray[np.int64]

CHUNK = 2048
UNDECIDED = 1e-6
"""Two cosines of float32 descriptors that lie so close together are a tie: the order in which
products are added up moves them by as much."""


def ranks(
    queries: Descriptors, references: Descriptors, device: torch.device | None = None
) -> Ranks:
    """[N] rank, from 1, of reference i for query i among all N.

    What ties with the right one stands before it, as in `metrics.first_ranks`; so does what is not
    a number. A query whose own score is no number has rank N + 1: it finds nothing.

    Args:
        queries: [N, D] unit descriptors.
        references: [N, D] of the same places in the same order.
        device: where to count; a piece at a time goes there.
    """
    count = len(queries)
    found = np.empty(count, np.int64)
    with exact_products():
        for start in range(0, count, CHUNK):
            asked = torch.from_numpy(queries[start : start + CHUNK]).to(device)
            ranked = _ranks_of(asked, start, references)
            found[start : start + CHUNK] = torch.clamp(ranked, max=count + 1).cpu().numpy()
    return found


def _ranks_of(asked: torch.Tensor, start: int, references: Descriptors) -> torch.Tensor:
    """[n] ranks of the queries that begin with number `start`."""
    right = torch.from_numpy(references[start : start + len(asked)]).to(asked.device)
    own = (asked * right).sum(dim=1)
    before = torch.where(own.isfinite(), 0, len(references))
    for first in range(0, len(references), CHUNK):
        piece = torch.from_numpy(references[first : first + CHUNK]).to(asked.device)
        ahead = ~(asked @ piece.T < (own - UNDECIDED)[:, None])
        if first == start:
            ahead.fill_diagonal_(False)  # the right ones themselves
        before += ahead.sum(dim=1)
    return 1 + before


def figures(found: Ranks) -> dict[str, float]:
    """R@1, 5, 10 and 1 % (University-1652's k) and its trapezoid AP of N ranks among N references.

    With one right reference at rank r that AP is 1 where r is 1, and 1 / 2r behind it.
    """
    recalls = {f"r{k}": recall_at_k(found, k) for k in (1, 5, 10)}
    recalls["r1_percent"] = recall_at_k(found, one_percent_k(len(found), "layumi"))
    return recalls | {"ap": float(np.mean(np.where(found == 1, 1.0, 0.5 / found)))}


@contextmanager
def exact_products() -> Iterator[None]:
    """float32 throughout: neither autocast nor TF32, which would round what is near into ties."""
    usual = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(usual)
