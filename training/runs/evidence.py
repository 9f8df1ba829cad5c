"""What was there when a step gave no number: <run>/evidence-step-N/evidence.json."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geobridge.onboard import durable

from .. import optim
from ..learner import Learner, Step
from .pipeline import TensorBatch

FILE = "evidence.json"


def path_of(run: Path, step: int) -> Path:
    """The folder of a step's evidence."""
    return run / f"evidence-step-{step}"


def of(learner: Learner, batches: Sequence[TensorBatch], step: Step) -> dict[str, Any]:
    """Of a step that was not taken, its gradients still there; the same keys for every step.

    Losses by edge are of this process; gradients, before clipping, are the mean of all.
    """
    named = [(name, w) for name, w in learner.model.named_parameters() if w.requires_grad]
    gradients = [(name, w.grad) for name, w in named if w.grad is not None]
    by_tower: dict[str, list[Tensor]] = {}
    for name, gradient in gradients:
        by_tower.setdefault(optim.tower_of(name), []).append(gradient)
    return {
        "step": learner.step,
        "learning_rate": step.learning_rate,
        "logit_scale": float(learner.model.logit_scale.detach()),
        "loss": float(step.total),
        "edges": [{edge: float(v) for edge, v in loss.edges.items()} for loss in step.losses],
        "gradient_norm": float(step.gradient_norm),
        "gradient_norm_by_tower": {t: float(optim.norm(g)) for t, g in by_tower.items()},
        "first_weight_not_finite": _first_not_finite(named),
        "first_gradient_not_finite": _first_not_finite(gradients),
        "precision": learner.settings.optim.precision,
        "half_precision_scale": learner.scaler.get_scale(),
        "pictures_present": [
            {side: int(mask.sum()) for side, mask in batch.present.items()} for batch in batches
        ],
    }


def write(path: Path, found: Mapping[str, Any]) -> Path:
    """Write it as strict JSON; numbers that are none become text."""
    return durable.write_text(path / FILE, json.dumps(_strict(found), indent=1) + "\n")


def _first_not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    return next((n for n, t in tensors if not bool(torch.isfinite(t).all())), None)


def _strict(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _strict(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_strict(value) for value in tree]
    return str(tree) if isinstance(tree, float) and not math.isfinite(tree) else tree
