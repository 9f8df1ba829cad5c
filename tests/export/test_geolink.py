"""Points guide training and leave no trace in what is exported."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

import onnx
import torch

from geobridge.export.encoders import export
from geobridge.onboard.engines.onnxruntime import OnnxRuntimeEngine
from geobridge.training.geolink.points import prepare_points
from geobridge.training.trainer import train

RECIPE = """
[model]
embed_dim = 16
views = ["drone", "satellite"]
text_tower = false
vision = {{ layers = 2, width = 32, head_width = 16, patch_size = 8 }}
[preprocess]
height_px = 16
width_px = 16
[data]
source = "triples"
folder = "{folder}/set"
[optim]
steps = 3
batch_size = 8
workers = 0
device = "cpu"
[run]
folder = "{folder}/{name}"
"""
GEOLINK = """
[geolink]
points = "{folder}/points"
count = 64
tower = {{ width = 8, stages = 2, neighbours = 6, experts = true }}
warmup_steps = 0
relation_weight = 1.0
refinement = "residual"
refinement_width = 8
"""


def trained(folder: Path, name: str, more: str = "") -> Path:
    recipe = folder / f"{name}.toml"
    recipe.write_text((RECIPE + more).format(folder=folder, name=name))
    return train(recipe)


def graph(path: Path) -> list[object]:
    """All but the values of weights: every node, name, shape and type."""
    model = onnx.load(path)
    nodes = [
        (node.op_type, list(node.input), list(node.output), [str(a) for a in node.attribute])
        for node in model.graph.node
    ]
    weights = [(w.name, w.data_type, list(w.dims)) for w in model.graph.initializer]
    return [nodes, weights, [str(value) for value in (*model.graph.input, *model.graph.output)]]


def test_the_exported_encoder_is_the_same_graph(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rng, lines = np.random.default_rng(0), []
    for number in range(8):
        points = rng.uniform(-50, 50, (300, 3)) * [1.0, 1.0, 0.1]
        np.savez(tmp_path / f"{number}.npz", xyz=points)
        lines.append({"id": f"{number}", "path": f"{number}.npz", "metres_per_unit": 1.0})
        for view in ("drone", "satellite"):
            picture = tmp_path / "set" / "train" / view / f"{number}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(picture), rng.integers(0, 256, (20, 20, 3)).astype(np.uint8))
    (tmp_path / "points.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare_points(tmp_path / "points.jsonl", tmp_path / "points", count=64, processes=1)
    runs = {"base": trained(tmp_path, "base"), "linked": trained(tmp_path, "linked", GEOLINK)}
    files = {}
    for name, run in runs.items():
        export(run, tmp_path / f"{name}-out", precisions=("fp32",), views=("drone",))
        files[name] = tmp_path / f"{name}-out" / "drone.fp32.onnx"
    assert graph(files["base"]) == graph(files["linked"])
    assert files["base"].stat().st_size == pytest.approx(files["linked"].stat().st_size, abs=2000)
    pictures = rng.integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    base, linked = (OnnxRuntimeEngine(files[name]).run(pictures) for name in ("base", "linked"))
    assert base.shape == linked.shape == (4, 16)
    assert not np.allclose(base, linked, atol=1e-4)  # it did learn something else
