"""All that training needs beside the weights to go on as if it had not stopped.

rng.cpu, rng.cuda     [processes, bytes] states of the random generators
moment.KEY.WEIGHT     of the optimiser, by the names of its weights
points.WEIGHT         of the tower of points, which is no part of the network that is evaluated
estimator*            of GeoLink's estimators: their weights and their optimiser's moments
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

from .checkpoint import copy_into, is_of_points, own_tensors
from .distributed import World, gather
from .model import GeoBridge
from .moments import moments_of, restore_moments, under
from .runs.mined import Mined

if TYPE_CHECKING:
    from .learner import Learner

_MOMENT = "moment."


def weights_of(learner: Learner) -> dict[str, Tensor]:
    """What is evaluated and exported: the averages where there are any."""
    averages = learner.average.values if learner.average else {}
    return {**own_tensors(learner.model), **averages}


def state_of(learner: Learner, mined: Mined | None = None) -> dict[str, Tensor]:
    """All that `restore` needs beside `weights_of`; every process must ask for it."""
    state = {f"rng.{kind}": states for kind, states in _random_states(learner.world).items()}
    state |= moments_of(learner.optimizer, learner.trained, _MOMENT) | _points(learner.model)
    if learner.terms:
        state |= learner.terms.state()
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
        copy_into(live, under("live.", state), path)
    copy_into(_points(learner.model), {n: t for n, t in state.items() if is_of_points(n)}, path)
    restore_moments(learner.optimizer, learner.trained, _MOMENT, state, path)
    if learner.terms:
        learner.terms.restore(state, path)
    if learner.scaler.is_enabled():
        scale, growth, skipped = state["scaler"].tolist()
        told = {"scale": scale, "_growth_tracker": int(growth)}
        learner.scaler.load_state_dict(learner.scaler.state_dict() | told)
        learner.skipped = int(skipped)
    _restore_random(learner.world, state)


def _points(model: GeoBridge) -> dict[str, Tensor]:
    return {n: tensor.detach() for n, tensor in model.state_dict().items() if is_of_points(n)}


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
