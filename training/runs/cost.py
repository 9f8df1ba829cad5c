"""What a run will cost, said before it starts: from its own first batches, measured.

The learner is put back to where it was, so that measuring changes nothing of the run.
"""

from __future__ import annotations

import logging
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import optim
from ..datasets.batch import BatchSource
from ..learner import Learner, NotFiniteError
from .pipeline import TensorBatch

log = logging.getLogger(__name__)

MEASURED_STEPS = 2
"""After a first one that is not timed."""
_GIB = 2.0**30


@dataclass(frozen=True)
class Burst:
    """Seconds for a step's computation and for preparing one batch; bytes that steps added."""

    step_s: float
    batch_s: float
    added_bytes: int


def measure(learner: Learner, batches: Sequence[TensorBatch], source: BatchSource) -> Burst:
    """Take a few real steps with the batches of the first one, then undo them."""
    world, first = learner.world, learner.step
    weights, state = _copies(learner.weights()), _copies(learner.state())
    start = time.perf_counter()
    source.batch(first * learner.settings.optim.accumulate, world.rank, world.size)
    batch_s = time.perf_counter() - start
    before = _memory(learner.world.device)
    times = []
    try:
        for _ in range(1 + MEASURED_STEPS):
            start = time.perf_counter()
            float(learner.train_step(batches).gradient_norm)
            times.append(time.perf_counter() - start)
    except NotFiniteError:
        pass  # the run will meet it, and tell
    added = _memory(learner.world.device) - before
    learner.restore(first, weights, state, Path())
    return Burst(min(times[1:], default=0.0), batch_s, added)


def figures(learner: Learner, burst: Burst, epochs: float | None) -> dict[str, Any]:
    """The costs as a table: numbers of weights, GiB, steps, hours."""
    config, world = learner.settings.optim, learner.world
    left, parallel = learner.steps - learner.step, max(1, config.workers)
    data_s = burst.batch_s * config.accumulate / parallel
    step_s = max(burst.step_s, data_s) if config.workers else burst.step_s + data_s
    places = config.batch_size * config.accumulate * world.size
    return {
        "weights": _weights(learner),
        "memory_gib": _memory_gib(learner, burst),
        "disk_gib": _disk_gib(learner),
        "processes": world.size,
        "steps": left,
        "places_per_step": places,
        "pictures": left * places * len(learner.settings.model.views),
        "epochs": epochs,
        "compute_s_per_step": burst.step_s,
        "data_s_per_step": data_s,
        "hours": left * step_s / 3600,
    }


def announce(learner: Learner, costs: dict[str, Any]) -> None:
    """Say them in a few lines."""
    settings, memory, disk = learner.settings, costs["memory_gib"], costs["disk_gib"]
    trained = sum(tower["trained"] for tower in costs["weights"].values())
    frozen = sum(tower["frozen"] for tower in costs["weights"].values())
    log.info(
        "%.1f M weights to train, %.1f M frozen, %d steps of %d places, views %s%s%s, %s on %s",
        trained / 1e6,
        frozen / 1e6,
        costs["steps"],
        costs["places_per_step"],
        " ".join(settings.model.views),
        " and text" if learner.model.text is not None else "",
        " and points" if learner.model.points is not None else "",
        settings.optim.precision,
        " and ".join(
            [
                str(learner.world.device),
                *([f"{n - 1} more"] if (n := learner.world.size) > 1 else []),
            ]
        ),
    )
    log.info(
        "about %s for %d pictures: %.2f s a step (%.2f s of a process for its data),"
        " %.2f GiB of memory, up to %.2f GiB of disk",
        _duration(costs["hours"]),
        costs["pictures"],
        costs["compute_s_per_step"],
        costs["data_s_per_step"],
        memory["sum"],
        disk["needed"],
    )
    if disk["needed"] > disk["free"]:
        log.warning(
            "run.folder: %.2f GiB may not fit, %.2f GiB are free", disk["needed"], disk["free"]
        )


def _weights(learner: Learner) -> dict[str, dict[str, int]]:
    towers: dict[str, dict[str, int]] = {}
    for name, weight in learner.model.named_parameters():
        tower = towers.setdefault(optim.tower_of(name), {"trained": 0, "frozen": 0})
        tower["trained" if weight.requires_grad else "frozen"] += weight.numel()
    return towers


def _memory_gib(learner: Learner, burst: Burst) -> dict[str, float]:
    """Of one process. The steps' share is measured: on a GPU the peak of its allocator, on a CPU
    the growth of resident memory, at least; it includes gradients and moments.
    """
    whole = sum(w.nbytes for w in learner.model.parameters())
    trained = sum(w.nbytes for w in learner.model.parameters() if w.requires_grad)
    fixed = {"weights": whole, "gradients": trained, "moments": 2 * trained}
    average = trained if learner.average else 0
    activations = max(0, burst.added_bytes - 3 * trained)
    parts = {**fixed, "average": average, "activations": activations}
    return {name: size / _GIB for name, size in {**parts, "sum": sum(parts.values())}.items()}


def _disk_gib(learner: Learner) -> dict[str, float]:
    """One checkpoint, as many as there may be at a time, and what is free."""
    settings, run = learner.settings, Path(learner.settings.run.folder)
    trained = sum(w.nbytes for w in learner.model.parameters() if w.requires_grad)
    one = sum(tensor.nbytes for tensor in learner.weights().values()) + 2 * trained
    one += trained if learner.average else 0
    count = settings.run.keep_checkpoints + 1 + bool(settings.evaluation.every_steps)
    there = next(folder for folder in (run, *run.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    return {"checkpoint": one / _GIB, "needed": count * one / _GIB, "free": free / _GIB}


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()}


def _duration(hours: float) -> str:
    minutes, seconds = divmod(round(hours * 3600), 60)
    return (
        f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes}:{seconds:02d}"
    )
