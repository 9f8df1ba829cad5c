from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rasterio")
pytest.importorskip("onnxruntime")

from geobridge.export.encoding import chunks as chunks_module
from geobridge.export.pack import pack
from geobridge.onboard.bundle import Bundle, sha256
from geobridge.onboard.errors import BundleError
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.manifest import KNOWN_FEATURES, parse_manifest
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.index import Index
from geobridge.onboard.verify_bundle import verify
from geobridge.onboard.views import VIEW_CODES, View
from geobridge.training.sources import StreetSource
from geobridge.training.street.pictures import StreetFolder, read_street

ORIGIN = LocalFrame(47.4, 8.5)
"""Of the rendered map."""
COARSE = {"registration_m": 1.0, "spacing_m": 25.0}
CENTRES_M = [(0.0, 0.0), (-120.0, 60.0), (90.0, -80.0), (30.0, 110.0), (-60.0, -60.0)]
HEADINGS_DEG = [0.0, -90.0, 359.5, 30.25, 180.0]
TERMS = {"licence": "CC0", "attribution": "us", "captured": "2026-06"}
Rows = list[dict[str, Any]]


def rows_at(centres_m: list[tuple[float, float]]) -> Rows:
    lat_deg, lon_deg = ORIGIN.to_geodetic(centres_m)
    return [
        {"file": f"{n}.jpg", "lat_deg": lat, "lon_deg": lon}
        for n, (lat, lon) in enumerate(zip(lat_deg.tolist(), lon_deg.tolist(), strict=True))
    ]


def write_table(folder: Path, rows: Rows) -> Path:
    with (folder / "positions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def read(folder: Path) -> StreetFolder:
    return read_street(StreetSource(kind="street", path=folder))


def references(
    folder: Path, raster: Path, street: Path, reach_m: float = 60.0, **terms: str
) -> Path:
    """A references file with a raster and a folder of street pictures."""
    lines = [f'[[source]]\npath = "{raster}"', f'[[source]]\npath = "{street}"']
    lines += ['kind = "street"', f"reach_m = {reach_m}"]
    lines += [f'{name} = "{text}"' for name, text in terms.items()]
    path = folder / "references.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_street(folder: Path, rows: Rows) -> Path:
    """Pictures of several sizes, each of its own colours."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    for number, row in enumerate(rows):
        coarse = rng.integers(0, 256, (4, 8, 3)).astype(np.uint8)
        size = (160, 80) if number % 2 else (90, 120)
        assert cv2.imwrite(str(folder / row["file"]), cv2.resize(coarse, size))
    return write_table(folder, rows)


@pytest.fixture(scope="module")
def encoders(rehearsal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As exported, with the satellite encoder for the street too: one tower may serve both."""
    folder = tmp_path_factory.mktemp("street") / "encoders"
    shutil.copytree(rehearsal / "encoders", folder)
    record = json.loads((folder / "encoders.json").read_text())
    for entry in [e for e in record["encoders"] if e["view"] == "satellite"]:
        name = entry["file"].replace("satellite", "street")
        onnx = pytest.importorskip("onnx")
        model = onnx.load(folder / entry["file"])
        stated = {each.key: each.value for each in model.metadata_props}
        onnx.helper.set_model_props(model, stated | {"view": "street"})
        onnx.save(model, folder / name)
        changes = {"view": "street", "file": name, "sha256": sha256(folder / name)}
        record["encoders"].append(entry | changes)
    (folder / "encoders.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = rows_at(CENTRES_M)
    for row, heading_deg in zip(rows, HEADINGS_DEG, strict=True):
        row["heading_deg"] = heading_deg
    return write_street(tmp_path_factory.mktemp("pictures") / "main street", rows)


@pytest.fixture(scope="module")
def packed(
    rehearsal: Path, encoders: Path, street: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    listed = references(folder, rehearsal / "map.tif", street, 45.0, **TERMS)
    return pack(listed, encoders, folder / "bundle", **COARSE)


@pytest.fixture
def refused(
    rehearsal: Path, encoders: Path, tmp_path: Path, complaint: Callable[..., str]
) -> Callable[..., str]:
    """What packing a street folder is refused with, by the command."""

    def run(folder: Path, *more: object) -> str:
        out = tmp_path / "bundle"
        words = ("--encoders", encoders, "-o", out, "--spacing-m", 50, "-q", *more)
        listed = references(tmp_path, rehearsal / "map.tif", folder)
        line = complaint("pack", listed, *words)
        assert not out.exists()
        return line

    return run


def street_places(bundle: Bundle) -> Any:
    places = bundle.places()
    return places[places["view"] == VIEW_CODES[View.STREET]]


def test_every_picture_is_a_place_where_it_was_taken(packed: Path) -> None:
    bundle = Bundle.open(packed)
    found = street_places(bundle)
    assert len(found) == 5
    at = np.column_stack([found["east_m"], found["north_m"]])
    order = [int(np.argmin(np.hypot(*(at - centre).T))) for centre in CENTRES_M]
    assert sorted(order) == [0, 1, 2, 3, 4]
    # the raster's frame may lie a little off the world's origin
    offset = at[order] - CENTRES_M
    assert np.ptp(offset, axis=0).max() < 0.01
    assert found["heading_deg"][order].tolist() == [0.0, 270.0, 359.5, 30.25, 180.0]
    assert set(found["footprint_m"]) == {45.0}
    assert set(found["source"]) == {1}
    assert len(bundle.places()) - 5 == 16 * 16 - 4


def test_all_rows_are_in_one_order_with_their_descriptors(packed: Path, street: Path) -> None:
    bundle = Bundle.open(packed)
    index = Index.open(bundle)  # refuses rows out of order
    encoder = Encoder.open(bundle, View.STREET, "onnxruntime", "fp32")
    for number, (east_m, north_m) in enumerate(CENTRES_M):
        picture = read_picture(street / f"{number}.jpg")
        descriptor = encoder.encode([encoder.prepare(picture)])[0]
        best = index.search(descriptor, 1, view=View.STREET)[0]
        assert best.view is View.STREET
        assert best.score == pytest.approx(1.0, abs=2e-3)
        lat_deg, lon_deg = ORIGIN.to_geodetic([east_m, north_m])
        assert (best.lat_deg, best.lon_deg) == (float(lat_deg), float(lon_deg))


def test_what_is_said_of_the_squares_is_as_without_street(
    packed: Path, rehearsal: Path, encoders: Path, tmp_path: Path
) -> None:
    plain = Bundle.open(pack(rehearsal / "map.tif", encoders, tmp_path / "plain", **COARSE))
    bundle = Bundle.open(packed)
    assert bundle.manifest.coverage.sources[0] == plain.manifest.coverage.sources[0]
    bounds = ("west_m", "south_m", "east_m", "north_m", "footprint_m", "spacing_m")
    for name in bounds:
        assert getattr(bundle.manifest.coverage, name) == getattr(plain.manifest.coverage, name)
    squares = bundle.places()["view"] == VIEW_CODES[View.SATELLITE]
    assert bundle.places()[squares].tobytes() == plain.places().tobytes()
    assert np.array_equal(bundle.descriptors()[squares], plain.descriptors())
    assert plain.manifest.required_features == ("imagery",)


def test_the_manifest_names_the_second_source(packed: Path, street: Path) -> None:
    manifest = Bundle.open(packed).manifest
    source = manifest.coverage.sources[1]
    assert (source.name, source.licence, source.attribution, source.captured) == (
        "main street",
        "CC0",
        "us",
        "2026-06",
    )
    names = ["positions.csv", *(f"{n}.jpg" for n in range(5))]
    printed = subprocess.run(
        ["sha256sum", *names], cwd=street, capture_output=True, check=True
    ).stdout
    assert source.sha256 == hashlib.sha256(printed).hexdigest()


def test_a_version_that_does_not_know_street_places_refuses_them(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geobridge.onboard import manifest

    monkeypatch.setattr(manifest, "KNOWN_FEATURES", KNOWN_FEATURES - {"street"})
    raw = (packed / "manifest.json").read_bytes()
    with pytest.raises(BundleError, match="requires street, which this version lacks"):
        parse_manifest(raw, "manifest.json")


def test_the_street_encoder_knows_its_own_pictures(packed: Path, street: Path) -> None:
    bundle = Bundle.open(packed)
    [entry] = [e for e in bundle.manifest.known_answers if e.view == "street"]
    images, answers = bundle.known_answers(entry)
    assert images.shape == (5, 96, 96, 3)  # twice the encoder's input
    index = Index.open(bundle)
    assert all(index.search(each, 1, view=View.STREET)[0].score > 0.95 for each in answers)
    told = verify(packed)
    assert (told["satellite 100 m"]["places"], told["satellite 100 m"]["apart"]) == (252, "25 m")
    assert (told["street 45 m"]["places"], told["street 45 m"]["headings known"]) == (5, 5)
    assert told["source 2"]["name"] == "main street; licence CC0"


def test_packing_twice_gives_the_same_bytes(
    packed: Path, rehearsal: Path, encoders: Path, street: Path, tmp_path: Path
) -> None:
    listed = references(tmp_path, rehearsal / "map.tif", street, 45.0, **TERMS)
    again = pack(listed, encoders, tmp_path / "b", **COARSE)
    assert (again / "manifest.json").read_bytes() == (packed / "manifest.json").read_bytes()


def test_work_on_other_pictures_is_not_taken_over(
    rehearsal: Path, encoders: Path, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Path(shutil.copytree(street, tmp_path / "main street"))
    encode, calls = Encoder.encode, []

    def interrupted(self: Encoder, pictures: Any) -> Any:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(len(pictures))
        return encode(self, pictures)

    listed = references(tmp_path, rehearsal / "map.tif", changed)
    words = (listed, encoders, tmp_path / "b")
    monkeypatch.setattr(chunks_module, "CHUNK", 2)
    monkeypatch.setattr(chunks_module, "BATCH", 2)
    with monkeypatch.context() as patched:
        patched.setattr(Encoder, "encode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pack(*words, spacing_m=100.0)
    # street pictures come first: they are the ones that may be broken; five make three batches
    assert calls == [2, 2, 2]
    shutil.copyfile(changed / "1.jpg", changed / "0.jpg")
    found = Bundle.open(pack(*words, spacing_m=100.0))
    places = found.places()
    streets = np.asarray(found.descriptors())[places["view"] == VIEW_CODES[View.STREET]]
    assert len(np.unique(streets, axis=0)) == 4


def test_headings_that_are_not_known(tmp_path: Path) -> None:
    folder = read(write_street(tmp_path / "street", rows_at(CENTRES_M)))
    assert all(math.isnan(each.heading_deg) for each in folder.pictures)
    assert [each.path.name for each in folder.pictures] == [f"{n}.jpg" for n in range(5)]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "latitude": ({"lat_deg": 147.4}, "line 3, lat_deg: expected a latitude"),
    "longitude": ({"lon_deg": -200.0}, "line 3, lon_deg: expected a longitude"),
    "no number": ({"lat_deg": "north"}, "line 3, lat_deg: expected a latitude"),
    "not a number": ({"lon_deg": "nan"}, "line 3, lon_deg: expected a longitude"),
    "heading": ({"heading_deg": 361.0}, "line 3, heading_deg: expected a heading"),
    "no picture": ({"file": "9.jpg"}, "line 3, file: expected a picture beside the table"),
    "elsewhere": ({"file": "../1.jpg"}, "line 3, file: expected a picture beside the table"),
    "the table": ({"file": "positions.csv"}, "line 3, file: expected a picture beside the table"),
    "twice": ({"file": "0.jpg"}, "line 3, file: expected a name used once"),
    "off the map": ({"lat_deg": 47.41}, "line 3, file: expected a place that the imagery shows"),
    "antipode": (
        {"lat_deg": -47.4, "lon_deg": -171.5},
        "line 3, file: expected a place that the imagery shows",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_row(refused: Callable[..., str], tmp_path: Path, name: str) -> None:
    rows = [row | {"heading_deg": 0.0} for row in rows_at(CENTRES_M)]
    folder = write_street(tmp_path / "street", rows)
    change, line = WRONG[name]
    write_table(folder, [rows[0], rows[1] | change, *rows[2:]])
    assert f"{folder / 'positions.csv'}, {line}" in refused(folder)


@pytest.mark.parametrize("column", ["file", "lat_deg", "lon_deg"])
def test_a_missing_column(refused: Callable[..., str], tmp_path: Path, column: str) -> None:
    rows = rows_at(CENTRES_M)
    folder = write_street(tmp_path / "street", rows)
    write_table(folder, [{k: v for k, v in row.items() if k != column} for row in rows])
    assert f"positions.csv, line 1, {column}: the column is missing" in refused(folder)


def test_a_picture_without_a_row(refused: Callable[..., str], tmp_path: Path) -> None:
    folder = write_street(tmp_path / "street", rows_at(CENTRES_M))
    write_table(folder, rows_at(CENTRES_M)[:-1])
    assert f"{folder / '4.jpg'}: positions.csv has no row for this picture" in refused(folder)


def test_a_picture_that_cannot_be_read(refused: Callable[..., str], tmp_path: Path) -> None:
    folder = write_street(tmp_path / "street", rows_at(CENTRES_M))
    whole = (folder / "2.jpg").read_bytes()
    (folder / "2.jpg").write_bytes(whole[: len(whole) // 2])
    line = refused(folder)
    assert f"{folder / '2.jpg'}: not a whole picture that can be decoded" in line


def test_a_folder_without_a_table(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "street").mkdir()
    assert f"{tmp_path / 'street'}: holds no pictures" in refused(tmp_path / "street")
    assert cv2.imwrite(str(tmp_path / "street/a.jpg"), np.zeros((8, 8, 3), np.uint8))
    assert f"{tmp_path / 'street/a.jpg'}: EXIF holds no position" in refused(tmp_path / "street")


@pytest.mark.parametrize("reach_m", ["0.0", "-5.0", "nan", "inf"])
def test_a_reach_that_makes_no_sense(
    rehearsal: Path,
    encoders: Path,
    street: Path,
    tmp_path: Path,
    complaint: Callable[..., str],
    reach_m: str,
) -> None:
    listed = references(tmp_path, rehearsal / "map.tif", street, reach_m)
    line = complaint("pack", listed, "--encoders", encoders, "-o", tmp_path / "b")
    assert f"{listed}: source.1.street.reach_m: Input should be" in line
    assert [path.name for path in tmp_path.iterdir()] == ["references.toml"]


def test_encoders_without_a_street_tower(
    rehearsal: Path, street: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    listed = references(tmp_path, rehearsal / "map.tif", street)
    line = complaint("pack", listed, "--encoders", rehearsal / "encoders", "-o", tmp_path / "b")
    assert f"{rehearsal / 'encoders'}: no street encoder in fp32" in line


@pytest.mark.real_data
def test_a_recorded_walk(data: Path) -> None:
    for table in (None, data / "street_lund/gps.csv"):  # by EXIF, and by the table beside it
        street = read_street(
            StreetSource(kind="street", path=data / "street_lund", positions=table)
        )
        pictures = street.pictures
        frame = LocalFrame(pictures[0].lat_deg, pictures[0].lon_deg)
        at = [(each.lat_deg, each.lon_deg) for each in pictures]
        steps_m = np.linalg.norm(np.diff(frame.to_enu(*np.transpose(at)), axis=0), axis=1)
        assert len(pictures) == 29
        assert steps_m.sum() == pytest.approx(197.0, abs=5.0)
        # the compass of the first 20 is wrong by about 160 degrees
        believed = [not math.isnan(each.heading_deg) for each in pictures]
        assert believed == [False] * 20 + [True] * 9
        assert street.notes == (
            "20 of 29 compass headings contradict the track (by 157 degrees in the middle):"
            " left out, positions kept",
        )
