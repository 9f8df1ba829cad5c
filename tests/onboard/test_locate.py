from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.geodesy import LocalFrame, distance_m
from geobridge.onboard.locate import locate

FOOTPRINT_M = 100.0


@pytest.fixture(scope="module")
def photo(rehearsal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, float]:
    """A square of the map as a photo of 120 m, turned by 30 degrees, and where its middle is."""
    from geobridge.training.rasters.raster import Raster

    with Raster(rehearsal / "map.tif", 0.5) as raster:
        image, _ = raster.read_all()
        frame, grid = raster.frame, raster.grid
    east_m, north_m = 45.0, -30.0
    middle = ((east_m - grid.west_m) / grid.gsd_m, (grid.north_m - north_m) / grid.gsd_m)
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D(middle, 30.0, 1.0), image.shape[1::-1])
    square = cv2.getRectSubPix(turned, (240, 240), middle)
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    cv2.imwrite(str(path), cv2.cvtColor(square, cv2.COLOR_RGB2BGR))
    lat_deg, lon_deg = LocalFrame(frame.origin_lat_deg, frame.origin_lon_deg).to_geodetic(
        [east_m, north_m]
    )
    return path, float(lat_deg), float(lon_deg)


def test_a_photo_of_known_heading_and_width_is_found(
    rehearsal: Path, photo: tuple[Path, float, float]
) -> None:
    path, lat_deg, lon_deg = photo
    found = locate(rehearsal / "bundle", path, ground_width_m=120.0, heading_deg=30.0)
    assert distance_m(found[0]["lat_deg"], found[0]["lon_deg"], lat_deg, lon_deg) < FOOTPRINT_M
    assert (found[0]["heading_deg"], found[0]["ground_width_m"]) == (30.0, 120.0)
    assert [row["rank"] for row in found] == [1, 2, 3, 4, 5]
    scores = [row["score"] for row in found]
    assert scores == sorted(scores, reverse=True)
    for row in found[1:]:
        apart_m = distance_m(
            row["lat_deg"], row["lon_deg"], found[0]["lat_deg"], found[0]["lon_deg"]
        )
        assert apart_m >= FOOTPRINT_M / 2 - 1.0


def test_a_wrong_heading_scores_less(rehearsal: Path, photo: tuple[Path, float, float]) -> None:
    right, wrong = (
        locate(rehearsal / "bundle", photo[0], 1, ground_width_m=120.0, heading_deg=heading_deg)
        for heading_deg in (30.0, 210.0)
    )
    assert right[0]["score"] > wrong[0]["score"]


def test_what_is_not_known_is_searched_over(
    rehearsal: Path, photo: tuple[Path, float, float]
) -> None:
    searched = locate(rehearsal / "bundle", photo[0], top=1)[0]
    told = locate(rehearsal / "bundle", photo[0], top=1, ground_width_m=120.0, heading_deg=30.0)[0]
    assert searched["score"] >= told["score"]
    assert searched["heading_deg"] % 15.0 == 0.0
    again = locate(
        rehearsal / "bundle",
        photo[0],
        top=1,
        ground_width_m=searched["ground_width_m"],
        heading_deg=searched["heading_deg"],
    )[0]
    assert again["score"] == pytest.approx(searched["score"], abs=2e-3)


def test_every_answer_lies_on_the_map(rehearsal: Path, photo: tuple[Path, float, float]) -> None:
    coverage = Bundle.open(rehearsal / "bundle").manifest.coverage
    for row in locate(rehearsal / "bundle", photo[0], top=10, ground_width_m=80.0, heading_deg=0.0):
        east_m, north_m = coverage.frame.to_enu(row["lat_deg"], row["lon_deg"])
        assert coverage.west_m < east_m < coverage.east_m
        assert coverage.south_m < north_m < coverage.north_m


def test_the_command_prints_a_table_or_json(
    rehearsal: Path, photo: tuple[Path, float, float]
) -> None:
    command = [str(Path(sys.executable).with_name("geobridge")), "locate"]
    command += [str(rehearsal / "bundle"), str(photo[0]), "--top", "2"]
    command += ["--ground-width-m", "120", "--heading-deg", "30"]
    table, as_json = (
        subprocess.run([*command, *more], capture_output=True, text=True, timeout=60, check=True)
        for more in ([], ["--json"])
    )
    rows = json.loads(as_json.stdout)
    lines = table.stdout.splitlines()
    assert lines[0].split() == list(rows[0])
    assert len(lines) == 1 + len(rows) == 3
    assert f"{rows[0]['lat_deg']:.7f}" in lines[1]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut short"])
def test_a_picture_that_cannot_be_read(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str], content: bytes
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    line = complaint("locate", rehearsal / "bundle", path)
    assert f"{path}: not a whole picture that can be decoded" in line


def test_a_folder_that_is_no_bundle(tmp_path: Path, complaint: Callable[..., str]) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((9, 9, 3), np.uint8))
    line = complaint("locate", tmp_path, tmp_path / "photo.png")
    assert f"{tmp_path}: not a bundle" in line
