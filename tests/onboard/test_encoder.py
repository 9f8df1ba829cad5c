from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.engines.engine import open_engine
from geobridge.onboard.engines.onnxruntime import OnnxRuntimeEngine
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


def test_a_batch_is_answered_as_its_pictures_are(model: Path) -> None:
    engine, images = OnnxRuntimeEngine(model), pictures(5)
    together = engine.run(images)
    assert together.shape == (5, 64)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
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
        OnnxRuntimeEngine(model, provider="VitisAIExecutionProvider")
    assert "no VitisAIExecutionProvider; it has " in line_of(error)


def test_an_engine_nobody_built() -> None:
    with pytest.raises(EngineError, match="engine 'tensorrt' is not built into this version"):
        open_engine("tensorrt", Path("x.onnx"))


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
    assert line_of(error).startswith(f"{path}: onnxruntime refuses it: ")


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
