"""Geometric-aware Semantic Refinement: less of what is redundant and of one view in the images.

The paper's abstract and its code leave open what exactly; there are two readings.

`Bottleneck`, as the code has it: less information between every view and the points, an information
bottleneck against the contrast that raises it. `Residual`, nearer to the abstract: what a linear
predictor cannot tell of a view from the points, r = v - P(p), shall neither be shared between views
nor tell which view it is of. Both take upper bounds by estimators that are trained, and both leave
the points as they are: these guide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..datasets.batch import POINTS
from .information import GaussianEstimator, LabelEstimator

FEWEST = 4
"""With fewer places there is no distribution to speak of."""

Rows = Mapping[str, Tensor]


class Bottleneck(nn.Module):
    """I(view; points), mean over the views, divided by the numbers of a descriptor."""

    def __init__(self, views: Sequence[str], length: int, width: int) -> None:
        super().__init__()
        self.views = tuple(views)
        self.estimators = nn.ModuleDict(
            {view: GaussianEstimator(length, length, width) for view in views}
        )

    def surprise(self, rows: Rows, present: Rows) -> Tensor | None:
        """What the estimators minimise, of rows without gradient; None: nothing to learn from."""
        return _mean([e.surprise(*pair) for e, *pair in self._pairs(rows, present)])

    def bound(self, rows: Rows, present: Rows) -> Tensor | None:
        """What the towers minimise."""
        return _mean([e.bound(*pair) for e, *pair in self._pairs(rows, present)])

    def _pairs(
        self, rows: Rows, present: Rows
    ) -> Iterator[tuple[GaussianEstimator, Tensor, Tensor]]:
        for view in self.views:
            both = present[view] & present[POINTS]
            if int(both.sum()) >= FEWEST:
                estimator: GaussianEstimator = self.estimators[view]  # type: ignore[assignment]
                yield estimator, _scaled(rows[view][both]), _scaled(rows[POINTS][both].detach())


class Residual(nn.Module):
    """I(r of one view; r of another), mean over pairs of views and divided by the numbers of a
    descriptor, plus I(r; which view).
    """

    def __init__(self, views: Sequence[str], length: int, width: int) -> None:
        super().__init__()
        self.views = tuple(views)
        self.predictors = nn.ModuleDict({view: nn.Linear(length, length) for view in views})
        self.shared = nn.ModuleDict(
            {
                f"{one}-{other}": GaussianEstimator(length, length, width)
                for one, other in combinations(self.views, 2)
            }
        )
        self.view = LabelEstimator(length, len(self.views), width)

    def surprise(self, rows: Rows, present: Rows) -> Tensor | None:
        """What predictors and estimators minimise, of rows without gradient."""
        told = {view: present[view] & present[POINTS] for view in self.views}
        fits = [
            F.mse_loss(self._predicted(view, rows)[both], _scaled(rows[view][both]))
            for view, both in told.items()
            if int(both.sum()) >= FEWEST
        ]
        rest = {view: r.detach() for view, r in self._residuals(rows).items()}
        terms = [e.surprise(*pair) for e, *pair in self._pairs(rest, told)]
        terms += [self.view.surprise(*pair) for pair in self._labelled(rest, told)]
        return _mean(fits + terms)

    def bound(self, rows: Rows, present: Rows) -> Tensor | None:
        """What the towers minimise."""
        told = {view: present[view] & present[POINTS] for view in self.views}
        rest = self._residuals(rows)
        shared = _mean([e.bound(*pair) for e, *pair in self._pairs(rest, told)])
        labelled = _mean([self.view.bound(*pair) for pair in self._labelled(rest, told)])
        parts = [part for part in (shared, labelled) if part is not None]
        return torch.stack(parts).sum() if parts else None

    def _predicted(self, view: str, rows: Rows) -> Tensor:
        predicted: Tensor = self.predictors[view](_scaled(rows[POINTS].detach()))
        return predicted

    def _residuals(self, rows: Rows) -> dict[str, Tensor]:
        return {view: _scaled(rows[view]) - self._predicted(view, rows) for view in self.views}

    def _pairs(self, rest: Rows, told: Rows) -> Iterator[tuple[GaussianEstimator, Tensor, Tensor]]:
        for one, other in combinations(self.views, 2):
            both = told[one] & told[other]
            if int(both.sum()) >= FEWEST:
                estimator: GaussianEstimator = self.shared[f"{one}-{other}"]  # type: ignore[assignment]
                yield estimator, rest[one][both], rest[other][both]

    def _labelled(self, rest: Rows, told: Rows) -> Iterator[tuple[Tensor, Tensor]]:
        """All residuals and the numbers of their views, where there are two kinds at least."""
        kinds = [number for number, view in enumerate(self.views) if bool(told[view].any())]
        if len(kinds) > 1:
            parts = [rest[self.views[number]][told[self.views[number]]] for number in kinds]
            sizes = torch.tensor([len(part) for part in parts], device=parts[0].device)
            numbers = torch.tensor(kinds, device=parts[0].device)
            yield torch.cat(parts), numbers.repeat_interleave(sizes)


def _scaled(rows: Tensor) -> Tensor:
    """Unit descriptors with numbers of about unit size, as estimators and predictors like them."""
    return rows * math.sqrt(rows.shape[1])


def _mean(terms: Sequence[Tensor]) -> Tensor | None:
    return torch.stack(list(terms)).mean() if terms else None
