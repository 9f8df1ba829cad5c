"""What an optimiser remembers of every weight, by name: to be saved, and given back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from geobridge.onboard.errors import DataError


def moments_of(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter], prefix: str
) -> dict[str, Tensor]:
    """PREFIX KEY . WEIGHT to what it remembers."""
    name_of = {id(weight): name for name, weight in named.items()}
    return {
        f"{prefix}{key}.{name_of[id(weight)]}": value
        for weight, moments in optimizer.state.items()
        for key, value in moments.items()
    }


def restore_moments(
    optimizer: torch.optim.Optimizer,
    named: Mapping[str, nn.Parameter],
    prefix: str,
    state: Mapping[str, Tensor],
    path: Path,
) -> None:
    """Let it remember what `moments_of` told, which `path` holds.

    Raises:
        DataError: it is of other weights.
    """
    weights = [w for group in optimizer.param_groups for w in group["params"]]
    name_of = {id(weight): name for name, weight in named.items()}
    order = {name_of[id(weight)]: index for index, weight in enumerate(weights)}
    moments: dict[int, dict[str, Tensor]] = {}
    for key_and_name, value in under(prefix, state).items():
        key, _, name = key_and_name.partition(".")
        if name not in order:
            raise DataError(f"{path}: does not fit the model: has an unknown {name}")
        moments.setdefault(order[name], {})[key] = value.clone()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What stands under a prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
