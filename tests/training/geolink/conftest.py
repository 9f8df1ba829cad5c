from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from geobridge.training.geolink.points import prepare_points

Floats = npt.NDArray[np.float64]


def town(seed: int, count: int = 1500, side_m: float = 100.0) -> Floats:
    """[N, 3] metres: level ground and five boxes on it, all of them in the east half."""
    rng = np.random.default_rng(seed)
    points = np.column_stack(
        [rng.uniform(-0.5, 0.5, (count, 2)) * side_m, rng.normal(0, 0.05, count)]
    )
    for _ in range(5):
        middle, half = rng.uniform([0.15, -0.4], [0.4, 0.4]) * side_m, rng.uniform(4, 9, 2)
        inside = (np.abs(points[:, :2] - middle) < half).all(axis=1)
        points[inside, 2] = rng.uniform(5.0, 20.0)
    return points


@pytest.fixture(scope="session")
def make_town() -> Callable[..., Floats]:
    return town


@pytest.fixture
def write_manifest(tmp_path: Path) -> Callable[..., Path]:
    """Lines to a manifest beside the clouds that they name."""

    def write(*lines: dict[str, Any]) -> Path:
        path = tmp_path / "points.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return write


@pytest.fixture
def geolink_config(tmp_path: Path, triples_config: Path) -> Path:
    """The configuration of 16 triples, with towers without batch norm; 12 of them have a cloud."""
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = []
    for number in range(12):
        np.savez(raw / f"{number:03d}.npz", xyz=town(number, 300))
        lines.append({"id": f"{number:03d}", "path": f"{number:03d}.npz", "metres_per_unit": 1.0})
    manifest = raw / "points.jsonl"
    manifest.write_text("".join(json.dumps(line | {"north": True}) + "\n" for line in lines))
    prepare_points(manifest, tmp_path / "points", count=96, footprint_m=100.0, processes=1)
    text = triples_config.read_text()
    vision = "vision = { layers = 2, width = 16, head_width = 8, patch_size = 8 }"
    text = text.replace("vision = { layers = [1, 1, 1, 1], width = 8, head_width = 8 }", vision)
    text = text.replace("workers = 1", "workers = 0").replace("steps = 30", "steps = 8")
    text += f"""
[augment]
rotate = true

[geolink]
points = "{tmp_path}/points"
count = 64
tower = {{ width = 8, stages = 2, neighbours = 6 }}
warmup_steps = 2
ramp_steps = 2
refinement_width = 8
"""
    path = tmp_path / "geolink.toml"
    path.write_text(text.replace("[run]", "[run]\ncheckpoint_every_steps = 4"))
    return path
