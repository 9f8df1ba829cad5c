"""Results are never written among what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders as they are given; none of them is read before results have a place."""
    for folder in ("bundle/reference", "data/photos", "data/more", "records"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "trained").mkdir()
    files = ("data/photos/1.jpg", "data/more/1.jpg", "records/1.mcap", "trained/report.html")
    for file in (*files, "flight.mp4"):
        (tmp_path / file).touch()
    (tmp_path / "link").symlink_to("bundle")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "out", "problem"),
    [
        (["flight.mp4"], "bundle", "bundle: expected a folder outside the bundle"),
        (["flight.mp4"], "link/new", "link/new: expected a folder outside the bundle"),
        (["data/photos"], "data/photos", "data/photos: expected a folder apart from the photos"),
        (["x.bin", "--frames", "data/photos"], "data/photos/", "data/photos: expected a folder"),
        (["data/photos", "data/more"], "data", "data/photos: expected a folder apart from"),
        (["flight.mp4"], "trained", "trained: holds something else than a replay; choose another"),
        (["records"], "records", "records: expected a folder apart from the photos or records"),
        (["records/1.mcap"], "records", "records: expected a folder apart from the photos or"),
    ],
)
def test_a_folder_that_results_would_spoil(
    inputs: Path, complaint: Callable[..., str], given: list[str], out: str, problem: str
) -> None:
    before = sorted(inputs.rglob("*"))
    assert problem in complaint("replay", *given, "--bundle", "bundle", "-o", out)
    assert sorted(inputs.rglob("*")) == before


@pytest.mark.parametrize("out", ["data", "data/photos/results", "bundle-2", "."])
def test_a_folder_beside_is_none_of_them(
    inputs: Path, complaint: Callable[..., str], out: str
) -> None:
    told = complaint("replay", "data/photos", "--bundle", "bundle", "-o", out, "camera.hfov_deg=70")
    assert "expected a folder" not in told
