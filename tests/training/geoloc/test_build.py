"""`geobridge dataset build` on a drawn region whose truth is known."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from PIL import Image

from geobridge.onboard.cli import main
from geobridge.onboard.durable import held
from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View
from geobridge.training.config_model import PreprocessConfig
from geobridge.training.datasets.triples import TriplesSource
from geobridge.training.geoloc import build as build_module
from geobridge.training.geoloc.build import build
from geobridge.training.geoloc.crops import street_picture
from geobridge.training.geoloc.stage import place_id

from .drawn import FRAME, SHIFT_M, STANDS, town, write_raster

PLAIN = 'captions.kind="none"'
"""Texts want an interpreter's worth of imports."""


def metadata(folder: Path) -> list[dict[str, Any]]:
    paths = sorted((folder / "set").glob("*/metadata.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "card.html"
    }


def test_triples_lie_where_their_street_pictures_were_taken(region: Path) -> None:
    counts = build(region / "build.toml")
    places = metadata(region)
    at = {place_id("streets", f"s{number:02d}.jpg"): stand for number, stand in enumerate(STANDS)}
    assert counts["street pictures"] == 16
    # the hole in the mosaic is at the last stand
    assert counts["with a square"] == 15
    assert 3 <= len(places) <= 15
    land = town(1)
    for place in places:
        middle_m = FRAME.to_enu(place["lat_deg"], place["lon_deg"])
        assert np.allclose(middle_m, at[place["id"]], atol=0.01)
        told = place["views"]["satellite"]
        assert told["corrected"]
        found = (told["shift_east_m"], told["shift_north_m"])
        assert np.hypot(*np.subtract(found, SHIFT_M)) < 0.7
        assert told["captured"] == "2025-05-01"
        assert told["gsd_m"] == pytest.approx(1.0, rel=1e-3)
        half = place["footprint_m"] / 2.0
        west, north = middle_m[0] - half, middle_m[1] + half
        row, column = round(450 - north), round(west + 450)
        side = round(2 * half)
        expected = cv2.resize(
            land[row : row + side, column : column + side], (96, 96), interpolation=cv2.INTER_AREA
        )
        for view, least in (("drone", 0.97), ("satellite", 0.9)):
            path = region / "set" / place["split"] / view / f"{place['id']}.jpg"
            stored = cv2.imread(str(path))
            assert stored is not None
            picture = stored[..., ::-1]
            likeness = np.corrcoef(picture.ravel(), expected.ravel())[0, 1]
            assert likeness > least, (view, place["id"], likeness)


def test_what_is_written_is_read_by_the_trainer_and_by_others(region: Path) -> None:
    build(region / "build.toml")
    places = metadata(region)
    train = [place for place in places if place["split"] == "train"]
    source = TriplesSource(region / "set", list(View), PreprocessConfig(), len(train), 0)
    batch = source.batch(0)
    assert sorted(batch.names) == sorted(place["id"] for place in train)
    assert all(batch.texts)
    table = pq.read_table(region / "set" / "metadata.parquet").to_pylist()
    assert {row["id"] for row in table} == {place["id"] for place in places}
    assert {row["views.satellite.captured"] for row in table} == {"2025-05-01"}
    with tarfile.open(region / "set" / "webdataset" / "train-000000.tar") as tar:
        names = tar.getnames()
        first = train[0]["id"]
        endings = ("drone.jpg", "satellite.jpg", "street.jpg", "txt", "json")
        assert names[:5] == [f"{first}.{ending}" for ending in endings]
        text = tar.extractfile(f"{first}.txt").read().decode()  # type: ignore[union-attr]
    assert text == batch.texts[batch.names.index(first)]
    card = (region / "set" / "card.html").read_text()
    assert "CC0" in card
    assert "smallest gap between splits" in card
    assert "just kept" in (region / "work" / "gates.html").read_text()


def test_a_second_run_does_nothing_and_ends_with_the_same_bytes(region: Path) -> None:
    build(region / "build.toml")
    before = files(region / "set")
    stamps = {p: p.stat().st_mtime_ns for p in (region / "work" / "pictures").rglob("*.jpg")}
    build(region / "build.toml")
    assert files(region / "set") == before
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps


def test_the_order_of_the_street_pictures_decides_nothing(region: Path) -> None:
    build(region / "build.toml", [PLAIN])
    header, *rows = (region / "streets" / "positions.csv").read_text().splitlines()
    (region / "streets" / "positions.csv").write_text("\n".join([header, *rows[::-1]]) + "\n")
    build(region / "build.toml", [PLAIN, 'out="again"', 'work="again-work"'])
    first, second = files(region / "set"), files(region / "again")
    assert first.keys() == second.keys()
    assert all(first[name] == second[name] for name in first if name.endswith(".jpg"))


def test_a_build_that_was_killed_goes_on(region: Path, tmp_path: Path) -> None:
    """Killed at several moments; in the end it is as if nothing had happened."""
    arguments = [f'out="{tmp_path}/other"', f'work="{tmp_path}/other-work"']
    build(region / "build.toml", arguments)
    command = [sys.executable, "-c", _MAIN, "dataset", "build", str(region / "build.toml")]
    for wait in ("1-seeds", "4-crops", "6-captions"):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60.0
        folder = region / "work" / wait
        while not folder.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30.0)
    build(region / "build.toml")
    first, second = files(region / "set"), files(tmp_path / "other")
    assert first == second


_MAIN = "import sys; from geobridge.onboard.cli import main; sys.exit(main())"


def test_a_recipe_builds_the_same_set_from_ones_own_sources(region: Path) -> None:
    build(region / "build.toml", ["publish.imagery=false"])
    assert not list((region / "set").rglob("*.jpg"))
    recipe = region / "set" / "recipe.jsonl"
    wanted = {place["id"]: place for place in metadata(region)}
    where = [f'recipe="{recipe}"', f'out="{region}/rebuilt"', f'work="{region}/anew"']
    build(region / "build.toml", [*where, 'captions.kind="none"'])
    paths = sorted((region / "rebuilt").glob("*/metadata.jsonl"))
    rebuilt = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    assert {p["id"]: (p["split"], p["footprint_m"], p["texts"]) for p in rebuilt} == {
        name: (p["split"], p["footprint_m"], p["texts"]) for name, p in wanted.items()
    }
    assert len(list((region / "rebuilt").glob("*/drone/*.jpg"))) == len(wanted)


def test_ray_gives_the_same_bytes(region: Path) -> None:
    ray = pytest.importorskip("ray")
    build(region / "build.toml")
    try:
        build(region / "build.toml", [f'out="{region}/ray"', f'work="{region}/ray-work"'], "ray")
    finally:
        ray.shutdown()
    assert files(region / "ray") == files(region / "set")


test_ray_gives_the_same_bytes = pytest.mark.slow(test_ray_gives_the_same_bytes)


def pictures(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in files(folder).items() if name.endswith(".jpg")}


def test_settings_to_and_fro_leave_no_picture_of_the_other(region: Path) -> None:
    build(region / "build.toml", [PLAIN, 'out="first"'])
    build(region / "build.toml", [PLAIN, 'out="other"', "seed=7", "alignment.correct=false"])
    build(region / "build.toml", [PLAIN, 'out="again"'])
    assert pictures(region / "first") != pictures(region / "other")
    assert pictures(region / "first") == pictures(region / "again")


def test_sources_that_have_changed_are_looked_at_again(region: Path) -> None:
    build(region / "build.toml", [PLAIN, 'out="first"'])
    write_raster(region / "satellite.tif", town(1, (2, 3)))
    build(region / "build.toml", [PLAIN, 'out="second"'])
    write_raster(region / "mosaic.tif", town(1, (2, 0)))
    for path in (region / "streets").glob("*.jpg"):
        cv2.imwrite(str(path), np.random.default_rng(5).integers(0, 255, (64, 128, 3), np.uint8))
    build(region / "build.toml", [PLAIN, 'out="third"'])
    build(region / "build.toml", [PLAIN, 'out="anew"', 'work="anew-work"'])
    assert files(region / "third") == files(region / "anew")
    first, second = pictures(region / "first"), pictures(region / "second")
    same = {name for name in first.keys() & second.keys() if first[name] == second[name]}
    assert {name for name in same if "/street/" in name}
    assert not {name for name in same if "/satellite/" in name}


def test_street_pictures_stand_as_they_were_held(tmp_path: Path) -> None:
    upright = np.zeros((60, 40, 3), np.uint8)
    upright[:20] = 240  # bright above
    exif = Image.Exif()
    exif[0x0112] = 6  # the sensor lay on its side
    lying = Image.fromarray(np.rot90(upright).copy())
    lying.save(tmp_path / "p.jpg", exif=exif, quality=95)
    picture = street_picture(tmp_path / "p.jpg", 60)
    assert picture.shape == (60, 40, 3)
    assert picture[:15].mean() > 200
    assert picture[25:].mean() < 40


def test_a_street_picture_that_is_broken_costs_its_place_alone(
    region: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = region / "streets" / "s05.jpg"
    broken.write_bytes(broken.read_bytes()[:-400])
    counts = build(region / "build.toml", [PLAIN])
    assert (counts["without overlaps"], counts["cut"]) == (15, 14)
    assert f"left out: {broken}: not a whole picture" in caplog.text
    rates = json.loads((region / "work" / "rates.json").read_text())
    assert (rates["4-crops"]["places"], rates["5-satellite"]["places"]) == (15, 14)
    build(region / "build.toml", [PLAIN])
    again = json.loads((region / "work" / "rates.json").read_text())
    assert again["4-crops"] == rates["4-crops"]


def test_two_builds_do_not_meet_in_one_folder(region: Path) -> None:
    (region / "work").mkdir()
    with (
        held(os.open(region / "work", os.O_RDONLY), DataError("not alone")),
        pytest.raises(DataError, match="work: another build is working there"),
    ):
        build(region / "build.toml", [PLAIN])


def test_what_is_written_already_needs_no_room(
    region: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(region / "build.toml", [PLAIN])
    full = shutil.disk_usage(region)._replace(free=0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    build(region / "build.toml", [PLAIN])
    with pytest.raises(DataError, match=r"needs 0\.00 GB, 0\.00 GB are free"):
        build(region / "build.toml", [PLAIN, 'out="other"'])


def test_a_set_of_other_pictures_takes_another_folder(region: Path) -> None:
    build(region / "build.toml", [PLAIN])
    with pytest.raises(DataError, match="was begun with places"):
        build(region / "build.toml", [PLAIN, "seed=7", "crops.scales_m=[100.0]"])


def test_bad_input_is_one_line(region: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = region / "build.toml"

    def said(*overrides: str) -> str:
        assert main(["dataset", "build", str(config), *overrides]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        [line] = [each for each in told.err.splitlines() if " INFO " not in each]
        assert line.startswith("geobridge dataset build: ")
        return line

    assert "crops.scale_m: unknown key" in said("crops.scale_m=3")
    assert "no such file or folder" in said('drone=[{path="nowhere.tif"}]')
    assert "splits.block_m" in said("splits.block_m=310", "crops.scales_m=[180.0]")
    assert "MAPILLARY_TOKEN holds no key" in said('street=[{kind="mapillary"}]')
    assert "neither of them in the other" in said('work="set/work"')
    assert "two folders are called streets" in said(
        'street=[{path="streets"},{path="more/streets"}]'
    )
    assert "leave something for train" in said("splits.val=0.5", "splits.test=0.5")
    assert "the smaller ones first" in said('drone=[{kind="catalogue",bbox=[9.0,1.0,2.0,3.0]}]')
    assert "seeds.step_m" in said("seeds.step_m=0.001")
    assert "nowhere.tif: not a readable raster" in said('satellite=[{path="nowhere.tif"}]')
    assert not (region / "work" / "1-seeds").exists()
    assert "may not be passed on" in said('street=[{kind="streetview"}]')
    with rasterio.open(region / "mosaic.tif") as source:
        bands = source.read()
    plain = region / "plain.tif"
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(
            plain, "w", driver="GTiff", dtype="uint8", count=4, height=900, width=900
        ) as dataset,
    ):
        dataset.write(bands)
    assert "plain.tif: has no CRS" in said('drone=[{path="plain.tif"}]')
    write_raster(region / "far.tif", town(2))
    (region / "features.geojson").write_text("{}")
    assert "expected a FeatureCollection" in said()


def test_a_full_disk_is_one_line_and_loses_nothing(
    region: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(region / "work"))

    with monkeypatch.context() as patch:
        patch.setattr("geobridge.training.geoloc.crops.write_picture", full)
        with pytest.raises(DataError, match="the disk is full; free some and run again"):
            build(region / "build.toml", [PLAIN])
    assert build_module.build(region / "build.toml", [PLAIN])["with a square"] == 15
