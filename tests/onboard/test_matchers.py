from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.config import ReplayConfig, VerifyConfig, load
from geobridge.onboard.errors import ConfigError, EngineError
from geobridge.onboard.localization.features import explained, match_features
from geobridge.onboard.localization.learned import INPUTS, LearnedMatcher
from geobridge.onboard.localization.local_matches import (
    PARTS,
    Matcher,
    match_structure,
    parts_of_points,
    reach_px,
)
from geobridge.onboard.localization.matchers import open_matcher
from geobridge.onboard.localization.structure import Ground
from geobridge.onboard.records import Image
from geobridge.onboard.simulation.render.day import SUMMER_NOON, Day

SIDE_PX, CELL_PX = 160, 8
Land = Callable[[int, Day], Image]


def ground(image: Image) -> Ground:
    return Ground.of(np.ascontiguousarray(image), np.ones(image.shape[:2], np.uint8))


@pytest.fixture(scope="module")
def summer(land: Land) -> Image:
    picture = land(7, SUMMER_NOON)
    return np.asarray(cv2.resize(picture, (400, 400), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that finds the middle of every cell of a picture by normalised correlation."""
    onnx = pytest.importorskip("onnx")
    path = tmp_path_factory.mktemp("matcher") / "correlation.onnx"
    path.write_bytes(correlation_network(onnx).SerializeToString())
    return path


def correlation_network(
    onnx: Any, outputs: tuple[str, ...] = ("picture_px", "reference_px")
) -> Any:
    size = 11
    kernel = np.eye(size * size, dtype=np.float32).reshape(-1, 1, size, size)
    constants = {
        "kernel": kernel,
        "all": np.array([size * size, -1], np.int64),
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "third": np.array(3, np.int64),
        "of_picture": np.array(float(CELL_PX), np.float32),
        "of_reference": np.array(1.0, np.float32),
        "half": np.array(size // 2, np.float32),
    }
    node, nodes = onnx.helper.make_node, []
    for name, stride in (("picture", CELL_PX), ("reference", 1)):
        nodes += [
            node("Conv", [name, "kernel"], [f"{name}_raw"], strides=[stride, stride]),
            node("ReduceMean", [f"{name}_raw"], [f"{name}_mean"], axes=[1]),
            node("Sub", [f"{name}_raw", f"{name}_mean"], [f"{name}_level"]),
            node("LpNormalization", [f"{name}_level"], [f"{name}_unit"], axis=1, p=2),
            node("Reshape", [f"{name}_unit", "all"], [f"{name}_flat"]),
            node("Shape", [f"{name}_unit"], [f"{name}_shape"]),
            node("Gather", [f"{name}_shape", "third"], [f"{name}_width"]),
            node("Shape", [f"{name}_flat"], [f"{name}_counts"]),
            node("Gather", [f"{name}_counts", "one"], [f"{name}_count"]),
        ]
    nodes += [
        node("Transpose", ["picture_flat"], ["picture_rows"], perm=[1, 0]),
        node("MatMul", ["picture_rows", "reference_flat"], ["alike"]),
        node("ReduceMax", ["alike"], ["score"], axes=[1], keepdims=0),
        node("ArgMax", ["alike"], ["reference_at"], axis=1, keepdims=0),
        node("Range", ["zero", "picture_count", "one"], ["picture_at"]),
    ]
    for name, output in zip(("picture", "reference"), outputs, strict=True):
        for axis, how in (("column", "Mod"), ("row", "Div")):
            nodes += [
                node(how, [f"{name}_at", f"{name}_width"], [f"{name}_{axis}"]),
                node("Cast", [f"{name}_{axis}"], [f"{name}_{axis}_f"], to=1),
                node("Mul", [f"{name}_{axis}_f", f"of_{name}"], [f"{name}_{axis}_px"]),
                node("Add", [f"{name}_{axis}_px", "half"], [f"{name}_{axis}_mid"]),
                node("Unsqueeze", [f"{name}_{axis}_mid", "axes"], [f"{name}_{axis}_2"]),
            ]
        nodes.append(node("Concat", [f"{name}_column_2", f"{name}_row_2"], [output], axis=1))
    constants["axes"] = np.array([1], np.int64)
    tensor, info = onnx.numpy_helper.from_array, onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "correlation",
        [info(name, 1, [1, 1, "h_" + name, "w_" + name]) for name in ("picture", "reference")],
        [info(outputs[0], 1, ["n", 2]), info(outputs[1], 1, ["n", 2]), info("score", 1, ["n"])],
        [tensor(value, name) for name, value in constants.items()],
    )
    opset = onnx.helper.make_opsetid("", 17)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def matcher(kind: str, network: Path) -> Matcher:
    if kind == "learned":
        return LearnedMatcher(network, digest(network))
    named = [f'localizer.verify.matcher="{kind}"', "camera.hfov_deg=70.0"]
    return open_matcher(load(ReplayConfig, None, named).localizer.verify)


@pytest.mark.parametrize("kind", ["structure", "sift", "learned"])
@pytest.mark.parametrize("shift", [(0, 0), (3, -4)])
def test_every_matcher_finds_the_parts(
    kind: str, shift: tuple[int, int], network: Path, summer: Image
) -> None:
    reach = reach_px(SIDE_PX)
    column, row = 110, 90
    picture = summer[row : row + SIDE_PX, column : column + SIDE_PX]
    top, left = row - reach - shift[1], column - reach - shift[0]
    side_px = SIDE_PX + 2 * reach
    reference = summer[top : top + side_px, left : left + side_px]
    dark = np.asarray(0.8 * picture, np.uint8)
    found = matcher(kind, network)(ground(dark), ground(reference))
    assert found.of == PARTS**2
    assert len(found.at_px) >= 0.6 * PARTS**2
    assert np.median(np.abs(found.shift_px - shift)) < 0.3
    assert np.abs(np.median(found.shift_px, axis=0) - shift).max() < 0.3


@pytest.mark.parametrize("kind", ["structure", "sift", "learned"])
def test_no_matcher_finds_another_land(kind: str, network: Path, summer: Image, land: Land) -> None:
    other = land(8, SUMMER_NOON)
    side_px = SIDE_PX + 2 * reach_px(SIDE_PX)
    picture, reference = ground(other[:SIDE_PX, :SIDE_PX]), ground(summer[:side_px, :side_px])
    found = matcher(kind, network)(picture, reference)
    if len(found.at_px):
        apart_px = np.abs(found.shift_px - np.median(found.shift_px, axis=0)).max(axis=1)
        assert (apart_px < 2.5).sum() < 0.4 * found.of


@pytest.mark.parametrize("kind", ["sift", "learned"])
@pytest.mark.parametrize("grey", [0, 128])
def test_an_empty_picture_has_no_parts(kind: str, grey: int, network: Path, summer: Image) -> None:
    side_px = SIDE_PX + 2 * reach_px(SIDE_PX)
    empty = np.full((SIDE_PX, SIDE_PX, 3), grey, np.uint8)
    assert len(matcher(kind, network)(ground(empty), ground(summer[:side_px, :side_px])).at_px) == 0
    blank = np.full((side_px, side_px, 3), grey, np.uint8)
    seen = ground(summer[:SIDE_PX, :SIDE_PX])
    assert len(matcher(kind, network)(seen, ground(blank)).at_px) == 0


@given(st.integers(0, 2**31), st.floats(-4.0, 4.0), st.floats(-4.0, 4.0), st.integers(0, 60))
def test_parts_say_what_most_of_their_points_say(
    seed: int, right: float, down: float, wrong: int
) -> None:
    rng = np.random.default_rng(seed)
    picture = ground(np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8))
    # the outermost pixels of a picture are in no mask
    at_px = rng.uniform(3.0, SIDE_PX - 4.0, (500, 2))
    reach = reach_px(SIDE_PX)
    there_px = at_px + reach + [right, down]
    there_px[:wrong] = rng.uniform(0.0, SIDE_PX, (wrong, 2))
    reference = ground(np.zeros((SIDE_PX + 2 * reach, SIDE_PX + 2 * reach, 3), np.uint8))
    found = parts_of_points(at_px, there_px, picture, reference)
    assert found.of == PARTS**2
    assert len(found.at_px) > 0.9 * PARTS**2
    assert np.abs(found.shift_px).max() <= reach
    assert np.median(found.shift_px, axis=0) == pytest.approx((right, down), abs=0.1)


@given(st.integers(0, 2**31))
def test_pairs_that_nothing_explains_are_left_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    at_px = rng.uniform(0.0, 200.0, (80, 2))
    there_px = 1.02 * at_px + [5.0, -3.0]
    there_px[50:] = rng.uniform(0.0, 200.0, (30, 2))
    kept, _ = explained(at_px, there_px)
    assert len(kept) >= 48
    right = np.isin(kept[:, 0], at_px[:50, 0])
    assert right.mean() > 0.9


def test_too_few_pairs_explain_nothing() -> None:
    at_px = np.arange(10.0).reshape(-1, 2)
    assert len(explained(at_px, at_px + 1.0)[0]) == 0
    assert len(explained(np.empty((0, 2)), np.empty((0, 2)))[0]) == 0


def test_only_the_named_file_is_loaded(network: Path, tmp_path: Path) -> None:
    changed = tmp_path / "matcher.onnx"
    changed.write_bytes(network.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match=r"matcher\.onnx: not the file that matcher_sha256 names"):
        LearnedMatcher(changed, digest(network))
    with pytest.raises(ConfigError, match=r"none\.onnx: No such file"):
        LearnedMatcher(tmp_path / "none.onnx", digest(network))
    changed.write_bytes(b"no network")
    with pytest.raises(EngineError, match=r"matcher\.onnx: onnxruntime refuses it"):
        LearnedMatcher(changed, digest(changed))


def test_another_interface_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "other.onnx"
    path.write_bytes(correlation_network(onnx, ("left", "right")).SerializeToString())
    with pytest.raises(EngineError, match=r"expected inputs picture, reference and outputs"):
        LearnedMatcher(path, digest(path))


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        (11, [1, 1, "h", "w"], r"picture: expected float32 .* it takes tensor\(double\)"),
        (1, [2, 3, "h", "w"], r"picture: expected float32 \[1, 1, height, width\]"),
        (1, [1, 1, 256, 256], r"picture: expected any height and width"),
    ],
)
def test_inputs_that_no_picture_fits_are_refused(
    kind: int, shape: list[int | str], message: str, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "other.onnx"
    path.write_bytes(constant_network(onnx, kind, shape, [0.5]).SerializeToString())
    with pytest.raises(EngineError, match=message):
        LearnedMatcher(path, digest(path))


@pytest.mark.parametrize("score", [0.5, [[0.5]], [0.5, 0.5]], ids=["scalar", "table", "too many"])
def test_an_answer_in_other_shapes_is_refused_before_the_flight(score: Any, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "other.onnx"
    path.write_bytes(constant_network(onnx, 1, [1, 1, "h", "w"], score).SerializeToString())
    with pytest.raises(EngineError, match=r"expected \[N, 2\], \[N, 2\] and \[N\], it gave"):
        LearnedMatcher(path, digest(path))


def test_weights_that_no_digest_covers_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx")
    path, model = tmp_path / "apart.onnx", correlation_network(onnx)
    onnx.save(model, str(path), save_as_external_data=True, location="w.bin", size_threshold=64)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineError, match=r"apart\.onnx: onnxruntime refuses it"):
        LearnedMatcher(path, digest(path))


def constant_network(onnx: Any, kind: int, shape: list[int | str], score: Any) -> Any:
    """A network that says the same to everything."""
    said = {"picture_px": [[1.0, 1.0]], "reference_px": [[2.0, 2.0]], "score": score}
    tensors = {name: np.array(value, np.float32) for name, value in said.items()}
    info, tensor = onnx.helper.make_tensor_value_info, onnx.numpy_helper.from_array
    nodes = [
        onnx.helper.make_node("Constant", [], [name], value=tensor(value))
        for name, value in tensors.items()
    ]
    # a graph needs its inputs used to keep them
    nodes += [onnx.helper.make_node("Shape", [each], [f"{each}_size"]) for each in INPUTS]
    outputs = [info(name, 1, value.shape) for name, value in tensors.items()]
    outputs += [info(f"{each}_size", 7, [4]) for each in INPUTS]
    graph = onnx.helper.make_graph(
        nodes, "constant", [info(each, kind, shape) for each in INPUTS], outputs
    )
    opset = onnx.helper.make_opsetid("", 17)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)


@pytest.mark.parametrize(
    "overrides",
    [
        ['localizer.verify.matcher="learned"'],
        ['localizer.verify.matcher="sift"', 'localizer.verify.matcher_model="m.onnx"'],
    ],
)
def test_a_learned_matcher_and_its_file_go_together(overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"localizer\.verify.*matcher_model and matcher_sha256"):
        load(ReplayConfig, None, ["camera.hfov_deg=70.0", *overrides])


def test_structure_is_what_is_flown_unless_something_else_is_asked_for() -> None:
    assert open_matcher(VerifyConfig()) is match_structure
    assert open_matcher(VerifyConfig(matcher="sift")) is match_features


def test_the_same_answer_every_time(summer: Image) -> None:
    side_px = SIDE_PX + 2 * reach_px(SIDE_PX)
    picture, reference = ground(summer[20:180, 30:190]), ground(summer[:side_px, :side_px])
    first, again = (match_features(picture, reference) for _ in range(2))
    assert np.array_equal(first.shift_px, again.shift_px)
    assert replace(first, at_px=again.at_px, shift_px=again.shift_px).of == again.of


@pytest.mark.parametrize("match", [match_structure, match_features])
@pytest.mark.parametrize("shown_px", [160, 110, 56])
def test_of_a_strip_of_map_as_many_parts_are_looked_for_as_of_half_a_picture(
    summer: Image, match: Matcher, shown_px: int
) -> None:
    reach = reach_px(SIDE_PX)
    around = np.ascontiguousarray(summer[100 : 100 + SIDE_PX + 2 * reach, 100:])
    around = np.ascontiguousarray(around[:, : SIDE_PX + 2 * reach])
    valid = np.ones(around.shape[:2], np.uint8)
    valid[:, reach + shown_px :] = 0
    inner = slice(reach, reach + SIDE_PX)
    found = match(ground(around[inner, inner]), Ground.of(around, valid))
    assert 12 <= found.of <= PARTS**2
    assert len(found.at_px) >= 0.8 * found.of
    assert found.at_px[:, 0].max() < shown_px
    assert np.abs(found.shift_px).max() < 0.5
    assert found.side_px == pytest.approx(
        SIDE_PX * min(1.0, (2 * shown_px / SIDE_PX) ** 0.5), rel=0.06
    )
