"""Where street pictures were taken, from every export, and which compasses are believed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rasterio")
pytest.importorskip("PIL")

from PIL import Image

from geobridge.export.references.street.lay import cut, lay_street, turned
from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.training.sources import StreetSource
from geobridge.training.street.compass import judge
from geobridge.training.street.picture import StreetPicture
from geobridge.training.street.pictures import StreetFolder, read_street

FRAME = LocalFrame(47.4, 8.5)


def walk(
    headings_deg: list[float], track_deg: float = 335.0, step_m: float = 7.0, noise_m: float = 0.0
) -> list[StreetPicture]:
    rng, turn = np.random.default_rng(1), math.radians(track_deg)
    pictures = []
    for number, heading_deg in enumerate(headings_deg):
        at = np.array([math.sin(turn), math.cos(turn)]) * step_m * number
        lat_deg, lon_deg = FRAME.to_geodetic(at + rng.normal(0.0, noise_m, 2))
        path = Path(f"{number:03d}.jpg")
        pictures.append(StreetPicture(path, float(lat_deg), float(lon_deg), heading_deg))
    return pictures


@given(st.integers(3, 15), st.integers(3, 15), st.floats(100.0, 260.0), st.booleans())
def test_the_side_of_a_jump_that_looks_ahead_is_believed(
    wrong: int, right: int, off_deg: float, wrong_first: bool
) -> None:
    parts = [[335.0 + off_deg] * wrong, [335.0] * right]
    headings = [angle % 360.0 for part in (parts if wrong_first else parts[::-1]) for angle in part]
    judged = judge(walk(headings, noise_m=0.5))
    expected = [False] * wrong + [True] * right
    assert judged.believed.tolist() == (expected if wrong_first else expected[::-1])
    assert judged.notes[0].startswith(f"{wrong} of {wrong + right} compass headings contradict")


@given(st.floats(0.0, 360.0), st.floats(0.0, 360.0))
def test_a_camera_that_keeps_its_side_is_believed(mounted_deg: float, track_deg: float) -> None:
    judged = judge(walk([(track_deg + mounted_deg) % 360.0] * 20, track_deg, noise_m=0.5))
    assert judged.believed.all()
    assert judged.notes == ()


def test_a_turn_of_the_road_is_no_jump() -> None:
    pictures = walk([10.0] * 8, 10.0)
    corner = pictures[-1]
    frame = LocalFrame(corner.lat_deg, corner.lon_deg)
    for step in range(1, 9):
        lat_deg, lon_deg = frame.to_geodetic((7.0 * step, 0.0))
        path = Path(f"{7 + step:03d}.jpg")
        pictures.append(StreetPicture(path, float(lat_deg), float(lon_deg), 90.0))
    assert judge(pictures).believed.all()


def test_where_no_side_looks_ahead_none_is_believed() -> None:
    judged = judge(walk([155.0] * 8 + [245.0] * 8))
    assert not judged.believed.any()


def test_two_pictures_are_not_enough_to_say_so() -> None:
    assert judge(walk([335.0] * 6 + [155.0] * 2 + [335.0] * 6)).believed.all()


def test_unknown_headings_stay_unknown() -> None:
    judged = judge(walk([math.nan] * 5))
    assert not judged.believed.any()
    assert judged.notes == ("no headings",)


def test_two_walks_are_judged_apart() -> None:
    """Far from each other, one with the camera ahead and one with it behind, both steady."""
    there = walk([335.0] * 8)
    back = walk([155.0] * 8)
    moved = [
        StreetPicture(Path(f"b{n}.jpg"), each.lat_deg + 0.01, each.lon_deg, each.heading_deg)
        for n, each in enumerate(back)
    ]
    assert judge([*there, *moved]).believed.all()


def pictures_in(folder: Path, count: int = 3, size: tuple[int, int] = (64, 48)) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", size, (10 * number, 90, 40)).save(folder / f"p{number}.jpg")
    return folder


AT = [(47.4001, 8.5001), (47.4002, 8.5002), (47.4003, 8.5003)]


def geojson() -> Any:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [lon, lat]},
            "properties": {"id": f"p{n}", "compass_angle": 40.0 + n, "captured_at": 100 - n},
        }
        for n, (lat, lon) in enumerate(AT)
    ]
    return {"type": "FeatureCollection", "features": features}


def api() -> Any:
    return {
        "data": [
            {
                "id": f"p{n}",
                "computed_geometry": {"type": "Point", "coordinates": [lon, lat]},
                "geometry": {"type": "Point", "coordinates": [0.0, 0.0]},
                "computed_compass_angle": 40.0 + n,
                "compass_angle": 200.0,
                "captured_at": 100 - n,
            }
            for n, (lat, lon) in enumerate(AT)
        ]
    }


def tools() -> Any:
    told = [
        {
            "filename": f"/elsewhere/p{n}.jpg",
            "MAPLatitude": lat,
            "MAPLongitude": lon,
            "MAPCaptureTime": f"2026_06_01_10_00_{50 - n}_000",
            "MAPCompassHeading": {"TrueHeading": 40.0 + n, "MagneticHeading": 1.0},
        }
        for n, (lat, lon) in enumerate(AT)
    ]
    return [*told, {"filename": "p9.jpg", "error": {"type": "MapillaryGeoTaggingError"}}]


def opensfm() -> Any:
    """Cameras that look level along a bearing; OpenSfM's axes are x right, y down, z ahead."""
    shots = {}
    for n, (lat, lon) in enumerate(AT):
        bearing = math.radians(40.0 + n)
        ahead = np.array([math.sin(bearing), math.cos(bearing), 0.0])
        down = np.array([0.0, 0.0, -1.0])
        turn = np.stack([np.cross(down, ahead), down, ahead])
        centre = np.array([*FRAME.to_enu(lat, lon), 1.7])
        shots[f"p{n}.jpg"] = {
            "rotation": cv2.Rodrigues(turn)[0].ravel().tolist(),
            "translation": (-turn @ centre).tolist(),
            "capture_time": 100.0 - n,
        }
    reference = {"latitude": FRAME.origin_lat_deg, "longitude": FRAME.origin_lon_deg}
    return [{"reference_lla": reference | {"altitude": 0.0}, "shots": shots}]


EXPORTS = {
    "positions.geojson": geojson,
    "api.json": api,
    "mapillary_image_description.json": tools,
    "reconstruction.json": opensfm,
}


def read(folder: Path, **more: Any) -> StreetFolder:
    return read_street(StreetSource(kind="street", path=folder, **more))


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_tells_where_and_when(tmp_path: Path, name: str) -> None:
    folder, table = pictures_in(tmp_path / "street"), tmp_path / name
    table.write_text(json.dumps(EXPORTS[name]()))
    found = read(folder, positions=table, compass="trust").pictures
    assert [each.path.name for each in found] == ["p2.jpg", "p1.jpg", "p0.jpg"]  # as taken
    for each in found:
        number = int(each.path.stem[1:])
        assert (each.lat_deg, each.lon_deg) == pytest.approx(AT[number], abs=1e-7)
        assert each.heading_deg == pytest.approx(40.0 + number)


def test_surveys_name_their_columns_otherwise(tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "street")
    rows = [f"p{n}.jpg,{lat},{lon},{n}" for n, (lat, lon) in enumerate(AT)]
    (folder / "positions.csv").write_text("\n".join(["filename,latitude,lng,bearing", *rows]))
    found = read(folder).pictures
    assert [each.heading_deg for each in found] == [0.0, 1.0, 2.0]


def with_exif(folder: Path, **gps: Any) -> None:
    """Degrees, minutes and seconds of AT into the pictures, with their reference letters."""
    for number, (lat, lon) in enumerate(AT):
        path = folder / f"p{number}.jpg"
        photo = Image.open(path)
        exif = photo.getexif()
        sexagesimal = [
            (int(value), int(value * 60 % 60), value * 3600 % 60) for value in (lat, lon)
        ]
        tags = {1: "S", 2: sexagesimal[0], 3: "W", 4: sexagesimal[1], 16: "T", 17: 12.5}
        exif[0x8825] = tags | {int(key): value for key, value in gps.items()}
        photo.save(path, exif=exif)


def test_the_pictures_themselves_tell(tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "street")
    with_exif(folder)
    found = read(folder).pictures
    for each, (lat, lon) in zip(found, AT, strict=True):
        assert (each.lat_deg, each.lon_deg) == pytest.approx((-lat, -lon), abs=1e-7)
        assert each.heading_deg == 12.5


def test_a_magnetic_heading_is_no_true_one(tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "street")
    with_exif(folder, **{"16": "M"})
    assert all(math.isnan(each.heading_deg) for each in read(folder).pictures)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda tree: tree["features"][1]["geometry"].update(type="Line"), "feature 2: expected a"),
        (
            lambda tree: tree["features"][0]["geometry"].update(coordinates=[8.5, 147.0]),
            "feature 1: latitude 147, longitude 8.5 are none",
        ),
        (
            lambda tree: tree["features"][0]["geometry"].update(coordinates=None),
            r"feature 1: expected \[longitude, latitude\]",
        ),
        (
            lambda tree: tree["features"][2]["properties"].update(id="x"),
            "feature 3: expected a picture in .*, found 'x'",
        ),
        (lambda tree: tree["features"].pop(), "has no row for this picture"),
        (lambda tree: tree.clear(), "expected GeoJSON features"),
    ],
)
def test_an_export_with_mistakes(tmp_path: Path, change: Any, complaint: str) -> None:
    folder, tree = pictures_in(tmp_path / "street"), geojson()
    change(tree)
    (folder / "positions.geojson").write_text(json.dumps(tree))
    with pytest.raises(DataError, match=complaint):
        read(folder)


def test_the_compass_can_be_ignored(tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "street")
    (folder / "positions.geojson").write_text(json.dumps(geojson()))
    street = read(folder, compass="ignore")
    assert all(math.isnan(each.heading_deg) for each in street.pictures)
    assert street.notes == ("headings ignored, as asked",)


def panorama() -> np.ndarray:
    """[180, 360, 3] whose red is the bearing from the middle column and green the rise, halved."""
    column, row = np.meshgrid(np.arange(360), np.arange(180))
    red = ((column - 179.5) % 360.0) / 2.0
    return np.dstack([red, (179.5 - row) / 2.0 + 0.0, np.zeros_like(red)]).astype(np.uint8)


@pytest.mark.parametrize("turn_deg", [0.0, 90.0, 215.0])
def test_a_turned_panorama_has_the_bearing_in_its_middle(turn_deg: float) -> None:
    image = turned(panorama(), turn_deg)
    assert image[90, 180, 0] == pytest.approx(turn_deg / 2.0, abs=1.0)
    assert np.array_equal(np.sort(image, axis=1), np.sort(panorama(), axis=1))


@pytest.mark.parametrize("turn_deg", [40.0, 90.0, 215.0])
def test_a_cut_is_what_a_level_camera_sees(turn_deg: float) -> None:
    image = cut(panorama(), turn_deg, 60.0).astype(float)
    height, width = image.shape[:2]
    middle = image[height // 2]
    assert middle[width // 2, 0] == pytest.approx(turn_deg / 2.0, abs=1.0)
    assert middle[-1, 0] - middle[0, 0] == pytest.approx(30.0, abs=1.5)  # 60 degrees, halved
    upper_deg = math.degrees(math.atan(math.tan(math.radians(30.0)) * height / width))
    rise = (image[0, width // 2, 1] - image[-1, width // 2, 1]) * 2.0
    assert rise == pytest.approx(2.0 * upper_deg, abs=2.0)


@pytest.mark.parametrize(("hfov_deg", "shape"), [(None, (180, 360, 3)), (90.0, (384, 512, 3))])
def test_a_panorama_becomes_several_places(
    tmp_path: Path, hfov_deg: float | None, shape: tuple[int, ...]
) -> None:
    folder = pictures_in(tmp_path / "street", 1)
    cv2.imwrite(str(folder / "all_around.png"), panorama()[..., ::-1])
    rows = [f"p0.jpg,{AT[0][0]},{AT[0][1]},10", f"all_around.png,{AT[1][0]},{AT[1][1]},30"]
    (folder / "positions.csv").write_text("\n".join(["file,lat_deg,lon_deg,heading_deg", *rows]))
    source = StreetSource(kind="street", path=folder, headings=4, hfov_deg=hfov_deg)
    laid = lay_street(read_street(source), source, 3, FRAME, None)
    assert sorted(laid.places["heading_deg"].tolist()) == [10.0, 30.0, 120.0, 210.0, 300.0]
    assert set(laid.places["source"]) == {3}
    for row, place in enumerate(laid.places):
        image, valid = laid.pictures(row)
        assert valid is None
        if place["heading_deg"] == 10.0:
            assert image.shape == (48, 64, 3)  # no panorama: left as it is
        else:
            assert image.shape == shape


def test_a_picture_from_another_hemisphere(tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "street")
    rows = [f"p{n}.jpg,{lat},{lon}" for n, (lat, lon) in enumerate(AT)]
    rows[1] = f"p1.jpg,{-AT[1][0]},{AT[1][1] - 180.0}"
    (folder / "positions.csv").write_text("\n".join(["file,lat_deg,lon_deg", *rows]))
    source = StreetSource(kind="street", path=folder)
    with pytest.raises(DataError, match="line 3, file: expected a place that lies with the others"):
        lay_street(read_street(source), source, 0, FRAME, None)
