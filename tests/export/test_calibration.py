from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from geobridge.export.calibration import calibrate
from geobridge.onboard.bundle import MANIFEST, Bundle, sha256, write_manifest
from geobridge.onboard.errors import DataError
from geobridge.onboard.manifest import Manifest
from geobridge.onboard.manifest_entries import AccuracyEntry

Complaint = Callable[..., str]

REGISTRATION_M, ALIGNMENT_M = 2.0, 1.0
STATED_M = math.hypot(REGISTRATION_M, ALIGNMENT_M)


@pytest.fixture
def bundle(rehearsal: Path, tmp_path: Path) -> Path:
    """The rehearsal's, with an accuracy whose parts are known."""
    folder = Path(shutil.copytree(rehearsal / "bundle", tmp_path / "bundle"))
    accuracy = AccuracyEntry(registration_m=REGISTRATION_M, alignment_m=ALIGNMENT_M, evidence="no")
    write_manifest(folder, Bundle.open(folder).manifest.model_copy(update={"accuracy": accuracy}))
    return folder


def flown(
    folder: Path, bundle: Path, sigma_m: float, seed: int = 0, fixes: int = 300, **other: object
) -> Path:
    """A replay whose errors have this 1-sigma per axis, a frame per second."""
    folder.mkdir()
    errors_m = np.hypot(*np.random.default_rng(seed).normal(0.0, sigma_m, (2, fixes)))
    rows = [
        {"t_capture_ns": k * 10**9, "fix": {"horiz_accuracy_m": STATED_M}, "error_m": float(error)}
        for k, error in enumerate(errors_m)
    ]
    rows += [{"t_capture_ns": fixes * 10**9, "rejection": {"reason": "low_score"}}]
    rows[0] |= other
    (folder / "fixes.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    summary = {"bundle_manifest_sha256": sha256(bundle / MANIFEST)}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def manifest_of(folder: Path) -> Manifest:
    return Bundle.open(folder).manifest


@pytest.mark.parametrize("true_m", [2.5, 4.0, 6.0])
def test_errors_are_as_large_as_the_new_bundle_says(
    bundle: Path, tmp_path: Path, true_m: float
) -> None:
    flights = [flown(tmp_path / name, bundle, true_m, seed) for seed, name in enumerate("ab")]
    found = calibrate(bundle, flights, tmp_path / "new")
    accuracy = manifest_of(tmp_path / "new").accuracy
    assert math.hypot(accuracy.registration_m, accuracy.alignment_m) == pytest.approx(
        true_m, rel=0.15
    )
    assert 0.7 < found["half_nees"] <= 1.0  # at the cautious end
    assert "600 fixes of 2 flights (a, b), bundle version 1" in accuracy.evidence


def test_no_flight_makes_the_map_better_than_its_maker_says(bundle: Path, tmp_path: Path) -> None:
    calibrate(bundle, [flown(tmp_path / "a", bundle, 0.1)], tmp_path / "new")
    accuracy = manifest_of(tmp_path / "new").accuracy
    assert accuracy.registration_m == REGISTRATION_M
    assert accuracy.alignment_m == 0.0


def test_the_new_bundle_is_another_version_that_nobody_signed(bundle: Path, tmp_path: Path) -> None:
    (bundle / "manifest.sig").write_bytes(b"of the old one")
    before = sha256(bundle / MANIFEST)
    calibrate(bundle, [flown(tmp_path / "a", bundle, 4.0)], tmp_path / "new")
    old, new = manifest_of(bundle), manifest_of(tmp_path / "new")
    assert sha256(bundle / MANIFEST) == before
    assert new.bundle_version == old.bundle_version + 1
    assert new.model_copy(update={"accuracy": old.accuracy, "bundle_version": 1}) == old
    assert not (tmp_path / "new" / "manifest.sig").exists()
    with pytest.raises(DataError, match="exists"):
        calibrate(bundle, [tmp_path / "a"], tmp_path / "new")


def test_what_cannot_tell_is_refused_in_one_line(
    bundle: Path, tmp_path: Path, complaint: Complaint
) -> None:
    def refused(flight: Path) -> str:
        return complaint("calibrate", bundle, flight, "-o", tmp_path / "new")

    assert "12 fixes in 2 pieces" in refused(flown(tmp_path / "few", bundle, 3.0, fixes=12))
    wrong = flown(tmp_path / "wrong", bundle, 3.0, error_m=80.0)
    assert "1 of 300 fixes are wrong" in refused(wrong)
    nothing = flown(tmp_path / "nan", bundle, 3.0, error_m=math.nan)
    assert "expected finite errors" in refused(nothing)
    (tmp_path / "empty").mkdir()
    assert "summary.json" in refused(tmp_path / "empty")
    foreign = flown(tmp_path / "foreign", bundle, 3.0)
    (foreign / "summary.json").write_text('{"bundle_manifest_sha256": "0"}')
    assert "another bundle" in refused(foreign)
    (foreign / "summary.json").write_text("[]")
    assert "not what `geobridge replay` leaves" in refused(foreign)
    assert not (tmp_path / "new").exists()
