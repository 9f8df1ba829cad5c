from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_data"


@pytest.mark.slow
def test_it_compares_the_same_files_in_one_run() -> None:
    arguments = ["--rendered", "10", "--large", "2", "--runs", "1", "--json"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    small, large = json.loads(done.stdout)["sets"]
    assert (large["pictures"], small["grey_levels_from_full"]) == (6, 0.0)
    assert 0.0 < large["grey_levels_from_full"] < 1.0
    for each in (small, large):
        assert [row["per_s"] > 0 for row in each["paths"]] == [True] * 5
