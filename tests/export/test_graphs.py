from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

import onnx
import onnx_ir as ir
import torch
from open_clip.model import _build_vision_tower

from geobridge.export.encoders import half_of
from geobridge.export.graphs import files
from geobridge.export.graphs.arithmetic import descriptors_of
from geobridge.export.graphs.growth import growth_in_files, growth_in_half
from geobridge.export.graphs.half import (
    HALF,
    SINGLE,
    Islands,
    find_islands,
    to_half,
)
from geobridge.export.graphs.int8 import write_int8
from geobridge.export.graphs.tower import check_norms, graph_of
from geobridge.export.parity import Truth, probe_pictures
from geobridge.onboard.engines.header import read_header
from geobridge.onboard.engines.onnxruntime import OnnxRuntimeEngine
from geobridge.onboard.errors import DataError, EngineError
from geobridge.onboard.preprocess import Preprocess
from geobridge.training.model import ImageEncoder

SIDE_PX = 32
NOTHING: frozenset[str] = frozenset()
VISION = {"layers": 2, "width": 64, "head_width": 32, "patch_size": 8, "image_size": SIDE_PX}


def transformer(seed: int = 0, **vision: Any) -> ImageEncoder:
    torch.manual_seed(seed)
    tower = _build_vision_tower(32, {**VISION, **vision})
    return ImageEncoder(tower, Preprocess(SIDE_PX, SIDE_PX)).eval()


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    return transformer()


@pytest.fixture(scope="module")
def graph(encoder: ImageEncoder) -> ir.Model:
    return graph_of(encoder, 20)


@pytest.fixture(scope="module")
def pictures() -> Any:
    return probe_pictures(SIDE_PX, SIDE_PX)


def blocks(encoder: ImageEncoder) -> Any:
    tower: Any = encoder.tower
    return tower.transformer.resblocks


def answers(encoder: ImageEncoder, pictures: Any) -> Any:
    with torch.no_grad():
        return encoder(torch.from_numpy(pictures)).numpy()


def worst(a: Any, b: Any) -> float:
    return float(np.sum(a * b, axis=1).min())


def kinds(graph: ir.Model) -> list[str]:
    return [node.op_type for node in graph.graph]


def test_the_graph_begins_with_the_cast_and_scales_the_query_alone(graph: ir.Model) -> None:
    first = [node.op_type for node in graph.graph if graph.graph.inputs[0] in node.inputs]
    assert set(first) <= {"Cast", "Shape"}  # TensorRT casts uint8 inputs and does nothing else
    assert kinds(graph).index("Cast") < kinds(graph).index("Transpose")
    attention = [n for n in graph.graph if n.op_type == "Mul" and ".attn/" in (n.name or "")]
    assert len(attention) == VISION["layers"]
    assert kinds(graph).count("LayerNormalization") == 2 * VISION["layers"] + 2
    assert "Sqrt" not in kinds(graph)


@pytest.mark.parametrize("opset", [18, 20])
def test_both_opsets_compute_what_the_network_computes(
    encoder: ImageEncoder, pictures: Any, tmp_path: Path, opset: int
) -> None:
    exported = graph_of(encoder, opset)
    files.write_graph(exported, tmp_path / "a.onnx", {"view": "drone"})
    assert read_header(tmp_path / "a.onnx").opset == opset
    flown = OnnxRuntimeEngine(tmp_path / "a.onnx").run(pictures)
    np.testing.assert_allclose(flown, answers(encoder, pictures), atol=1e-5)
    assert ("Gelu" in kinds(exported)) == (opset == 20)


def test_nothing_of_the_machine_is_in_the_file(graph: ir.Model, tmp_path: Path) -> None:
    files.write_graph(graph, tmp_path / "a.onnx", {})
    content = (tmp_path / "a.onnx").read_bytes()
    assert str(Path.cwd()).encode() not in content
    assert b"site-packages" not in content


@pytest.mark.parametrize(
    "vision",
    [
        VISION,
        {"layers": [1, 1, 1, 1], "width": 16, "head_width": 32, "image_size": SIDE_PX},
        {
            "timm_model_name": "fastvit_t8",
            "timm_pool": "avg",
            "timm_proj": "linear",
            "image_size": SIDE_PX,
        },
    ],
    ids=["transformer", "residual", "mobile"],
)
def test_half_precision_is_close_to_the_network_for_every_kind_of_tower(
    vision: dict[str, Any], pictures: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    tower = _build_vision_tower(32, vision)
    own = ImageEncoder(tower, Preprocess(SIDE_PX, SIDE_PX)).eval()
    single, expected = graph_of(own, 20), answers(own, pictures)
    assert worst(descriptors_of(single, pictures), expected) > 0.99999
    half = to_half(single, find_islands(single, pictures[:4]))
    rounded = descriptors_of(half, pictures)
    assert worst(rounded, expected) > 0.9995
    assert np.abs(rounded - expected).max() > 1e-6  # it does round
    files.write_graph(half, tmp_path / "half.onnx", {})
    onnx.checker.check_model(tmp_path / "half.onnx", full_check=True)
    assert worst(OnnxRuntimeEngine(tmp_path / "half.onnx").run(pictures), expected) > 0.9995


def test_half_precision_types_stand_in_the_graph(graph: ir.Model, pictures: Any) -> None:
    islands = find_islands(graph, pictures[:4])
    half = to_half(graph, islands)
    by_name = {node.name: node for node in half.graph}
    for name in islands.ends:
        floats = [v.dtype for v in by_name[name].outputs if v.dtype in (SINGLE, HALF)]
        assert set(floats) <= {SINGLE}
    for node in half.graph:
        if node.op_type in ("MatMul", "Gemm", "Conv", "LayerNormalization"):
            assert {v.dtype for v in (*node.inputs, *node.outputs) if v is not None} == {HALF}
    assert half.graph.outputs[0].dtype == SINGLE
    assert {
        node.op_type for node in graph.graph if HALF in {v.dtype for v in node.outputs}
    } == set()


def test_scores_and_sums_can_be_kept_single(graph: ir.Model, pictures: Any) -> None:
    islands = find_islands(graph, pictures[:4], scores=True, sums=True)
    assert len(islands.scores) == 2 * VISION["layers"]
    assert len(islands.sums) == 2 * VISION["layers"]
    half = to_half(graph, islands)
    kept = [node for node in half.graph if node.op_type == "Softmax"]
    assert {node.outputs[0].dtype for node in kept} == {SINGLE}
    assert worst(descriptors_of(half, pictures), descriptors_of(graph, pictures)) > 0.9999


def test_scores_that_overflow_are_found_and_kept_single(pictures: Any) -> None:
    loud = transformer()
    with torch.no_grad():
        for block in blocks(loud):
            block.attn.in_proj_weight.mul_(300.0)
    graph = graph_of(loud, 20)
    plain = to_half(graph, Islands(ends=find_islands(graph, pictures[:4]).ends, weights=NOTHING))
    bad = descriptors_of(plain, pictures)
    assert not worst(bad, answers(loud, pictures)) > 0.9995
    growth = growth_in_half(graph, plain, pictures[0])
    assert growth is not None
    assert ".attn/" in growth.node
    assert growth.before < growth.relative_error
    good = to_half(graph, find_islands(graph, pictures, scores=True))
    assert worst(descriptors_of(good, pictures), answers(loud, pictures)) > 0.9995


def test_a_norm_taken_apart_is_refused(graph: ir.Model, encoder: ImageEncoder) -> None:
    """As primitives in half precision it gives its bias from a deviation of 260 on, and no NaN."""
    apart = graph.clone()
    norm = next(node for node in apart.graph if node.op_type == "LayerNormalization")
    x = norm.inputs[0]
    square = ir.node("Mul", [x, x], name="square")
    mean = ir.node("ReduceMean", square.outputs, name="tower.ln/variance")
    root = ir.node("Sqrt", mean.outputs, name="root")
    for node in (square, mean, root):
        apart.graph.insert_before(norm, node)
    with pytest.raises(DataError, match=r"tower\.ln/variance: a normalisation in single steps"):
        check_norms(apart, encoder)
    without = graph.clone()
    for node in without.graph:
        node.op_type = "Identity" if node.op_type == "LayerNormalization" else node.op_type
    with pytest.raises(DataError, match="took the tower's layer norms apart"):
        check_norms(without, encoder)


@pytest.mark.parametrize(
    ("factor", "overflows", "vanishes"), [(1e6, True, False), (1e-9, False, True)]
)
def test_weights_that_half_precision_spoils_are_named_and_kept(
    pictures: Any, factor: float, overflows: bool, vanishes: bool
) -> None:
    odd = transformer()
    with torch.no_grad():
        blocks(odd)[0].mlp.c_fc.weight.mul_(factor)
    graph = graph_of(odd, 20)
    islands = find_islands(graph, pictures[:4])
    [spoiled] = islands.spoiled
    assert str(spoiled).startswith("tower.transformer.resblocks.0.mlp.c_fc (")
    assert (spoiled.overflows > 0, spoiled.vanishes > 0) == (overflows, vanishes)
    assert any("mlp.c_fc" in name for name in islands.weights)
    half = to_half(graph, islands)
    assert worst(descriptors_of(half, pictures), answers(odd, pictures)) > 0.9995


def test_large_residual_sums_stay_single_from_there_on(pictures: Any) -> None:
    large = transformer(layers=3)
    with torch.no_grad():
        blocks(large)[1].mlp.c_proj.bias[5] = 5000.0
    graph = graph_of(large, 20)
    islands = find_islands(graph, pictures[:4])
    sums = islands.sums
    assert len(sums) == 3  # of the second half of block 1, and both of block 2
    assert not any("resblocks.0/" in name for name in sums)


def test_eight_bits(graph: ir.Model, encoder: ImageEncoder, pictures: Any, tmp_path: Path) -> None:
    single = files.write_graph(graph, tmp_path / "a.fp32.onnx", {"precision": "fp32"})[0]
    [path] = write_int8(single, tmp_path / "a.int8.onnx", {"precision": "int8"})
    assert read_header(path).metadata == {"precision": "int8"}
    given = OnnxRuntimeEngine(path).run(pictures)
    assert worst(given, answers(encoder, pictures)) > 0.98
    assert path.stat().st_size < 0.5 * single.stat().st_size
    assert growth_in_files(single, single, pictures[0]) is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.fp32.onnx", "a.int8.onnx"]


def test_nothing_to_quantise(tmp_path: Path, pictures: Any) -> None:
    class Sums(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).mean(dim=(2, 3))

    graph = graph_of(ImageEncoder(Sums(), Preprocess(SIDE_PX, SIDE_PX)).eval(), 20)
    single = files.write_graph(graph, tmp_path / "a.onnx", {})[0]
    with pytest.raises(DataError, match="nothing to quantise in it"):
        write_int8(single, tmp_path / "b.onnx", {})


def test_weights_of_a_large_graph_lie_beside_it(
    graph: ir.Model, pictures: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = files.write_graph(graph, tmp_path / "whole.onnx", {})
    monkeypatch.setattr(files, "MAX_INLINE_BYTES", 1000)
    apart = files.write_graph(graph, tmp_path / "apart.onnx", {"view": "drone"})
    assert [p.name for p in apart] == ["apart.onnx", "apart.onnx.data"]
    assert apart[0].stat().st_size < 0.3 * whole[0].stat().st_size
    assert read_header(apart[0]).metadata == {"view": "drone"}
    first, second = (OnnxRuntimeEngine(path).run(pictures) for path in (whole[0], apart[0]))
    np.testing.assert_array_equal(first, second)
    written = write_int8(apart[0], tmp_path / "apart.int8.onnx", {})
    assert len(OnnxRuntimeEngine(written[0]).run(pictures)) == len(pictures)
    monkeypatch.undo()
    files.write_graph(graph, tmp_path / "apart.onnx", {})
    assert not (tmp_path / "apart.onnx.data").exists()


def test_a_tower_that_cannot_be_exported() -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) if float(x.sum()) > 0 else x.flatten(1)[:, :8]

    with pytest.raises(DataError, match="this tower cannot be exported: "):
        graph_of(ImageEncoder(Odd(), Preprocess(SIDE_PX, SIDE_PX)).eval(), 20)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: b"not a model at all",
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw + b"\x3a\xff\xff\xff\xff\x7f",
    ],
    ids=["empty", "text", "cut", "a part without end"],
)
def test_headers_of_damaged_files(
    graph: ir.Model, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = files.write_graph(graph, tmp_path / "a.onnx", {"view": "drone"})[0]
    assert read_header(path).metadata == {"view": "drone"}
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EngineError, match=r"a\.onnx: not an ONNX file"):
        read_header(path)


def test_scores_are_kept_single_where_parity_asks_for_it(
    encoder: ImageEncoder, graph: ir.Model, pictures: Any
) -> None:
    """Scores of equal large offsets: softmax forgets them, half precision rounds all else away."""
    offset = transformer()
    with torch.no_grad():
        for block in blocks(offset):
            rows = [0, 32, 64, 96]  # a number of every head's queries and keys, the same everywhere
            block.attn.in_proj_weight[rows] = 0.0
            block.attn.in_proj_bias[rows] = 128.0
    for own, exported, kind in ((offset, graph_of(offset, 20), SINGLE), (encoder, graph, HALF)):
        truth = Truth("drone", pictures, answers(own, pictures))
        half, given = half_of(exported, truth, fp32_scores=False)
        assert worst(given, truth.descriptors) > 0.9995
        scores = [node for node in half.graph if node.op_type == "Softmax"]
        assert {node.outputs[0].dtype for node in scores} == {kind}
    half, _ = half_of(graph, Truth("drone", pictures, answers(encoder, pictures)), True)
    scores = [node for node in half.graph if node.op_type == "Softmax"]
    assert {node.outputs[0].dtype for node in scores} == {SINGLE}
