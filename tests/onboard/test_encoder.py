from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.engines.engine import EngineSettings, open_engine
from geobridge.onboard.engines.onnxruntime import (
    AT_ONCE,
    Bound,
    OnnxRuntimeEngine,
    check_placement,
    provider_options,
)
from geobridge.onboard.errors import BundleError, EngineError, GeobridgeError
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.records import Image
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.verify_bundle import verify
from geobridge.onboard.views import View

SIDE_PX = 48
ANSWERS = "known_answers/drone.descriptors.npy"


@pytest.fixture
def model(rehearsal: Path) -> Path:
    return rehearsal / "encoders/drone.fp32.onnx"


@pytest.fixture
def copied(rehearsal: Path, tmp_path: Path) -> Bundle:
    """A bundle to damage, opened before the damage is done."""
    shutil.copytree(rehearsal / "bundle", tmp_path / "bundle")
    return Bundle.open(tmp_path / "bundle")


def pictures(count: int, side_px: int = SIDE_PX) -> Image:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, side_px, side_px, 3)).astype(np.uint8)


def line_of(error: pytest.ExceptionInfo[GeobridgeError]) -> str:
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < 500
    return line


@pytest.mark.parametrize("count", [5, 2 * AT_ONCE + 3])
def test_a_batch_is_answered_as_its_pictures_are(model: Path, count: int) -> None:
    engine, images = OnnxRuntimeEngine(model), pictures(count)
    together = engine.run(images)
    assert together.shape == (count, 64)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(count), abs=1e-5)
    single = np.concatenate([engine.run(image[None]) for image in images])
    assert np.allclose(together, single, atol=1e-5)


@pytest.mark.parametrize("view", ["drone", "satellite"])
def test_half_precision_runs_on_the_cpu(rehearsal: Path, view: str) -> None:
    bundle = Bundle.open(rehearsal / "bundle")
    images = list(pictures(4))
    full, half = (
        Encoder.open(bundle, View(view), "onnxruntime", precision).encode(images)
        for precision in ("fp32", "fp16")
    )
    assert np.sum(full * half, axis=1).min() > 0.9995


def test_an_absent_provider(model: Path) -> None:
    with pytest.raises(EngineError) as error:
        open_engine("onnxruntime-cuda", model)
    assert "no CUDAExecutionProvider; it has " in line_of(error)


def test_an_engine_nobody_built() -> None:
    with pytest.raises(EngineError, match="engine 'openvino' is unknown; expected one of onnx"):
        open_engine("openvino", Path("x.onnx"))


def test_without_onnxruntime_the_extra_is_named(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineError, match=r'pip install "geobridge-uav\[cpu\]"'):
        open_engine("onnxruntime", model)


@pytest.mark.parametrize("content", [b"", b"not a model", None], ids=["empty", "text", "cut"])
def test_a_corrupt_model(model: Path, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "drone.onnx"
    path.write_bytes(model.read_bytes()[:4000] if content is None else content)
    with pytest.raises(EngineError) as error:
        open_engine("onnxruntime", path)
    assert line_of(error).startswith(f"{path}: not an ONNX file, ")


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as error:
        open_engine("onnxruntime", tmp_path / "drone.onnx")
    assert str(tmp_path / "drone.onnx") in line_of(error)


@pytest.mark.parametrize(
    "images", [pictures(1, 32), pictures(1)[0], pictures(1)[..., :2], pictures(1).astype(np.int8)]
)
def test_pictures_that_do_not_fit_the_model(model: Path, images: Image) -> None:
    engine = OnnxRuntimeEngine(model)
    with pytest.raises(EngineError) as error:
        engine.run(images)
    assert line_of(error).startswith("onnxruntime: ")


def test_an_encoder_of_another_dimension_than_the_bundle(model: Path) -> None:
    encoder = Encoder(OnnxRuntimeEngine(model), Preprocess(SIDE_PX, SIDE_PX), 32)
    with pytest.raises(EngineError, match=r"encoder gave \(2, 64\), the bundle says \(2, 32\)"):
        encoder.encode(pictures(2))


def test_known_answers_are_given(rehearsal: Path) -> None:
    told = verify(rehearsal / "bundle")
    assert told["known answers"] == "given by every encoder"
    assert told["encoders"] == "drone fp32, drone fp16, satellite fp32, satellite fp16"


def test_other_answers_than_when_packed(copied: Bundle) -> None:
    answers = np.load(copied.path / ANSWERS)
    turned = np.roll(answers, 1, axis=0)
    assert np.sum(answers * turned, axis=1).min() < 0.99
    np.save(copied.path / ANSWERS, turned)
    with pytest.raises(BundleError) as error:
        Encoder.open(copied, View.DRONE, "onnxruntime", "fp32")
    assert "the drone encoder answers differently here than when packed" in line_of(error)


def test_known_answers_of_nan_are_never_given(copied: Bundle) -> None:
    np.save(copied.path / ANSWERS, np.full_like(np.load(copied.path / ANSWERS), np.nan))
    with pytest.raises(BundleError, match="not of unit length"):
        Encoder.open(copied, View.DRONE, "onnxruntime", "fp32")


def test_no_known_answers_are_no_evidence(copied: Bundle) -> None:
    for name in ("known_answers/drone.images.npy", ANSWERS):
        np.save(copied.path / name, np.load(copied.path / name)[:0])
    with pytest.raises(BundleError, match="no known answers for the drone encoder"):
        Encoder.open(copied, View.DRONE, "onnxruntime", "fp32")
    without = copied.manifest.model_copy(update={"known_answers": ()})
    with pytest.raises(BundleError, match="no known answers for the drone encoder"):
        Encoder.open(Bundle(copied.path, without), View.DRONE, "onnxruntime", "fp32")


def test_an_encoder_that_the_bundle_lacks(rehearsal: Path) -> None:
    with pytest.raises(BundleError, match="no street encoder in fp32; it has drone fp32, "):
        Encoder.open(Bundle.open(rehearsal / "bundle"), View.STREET, "onnxruntime", "fp32")


def restated(bundle: Bundle, **changes: Any) -> Bundle:
    """The bundle with another statement about its drone's single precision encoder."""
    first, *others = bundle.manifest.encoders
    entry = first.model_copy(update=changes)
    return Bundle(bundle.path, bundle.manifest.model_copy(update={"encoders": (entry, *others)}))


def test_a_file_that_says_something_else_than_the_manifest(rehearsal: Path) -> None:
    bundle = Bundle.open(rehearsal / "bundle")
    entry = bundle.encoder(View.DRONE, "fp32")
    other = entry.preprocess.model_copy(update={"interpolation": "box"})
    half = bundle.encoder(View.DRONE, "fp16").path
    for changes, told in (
        (
            {"preprocess": other},
            r"preprocess_sha256 differs: the file says \w+…, the manifest \w+…",
        ),
        ({"opset": 18}, "opset differs: the file says 20, the manifest 18"),
        ({"checkpoint_sha256": "0" * 64}, "checkpoint_sha256 differs: the file says "),
        ({"path": half}, "precision differs: the file says fp16, the manifest fp32"),
    ):
        with pytest.raises(BundleError, match=rf"drone\.fp..\.onnx: {told}"):
            Encoder.open(restated(bundle, **changes), View.DRONE, "onnxruntime", "fp32")


def test_a_file_of_an_opset_that_does_not_fly(rehearsal: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    shutil.copytree(rehearsal / "bundle", tmp_path / "bundle")
    bundle = Bundle.open(tmp_path / "bundle")
    path = bundle.path / bundle.encoder(View.DRONE, "fp32").path
    model = onnx.load(path)
    model.opset_import[0].version = 23
    onnx.save(model, path)
    with pytest.raises(BundleError, match="opset 23, this version flies 18 and 20"):
        Encoder.open(bundle, View.DRONE, "onnxruntime", "fp32")


class Broken:
    def __init__(self, answer: float) -> None:
        self.answer = answer

    def run(self, images: Image) -> Any:
        return np.full((len(images), 64), self.answer, np.float32)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("answer", "told"), [(np.nan, "2 of 2 are not finite"), (1.0, "not of unit length: lengths up")]
)
def test_an_engine_that_answers_nonsense(answer: float, told: str) -> None:
    encoder = Encoder(Broken(answer), Preprocess(SIDE_PX, SIDE_PX), 64)
    with pytest.raises(EngineError, match=told):
        encoder.encode(pictures(2))


def test_memory_bound_once_gives_the_same(model: Path) -> None:
    """As on a GPU; the computer's own memory takes its place."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    bound, engine = Bound(onnxruntime, session, "cpu"), OnnxRuntimeEngine(model)
    for count in (3, 1, 3):
        images = pictures(count)
        np.testing.assert_allclose(bound.run(images), engine.run(images), atol=1e-6)


def test_work_that_a_provider_gives_away_is_found(model: Path, tmp_path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    session.run(None, {"image": pictures(1)})
    profile = Path(session.end_profiling())
    check_placement(profile, "CPUExecutionProvider")
    with pytest.raises(EngineError, match=r"gave work of CUDAExecutionProvider away: .*Conv on"):
        check_placement(profile, "CUDAExecutionProvider")
    profile.write_text("[]")
    with pytest.raises(EngineError, match="away: everything"):
        check_placement(profile, "CPUExecutionProvider")


def test_the_second_provider_keeps_its_plans_by_model(model: Path, tmp_path: Path) -> None:
    settings = EngineSettings(plans=tmp_path, max_batch=4)
    own = provider_options("onnxruntime-tensorrt", model, settings)
    assert own["trt_profile_max_shapes"] == f"image:4x{SIDE_PX}x{SIDE_PX}x3"
    assert own["trt_engine_cache_path"].startswith(f"{tmp_path}/onnxruntime-")
    assert provider_options("onnxruntime", model, settings) == {}
    assert provider_options("onnxruntime-cuda", model, settings)["use_tf32"] == "0"
