"""Several sources in one bundle, what changes when they do, and what is refused."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rasterio")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

import onnx
import rasterio

from geobridge.export.pack import pack
from geobridge.export.plan import footprints_for, spacing_for
from geobridge.onboard.bundle import FEATURELESS, WATER, Bundle
from geobridge.onboard.errors import BundleError, DataError
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.localization.opened import open_localizer
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.index import Index
from geobridge.onboard.terrain import Terrain
from geobridge.onboard.verify_bundle import verify
from geobridge.onboard.views import VIEW_CODES, View

ORIGIN = LocalFrame(47.4, 8.5)
COARSE = {"registration_m": 1.0, "spacing_m": 50.0}


def ring_of(west: float, south: float, east: float, north: float) -> list[list[float]]:
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    lat_deg, lon_deg = ORIGIN.to_geodetic(corners)
    return [list(point) for point in zip(lon_deg.tolist(), lat_deg.tolist(), strict=True)]


def write_area(path: Path, *box: float) -> Path:
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring_of(*box)]}))
    return path


def cut_raster(source: Path, target: Path, columns: slice) -> Path:
    """Some columns of a raster, in place."""
    with rasterio.open(source) as whole:
        window = rasterio.windows.Window(
            columns.start, 0, columns.stop - columns.start, whole.height
        )
        profile = whole.profile | {
            "width": columns.stop - columns.start,
            "transform": whole.window_transform(window),
        }
        with rasterio.open(target, "w", **profile) as part:
            part.write(whole.read(window=window))
    return target


def write_flight(folder: Path, raster: Path) -> Path:
    """Four photos looking down over the east of the map, with a telemetry table."""
    from geobridge.training.rasters.raster import Raster

    folder.mkdir()
    rows = ["time_s,file,roll_deg,pitch_deg,heading_deg,height_agl_m"]
    rows[0] += ",prior_lat_deg,prior_lon_deg,prior_horiz_accuracy_m"
    with Raster(raster, 0.5, ORIGIN) as opened:
        for number, (east_m, north_m) in enumerate([(60, 60), (100, 60), (100, -60), (60, -60)]):
            image, _ = opened.read_at(east_m - 70.0, north_m + 70.0, 280, 280)
            if number == 1:  # flown with the nose to the east
                image = np.rot90(image)
            cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])
            lat_deg, lon_deg = ORIGIN.to_geodetic((east_m, north_m))
            heading_deg = 90.0 if number == 1 else 0.0
            rows.append(f"{number},{number}.png,0,0,{heading_deg},70,{lat_deg:.9f},{lon_deg:.9f},2")
    (folder.parent / "flight.csv").write_text("\n".join(rows) + "\n")
    return folder


HFOV_DEG = 90.0
"""140 m seen from 70 m."""


@pytest.fixture(scope="module")
def encoders(rehearsal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As exported, with the satellite encoder for the street too: one tower may serve both."""
    folder = tmp_path_factory.mktemp("encoders") / "encoders"
    shutil.copytree(rehearsal / "encoders", folder)
    record = json.loads((folder / "encoders.json").read_text())
    for entry in [e for e in record["encoders"] if e["view"] == "satellite"]:
        name = entry["file"].replace("satellite", "street")
        model = onnx.load(folder / entry["file"])
        next(each for each in model.metadata_props if each.key == "view").value = "street"
        onnx.save(model, folder / name)
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        changed = {"view": "street", "file": name, "sha256": digest}
        record["encoders"].append(entry | changed)
    (folder / "encoders.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def sources(rehearsal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """west.tif, east.tif: halves of the map; flight/ over the east; street/ in the middle."""
    folder = tmp_path_factory.mktemp("sources")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # rasterio multiplies transforms
        with rasterio.open(rehearsal / "map.tif") as whole:
            middle, width = whole.width // 2, whole.width
        cut_raster(rehearsal / "map.tif", folder / "west.tif", slice(0, middle))
        cut_raster(rehearsal / "map.tif", folder / "east.tif", slice(middle, width))
    write_flight(folder / "flight", rehearsal / "map.tif")
    street = folder / "street"
    street.mkdir()
    lat_deg, lon_deg = ORIGIN.to_geodetic((-50.0, 10.0))
    cv2.imwrite(str(street / "a.png"), np.full((60, 80, 3), 90, np.uint8))
    table = f"file,lat_deg,lon_deg\na.png,{lat_deg},{lon_deg}\n"
    (street / "positions.csv").write_text(table)
    return folder


FLIGHT = f"""
[[source]]
kind = "flight"
path = "flight"
telemetry = "flight.csv"
registration_m = 4.0
camera.hfov_deg = {HFOV_DEG}
"""
WEST = '[[source]]\npath = "west.tif"\nlicence = "CC0"\n'
EAST = '[[source]]\npath = "east.tif"\nattribution = "them"\n'
STREET = '[[source]]\npath = "street"\n'


def listed(sources: Path, name: str, *parts: str) -> Path:
    path = sources / f"{name}.toml"
    path.write_text("\n".join(parts))
    return path


@pytest.fixture(scope="module")
def mixed(sources: Path, encoders: Path) -> Bundle:
    references = listed(sources, "mixed", WEST, FLIGHT, STREET)
    return Bundle.open(pack(references, encoders, sources / "mixed", **COARSE))


def test_every_view_has_its_layer(mixed: Bundle) -> None:
    layers = mixed.manifest.layers
    assert [layer.view for layer in layers] == ["satellite", "drone", "street"]
    assert [layer.footprint_m for layer in layers] == [100.0, 100.0, 60.0]
    assert mixed.manifest.required_features == ("drone", "imagery", "street")
    assert [source.kind for source in mixed.manifest.coverage.sources] == [
        "raster",
        "flight",
        "street",
    ]
    assert mixed.manifest.accuracy.registration_m == 4.0
    places = mixed.places()
    for layer, source in zip(layers, (0, 1, 2), strict=True):
        own = places[layer.first : layer.first + layer.count]
        assert set(own["source"]) == {source}
    east_m = ORIGIN.to_enu(places["lat_deg"], places["lon_deg"])[:, 0]
    assert east_m[places["view"] == VIEW_CODES[View.DRONE]].min() > 0.0  # where it was flown
    # where the satellite's half ends
    assert east_m[places["view"] == VIEW_CODES[View.SATELLITE]].max() < 30.0


def test_the_imagery_is_all_of_it_and_each_part_whose_it_is(mixed: Bundle, rehearsal: Path) -> None:
    from geobridge.training.rasters.raster import Raster

    imagery = ReferenceImagery.open(mixed)
    frame = mixed.manifest.coverage.frame
    with Raster(rehearsal / "map.tif", 1.0, frame) as whole:
        for east_m, source in ((-90.0, 0), (85.0, 1)):
            at = frame.to_enu(*ORIGIN.to_geodetic((east_m, 40.0))).tolist()
            rgba, (at_east, at_north) = imagery.rgba(*at, 60)
            assert set(np.unique(rgba[..., 3])) == {255 - source}
            expected, _ = whole.read_at(at_east - 30.0, at_north + 30.0, 60, 60)
            shown, there = (
                cv2.cvtColor(np.asarray(each, np.uint8), cv2.COLOR_RGB2GRAY).ravel()
                for each in (rgba[..., :3], expected)
            )
            # the flight's photos are laid where they belong
            assert np.corrcoef(shown.astype(float), there.astype(float))[0, 1] > 0.9


def test_every_source_is_found_by_its_own_pictures(mixed: Bundle, sources: Path) -> None:
    encoder = Encoder.open(mixed, View.STREET, "onnxruntime", "fp32")
    picture = read_picture(sources / "street/a.png")
    descriptor = encoder.encode([encoder.prepare(picture)])[0]
    [found] = Index.open(mixed).search(descriptor, 1, view=View.STREET)
    assert found.score == pytest.approx(1.0, abs=2e-3)


def test_two_halves_give_the_whole(
    rehearsal: Path, sources: Path, encoders: Path, tmp_path: Path
) -> None:
    whole = Bundle.open(pack(rehearsal / "map.tif", encoders, tmp_path / "whole", **COARSE))
    both = listed(sources, "both", WEST, EAST)
    halves = Bundle.open(pack(both, encoders, tmp_path / "halves", **COARSE))
    assert set(halves.places()["source"]) == {0, 1}
    terms = [(s.licence, s.attribution) for s in halves.manifest.coverage.sources]
    assert terms == [("CC0", ""), ("", "them")]
    alike = whole.descriptors().astype(np.float32) @ halves.descriptors().astype(np.float32).T
    (east_m, north_m), (own_east_m, own_north_m) = (
        ORIGIN.to_enu(each.places()["lat_deg"], each.places()["lon_deg"]).T
        for each in (whole, halves)
    )
    off_m = np.hypot(east_m[:, None] - own_east_m, north_m[:, None] - own_north_m)
    same = off_m.argmin(axis=0), np.arange(len(own_east_m))
    assert len(east_m) == len(own_east_m)
    assert off_m[same].max() < 0.1 * COARSE["spacing_m"]
    # of ground alike, which square is most alike is the encoder's word
    assert alike[same].min() > 0.95
    assert np.mean(alike.argmax(axis=0) == same[0]) > 0.9


def test_a_datum_adds_to_what_a_map_may_be_off(
    sources: Path, encoders: Path, tmp_path: Path
) -> None:
    """ETRS89, which has left WGS84 by half a metre and more: EPSG says 1 m."""
    shutil.copy(sources / "west.tif", tmp_path / "etrs.tif")
    with rasterio.open(tmp_path / "etrs.tif", "r+") as raster:
        assert raster.crs == rasterio.crs.CRS.from_epsg(32632)
        raster.crs = rasterio.crs.CRS.from_epsg(25832)
    terms = {**COARSE, "registration_m": 2.0}
    bundle = Bundle.open(pack(tmp_path / "etrs.tif", encoders, tmp_path / "bundle", **terms))
    assert bundle.manifest.accuracy.registration_m == pytest.approx(math.hypot(2.0, 1.0))
    [source] = bundle.manifest.coverage.sources
    assert source.notes == ("datum known against WGS84 to 1 m",)


def test_what_did_not_change_is_not_encoded_again(
    sources: Path, encoders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bundle"
    pack(listed(sources, "one", WEST), encoders, out, **COARSE)
    counts: list[int] = []
    encode = Encoder.encode

    def counting(self: Encoder, pictures: Any) -> Any:
        counts.append(len({picture.tobytes() for picture in pictures}))
        return encode(self, pictures)

    monkeypatch.setattr(Encoder, "encode", counting)
    known, asked = Bundle.open(out).manifest.descriptor.count, 6 * 3

    def packed(*parts: str) -> tuple[Bundle, int]:
        counts.clear()
        bundle = Bundle.open(pack(listed(sources, "next", *parts), encoders, out, **COARSE))
        return bundle, sum(counts)

    added, encoded = packed(WEST, FLIGHT, STREET)
    new = [each for each in added.manifest.layers if each.view != "satellite"]
    queries = sum(min(200, layer.count) for layer in added.manifest.layers if layer.spacing_m)
    assert encoded <= sum(layer.count for layer in new) + 2 * queries + asked
    assert added.manifest.layers[0].count == known
    removed, encoded = packed(WEST)
    assert encoded <= 2 * min(200, known) + asked
    fresh = pack(listed(sources, "next", WEST), encoders, tmp_path / "fresh", **COARSE)
    files = {file.path: file.sha256 for file in removed.manifest.files}
    assert {file.path: file.sha256 for file in Bundle.open(fresh).manifest.files} == files


def test_an_area_confines_places_and_imagery(
    rehearsal: Path, encoders: Path, tmp_path: Path
) -> None:
    area = write_area(tmp_path / "area.geojson", -60.0, -80.0, 40.0, 20.0)
    bundle = Bundle.open(
        pack(rehearsal / "map.tif", encoders, tmp_path / "b", area=area, spacing_m=20.0)
    )
    at = ORIGIN.to_enu(bundle.places()["lat_deg"], bundle.places()["lon_deg"])
    assert (at >= [-60.01, -80.01]).all()
    assert (at <= [40.01, 20.01]).all()
    assert len(at) == 25
    imagery = bundle.manifest.reference_imagery
    assert max(imagery.rows, imagery.columns) * imagery.tile_px * imagery.gsd_m <= 512


def test_scales_for_a_range_of_heights(rehearsal: Path, encoders: Path, tmp_path: Path) -> None:
    sides = footprints_for((60.0, 120.0), 70.0)
    seen_m = 2.0 * 60.0 * math.tan(math.radians(35.0)) * 0.75
    assert sides[0] == pytest.approx(seen_m, abs=0.05)
    assert sides[-1] == pytest.approx(2.0 * seen_m, abs=0.1)
    assert max(b / a for a, b in pairwise(sides)) <= 1.5
    out = tmp_path / "b"
    heights = {"heights_agl_m": (60.0, 120.0), "spacing_m": 30.0}
    bundle = Bundle.open(pack(rehearsal / "map.tif", encoders, out, **heights))
    assert tuple(layer.footprint_m for layer in bundle.manifest.layers) == sides
    steps = [layer.spacing_m for layer in bundle.manifest.layers]
    assert steps == pytest.approx([30.0 * side / sides[0] for side in sides])
    index = Index.open(bundle)
    for layer in index.layers:
        row = layer.entry.first + layer.entry.count // 2
        query = np.asarray(index.descriptors[row], np.float32)
        query /= np.linalg.norm(query)
        [best] = index.search(query, 1, footprint_m=layer.entry.footprint_m)
        assert best.place == row


@pytest.mark.parametrize("heights_m", [(0.0, 50.0), (90.0, 60.0), (50.0, math.inf)])
def test_no_range_of_heights(heights_m: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="is no range of heights"):
        footprints_for(heights_m, 70.0)


def test_the_spacing_for_an_accuracy() -> None:
    """Errors spread evenly over a cell of a lattice."""
    spacing_m = spacing_for(8.0)
    errors = np.linspace(-spacing_m / 2, spacing_m / 2, 100_001)
    assert np.std(errors) == pytest.approx(8.0, rel=1e-3)


def test_terrain_travels_with_the_bundle(rehearsal: Path, encoders: Path, tmp_path: Path) -> None:
    """A slope that rises to the east, in another CRS."""
    dsm = tmp_path / "dsm.tif"
    west, south, east, north = 8.49, 47.39, 8.51, 47.41
    heights = np.tile(np.linspace(400.0, 500.0, 200, dtype=np.float32), (200, 1))
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "width": 200, "height": 200}
    transform = rasterio.Affine((east - west) / 200, 0.0, west, 0.0, (south - north) / 200, north)
    with rasterio.open(dsm, "w", crs="EPSG:4326", transform=transform, **profile) as file:
        file.write(heights, 1)
    out = tmp_path / "b"
    bundle = Bundle.open(pack(rehearsal / "map.tif", encoders, out, terrain=dsm, **COARSE))
    assert bundle.manifest.required_features == ("imagery", "terrain")
    terrain = Terrain.open(bundle)
    assert terrain is not None
    for east_m, north_m in ((0.0, 0.0), (-150.0, 120.0), (77.7, -33.3)):
        _, lon_deg = bundle.manifest.coverage.frame.to_geodetic((east_m, north_m))
        expected = 400.0 + 100.0 * (float(lon_deg) - west) / (east - west)
        assert terrain.height_amsl_m(east_m, north_m) == pytest.approx(expected, abs=0.5)
    assert terrain.height_amsl_m(9000.0, 0.0) is None
    assert verify(out)["terrain"] == "every 10 m"


def test_street_pictures_alone_are_no_bundle_to_fly(
    sources: Path, encoders: Path, tmp_path: Path
) -> None:
    from geobridge.onboard.camera import Camera
    from geobridge.onboard.config import LocalizerConfig

    bundle = pack(listed(sources, "street", STREET), encoders, tmp_path / "b")
    assert Bundle.open(bundle).manifest.imagery is None
    assert verify(bundle)["covers"].startswith("no ground; street pictures in a box")
    with pytest.raises(BundleError, match="no reference imagery"):
        open_localizer(bundle, LocalizerConfig(), Camera.from_hfov(64, 48, 70.0))


def test_a_flight_alone_can_be_flown(sources: Path, encoders: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(pack(listed(sources, "flown", FLIGHT), encoders, tmp_path / "b", **COARSE))
    assert [layer.view for layer in bundle.manifest.layers] == ["drone"]
    assert bundle.manifest.imagery is not None


def test_water_and_empty_ground_are_flagged(encoders: Path, tmp_path: Path) -> None:
    """A lake in the west, sand in the middle, houses in the east."""
    rng = np.random.default_rng(2)
    picture = np.empty((300, 900, 3), np.uint8)
    picture[:, :300] = (30, 60, 90)
    picture[:, 300:600] = (200, 190, 150)
    houses = rng.integers(0, 255, (15, 15, 3)).astype(np.uint8)
    picture[:, 600:] = cv2.resize(houses, (300, 300), interpolation=cv2.INTER_NEAREST)
    picture = np.clip(picture + rng.normal(0.0, 1.5, picture.shape), 0, 255).astype(np.uint8)
    path = tmp_path / "map.tif"
    transform = rasterio.Affine(1.0, 0.0, 465_000.0, 0.0, -1.0, 5_250_000.0)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 900, "height": 300}
    with rasterio.open(path, "w", crs="EPSG:32632", transform=transform, **profile) as file:
        file.write(picture.transpose(2, 0, 1))
    places = Bundle.open(pack(path, encoders, tmp_path / "b", spacing_m=50.0)).places()
    column = (places["east_m"] + 450.0) // 300.0
    inner = np.abs((places["east_m"] + 450.0) % 300.0 - 150.0) < 95.0
    assert set(places["flags"][inner & (column == 0)]) == {FEATURELESS | WATER}
    assert set(places["flags"][inner & (column == 1)]) == {FEATURELESS}
    assert set(places["flags"][inner & (column == 2)]) == {0}


WRONG_FILES = {
    "empty": ("", "source: Field required"),
    "no sources": ("source = []", "source: "),
    "no path": ("[[source]]\nlicence = 'x'", "source.0: expected a path or a url"),
    "nowhere": ("[[source]]\npath = 'x.tif'", "x.tif: no such file or folder"),
    "unknown key": ("[[source]]\npath = 'west.tif'\nlicense = 'x'", "license: unknown key"),
    "unknown kind": ("[[source]]\npath = 'west.tif'\nkind = 'film'", "source.0: "),
    "bare folder": ("[[source]]\npath = '.'", "a folder of tiles would have folders 0 to 24"),
    "no licence": (
        "[[source]]\nurl = 'https://x/{z}/{x}/{y}'\ncache = 'c'\nattribution = 'y'",
        "source.0.server.licence: Field required",
    ),
    "not TOML": ("[[source]", "not TOML"),
    "no area": ("area = 'x.kml'\n[[source]]\npath = 'west.tif'", "x.kml: no such file"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_references_file_with_mistakes(
    sources: Path, encoders: Path, tmp_path: Path, complaint: Callable[..., str], name: str
) -> None:
    content, text = WRONG_FILES[name]
    path = listed(sources, "wrong", content)
    line = complaint("pack", path, "--encoders", encoders, "-o", tmp_path / "b")
    assert text in line
    assert list(tmp_path.iterdir()) == []


def test_sources_in_two_hemispheres(
    sources: Path, encoders: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    far = tmp_path / "far.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 64, "height": 64}
    transform = rasterio.Affine(1e-5, 0.0, 8.5, 0.0, -1e-5, -33.0)
    with rasterio.open(far, "w", crs="EPSG:4326", transform=transform, **profile) as file:
        file.write(np.full((3, 64, 64), 90, np.uint8))
    path = listed(sources, "far", WEST, f'[[source]]\npath = "{far}"\n')
    line = complaint("pack", path, "--encoders", encoders, "-o", tmp_path / "b")
    assert f"{far}: reaches more than 60 km from the middle of" in line
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--height-agl-m", "60:90", "--footprint-m", "80"], "leave --footprint-m out"),
        (["--accuracy-m", "5", "--spacing-m", "20"], "leave --spacing-m out"),
        (["--area", "AREA"], "does not reach the area"),
    ],
)
def test_options_that_contradict(
    rehearsal: Path,
    encoders: Path,
    tmp_path: Path,
    complaint: Callable[..., str],
    options: list[str],
    text: str,
) -> None:
    area = write_area(tmp_path / "area.geojson", 4000.0, 4000.0, 4100.0, 4100.0)
    words = [area if word == "AREA" else word for word in options]
    command = ("pack", rehearsal / "map.tif", "--encoders", encoders, "-o", tmp_path / "b")
    assert text in complaint(*command, *words)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("float_nan.tif", "has no CRS"),
        ("rotated.tif", "has no CRS"),
        ("corrupt.tif", "damaged"),
        ("RGB.byte.tif", "reaches more than 60 km"),
    ],
)
@pytest.mark.real_data
def test_awkward_rasters_of_others(
    data: Path,
    encoders: Path,
    tmp_path: Path,
    complaint: Callable[..., str],
    name: str,
    text: str,
) -> None:
    path = data / "geotiff" / name
    line = complaint("pack", path, "--encoders", encoders, "-o", tmp_path / "b", "-q")
    assert f"{path}: " in line
    assert text in line
    assert not (tmp_path / "b").exists()


def test_metres_that_are_called_degrees(
    encoders: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    path = tmp_path / "map.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 64, "height": 64}
    transform = rasterio.Affine(1.0, 0.0, 465_000.0, 0.0, -1.0, 5_250_000.0)
    with rasterio.open(path, "w", crs="EPSG:4326", transform=transform, **profile) as file:
        file.write(np.full((3, 64, 64), 90, np.uint8))
    line = complaint("pack", path, "--encoders", encoders, "-o", tmp_path / "b")
    assert f"{path}: " in line
    assert "metres tagged as degrees?" in line


def test_a_rotated_raster_lies_where_it_says(
    rehearsal: Path, encoders: Path, tmp_path: Path
) -> None:
    """The same picture with its rows running north-east: found again in the plain one."""
    with rasterio.open(rehearsal / "map.tif") as whole:
        picture, crs, plain = whole.read(), whole.crs, whole.transform
    height, width = picture.shape[1:]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 30.0, 1.0)
    turned = cv2.warpAffine(picture.transpose(1, 2, 0), matrix, (width, height))
    inverse = rasterio.Affine(*cv2.invertAffineTransform(matrix).ravel())
    path = tmp_path / "rotated.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 4, "width": width, "height": height}
    with rasterio.open(path, "w", crs=crs, transform=plain @ inverse, **profile) as file:
        file.write(turned.transpose(2, 0, 1))
    from geobridge.training.rasters.raster import Raster

    with Raster(path, 1.0, ORIGIN) as one, Raster(rehearsal / "map.tif", 1.0, ORIGIN) as other:
        image, valid = one.read_at(-50.0, 50.0, 100, 100)
        expected, _ = other.read_at(-50.0, 50.0, 100, 100)
    assert valid.all()
    assert np.abs(image.astype(int) - expected).mean() < 12.0
