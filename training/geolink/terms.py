"""What the geometry adds to the objective, on schedule, and the estimators that it needs for that.

Every process computes the terms of the whole batch from the gathered descriptors. What is gathered
sends its gradient back summed over processes, and the processes' gradients are averaged: so the
gradient is that of one process that has it all. The estimators take the same steps everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoint import copy_into
from ..config import ObjectiveConfig
from ..config_geolink import GeoLinkConfig
from ..datasets.batch import POINTS
from ..losses import Descriptors, Loss, NothingToCompareError, geobridge_loss
from ..moments import moments_of, restore_moments
from .refinement import Bottleneck, Residual
from .relations import relation_loss

RELATION, REFINEMENT = "relation", "refinement"
"""Names of the terms among the losses of the edges."""
_ESTIMATOR, _MOMENT = "estimator.", "estimator-moment."


class Terms:
    """Relation distillation and refinement with the weights that a step gives them.

    Estimators learn from a batch before they are asked about it, also where the step is not taken
    in the end.
    """

    def __init__(
        self,
        config: GeoLinkConfig,
        views: Sequence[str],
        length: int,
        device: torch.device,
        epsilon: float,
    ) -> None:
        self.config, self.views = config, tuple(views)
        self.estimators: Bottleneck | Residual | None = None
        if config.refinement != "off":
            reading = Bottleneck if config.refinement == "bottleneck" else Residual
            self.estimators = reading(views, length, config.refinement_width).to(device)
            self.optimizer = torch.optim.Adam(
                self.estimators.parameters(), lr=config.refinement_rate, eps=epsilon
            )

    def is_warming_up(self, step: int) -> bool:
        """Whether the tower of the points still only follows."""
        return step < self.config.warmup_steps

    def share(self, step: int) -> float:
        """How much of their weights the terms have."""
        after = step - self.config.warmup_steps
        if after < 0:
            return 0.0
        return (
            1.0 if after >= self.config.ramp_steps else (after + 1) / (self.config.ramp_steps + 1)
        )

    def added(
        self,
        loss: Loss,
        rows: Descriptors,
        present: Mapping[str, Tensor],
        relation: Tensor,
        step: int,
    ) -> Loss:
        """A loss, and what the terms of a step add to it.

        Args:
            rows, present, relation: of all places of all processes, [B, D], [B] and [B, B].
        """
        share, terms = self.share(step), {}
        if self.config.relation_weight and share:
            kind, across = self.config.relation_distance, self.config.relation_across
            term = relation_loss(rows, present, relation, self.views, kind, across)
            terms[RELATION] = self.config.relation_weight * share, term
        if self.estimators is not None:
            bound = self._bound(self.estimators, rows, present, step)
            if bound is not None and share and self.config.refinement_weight:
                terms[REFINEMENT] = self.config.refinement_weight * share, bound
        total = loss.total
        for weight, term in terms.values():
            total = total + weight * term
        told = {name: term.detach() for name, (_, term) in terms.items()}
        return replace(loss, total=total, edges={**loss.edges, **told})

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs."""
        if self.estimators is None:
            return {}
        named = dict(self.estimators.named_parameters())
        weights = {f"{_ESTIMATOR}{name}": weight.detach() for name, weight in named.items()}
        return weights | moments_of(self.optimizer, named, _MOMENT)

    def restore(self, state: Mapping[str, Tensor], path: Path) -> None:
        """Go on from what `state` gave, which `path` holds.

        Raises:
            DataError: it is of other estimators.
        """
        if self.estimators is not None:
            named = dict(self.estimators.named_parameters())
            own = {f"{_ESTIMATOR}{name}": weight.detach() for name, weight in named.items()}
            given = {name: t for name, t in state.items() if name.startswith(_ESTIMATOR)}
            copy_into(own, given, path)
            restore_moments(self.optimizer, named, _MOMENT, state, path)

    def _bound(
        self,
        estimators: Bottleneck | Residual,
        rows: Descriptors,
        present: Mapping[str, Tensor],
        step: int,
    ) -> Tensor | None:
        """The estimators' bound of this batch's descriptors, once they have learned from them."""
        held = {side: values.detach() for side, values in rows.items()}
        if all(bool(values.isfinite().all()) for values in held.values()):
            for _ in range(self.config.refinement_steps):
                self.optimizer.zero_grad(set_to_none=True)
                with torch.enable_grad():
                    surprise = estimators.surprise(held, present)
                    if surprise is None:
                        return None
                    surprise.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
        estimators.requires_grad_(False)
        try:
            return None if self.is_warming_up(step) else estimators.bound(rows, present)
        finally:
            estimators.requires_grad_(True)


def following_loss(
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
    """`geobridge_loss` while the points follow: their edges teach the points' tower alone.

    Raises:
        NothingToCompareError: no edge without points has two places.
    """

    def over(rows: Descriptors, columns: Descriptors, scale: Tensor, **weights: float) -> Loss:
        weighed = objective.model_copy(update=weights)
        return geobridge_loss(
            rows,
            rows_present,
            columns,
            columns_present,
            relation,
            scale,
            weighed,
            nested_dims,
            world_size,
        )

    loss = over(rows, columns, logit_scale, points_weight=0.0)
    led = _only_points(rows), _only_points(columns), logit_scale.detach()
    try:
        follows = over(*led, image_weight=0.0, text_weight=0.0)
    except NothingToCompareError:
        return loss
    return Loss(
        loss.total + follows.total,
        {**loss.edges, **follows.edges},
        {**loss.accuracy, **follows.accuracy},
    )


def _only_points(rows: Descriptors) -> Descriptors:
    return {side: values if side == POINTS else values.detach() for side, values in rows.items()}
