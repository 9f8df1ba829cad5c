from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_train"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
def test_what_is_measured_is_told() -> None:
    few = ("--batch", "2", "--rounds", "1")
    done = run(*few)
    assert done.returncode in (0, 1), done.stderr  # of two places the ratio says nothing
    assert "TFLOP a step" in done.stdout
    alone = json.loads(run(*few, "--alone", "--json").stdout)
    assert alone["step_ms"].keys() == {"trainer"}
    assert 0 < alone["utilisation"] < 1
    assert alone["images_per_s"] == pytest.approx(6000 / alone["step_ms"]["trainer"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_measurement_is_refused() -> None:
    done = run("--gpu")
    assert done.returncode == 2
    assert done.stderr == "bench_train: --gpu: torch sees no GPU here\n"
