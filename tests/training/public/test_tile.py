"""Maps and flights cut into tiles and pairs, which the readers then take."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio

pytest.importorskip("torch")

from geobridge.onboard.cli import main
from geobridge.training.datasets.layouts.recognise import opened
from geobridge.training.datasets.layouts.visloc_maps import centre
from geobridge.training.datasets.tiling.maps import Map, between, open_map, overlap

ORIGIN = (320_000.0, 3_727_000.0)


@pytest.fixture
def raw(tmp_path: Path, write_raster: Callable[..., Path]) -> Path:
    """Two maps of 2 km at 2 m, and four pictures of 500 m over each, one exactly on a tile."""
    for at, name in enumerate(("a", "b")):
        folder = tmp_path / "raw" / name
        (folder / "drone").mkdir(parents=True)
        land = np.random.default_rng(at).integers(1, 255, (1000, 1000, 3)).astype(np.uint8)
        transform = rasterio.Affine(2.0, 0.0, ORIGIN[0] + 5000 * at, 0.0, -2.0, ORIGIN[1])
        path = folder / f"satellite{name}.tif"
        write_raster(path, land, "EPSG:32650", transform)
        area = open_map(name, path)
        lines = ["num,filename,date,lat,lon,height,Omega,Kappa,Phi1,Phi2"]
        for number in range(4):
            lat, lon = area.corners((1, number % 2, number // 2)).mean(axis=0)
            file = f"{name}_{number:04d}.JPG"
            cv2.imwrite(str(folder / "drone" / file), np.full((20, 30, 3), 40 * number, np.uint8))
            lines.append(f"{number},{file},x,{lat},{lon},1000,0,0,{0 if number else 90},0")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "raw"


def tile(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["dataset", "tile", *map(str, words), "--json", "-q"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_pairs_are_those_that_share_ground(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    fov = 2 * math.degrees(math.atan(512 / 1000))
    words = (raw, "-o", out, "--hfov-deg", fov, "--vfov-deg", fov, "--test", "b")
    counts = tile(capsys, *words)
    assert (counts["maps"], counts["tiles"]) == (2, 2 * (1 + 4))
    assert (counts["cross area, train"], counts["cross area, test"]) == (4, 4)
    entries = json.loads((out / "cross-area-drone2sate-test.json").read_text())
    # a picture of 1024 m on the middle of a tile of 1024 m is that tile
    for number, entry in enumerate(entries):
        assert entry["pair_pos_sate_img_list"] == [f"b_1_{number % 2:03d}_{number // 2:03d}.png"]
        assert entry["pair_pos_sate_weight_list"] == [pytest.approx(1.0, abs=0.02)]
        assert "b_0_000_000.png" in entry["pair_pos_semipos_sate_img_list"]
    name, layout = opened(out, "cross")
    assert name == "uav-visloc"
    (task,) = layout.tasks()
    assert (len(task.queries), len(task.gallery)) == (4, 10)
    assert main(["dataset", "check", str(out), "--variant", "cross", "-q"]) == 0


def test_going_on_writes_only_what_is_missing(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    tile(capsys, raw, "-o", out)
    path = out / "satellite" / "a_1_000_000.png"
    whole, kept = path.read_bytes(), path.with_name("a_1_001_000.png")
    path.unlink()
    before = kept.stat().st_mtime_ns
    tile(capsys, raw, "-o", out)
    assert path.read_bytes() == whole
    assert kept.stat().st_mtime_ns == before


def test_a_tile_is_the_mean_of_what_it_covers(raw: Path) -> None:
    path = raw / "a" / "satellitea.tif"
    area = open_map("a", path)
    with rasterio.open(path) as raster:
        land = raster.read().transpose(1, 2, 0)
    expected = land[:512, :512].reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    assert np.abs(area.cut((1, 0, 0)) - expected).max() <= 1
    assert not area.cut((0, 0, 0))[251:].any()


def test_tiles_lie_where_the_prepared_data_set_has_them() -> None:
    # map 05: 6144 x 9394 pixels, so six zooms; sizes of lower zooms are rounded up there
    corners = (24.666899, 102.340055), (24.650422, 102.365252)
    area = Map("05", Path(), 6144, 9394, between(*corners, 6144, 9394))
    there = area.corners((5, 3, 2)).mean(axis=0)
    assert centre("05_5_003_002") == pytest.approx(there, abs=1e-6)


def test_overlap() -> None:
    square = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)])
    assert overlap(square, square) == pytest.approx(1.0)
    assert overlap(square, square + np.array([5.0, 0.0])) == pytest.approx(50 / 150)
    assert overlap(square, square + np.array([20.0, 0.0])) == 0.0


def test_mistakes_are_one_line(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: object) -> str:
        assert main(["dataset", "tile", *map(str, words), "-o", str(tmp_path / "o"), "-q"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "--test c: no such map, there are a, b" in refused(raw, "--test", "c")
    assert "expected folders <map> with satellite<map>.tif" in refused(raw / "a")
    table = raw / "a" / "a.csv"
    whole = table.read_text()
    table.write_text(whole.replace("Phi1", "phi"))
    assert "has no column 'Phi1'" in refused(raw)
    words = whole.splitlines()[1].split(",")
    words[3], words[4] = words[4], words[3]
    table.write_text("\n".join([whole.splitlines()[0], ",".join(words)]))
    assert "which are swapped: latitude comes first" in refused(raw)
    table.write_text(whole)
    (raw / "b" / "drone" / "b_0002.JPG").unlink()
    assert "b_0002.JPG: expected there" in refused(raw)
