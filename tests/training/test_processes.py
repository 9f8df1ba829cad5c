"""Two processes through the real command, against one that sees the same batches."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from geobridge.training.checkpoint import checkpoints, read
from geobridge.training.checkpoint_record import MODEL, STATE
from geobridge.training.trainer import train

Processes = list[subprocess.Popen[str]]
Pair = Callable[..., Processes]

KEYS = [
    "model.vision={layers = 2, width = 32, head_width = 16, patch_size = 8}",  # no batch norm
    "optim.workers=0",
    "optim.steps=30",
    "optim.ema_decay=0.9",
    "optim.accumulate=2",
    # at 1e-8 Adam makes full steps of gradients that are rounding alone, as those of key biases
    "optim.epsilon=1e-4",
    "optim.learning_rate=1e-3",
    "batches.hard_share=0.5",
    "batches.by_similarity_from_epoch=10",
    "batches.refresh_every_epochs=15",
    "augment.missing={street = 0.2, text = 0.2}",
    "run.checkpoint_every_steps=5",
    "run.keep_checkpoints=20",
]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """`geobridge train ...` in two processes that meet, as torchrun starts them."""
    started: Processes = []

    def start(*arguments: object) -> Processes:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        code = "import sys; from geobridge.onboard.cli import main; sys.exit(main(sys.argv[1:]))"
        for rank in "01":
            meeting = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2"}
            meeting |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", code, "train", *map(str, arguments)],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=os.environ | meeting | {"OMP_NUM_THREADS": "1"},
                )
            )
        return started[-2:]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(processes: Processes) -> list[tuple[int, str, str]]:
    said = [process.communicate(timeout=120) for process in processes]
    return [(p.returncode, *text) for p, text in zip(processes, said, strict=True)]


def difference(a: Path, b: Path) -> float:
    left, right = load_file(a), load_file(b)
    assert left.keys() == right.keys()
    return max(float((left[name].double() - right[name].double()).abs().max()) for name in left)


@pytest.mark.slow
def test_two_processes_learn_what_one_does_and_go_on(triples_config: Path, pair: Pair) -> None:
    run, chunks = triples_config.parent / "run", "optim.chunk_size=2"
    command = [triples_config, *KEYS, "optim.batch_size=4", chunks]
    first, second = pair(*command)
    while not checkpoints(run):
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.005)
    second.send_signal(signal.SIGTERM)  # either one is asked, both stop after the same step
    for code, out, log in ended([first, second]):
        assert (code, out) == (130, ""), log
        assert log.endswith("geobridge train: interrupted\n")
    stopped = read(run)
    assert 5 <= stopped.step < 30
    assert stopped.standing.processes == 2
    assert len(load_file(stopped.path / STATE)["rng.cpu"]) == 2

    (code, out, log), (other, nothing, _) = ended(pair(*command))
    assert (code, other) == (0, 0), log
    assert (out, nothing) == (f"{run}/step-00000030\n", "")
    assert f"resuming from {stopped.path}" in log
    assert "steps of 16 places" in log

    alone = triples_config.parent / "alone"
    train(triples_config, [*KEYS, "optim.batch_size=8", f"run.folder={alone}"])
    early = "step-00000005"
    assert difference(run / early / MODEL, alone / early / MODEL) < 1e-6
    assert difference(run / "step-00000030" / MODEL, alone / "step-00000030" / MODEL) < 1e-5
    lists = [load_file(r / "step-00000030" / STATE)["mined.neighbours"] for r in (run, alone)]
    assert torch.equal(*lists)


@pytest.mark.slow
def test_what_one_cannot_read_stops_both(triples_config: Path, pair: Pair) -> None:
    (triples_config.parent / "set/train/text.jsonl").write_text("no json\n")
    for code, out, log in ended(pair(triples_config, "optim.batch_size=4")):
        assert (code, out) == (2, ""), log
        assert log.count("\n") == 1
        assert "text.jsonl, line 1" in log


@pytest.mark.slow
def test_who_loses_the_other_says_so_in_one_line(triples_config: Path, pair: Pair) -> None:
    run = triples_config.parent / "run"
    first, second = pair(triples_config, *KEYS, "optim.batch_size=4", "optim.steps=500")
    while not checkpoints(run):
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.005)
    second.kill()
    [(code, out, log)] = ended([first])
    assert (code, out) == (2, ""), log
    assert "process 0 of 2 has lost the others; the same command goes on" in log.splitlines()[-1]
