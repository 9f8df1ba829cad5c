from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from geobridge.export import parity as parity_module
from geobridge.export.encoders import export, read_record
from geobridge.export.parity import Parity, measure, probe_pictures
from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View
from geobridge.training import checkpoint as checkpoints
from geobridge.training.model import ImageEncoder

GOOD = Parity(
    view="drone",
    precision="fp16",
    dimension=64,
    pictures=16,
    cosine_mean=0.9999,
    cosine_min=0.9998,
    half_cosine_min=0.9997,
    shuffled_cosine_mean=0.3,
)


def encoder_of(rehearsal: Path) -> ImageEncoder:
    model = checkpoints.load(checkpoints.read(rehearsal / "run"))
    encoder = model.images["drone"]
    assert isinstance(encoder, ImageEncoder)
    return encoder


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
    report = [Parity(**row) for row in json.loads((rehearsal / "encoders/parity.json").read_text())]
    assert len(report) == 4
    for parity in report:
        needed = parity_module.MIN_COSINE[parity.precision]
        assert parity.cosine_min >= needed
        assert parity.shuffled_cosine_mean < needed - parity_module.MIN_CONTROL_GAP
        assert (parity.half_cosine_min is not None) == (parity.precision == "fp16")
        assert parity.pictures == len(probe_pictures(48, 48))


def test_another_checkpoints_encoder_is_not_accepted(rehearsal: Path) -> None:
    encoder, path = encoder_of(rehearsal), rehearsal / "encoders/drone.fp32.onnx"
    assert measure(encoder, path, View.DRONE, "fp32").cosine_min > 0.99999
    weight = next(parameter for parameter in encoder.tower.parameters() if parameter.ndim > 1)
    weight.data.mul_(-1.0)
    with pytest.raises(DataError, match=r"drone\.fp32\.onnx: worst cosine .*needed 0\.99999"):
        measure(encoder, path, View.DRONE, "fp32")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"cosine_min": 0.99}, "worst cosine 0.99"),
        ({"cosine_min": math.nan}, "worst cosine nan"),
        ({"half_cosine_min": 0.99}, "worst cosine 0.99"),
        ({"half_cosine_min": 0.0}, "worst cosine 0.0"),
        ({"half_cosine_min": math.nan}, "worst cosine nan"),
        ({"shuffled_cosine_mean": 0.9996}, "the encoder tells nothing apart"),
        ({"shuffled_cosine_mean": math.nan}, "the encoder tells nothing apart"),
    ],
)
def test_what_parity_does_not_accept(change: dict[str, float], problem: str) -> None:
    parity_module._judge(GOOD, Path("drone.fp16.onnx"))
    with pytest.raises(DataError, match=f"^drone.fp16.onnx: .*{problem}"):
        parity_module._judge(replace(GOOD, **change), Path("drone.fp16.onnx"))


def test_probe_pictures_differ_and_are_the_same_every_time() -> None:
    pictures = probe_pictures(40, 60)
    assert pictures.shape == (16, 40, 60, 3)
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures, probe_pictures(40, 60))
    assert len({picture.tobytes() for picture in pictures}) == 16


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
