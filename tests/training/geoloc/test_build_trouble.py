"""`geobridge dataset build` that is killed, short of room, or given what it cannot use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rasterio

from geobridge.onboard.cli import main
from geobridge.onboard.durable import held
from geobridge.onboard.errors import DataError
from geobridge.training.geoloc.build import build

from .drawn import PLAIN, files, town, write_raster

_MAIN = "import sys; from geobridge.onboard.cli import main; sys.exit(main())"


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
    assert "captions.base_url" in said('captions.base_url="localhost"')
    assert "seeds.step_m" in said("seeds.step_m=0.001")
    assert "nowhere.tif: not a readable raster" in said('satellite=[{path="nowhere.tif"}]')
    assert not (region / "work" / "1-seeds").exists()
    (region / "recipe.jsonl").write_text(
        '{"id": "a", "mosaic": "m", "side_m": 80, "split": "val", "texts": [7]}'
    )
    assert "recipe.jsonl, line 1: expected texts" in said('recipe="recipe.jsonl"')
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
    assert "plain.tif: has no CRS" in said('satellite=[{path="plain.tif"}]')
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
    assert build(region / "build.toml", [PLAIN])["with a square"] == 15
