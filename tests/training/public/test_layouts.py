"""Public data sets are recognised, and asked and trained as published; mistakes are one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View
from geobridge.training.config_data import BatchesConfig
from geobridge.training.config_model import PreprocessConfig
from geobridge.training.datasets.batch import NEITHER
from geobridge.training.datasets.layouts.recognise import opened, recognise
from geobridge.training.datasets.layouts.rows import Row, held_out
from geobridge.training.datasets.layouts.task import Task
from geobridge.training.datasets.layouts.visloc_maps import centre
from geobridge.training.datasets.triples import TriplesSource
from geobridge.training.protocols.known import chosen
from geobridge.training.protocols.university import without_junk

Write = Callable[[str], Path]


def tasks(folder: Path, variant: str = "") -> dict[str, Task]:
    return {task.name: task for task in opened(folder, variant)[1].tasks()}


def test_each_is_recognised_and_every_protocol_has_a_task(each_set: Path) -> None:
    name, layout = opened(each_set)
    assert name == each_set.name
    asked = layout.tasks()
    for protocol in chosen(name, ()):
        assert protocol.tasks(asked), protocol.name
    for task in asked:
        assert len(task.positive.offsets) == len(task.queries) + 1
        assert np.all(np.diff(task.positive.offsets) > 0), task.name
        for items in (task.queries, task.gallery):
            assert len(items.names) == len(items.places) == len(set(items.names))
            assert items.reader.read(items.names[0])
    assert sum(layout.counts().values())


def test_university_has_54_and_one(public_set: Write) -> None:
    folder = public_set("university1652")
    found = tasks(folder)
    drone = found["drone to satellite"]
    assert (len(drone.queries), len(drone.gallery)) == (12, 6)
    assert (len(found["satellite to drone"].queries), len(found["satellite to drone"].gallery)) == (
        4,
        18,
    )
    assert np.diff(found["satellite to drone"].positive.offsets).tolist() == [3] * 4
    assert "drone to satellite, fog" in found
    assert "street to satellite" in found
    (queried,) = without_junk([drone])
    assert (len(queried.gallery), queried.counted) == (4, 6)
    for query, place in enumerate(queried.queries.places):
        (right,) = queried.positive.of(query)
        assert queried.gallery.places[right] == place


def test_vigor_searches_all_tiles_and_forgives_three(public_set: Write) -> None:
    found = tasks(public_set("vigor"))
    same, cross = (found[f"street to satellite, {area} area"] for area in ("same", "cross"))
    assert (len(same.queries), len(same.gallery)) == (16, 48)
    assert (len(cross.queries), len(cross.gallery)) == (16, 24)
    assert same.semi is not None
    assert np.diff(same.semi.offsets).tolist() == [3] * 16


def test_gta_leaves_out_what_has_no_positive_and_knows_every_tile(public_set: Write) -> None:
    task = tasks(public_set("gta-uav"))["drone to satellite, cross area"]
    assert (len(task.queries), len(task.gallery)) == (6, 24)
    at = task.gallery.names.index("satellite/5_3_1.png")
    assert task.gallery.positions is not None
    side_m = 24576 / 2**5 * 0.45
    assert task.gallery.positions[at].tolist() == pytest.approx([3.5 * side_m, 1.5 * side_m])


def test_a_tile_of_an_offset_and_one_of_a_visloc_map(public_set: Write) -> None:
    folder = public_set("gta-uav")
    tile = folder / "satellite" / "5_128_3_1.png"
    shutil.copy(folder / "satellite" / "5_3_1.png", tile)
    task = tasks(folder)["drone to satellite, cross area"]
    assert task.gallery.positions is not None
    at = task.gallery.names.index("satellite/5_128_3_1.png")
    assert task.gallery.positions[at].tolist() == pytest.approx([4 * 345.6, 2 * 345.6])
    # map 05 has 6144 x 9394 pixels: six zooms, and at the largest tile 11, 12 is 256 pixels of it
    lat, lon = centre("05_6_11_12") or (0.0, 0.0)
    assert lat == pytest.approx(24.666899 - 12.5 * 256 / 6144 * (24.666899 - 24.650422))
    assert lon == pytest.approx(102.340055 + 11.5 * 256 / 9394 * (102.365252 - 102.340055))
    assert centre("99_6_1_1") is None


def test_visloc_looks_on_its_own_map(public_set: Write) -> None:
    task = tasks(public_set("uav-visloc"))["drone to satellite, same area"]
    assert task.maps is not None
    for query, right in enumerate(task.positive.items):
        assert task.maps[0][query] == task.maps[1][right]


def test_cvact_passes_over_what_is_missing_and_knows_five_metres(public_set: Write) -> None:
    folder = public_set("cvact")
    assert opened(folder)[1].counts() == {"train pairs": 11, "val pairs": 4, "test pairs": 4}
    near = tasks(folder)["street to satellite, test within 5 m"]
    assert np.diff(near.positive.offsets).tolist() == [1, 1, 2, 2]


def source(folder: Path, variant: str = "", split: str = "train", size: int = 4) -> TriplesSource:
    preprocess = PreprocessConfig(height_px=8, width_px=8)
    views = (View.DRONE, View.SATELLITE, View.STREET)
    return TriplesSource(
        folder, views, preprocess, size, 0, split, batches=BatchesConfig(), variant=variant
    )


def test_no_two_pictures_of_a_building_meet(public_set: Write) -> None:
    read = source(public_set("university1652"))
    assert read.places == len(set(read.names)) >= 8
    for step in range(2 * (read.places // 4)):
        batch = read.batch(step)
        buildings = [name.partition("-")[0] for name in batch.names]
        assert len(set(buildings)) == 4
        assert (batch.relation == np.eye(4)).all()
        assert batch.present["drone"].all()
        assert batch.present["satellite"].all()
    one, other = (read.names.index(f"{read.names[0][:4]}-{number}") for number in ("000", "001"))
    assert other in read.kin.positive.of(one)


def test_semi_positives_are_no_negatives(public_set: Write) -> None:
    read = source(public_set("vigor"), "cross", size=2)
    number = {name.partition(",")[0]: at for at, name in enumerate(read.names)}
    assert {name.rstrip("01234567") for name in number} == {"NewYork", "Seattle"}
    here = number["NewYork2"]
    assert {read.names[at].partition(",")[0] for at in read.kin.neither.of(here)} >= {
        f"NewYork{near}" for near in (1, 3, 4, 5) if f"NewYork{near}" in number
    }
    assert not len(read.kin.positive.of(here))
    for step in range(20):
        assert not (read.batch(step).relation == NEITHER).any()


def test_tiles_of_one_drone_picture_are_kin(public_set: Write) -> None:
    folder = public_set("gta-uav")
    path = folder / "cross-area-drone2sate-train.json"
    entries = json.loads(path.read_text())
    entries[0]["pair_pos_sate_img_list"] = entries[0]["pair_pos_semipos_sate_img_list"]
    path.write_text(json.dumps(entries))
    read = source(folder, "cross")
    names = [name for name in read.names if name.startswith("04_0000-")]
    assert len(names) == 2
    a, b = (read.names.index(name) for name in names)
    assert b in read.kin.positive.of(a)


def test_what_chooses_is_never_trained_on() -> None:
    rows = [
        Row(
            f"{place}-{number}",
            {View.DRONE: f"{place}/{number}", View.SATELLITE: f"{place}"},
            place,
        )
        for place in map(str, range(200))
        for number in range(3)
    ]
    train, val = held_out(rows, 0.2, None)
    assert not {row.place for row in train} & {row.place for row in val}
    assert len({row.place for row in val}) == len(val)
    assert 20 <= len(val) <= 60
    assert len(train) == 3 * (200 - len(val))
    assert held_out(rows[::-1], 0.2, None)[0] == train[::-1]


def test_blocks_of_land_are_held_out_whole() -> None:
    rows = [
        Row(f"{east}", {View.DRONE: f"{east}"}, f"{east}", position=(50.0 * east, 0.0))
        for east in range(1000)
    ]
    train, val = held_out(rows, 0.2, "metres")
    blocks = [{int(row.name) // 10 for row in some} for some in (train, val)]
    assert not blocks[0] & blocks[1]
    assert 10 <= len(blocks[1]) <= 30


def test_a_picture_chooses_once() -> None:
    rows = [Row(f"{at}", {View.DRONE: "one", View.SATELLITE: f"{at}"}, f"{at}") for at in range(50)]
    assert len(held_out(rows, 1.0, None)[1]) == 1


def test_every_set_has_rows_to_train_on(each_set: Path) -> None:
    if each_set.name != "geoloc":
        assert _rows(each_set, "train")


def _rows(folder: Path, split: str) -> list[str]:
    from geobridge.training.datasets.stores import open_store

    store = open_store(folder, split, tuple(View))
    return sorted({name for view in View for name in store.names(view)})


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        opened(folder)[1].tasks()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_folder_too_deep(public_set: Write, tmp_path: Path) -> None:
    folder = public_set("university1652")
    outer = tmp_path / "outer"
    (outer / "University-1652").mkdir(parents=True)
    shutil.move(str(folder), outer / "University-1652" / "inner")
    line = refused(outer / "University-1652")
    assert f"but {outer / 'University-1652' / 'inner'} is University-1652: give that folder" in line


def test_a_part_one_folder_too_deep(public_set: Write) -> None:
    folder = public_set("university1652")
    (folder / "test").rename(folder / "unpacked")
    (folder / "test").mkdir()
    (folder / "unpacked").rename(folder / "test" / "test")
    line = refused(folder)
    assert f"it lies one folder too deep, in {folder / 'test' / 'test'}" in line
    assert f"move what is in there to {folder / 'test'}" in line


def test_still_packed(public_set: Write, tmp_path: Path) -> None:
    packed = tmp_path / "download"
    packed.mkdir()
    (packed / "VIGOR.zip").write_bytes(b"PK")
    assert "but VIGOR.zip is not unpacked: unpack it there" in refused(packed)
    folder = public_set("vigor")
    shutil.rmtree(folder / "splits" / "Seattle")
    (folder / "splits" / "Seattle.zip").write_bytes(b"PK")
    assert f"but {folder / 'splits' / 'Seattle.zip'} is not unpacked" in refused(folder)


def test_a_missing_list(public_set: Write) -> None:
    folder = public_set("vigor")
    path = folder / "splits" / "Chicago" / "same_area_balanced_test.txt"
    path.unlink()
    assert refused(folder).startswith(f"{path}: expected there, and there is nothing like it near")
    folder = public_set("cvact")
    (folder / "ACT_data.mat").unlink()
    assert refused(folder).startswith(f"{folder / 'ACT_data.mat'}: expected there")


def test_a_place_that_no_gallery_has(public_set: Write) -> None:
    folder = public_set("university1652")
    shutil.rmtree(folder / "test" / "gallery_satellite" / "0102")
    line = refused(folder)
    assert "query_drone/0102/" in line
    assert "its place '0102' is in no picture of the gallery" in line
    folder = public_set("gta-uav")
    (folder / "satellite" / "5_1_2.png").unlink()
    assert "its tile 5_1_2.png is not in" in refused(folder)


def test_swapped_coordinates(public_set: Write) -> None:
    folder = public_set("denseuav")
    path = folder / "Dense_GPS_ALL.txt"
    path.write_text(path.read_text().replace(" E", " Q").replace(" N", " E").replace(" Q", " N"))
    line = refused(folder)
    assert "expected <id>/<picture> E<lon> N<lat> <height>" in line or "swapped" in line
    folder = public_set("own")
    path = folder / "places.csv"
    path.write_text(path.read_text().replace("lat_deg,lon_deg", "lon_deg,lat_deg"))
    line = refused(folder)
    assert "places.csv, row 1: latitude 120, longitude 30" in line
    assert line.endswith("which are swapped: latitude comes first")


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_table_of_ones_own(public_set: Write, ending: str) -> None:
    import csv

    folder = public_set("own")
    if ending != "csv":
        rows = list(csv.DictReader((folder / "places.csv").read_text().splitlines()))
        (folder / "places.csv").unlink()
        path = folder / f"places.{ending}"
        if ending == "jsonl":
            path.write_text("\n".join(map(json.dumps, rows)))
        else:
            pyarrow = pytest.importorskip("pyarrow")
            from pyarrow import parquet

            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert recognise(folder) == "own"
    assert len(tasks(folder)["drone to satellite"].queries) == 4


def test_without_places_what_is_near_is_right(public_set: Write) -> None:
    folder = public_set("own")
    path = folder / "places.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("\n".join(",".join(w[:2] + w[3:]) for w in lines) + "\n")
    task = tasks(folder)["drone to satellite"]
    assert task.positive.items.tolist() == [0, 1, 2, 3]


def test_a_table_that_cannot_be_used(public_set: Write) -> None:
    folder = public_set("own")
    path = folder / "places.csv"
    whole = path.read_text()
    for changed, said in (
        (whole.replace("path,view", "file,view"), "has no column 'path'; it has file, view"),
        (whole.replace(",drone,0100", ",bird,0100"), "view 'bird': expected drone, satellite"),
        (whole.replace("drones/0100", "drones/9"), "drones/9.jpg is not there; paths are below"),
        (whole + whole.splitlines()[1] + "\n", "is there before,"),
        (whole.replace("0100,test,3", "0100,test,x3"), "lat_deg: expected a number, got 'x3"),
    ):
        path.write_text(changed)
        assert said in refused(folder)


def test_an_unknown_variant(public_set: Write) -> None:
    with pytest.raises(DataError, match=r"no height '175', but 150, 300"):
        tasks(public_set("sues200"), "175")
    with pytest.raises(DataError, match="no area 'both', expected same or cross"):
        tasks(public_set("vigor"), "both")
    with pytest.raises(DataError, match="CVUSA has no variants"):
        tasks(public_set("cvusa"), "same")
