from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from geobridge.export.locate import locate
from geobridge.onboard.bundle import Bundle, write_manifest
from geobridge.onboard.errors import BundleError
from geobridge.onboard.found import read_prior
from geobridge.onboard.geodesy import LocalFrame, distance_m
from geobridge.onboard.retrieval.atlas import Atlas

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
    for column in ("score", "stands_out"):  # of one view both rank alike
        values = [row[column] for row in found]
        assert values == sorted(values, reverse=True)
    for row in found[1:]:
        apart_m = distance_m(
            row["lat_deg"], row["lon_deg"], found[0]["lat_deg"], found[0]["lon_deg"]
        )
        assert apart_m >= FOOTPRINT_M / 2 - 1.0


def test_a_photo_stands_as_its_exif_says(
    rehearsal: Path, photo: tuple[Path, float, float], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the sensor lay on its side
    upright = np.asarray(Image.open(photo[0]).convert("RGB"))
    lying = Image.fromarray(np.rot90(upright).copy())
    lying.save(tmp_path / "p.jpg", exif=exif, quality=98)
    seen, told = (
        locate(rehearsal / "bundle", path, top=1, ground_width_m=120.0, heading_deg=30.0)[0]
        for path in (tmp_path / "p.jpg", photo[0])
    )
    assert (seen["lat_deg"], seen["lon_deg"]) == (told["lat_deg"], told["lon_deg"])
    assert seen["score"] == pytest.approx(told["score"], abs=0.02)


def test_a_wrong_heading_scores_less(rehearsal: Path, photo: tuple[Path, float, float]) -> None:
    right, wrong = (
        locate(rehearsal / "bundle", photo[0], top=1, ground_width_m=120.0, heading_deg=heading_deg)
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


def test_where_it_may_be_is_drawn_and_saved(
    rehearsal: Path, photo: tuple[Path, float, float], tmp_path: Path
) -> None:
    path, lat_deg, lon_deg = photo
    heat_map, area = tmp_path / "heat.png", tmp_path / "area.geojson"
    known = {"ground_width_m": 120.0, "heading_deg": 30.0}
    locate(rehearsal / "bundle", path, heat_map=heat_map, area=area, **known)
    picture = cv2.cvtColor(cv2.imread(str(heat_map)), cv2.COLOR_BGR2RGB).astype(int)
    coverage = Bundle.open(rehearsal / "bundle").manifest.coverage
    per_m = picture.shape[1] / (coverage.east_m - coverage.west_m)
    hot = np.unravel_index(np.argmax(picture[..., 0] - picture[..., 2]), picture.shape[:2])
    at = coverage.frame.to_enu(lat_deg, lon_deg)
    there = (at[0] - coverage.west_m) * per_m, (coverage.north_m - at[1]) * per_m
    assert np.hypot(hot[1] - there[0], hot[0] - there[1]) / per_m < FOOTPRINT_M
    prior = read_prior(area)
    off_m = distance_m(prior.lat_deg, prior.lon_deg, lat_deg, lon_deg)
    assert off_m < 3.0 * prior.horiz_accuracy_m
    feature = json.loads(area.read_text())
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert feature["properties"]["belief"] == 0.9


@pytest.mark.parametrize(
    "content", ["", "[]", '{"properties": {}}', '{"properties": {"prior": {"lat_deg": "x"}}}']
)
def test_what_is_no_saved_area(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str], content: str
) -> None:
    path = tmp_path / "area.geojson"
    path.write_text(content)
    flight = rehearsal / "flight"
    words = ("--telemetry", flight / "telemetry.csv", "--bundle", rehearsal / "bundle")
    setting = f"prior={path}"
    out = ("-o", tmp_path / "out", "camera.hfov_deg=70", setting)
    line = complaint("replay", flight / "flight.mp4", *words, *out)
    assert f"{path}: not an area that locate saved" in line


def test_several_bundles_are_searched_as_one(
    rehearsal: Path, photo: tuple[Path, float, float], tmp_path: Path
) -> None:
    twin = shutil.copytree(rehearsal / "bundle", tmp_path / "twin")
    known = {"ground_width_m": 120.0, "heading_deg": 30.0}
    alone = locate(rehearsal / "bundle", photo[0], top=2, **known)
    both = locate(rehearsal / "bundle", photo[0], also=[twin], top=4, **known)
    assert {row["bundle"] for row in both[:2]} == {str(rehearsal / "bundle"), str(twin)}
    assert [row["score"] for row in both] == sorted([row["score"] for row in alone] * 2)[::-1]


def test_an_atlas_searches_the_areas_that_are_near(rehearsal: Path) -> None:
    atlas = Atlas.open([rehearsal / "bundle"] * 2)
    query = np.asarray(atlas.areas[0].index.descriptors[40], np.float32)
    query /= np.linalg.norm(query)
    place = atlas.areas[0].index.places[40]
    at = float(place["lat_deg"]), float(place["lon_deg"])
    found = atlas.search(query, 4, near=(*at, 30.0))
    assert [candidate.place for _, candidate in found][:2] == [40, 40]
    assert [area for area, _ in found][:2] == atlas.areas
    for _, candidate in found:
        assert distance_m(*at, candidate.lat_deg, candidate.lon_deg) <= 30.0
    for elsewhere in ((at[0] + 1.0, at[1]), (-at[0], at[1] + 180.0 - 360.0)):
        assert atlas.search(query, 4, near=(*elsewhere, 500.0)) == []


def test_bundles_of_other_encoders_do_not_compare(rehearsal: Path, tmp_path: Path) -> None:
    other = Bundle.open(shutil.copytree(rehearsal / "bundle", tmp_path / "other"))
    entries = [
        e.model_copy(update={"checkpoint_sha256": "0" * 64}) for e in other.manifest.encoders
    ]
    write_manifest(other.path, other.manifest.model_copy(update={"encoders": tuple(entries)}))
    with pytest.raises(BundleError, match=r"other: its descriptors are of other encoders"):
        Atlas.open([rehearsal / "bundle", other.path])


@pytest.mark.parametrize(
    ("words", "complaint_text"),
    [
        ([], "expected either a picture or --text"),
        (["--text", "a river"], "--text takes a text tower: give the --checkpoint"),
        (["PHOTO", "--text", "a river"], "expected either a picture or --text"),
        (["PHOTO", "--among", "street"], "has no such places; it has satellite"),
        (["PHOTO", "--view", "street"], "no street encoder in fp32"),
    ],
)
def test_what_makes_no_question(
    rehearsal: Path,
    photo: tuple[Path, float, float],
    complaint: Callable[..., str],
    words: list[str],
    complaint_text: str,
) -> None:
    given = [photo[0] if word == "PHOTO" else word for word in words]
    assert complaint_text in complaint("locate", rehearsal / "bundle", *given, "-q")


def test_words_need_the_towers_that_the_bundle_was_made_with(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    words = ("locate", rehearsal / "bundle", "-q", "--text")
    run = rehearsal / "run"
    assert "was trained without a text tower" in complaint(*words, "a river", "--checkpoint", run)
    assert "--text: expected words" in complaint(*words, "  ", "--checkpoint", run)
