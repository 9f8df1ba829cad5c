from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rasterio")

import rasterio

from geobridge.export.encoding import chunks as chunks_module
from geobridge.export.folders import Folders
from geobridge.export.measures import graphs as graphs_module
from geobridge.export.pack import pack
from geobridge.export.references.grounds import raster_sha256
from geobridge.onboard.bundle import MANIFEST, Bundle, sha256
from geobridge.onboard.errors import DataError
from geobridge.onboard.retrieval import layer as layer_module
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.index import Index
from geobridge.onboard.views import View

COARSE = {"registration_m": 1.0, "spacing_m": 25.0}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def packed(rehearsal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with few places, which is packed in no time."""
    folder = tmp_path_factory.mktemp("packed") / "bundle"
    return pack(rehearsal / "map.tif", rehearsal / "encoders", folder, **COARSE)


def test_a_bundle_holds_what_was_asked_for(packed: Path) -> None:
    bundle = Bundle.open(packed)
    coverage, places = bundle.manifest.coverage, bundle.places()
    assert (coverage.footprint_m, coverage.spacing_m) == (100.0, 25.0)
    assert bundle.manifest.reference_imagery.gsd_m == 1.0
    assert len(places) == 16 * 16 - 4  # the corners show too little
    assert 395.0 < coverage.east_m - (coverage.west_m + 100.0) + 25.0 < 425.0
    lat_deg, lon_deg = coverage.frame.to_geodetic(
        np.column_stack([places["east_m"], places["north_m"]])
    )
    assert np.allclose(places["lat_deg"], lat_deg, atol=1e-9)
    assert np.allclose(places["lon_deg"], lon_deg, atol=1e-9)


def test_every_descriptor_is_that_of_its_square(packed: Path) -> None:
    bundle = Bundle.open(packed)
    encoder = Encoder.open(bundle, View.SATELLITE, "onnxruntime", "fp32")
    imagery, places = ReferenceImagery.open(bundle), bundle.places()
    chosen = np.arange(0, len(places), 17)
    squares = [
        imagery.read(float(row["east_m"]), float(row["north_m"]), 100) for row in places[chosen]
    ]
    fresh = encoder.encode([encoder.prepare(image, valid) for image, valid, _ in squares])
    stored = bundle.descriptors()[chosen].astype(np.float32)
    assert np.sum(fresh * stored, axis=1).min() > 0.999


def test_the_imagery_is_the_raster_in_the_local_plane(packed: Path, rehearsal: Path) -> None:
    from geobridge.training.rasters.raster import Raster

    bundle = Bundle.open(packed)
    image, valid, (east_m, north_m) = ReferenceImagery.open(bundle).read(40.0, -60.0, 90)
    with Raster(rehearsal / "map.tif", 1.0) as raster:
        assert raster.frame == bundle.manifest.coverage.frame
        expected, shown = raster.read_at(east_m - 45.0, north_m + 45.0, 90, 90)
    assert np.array_equal(valid, shown)
    assert np.abs(image.astype(int) - expected.astype(int)).max() <= 1


def test_a_layer_too_large_for_exact_search_gets_a_graph(
    rehearsal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (graphs_module, layer_module):
        monkeypatch.setattr(module, "EXACT_UP_TO", 100)
    words = (rehearsal / "map.tif", rehearsal / "encoders")
    bundle = Bundle.open(pack(*words, tmp_path / "b", **COARSE))
    [layer] = bundle.manifest.layers
    assert layer.graph is not None
    assert layer.graph.recall_at_10 >= 0.99
    index = Index.open(bundle)
    for row in range(0, layer.count, 40):
        query = np.asarray(index.descriptors[row], np.float32)
        found = index.search(query / np.linalg.norm(query), 3)
        assert len(found) == 3
        assert found[0].score == pytest.approx(1.0, abs=2e-3)
    monkeypatch.setattr(graphs_module, "RECALL_TARGET", 1.1)
    exact = Bundle.open(pack(*words, tmp_path / "exact", **COARSE))
    assert exact.manifest.layers[0].graph is None
    assert not (exact.path / "reference/graphs").exists()


def test_packing_twice_gives_the_same_bytes(packed: Path, rehearsal: Path, tmp_path: Path) -> None:
    again = pack(rehearsal / "map.tif", rehearsal / "encoders", tmp_path / "b", **COARSE)
    assert contents(again) == contents(packed)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_bundle_is_replaced_by_its_successor(
    packed: Path, rehearsal: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(packed, tmp_path / "bundle"))
    pack(rehearsal / "map.tif", rehearsal / "encoders", out, bundle_version=2, **COARSE)
    assert Bundle.open(out).manifest.bundle_version == 2
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


KILLED = """
import os, signal, sys
from pathlib import Path
from geobridge.export.pack import pack
from geobridge.export.encoding import chunks
from geobridge.onboard.retrieval.encoder import Encoder
chunks.CHUNK = chunks.BATCH = 64
encode, calls = Encoder.encode, []
def deadly(self, pictures):
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    calls.append(len(pictures))
    return encode(self, pictures)
Encoder.encode = deadly
raster, encoders, out = map(Path, sys.argv[1:])
pack(raster, encoders, out, registration_m=1.0, spacing_m=25.0)
"""


def test_a_killed_run_goes_on_where_it_stopped(
    rehearsal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bundle"
    words = [rehearsal / "map.tif", rehearsal / "encoders", out]
    command = [sys.executable, "-c", KILLED, *map(str, words)]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == -9
    assert not out.exists()
    encode, sizes = Encoder.encode, []

    def counting(self: Encoder, pictures: list[object]) -> object:
        sizes.append(len(pictures))
        return encode(self, pictures)

    monkeypatch.setattr(chunks_module, "CHUNK", 64)
    monkeypatch.setattr(chunks_module, "BATCH", 64)
    monkeypatch.setattr(Encoder, "encode", counting)
    pack(*words, **COARSE)
    # of four chunks of places two were there; held-out squares twice; known answers
    assert sizes == [64, 64, *[64] * 8, 6, 6]
    whole = pack(*words[:2], tmp_path / "whole", **COARSE)
    assert contents(out) == contents(whole)
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "whole"}


def test_two_do_not_pack_at_the_same_place(
    packed: Path, rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    """Neither the same plan nor another one, which would clear what the first has done."""
    folders, out = Folders.beside(tmp_path / "b"), tmp_path / "b"
    words = ("pack", rehearsal / "map.tif", "--encoders", rehearsal / "encoders", "-o", out)
    with folders.begun("the plan of the first"):
        (folders.bundle / "done").write_bytes(b"work of hours")
        assert f"{out}: another process is packing there" in complaint(*words, "--spacing-m", 25)
        assert (folders.bundle / "done").exists()
    again = pack(rehearsal / "map.tif", rehearsal / "encoders", out, **COARSE)
    assert contents(again) == contents(packed)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


CRAMPED = """
import resource, sys
from geobridge.onboard.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
sys.exit(main(sys.argv[1:]))
"""


def test_a_disk_that_is_full(rehearsal: Path, packed: Path, tmp_path: Path) -> None:
    """No file may grow beyond 300 kB: the encoders do not fit. One line, and the run goes on."""
    out = tmp_path / "b"
    words = ["pack", rehearsal / "map.tif", "--encoders", rehearsal / "encoders", "-o", out]
    words += ["--registration-m", 1, "--spacing-m", 25, "-q"]
    command = [sys.executable, "-c", CRAMPED, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"geobridge pack: {tmp_path / '.partial-b'}/")
    assert "File too large; what is done is kept, the same command goes on" in done.stderr
    assert not out.exists()
    assert contents(
        pack(*(rehearsal / name for name in ("map.tif", "encoders")), out, **COARSE)
    ) == (contents(packed))
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_work_of_another_plan_is_not_taken_over(
    packed: Path, rehearsal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Encoder, pictures: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Encoder, "encode", broken)
        with pytest.raises(KeyboardInterrupt):
            pack(rehearsal / "map.tif", rehearsal / "encoders", tmp_path / "b", gsd_m=2.0)
    assert {path.name for path in tmp_path.iterdir()} == {".partial-b", ".partial-b.work"}
    again = pack(rehearsal / "map.tif", rehearsal / "encoders", tmp_path / "b", **COARSE)
    assert contents(again) == contents(packed)


def test_what_is_not_a_bundle_is_not_overwritten(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.jpg").write_bytes(b"precious")
    words = ("pack", rehearsal / "map.tif", "--encoders", rehearsal / "encoders", "-o")
    line = complaint(*words, tmp_path / "photos")
    assert f"{tmp_path / 'photos'}: exists and is not a bundle" in line
    assert contents(tmp_path) == {"photos/one.jpg": b"precious"}


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    path = tmp_path / "nowhere.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 64, "height": 64}
    metres = rasterio.Affine(1.0, 0.0, 500_000.0, 0.0, -1.0, 5_200_000.0)
    with rasterio.open(path, "w", transform=metres, **profile) as dataset:
        dataset.write(np.full((3, 64, 64), 90, np.uint8))
    return path


def test_a_raster_without_crs(
    nowhere: Path, rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    words = ("--encoders", rehearsal / "encoders", "-o", tmp_path / "bundle")
    assert f"{nowhere}: has no CRS" in complaint("pack", nowhere, *words)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("content", [b"", b"no raster"])
def test_a_raster_that_is_none(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str], content: bytes
) -> None:
    (tmp_path / "map.tif").write_bytes(content)
    words = ("--encoders", rehearsal / "encoders", "-o", tmp_path / "bundle")
    line = complaint("pack", tmp_path / "map.tif", *words)
    assert f"{tmp_path / 'map.tif'}: not a readable raster" in line
    assert not (tmp_path / "bundle").exists()


def test_a_footprint_larger_than_the_raster(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    words = ("--encoders", rehearsal / "encoders", "-o", tmp_path / "bundle")
    line = complaint("pack", rehearsal / "map.tif", *words, "--footprint-m", "900")
    assert f"{rehearsal / 'map.tif'}: no square of 900 m has enough data" in line
    assert list(tmp_path.iterdir()) == []


def test_a_raster_that_is_found_damaged_on_the_way(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    whole = (rehearsal / "map.tif").read_bytes()
    (tmp_path / "map.tif").write_bytes(whole[: len(whole) // 2])
    words = ("--encoders", rehearsal / "encoders", "-o", tmp_path / "bundle")
    assert f"{tmp_path / 'map.tif'}: " in complaint("pack", tmp_path / "map.tif", *words)
    assert [path.name for path in tmp_path.iterdir()] == ["map.tif"]


@pytest.mark.parametrize("value", [-5.0, 0.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["footprint_m", "spacing_m", "gsd_m", "registration_m"])
def test_values_that_make_no_sense(
    rehearsal: Path, tmp_path: Path, name: str, value: float
) -> None:
    option = name.replace("_", "-")
    given = {"footprints_m": (value,)} if name == "footprint_m" else {name: value}
    with pytest.raises(DataError, match=f"^--{option}: {value} must be positive"):
        pack(rehearsal / "map.tif", rehearsal / "encoders", tmp_path / "bundle", **given)
    assert list(tmp_path.iterdir()) == []


def test_places_nearer_than_pixels_are_refused(rehearsal: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--spacing-m: 1e-06 m is less than a pixel of 1 m"):
        pack(rehearsal / "map.tif", rehearsal / "encoders", tmp_path / "bundle", spacing_m=1e-6)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shown", ["land", "nothing"])
def test_a_map_that_shows_little_is_told(
    rehearsal: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, shown: str
) -> None:
    raster = Path(shutil.copy(rehearsal / "map.tif", tmp_path))
    if shown == "nothing":
        with rasterio.open(raster, "r+") as dataset:
            data = dataset.read()
            data[:3] = 128
            dataset.write(data)
    pack(raster, rehearsal / "encoders", tmp_path / "b", registration_m=1.0, spacing_m=100.0)
    assert ("too little to align with: expect silence" in caplog.text) == (shown == "nothing")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"gsd_m": 500.0, "footprints_m": (9000.0,)}, "--gsd-m: 500 is not from 0.01 to 100 m"),
        ({"gsd_m": 1e-3}, "--gsd-m: 0.001 is not from 0.01 to 100 m"),
        ({"gsd_m": 0.02}, "--footprint-m: 100 m is more than 4096 pixels of 0.02 m"),
    ],
)
def test_values_that_no_bundle_can_have_are_refused_before_the_work(
    rehearsal: Path, tmp_path: Path, value: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(told)}$"):
        pack(rehearsal / "map.tif", rehearsal / "encoders", tmp_path / "bundle", **value)
    assert list(tmp_path.iterdir()) == []


MOSAIC = """
<VRTDataset rasterXSize="64" rasterYSize="64">
<SRS>EPSG:32632</SRS><GeoTransform>500000, 1, 0, 5200000, 0, -1</GeoTransform>
<VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="1">part.tif</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand></VRTDataset>
"""


def test_a_mosaic_is_known_by_all_of_its_files(nowhere: Path, tmp_path: Path) -> None:
    """Else work on what it showed before would go on with what it shows now."""
    mosaic, part = tmp_path / "mosaic.vrt", nowhere.rename(tmp_path / "part.tif")
    mosaic.write_text(MOSAIC)
    first = raster_sha256(mosaic)
    assert first == raster_sha256(mosaic) != sha256(mosaic)
    assert raster_sha256(part) == sha256(part)
    with rasterio.open(part, "r+") as dataset:
        dataset.write(np.full((3, 64, 64), 91, np.uint8))
    assert raster_sha256(mosaic) != first
    part.unlink()
    with pytest.raises(DataError, match=r"mosaic\.vrt: needs .*part\.tif, which is not there"):
        raster_sha256(mosaic)


def test_a_footprint_of_a_few_pixels(rehearsal: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^--footprint-m: 7 m is less than 8 pixels of 1 m"):
        pack(rehearsal / "map.tif", rehearsal / "encoders", tmp_path / "b", footprints_m=(7.0,))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("view", ["drone", "satellite"])
def test_encoders_that_lack_a_view(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str], view: str
) -> None:
    folder = Path(shutil.copytree(rehearsal / "encoders", tmp_path / "encoders"))
    record = json.loads((folder / "encoders.json").read_text())
    record["encoders"] = [entry for entry in record["encoders"] if entry["view"] != view]
    (folder / "encoders.json").write_text(json.dumps(record))
    words = ("--encoders", folder, "-o", tmp_path / "bundle")
    line = complaint("pack", rehearsal / "map.tif", *words)
    assert f"{folder}: no {view} encoder in fp32" in line
    assert [path.name for path in tmp_path.iterdir()] == ["encoders"]


def test_a_bundle_that_would_be_refused_is_not_published(
    packed: Path, rehearsal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(packed, tmp_path / "bundle"))

    def refuse(path: Path) -> None:
        raise DataError(f"{path}: refused")

    monkeypatch.setattr(Bundle, "open", refuse)
    with pytest.raises(DataError, match="refused"):
        pack(rehearsal / "map.tif", rehearsal / "encoders", out, bundle_version=2, **COARSE)
    assert contents(out) == contents(packed)
    assert json.loads((out / MANIFEST).read_text())["bundle_version"] == 1
