"""Real processes on loopback against one; run as a script, this file is those processes."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from geobridge.onboard.config import load
from geobridge.training.config import TrainConfig
from geobridge.training.distributed import World, gather, joined
from geobridge.training.learner import Learner
from geobridge.training.runs.pipeline import batches, open_source

WORLDS, PLACES, STEPS = (2, 4), 8, 4
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
READINGS = {"bottleneck": 0, "residual": 2}
"""By chunk size: places at a time."""


def learn(config: Path, reading: str, world: World) -> dict[str, np.ndarray]:
    """All weights and the losses after a few steps, from the warm-up on."""
    chunk = min(READINGS[reading], PLACES // world.size)
    overrides = [
        f'geolink.refinement="{reading}"', "geolink.refinement_weight=0.1",
        "geolink.relation_weight=1.0", "geolink.relation_across=true", "geolink.warmup_steps=1",
        "geolink.ramp_steps=0", "geolink.tower.experts=true", "geolink.missing=0.2",
        f"optim.batch_size={PLACES // world.size}", f"optim.chunk_size={chunk}",
        "optim.epsilon=1e-3",
    ]  # fmt: skip
    settings = load(TrainConfig, config, overrides)
    learner = Learner(settings, STEPS, world)
    losses = []
    for batch in batches(settings, open_source(settings), 0, STEPS, world.rank, world.size):
        done = learner.train_step([batch])
        losses.append(float(gather(done.total[None], world).mean()))
    found = {n: w.detach().numpy() for n, w in learner.model.named_parameters()}
    assert learner.terms
    found |= {n: t.numpy() for n, t in learner.terms.state().items() if n.startswith("estimator.")}
    return found | {"losses": np.array(losses)}


def be_process(rank: int, size: int, port: int, config: Path) -> None:
    values = (rank, size, rank, "127.0.0.1", port)
    os.environ.update(zip(VARIABLES, map(str, values), strict=True))
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    with joined("cpu") as world:
        for reading in READINGS:
            found = learn(config, reading, world)
            np.savez(config.parent / f"{reading}-{size}-{rank}.npz", **found)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main(config: Path) -> int:
    fork = multiprocessing.get_context("fork")
    codes: list[int | None] = []
    for size in WORLDS:
        port = free_port()
        started = [
            fork.Process(target=be_process, args=(rank, size, port, config), daemon=True)
            for rank in range(size)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join(60)
        codes += [process.exitcode for process in started]
    return int(codes != [0] * sum(WORLDS))


def test_many_processes_learn_what_one_does(geolink_config: Path) -> None:
    command = [sys.executable, __file__, str(geolink_config)]
    done = subprocess.run(command, timeout=200, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    for reading in READINGS:
        alone = learn(geolink_config, reading, World(0, 1, torch.device("cpu")))
        assert len(set(alone["losses"])) == STEPS
        for size in WORLDS:
            for rank in range(size):
                with np.load(geolink_config.parent / f"{reading}-{size}-{rank}.npz") as found:
                    assert set(found.files) == set(alone)
                    for name, expected in alone.items():
                        np.testing.assert_allclose(
                            found[name], expected, rtol=0, atol=3e-6, err_msg=f"{size} {name}"
                        )


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_process_has_its_part_of_the_same_batch(size: int, geolink_config: Path) -> None:
    settings = load(TrainConfig, geolink_config, [f"optim.batch_size={PLACES // size}"])
    source = open_source(settings)
    parts = [source.batch(1, rank, size) for rank in range(size)]
    whole = open_source(load(TrainConfig, geolink_config, ["optim.batch_size=8"])).batch(1)
    assert [name for part in parts for name in part.names] == list(whole.names)
    clouds = [part.points for part in parts]
    np.testing.assert_array_equal(np.concatenate(clouds), whole.points)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
