"""The script that asks VGGT for clouds, against a stand-in with VGGT's interface and shapes."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from geobridge.training.geolink.manifest import listed

SCRIPT = Path(__file__).parents[3] / "scripts" / "clouds_from_vggt"
HEIGHT, WIDTH = 4, 6


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name, count in (("0839", 7), ("0842", 54), ("0900", 1)):
        folder = tmp_path / "drone" / name
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"image-{number:02d}.jpeg").touch()
    return tmp_path / "drone"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def loaded() -> Any:
    loader = importlib.machinery.SourceFileLoader("clouds_from_vggt", str(SCRIPT))
    spec = importlib.util.spec_from_loader("clouds_from_vggt", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_cost_is_told_before_anything_is_needed(pictures: Path, tmp_path: Path) -> None:
    done = run(pictures, "-o", tmp_path / "out", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "6 of 6 clouds, 61 pictures: about 0.0 min of the aggregator on an H100" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (["--frames", "1"], "--frames and --groups: expected at least 2 and 1"),
        ([], "VGGT is on no package index|VGGT needs a GPU"),
    ],
)
def test_what_is_missing_is_told_in_one_line(
    change: list[str], why: str, pictures: Path, tmp_path: Path
) -> None:
    done = run(pictures, "-o", tmp_path / "out", *change)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("clouds_from_vggt: ")
    assert any(each in last for each in why.split("|"))
    assert not (tmp_path / "out").exists()


class StandIn(torch.nn.Module):
    """Cameras at the origin that look along z, and everything at a depth of 2."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def aggregator(self, images: torch.Tensor) -> tuple[list[torch.Tensor], int]:
        assert images.shape[:1] == (1,)
        return [images], 5

    def camera_head(self, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
        return [torch.zeros(1, tokens[-1].shape[1], 9)]

    def depth_head(
        self, tokens: list[torch.Tensor], images: torch.Tensor, start: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert start == 5
        frames = images.shape[1]
        confidence = torch.arange(frames * HEIGHT * WIDTH).reshape(1, frames, HEIGHT, WIDTH)
        return torch.full((1, frames, HEIGHT, WIDTH, 1), 2.0), confidence


def cameras(pose: torch.Tensor, size: Any) -> tuple[torch.Tensor, torch.Tensor]:
    assert tuple(size) == (HEIGHT, WIDTH)
    count = pose.shape[1]
    return torch.eye(3, 4).repeat(1, count, 1, 1), torch.eye(3).repeat(1, count, 1, 1)


def unproject(depth: Any, extrinsic: Any, intrinsic: Any) -> Any:
    assert extrinsic.shape[1:] == (3, 4)
    assert intrinsic.shape[1:] == (3, 3)
    row, column = np.indices((HEIGHT, WIDTH))
    rays = np.stack([column, row, np.ones_like(row)], axis=-1)
    return depth * rays


def test_points_colours_and_confidence_belong_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts: dict[str, dict[str, Any]] = {
        "vggt": {},
        "vggt.utils": {},
        "vggt.utils.geometry": {"unproject_depth_map_to_point_map": unproject},
        "vggt.utils.load_fn": {
            "load_and_preprocess_images": lambda paths: torch.rand(len(paths), 3, HEIGHT, WIDTH)
        },
        "vggt.utils.pose_enc": {"pose_encoding_to_extri_intri": cameras},
    }
    for name, members in parts.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    script = loaded()
    arrays = script.reconstruct(StandIn(), [Path("a.jpg"), Path("b.jpg")], 10.0)
    count = 2 * HEIGHT * WIDTH - 10
    assert arrays["xyz"].shape == arrays["rgb"].shape == (count, 3)
    np.testing.assert_array_equal(arrays["conf"], np.arange(10, 2 * HEIGHT * WIDTH))
    np.testing.assert_allclose(arrays["xyz"][0], [2 * (10 % WIDTH), 2 * (10 // WIDTH), 2.0])
    script.save(tmp_path / "0839_group0.npz", arrays)
    line = {"id": "0839", "group": "0", "path": "0839_group0.npz", "source": "vggt", "up": "auto"}
    (tmp_path / "points.jsonl").write_text(json.dumps(line) + "\n")
    [item] = listed(tmp_path / "points.jsonl")
    assert item.file.exists()
