"""All that training needs beside the weights to go on as if it had not stopped.

rng.cpu, rng.cuda     [processes, bytes] states of the random generators
moment.KEY.WEIGHT     of the optimiser, by the names of its weights
live.WEIGHT           what learns, where `weights` are its averages
scaler                scale, steps since it grew, and steps skipped in a row: half precision
mined.*               neighbours by similarity, and the step before which they were found
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geobridge.onboard.errors import DataError

from .checkpoint import copy_into, own_tensors
from .distributed import World, gather
from .runs.mined import Mined

if TYPE_CHECKING:
    from .learner import Learner


def weights_of(learner: Learner) -> dict[str, Tensor]:
    """What is evaluated and exported: the averages where there are any."""
    averages = learner.average.values if learner.average else {}
    return {**own_tensors(learner.model), **averages}


def state_of(learner: Learner, mined: Mined | None = None) -> dict[str, Tensor]:
    """All that `restore` needs beside `weights_of`; every process must ask for it."""
    state = {f"rng.{kind}": states for kind, states in _random_states(learner.world).items()}
    name_of = {id(weight): name for name, weight in learner.trained.items()}
    for weight, moments in learner.optimizer.state.items():
        for key, value in moments.items():
            state[f"moment.{key}.{name_of[id(weight)]}"] = value
    if learner.average:
        state |= {f"live.{name}": tensor.detach() for name, tensor in learner.average.live.items()}
    if learner.scaler.is_enabled():
        numbers = learner.scaler.state_dict()
        state["scaler"] = torch.tensor(
            [numbers["scale"], numbers["_growth_tracker"], learner.skipped], dtype=torch.float64
        )
    if mined:
        state["mined.step"] = torch.tensor(mined.step)
        state["mined.neighbours"] = torch.from_numpy(mined.neighbours)
    return state


def mined_of(state: Mapping[str, Tensor]) -> Mined | None:
    """The lists that a state holds."""
    if "mined.neighbours" not in state:
        return None
    return Mined(int(state["mined.step"]), state["mined.neighbours"].numpy())


def restore(
    learner: Learner,
    step: int,
    weights: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    path: Path,
) -> None:
    """Let a learner go on from what `weights` and `state` gave, which `path` holds.

    Raises:
        DataError: they are of another model.
    """
    learner.step = step
    copy_into(own_tensors(learner.model), weights, path)
    if learner.average:
        live = {name: tensor.detach() for name, tensor in learner.average.live.items()}
        learner.average.restore(live)
        copy_into(live, _under("live.", state), path)
    _restore_moments(learner, state, path)
    if learner.scaler.is_enabled():
        scale, growth, skipped = state["scaler"].tolist()
        told = {"scale": scale, "_growth_tracker": int(growth)}
        learner.scaler.load_state_dict(learner.scaler.state_dict() | told)
        learner.skipped = int(skipped)
    _restore_random(learner.world, state)


def _restore_moments(learner: Learner, state: Mapping[str, Tensor], path: Path) -> None:
    weights = [w for group in learner.optimizer.param_groups for w in group["params"]]
    name_of = {id(weight): name for name, weight in learner.trained.items()}
    order = {name_of[id(weight)]: index for index, weight in enumerate(weights)}
    moments: dict[int, dict[str, Tensor]] = {}
    for key_and_name, value in _under("moment.", state).items():
        key, _, name = key_and_name.partition(".")
        if name not in order:
            raise DataError(f"{path}: does not fit the model: has an unknown {name}")
        moments.setdefault(order[name], {})[key] = value.clone()
    groups = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _random_states(world: World) -> dict[str, Tensor]:
    """[processes, bytes] of the generators of every process."""
    states = {"cpu": torch.get_rng_state()}
    if world.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(world.device)
    return {
        kind: gather(state[None].to(world.device), world).cpu() for kind, state in states.items()
    }


def _restore_random(world: World, state: Mapping[str, Tensor]) -> None:
    # copies: torch reads a state from where its storage begins
    own = {key: state[key][world.rank].clone() for key in state if key.startswith("rng.")}
    torch.set_rng_state(own["rng.cpu"])
    if world.device.type == "cuda":
        torch.cuda.set_rng_state(own["rng.cuda"], world.device)


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
