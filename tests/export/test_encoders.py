from __future__ import annotations

import json
import math
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("rasterio")
pytest.importorskip("torch")

import torch

from geobridge.export.encoders import export
from geobridge.export.geotiff import write_geotiff
from geobridge.export.graphs import files
from geobridge.export.pack import pack
from geobridge.export.parity import measure, probe_pictures, truth_of
from geobridge.export.record import read_record
from geobridge.onboard.agreement import (
    MIN_CONTROL_GAP,
    MIN_COSINE,
    MIN_RANK1,
    Agreement,
    disagreement,
)
from geobridge.onboard.bundle import Bundle
from geobridge.onboard.config import validate
from geobridge.onboard.engines.onnxruntime import OnnxRuntimeEngine
from geobridge.onboard.errors import BundleError, DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.preprocess import apply
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.verify_bundle import verify
from geobridge.onboard.views import VIEW_CODES, View
from geobridge.training import checkpoint as checkpoints
from geobridge.training.config import TrainConfig
from geobridge.training.model import GeoBridge, build_model

PROBES = 16
GOOD = Agreement(
    pictures=216,
    cosine_mean=0.9999,
    cosine_min=0.9998,
    shuffled_cosine_mean=0.3,
    queries=200,
    references=200,
    rank1=0.995,
    rank10=0.99,
    shuffled_rank1=0.01,
)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "parity.json").read_text())
    return rows


def test_every_encoder_is_exported_and_recorded(rehearsal: Path) -> None:
    record = read_record(rehearsal / "encoders")
    assert [(entry.view, entry.precision) for entry in record.encoders] == [
        (view, precision) for view in ("drone", "satellite") for precision in ("fp32", "fp16")
    ]
    assert (record.dimension, record.footprint_m, record.gsd_m) == (64, 100.0, 1.0)
    assert record.checkpoint_sha256 == checkpoints.read(rehearsal / "run").model_sha256
    sizes = {
        entry.precision: (rehearsal / "encoders" / entry.file).stat().st_size
        for entry in record.encoders
    }
    assert sizes["fp16"] < 0.7 * sizes["fp32"]


def test_the_parity_report_has_a_control_that_fails(rehearsal: Path) -> None:
    rows = rows_of(rehearsal / "encoders")
    engines = ["onnxruntime", "half arithmetic", "onnxruntime"]
    assert [row["engine"] for row in rows] == 2 * engines
    for row in rows:
        needed = MIN_COSINE[row["precision"]]
        assert row["cosine_min"] >= needed
        assert row["shuffled_cosine_mean"] < needed - MIN_CONTROL_GAP
        assert (row["pictures"], row["rank1"]) == (PROBES, None)


def test_another_checkpoints_encoder_is_not_accepted(rehearsal: Path) -> None:
    model, path = loaded(rehearsal / "run"), rehearsal / "encoders/drone.fp32.onnx"
    assert measure(truth_of(model, "drone", None), path, "fp32").agreement.cosine_min > 0.99999
    weight = next(parameter for parameter in model.parameters() if parameter.ndim > 1)
    weight.data.mul_(-1.0)
    with pytest.raises(DataError, match=r"drone\.fp32\.onnx, onnxruntime: worst .*needed 0\.99999"):
        measure(truth_of(model, "drone", None), path, "fp32")


@pytest.mark.parametrize(
    ("precision", "change", "problem"),
    [
        ("fp16", {"cosine_min": 0.99}, "worst cosine 0.99"),
        ("fp16", {"cosine_min": math.nan}, "worst cosine nan"),
        ("int8", {"cosine_min": math.nan}, "not finite"),
        ("fp16", {"shuffled_cosine_mean": 0.9996}, "the encoder tells nothing apart"),
        ("fp16", {"shuffled_cosine_mean": math.nan}, "the encoder tells nothing apart"),
        ("fp16", {"rank1": 0.99}, "99.00% of 200 pictures .*needed 99.50%"),
        ("fp16", {"rank1": math.nan}, "nan% of 200 pictures"),
        ("int8", {"rank1": 0.94}, "94.00% of 200 pictures .*needed 95.00%"),
        ("fp32", {"cosine_min": 1.0, "shuffled_rank1": 0.6}, "the gallery tells nothing apart"),
        ("fp32", {"cosine_min": 1.0, "shuffled_rank1": math.nan}, "the gallery tells nothing"),
    ],
)
def test_what_parity_does_not_accept(
    precision: str, change: dict[str, float], problem: str
) -> None:
    assert disagreement(GOOD, "fp16") is None
    assert disagreement(replace(GOOD, cosine_min=0.9, cosine_mean=0.95), "int8") is None
    assert re.search(problem, disagreement(replace(GOOD, **change), precision) or "")


def test_probe_pictures_differ_and_are_the_same_every_time() -> None:
    pictures = probe_pictures(40, 60)
    assert pictures.shape == (PROBES, 40, 60, 3)
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures, probe_pictures(40, 60))
    assert len({picture.tobytes() for picture in pictures}) == PROBES


def test_a_view_the_checkpoint_lacks(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    line = complaint("export", rehearsal / "run", "-o", tmp_path / "out", "--view", "street")
    assert "no street tower; it has drone, satellite" in line
    assert not (tmp_path / "out").exists()


def test_a_damaged_checkpoint(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    run = Path(shutil.copytree(rehearsal / "run", tmp_path / "run"))
    [weights] = run.glob("*/model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    line = complaint("export", run, "-o", tmp_path / "out")
    assert f"{weights}: truncated or changed since it was written" in line
    assert not (tmp_path / "out").exists()


def test_one_view_in_one_precision(rehearsal: Path, tmp_path: Path) -> None:
    out = export(rehearsal / "run", tmp_path, precisions=("fp32",), views=("satellite",))
    [entry] = read_record(out).encoders
    assert (entry.view, entry.precision) == ("satellite", "fp32")
    exported, again = (
        (folder / entry.file).read_bytes() for folder in (rehearsal / "encoders", out)
    )
    assert exported == again


def damaged(folder: Path, kind: str) -> None:
    record = folder / "encoders.json"
    if kind == "absent":
        record.unlink()
    elif kind == "not json":
        record.write_text("{")
    elif kind == "unknown key":
        record.write_text(json.dumps({**json.loads(record.read_text()), "surprise": 1}))
    elif kind == "changed":
        (folder / "satellite.fp32.onnx").write_bytes(b"another")
    elif kind == "missing":
        (folder / "drone.fp16.onnx").unlink()


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("absent", "no exported encoders, encoders.json: No such file"),
        ("not json", "encoders.json: "),
        ("unknown key", "surprise: unknown key"),
        ("changed", "satellite.fp32.onnx: missing or changed since it was exported"),
        ("missing", "drone.fp16.onnx: missing or changed since it was exported"),
    ],
)
def test_a_damaged_export_is_not_packed(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str], kind: str, problem: str
) -> None:
    folder = Path(shutil.copytree(rehearsal / "encoders", tmp_path / "encoders"))
    damaged(folder, kind)
    line = complaint("pack", rehearsal / "map.tif", "--encoders", folder, "-o", tmp_path / "bundle")
    assert str(folder) in line
    assert problem in line
    assert [path.name for path in tmp_path.iterdir()] == ["encoders"]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose street tower sees panoramas, trained to be cut at 8 numbers."""
    vision = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    model = {"embed_dim": 32, "vision": vision, "text_tower": False, "nested_dims": [8]}
    tables = {
        "model": model,
        "preprocess": {"height_px": 32, "width_px": 32, "panorama": "wide"},
        "data": {"source": "triples", "folder": "", "footprint_m": 60.0},
        "optim": {"steps": 1},
        "run": {"folder": ""},
    }
    config = validate(TrainConfig, tables, "test")
    torch.manual_seed(1)
    network = build_model(config.model, config.preprocess)
    return checkpoints.save_weights(config, network, tmp_path_factory.mktemp("wide") / "run")


@pytest.fixture(scope="module")
def short(wide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its encoders, exported at that length."""
    return export(wide, tmp_path_factory.mktemp("short") / "encoders", ("fp32",), dimension=8)


def loaded(run: Path) -> GeoBridge:
    return checkpoints.load(checkpoints.read(run))


def test_every_encoder_has_its_own_preprocessing(short: Path) -> None:
    record = read_record(short)
    sizes = {e.view: (e.preprocess.height_px, e.preprocess.width_px) for e in record.encoders}
    assert sizes == {"drone": (32, 32), "satellite": (32, 32), "street": (32, 64)}


def test_short_descriptors_are_the_beginning_of_long_ones(wide: Path, short: Path) -> None:
    record, model = read_record(short), loaded(wide)
    assert record.dimension == 8
    for entry in record.encoders:
        images = probe_pictures(entry.preprocess.height_px, entry.preprocess.width_px)
        with torch.no_grad():
            whole = model.encode_image(View(entry.view), torch.from_numpy(images)).numpy()
        expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
        flown = OnnxRuntimeEngine(short / entry.file).run(images)
        np.testing.assert_allclose(flown, expected, atol=1e-5)


def test_a_length_that_was_not_trained_for(
    wide: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    line = complaint("export", wide, "-o", tmp_path / "out", "--dimension", 16)
    assert f"--dimension 16: {wide} was trained for 8, 32" in line
    assert not (tmp_path / "out").exists()
    whole = export(wide, tmp_path / "out", ("fp32",), ("drone",), dimension=32)
    assert read_record(whole).dimension == 32


def test_an_export_of_the_format_before(
    short: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    folder = Path(shutil.copytree(short, tmp_path / "encoders"))
    path = folder / "encoders.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 1}))
    line = complaint("pack", path, "--encoders", folder, "-o", tmp_path / "bundle")
    assert f"{path}: format_version 1, this version reads 2; run geobridge export" in line


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 m of coloured patches."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (24, 24, 3)).astype(np.uint8)
    land = cv2.resize(coarse, (200, 200), interpolation=cv2.INTER_CUBIC)
    folder = tmp_path_factory.mktemp("raster")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # rasterio's own
        frame = LocalFrame(47.4, 8.5)
        return write_geotiff(folder / "map.tif", land, frame, -100.0, 100.0, 1.0)


def test_eight_bits_and_weights_apart_fly(
    wide: Path, raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MIN_RANK1, "int8", 0.5)  # the weights are drawn, not trained
    monkeypatch.setattr(files, "MAX_INLINE_BYTES", 1000)
    views = ("drone", "satellite")
    out = export(wide, tmp_path / "encoders", ("fp32", "int8"), views, gallery=raster)
    rows = rows_of(out)
    assert [(row["view"], row["precision"]) for row in rows] == [
        (view, precision) for view in views for precision in ("fp32", "int8")
    ]
    assert all(row["queries"] >= 200 and row["rank1"] > 0.5 for row in rows)
    assert all(row["shuffled_rank1"] <= 0.5 for row in rows)
    assert "| drone | int8 | onnxruntime |" in (out / "parity.md").read_text()
    record = read_record(out)
    assert record.encoder(View.DRONE).weights == "drone.fp32.onnx.data"
    bundle = Bundle.open(pack(raster, out, tmp_path / "bundle", spacing_m=30.0))
    assert {"int8", "external_weights"} <= set(bundle.manifest.required_features)
    encoder = Encoder.open(bundle, View.DRONE, "onnxruntime", "int8")
    assert encoder.encode(probe_pictures(32, 32)).shape == (PROBES, 32)
    told = verify(bundle.path, engine="onnxruntime", precision="fp32")
    assert "100.0% find the same place first" in " ".join(map(str, told.values()))
    weights = bundle.path / "encoders/drone.fp32.onnx.data"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    with pytest.raises(BundleError, match=r"drone\.fp32\.onnx\.data: changed since it was packed"):
        Bundle.open(bundle.path)


def test_an_export_that_fails_leaves_what_was_there(
    wide: Path, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(short, tmp_path / "out"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setitem(MIN_COSINE, "fp16", 1.1)
    with pytest.raises(DataError, match=r"drone\.fp16\.onnx, half arithmetic: worst cosine 1\.0"):
        export(wide, out, ("fp16",), ("drone",))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_export_refuses(
    wide: Path, raster: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    out = tmp_path / "out"
    assert "--opset 23: expected 18 or 20" in complaint("export", wide, "-o", out, "--opset", 23)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    line = complaint("export", wide, "-o", tmp_path / "mine")
    assert "mine: exists and holds no export; choose another folder" in line
    line = complaint("export", wide, "-o", tmp_path / "mine/thesis.txt")
    assert "thesis.txt: exists and holds no export; choose another folder" in line
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"
    line = complaint("export", wide, "-o", out, "--gallery", tmp_path / "mine/thesis.txt")
    assert "thesis.txt: not a readable raster" in line
    assert not out.exists()


def test_street_pictures_are_packed_as_their_encoder_sees_them(
    short: Path, raster: Path, tmp_path: Path
) -> None:
    coarse = np.random.default_rng(1).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    (tmp_path / "street").mkdir()
    panorama = cv2.resize(coarse[:8, :16], (160, 80), interpolation=cv2.INTER_CUBIC)
    assert cv2.imwrite(str(tmp_path / "street/a.png"), panorama[..., ::-1])
    table = "file,lat_deg,lon_deg\na.png,47.4,8.5\n"
    (tmp_path / "street/positions.csv").write_text(table)
    references = tmp_path / "references.toml"
    references.write_text(f"[[source]]\npath = '{raster}'\n[[source]]\npath = 'street'\n")
    out = pack(references, short, tmp_path / "bundle", spacing_m=30.0)
    assert verify(out)
    bundle = Bundle.open(out)
    spec = bundle.encoder(View.STREET, "fp32").preprocess.spec
    assert (spec.height_px, spec.width_px) == (32, 64)
    engine = OnnxRuntimeEngine(short / read_record(short).encoder(View.STREET).file)
    expected = engine.run(apply(panorama, spec)[None])[0]
    [row] = np.flatnonzero(bundle.places()["view"] == VIEW_CODES[View.STREET])
    assert float(bundle.descriptors()[row].astype(np.float32) @ expected) > 0.999
