"""kill -9 at any moment of a run's work on its disk."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from geobridge.onboard import durable
from geobridge.training.checkpoint import BEST, checkpoints, read
from geobridge.training.checkpoint_record import RECORD
from geobridge.training.trainer import train

KEYS = [
    "optim.steps=8",
    "optim.workers=0",
    "optim.ema_decay=0.5",
    "evaluation.every_steps=2",
    "run.checkpoint_every_steps=2",
    "run.keep_checkpoints=1",
]
WHOLE = 10_000


def in_child(config: Path, keys: Sequence[str], run: Path, moment: int) -> int:
    """Train in a process that is killed when it touches its folder for so manyth time; how often
    it did, up to 250, or the negative signal that ended it.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    touched = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal touched
        if event.startswith(("os.", "open", "shutil.")) and str(run) in str(arguments):
            touched += 1
            if touched == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    try:
        train(config, keys)
        os._exit(min(touched, 250))
    except BaseException:
        traceback.print_exc()
        os._exit(251)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.fault("G1", "SIGKILL at any moment", "ends like one that was not killed")
def test_killed_again_and_again_it_ends_like_one_that_was_not(
    triples_config: Path, same_weights: Callable[[Path, Path], bool]
) -> None:
    folder, rng = triples_config.parent / "set", np.random.default_rng(5)
    shutil.copytree(folder / "train", folder / "val")
    run = triples_config.parent / "run"
    whole = triples_config.parent / "whole"
    touched = in_child(triples_config, [*KEYS, f"run.folder={whole}"], whole, WHOLE)
    assert 30 < touched < 251
    kills, steps = 0, [0]
    while True:
        # short lives in the beginning, so that many of them end within the first writes
        ended = in_child(triples_config, KEYS, run, int(rng.integers(3, 12 + 4 * kills)))
        if ended >= 0:
            break
        assert ended == -signal.SIGKILL
        kills += 1
        there = checkpoints(run)
        steps.append(max([read(path).step for path in there], default=0))  # hashes are compared
        if (run / BEST / RECORD).exists():
            read(run / BEST)
    assert ended != 251
    assert kills >= 5
    assert steps == sorted(steps), "what was saved is not lost"
    for name in (BEST, "step-00000008"):
        assert same_weights(run / name, whole / name)
        assert read(run / name).standing == read(whole / name).standing
    assert not list(run.glob(f"{durable.TEMPORARY_PREFIX}*"))
