"""`geobridge dataset build` on a drawn region whose truth is known."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from geobridge.onboard.views import View
from geobridge.training.config_model import PreprocessConfig
from geobridge.training.datasets.triples import TriplesSource
from geobridge.training.geoloc.build import build
from geobridge.training.geoloc.crops import street_picture
from geobridge.training.geoloc.stage import place_id

from .drawn import FRAME, PLAIN, SHIFT_M, STANDS, files, town, write_raster


def metadata(folder: Path) -> list[dict[str, Any]]:
    paths = sorted((folder / "set").glob("*/metadata.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


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


def test_a_shift_that_cannot_be_believed_costs_the_place_where_shifts_are_corrected(
    region: Path,
) -> None:
    image = town(1, (6, 4)).copy()
    image[440:660, 240:460] = town(2)[440:660, 240:460]  # other ground around one stand
    write_raster(region / "satellite.tif", image)
    every = ["crops.overlap=1.0", PLAIN]
    assert build(region / "build.toml", [*every, 'out="a"'])["aligned"] == 14
    assert (
        build(region / "build.toml", [*every, 'out="b"', "alignment.require=false"])["aligned"]
        == 15
    )
    reported = build(region / "build.toml", [*every, 'out="c"', "alignment.correct=false"])
    assert reported["aligned"] == 15


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
