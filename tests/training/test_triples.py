from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View
from geobridge.training.config_data import AugmentConfig, BatchesConfig
from geobridge.training.config_model import PreprocessConfig
from geobridge.training.datasets.batch import NEGATIVE, NEITHER, POSITIVE, TEXT, Batch
from geobridge.training.datasets.triples import TriplesSource

ALL = AugmentConfig(missing={"drone": 0.3, "text": 0.3})
NO_KIN = BatchesConfig(positive_iou=1.0, neither_iou=1.0)
SPEC = PreprocessConfig(height_px=16, width_px=16)


@pytest.fixture
def folder(triples_config: Path) -> Path:
    """16 places of three views and a text."""
    return triples_config.parent / "set"


def source(folder: Path, batch_size: int = 4, seed: int = 0, **options: Any) -> TriplesSource:
    return TriplesSource(folder, tuple(View), SPEC, batch_size, seed, **options)


def same(a: Batch, b: Batch) -> None:
    """To the byte."""
    assert (a.names, a.texts, a.unreadable) == (b.names, b.texts, b.unreadable)
    assert np.array_equal(a.relation, b.relation)
    for view in View:
        assert np.array_equal(a.images[view], b.images[view])
    for side in (*View, TEXT):
        assert np.array_equal(a.present[side], b.present[side])


def write_lines(folder: Path, *lines: str) -> Path:
    path = folder / "train" / "text.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_an_epoch_holds_every_place_once(folder: Path) -> None:
    triples = source(folder)
    epochs = [
        [name for step in range(4 * e, 4 * e + 4) for name in triples.batch(step).names]
        for e in range(3)
    ]
    for epoch in epochs:
        assert sorted(epoch) == [f"{i:03d}" for i in range(16)]
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_batch_depends_on_its_number_alone(folder: Path) -> None:
    one, other = source(folder, augment=ALL), source(folder, augment=ALL)
    first = [one.batch(step) for step in range(6)]
    second = [other.batch(step) for step in reversed(range(6))][::-1]
    for a, b in zip(first, second, strict=True):
        same(a, b)
    assert not np.array_equal(
        first[0].images[View.DRONE], source(folder, seed=1).batch(0).images[View.DRONE]
    )


def test_rows_of_all_views_are_the_same_places(folder: Path) -> None:
    for place in range(16):
        for view in View:
            picture = np.full((8, 8, 3), 15 * place, np.uint8)
            path = folder / "train" / view.value / f"{place:03d}.jpg"
            path.unlink()
            cv2.imwrite(str(path.with_suffix(".png")), picture)
    batch = source(folder).batch(0)
    levels = {view: batch.images[view].mean(axis=(1, 2, 3)).tolist() for view in View}
    assert levels[View.DRONE] == levels[View.SATELLITE] == levels[View.STREET]
    assert len(set(levels[View.DRONE])) == 4


def test_what_a_place_lacks_is_masked(folder: Path) -> None:
    (folder / "train" / "street" / "003.jpg").unlink()
    write_lines(folder, *(json.dumps({"id": f"{i:03d}", "text": f"place {i}"}) for i in range(9)))
    batch = source(folder, batch_size=16).batch(0)
    assert sorted(batch.names) == [f"{i:03d}" for i in range(16)]
    rows = [int(name) for name in batch.names]
    assert batch.present["street"].tolist() == [row != 3 for row in rows]
    assert batch.present["drone"].all()
    assert batch.present[TEXT].tolist() == [row < 9 for row in rows]
    assert not batch.images[View.STREET][~batch.present["street"]].any()
    assert list(batch.texts) == [f"place {row}" if row < 9 else "" for row in rows]
    assert np.array_equal(batch.relation, np.eye(16))


def test_a_place_with_one_side_alone_is_left_out(folder: Path) -> None:
    for view in ("drone", "street"):
        (folder / "train" / view / "005.jpg").unlink()
    assert "005" in source(folder).names
    assert "005" not in source(folder, with_texts=False).names


def test_another_split_is_another_folder(folder: Path) -> None:
    shutil.move(folder / "train", folder / "val")
    assert source(folder, split="val").places == 16


def test_texts_may_hold_any_character(folder: Path) -> None:
    texts = {"000": "a\u2028b \u0085 Straße", "001": "", "002": "\r"}
    lines = (json.dumps({"id": k, "text": v}, ensure_ascii=False) for k, v in texts.items())
    write_lines(folder, *lines, "")
    assert source(folder).texts == {"000": texts["000"]}  # blank ones say nothing


def test_no_file_of_texts_is_no_texts(folder: Path) -> None:
    (folder / "train" / "text.jsonl").unlink()
    assert source(folder).batch(0).texts == ("",) * 4


def refused(folder: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        source(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "001"}',
        '{"id": "001", "text": null}',
        '{"id": "001", "text": ["a"]}',
        '["001", "a"]',
        "{'id': '001'}",
        "",
    ],
)
def test_a_bad_line_of_text_is_named(line: str, folder: Path) -> None:
    path = write_lines(folder, '{"id": "000", "text": "good"}', line, '{"id": "002", "text": "a"}')
    assert refused(folder).startswith(f"{path}, line 2: expected")


def test_texts_in_another_encoding_are_named(folder: Path) -> None:
    path = folder / "train" / "text.jsonl"
    path.write_bytes('{"id": "000", "text": "Straße"}'.encode("latin-1"))
    assert refused(folder).startswith(f"{path}, line 1: expected")


def test_texts_of_other_places_are_refused(folder: Path) -> None:
    path = write_lines(folder, '{"id": "000.jpg", "text": "with its suffix"}')
    problem = refused(folder)
    assert problem.startswith(f"{path}: none of its ids")
    assert "'000'" in problem


def test_a_wrong_layout_is_named(folder: Path, tmp_path: Path) -> None:
    assert f"{tmp_path / 'no'}/train/drone: no such folder" in refused(tmp_path / "no")
    assert f"{folder}/train/train/drone: no such folder" in refused(folder / "train")
    assert f"{tmp_path}/train/drone: no such folder" in refused(tmp_path)
    assert "16 places" in refused(folder, batch_size=17)
    street = folder / "train" / "street"
    shutil.rmtree(street)
    assert f"{street}: no such folder" in refused(folder)
    (street / "000").mkdir(parents=True)
    (street / "notes.txt").write_text("no picture")
    assert f"{street}: holds no pictures" in refused(folder)


def test_views_without_a_place_in_common_are_refused(folder: Path) -> None:
    for view in View:
        for path in (folder / "train" / view.value).iterdir():
            path.rename(path.with_name(f"{view}-{path.name}"))
    (folder / "train" / "text.jsonl").unlink()
    assert f"{folder}/train: no place has two views, or a view and a text" in refused(folder)


@pytest.mark.parametrize("content", [b"", b"no picture at all", None])
def test_a_broken_picture_is_left_out_and_told(content: bytes | None, folder: Path) -> None:
    path = folder / "train" / "satellite" / "007.jpg"
    path.write_bytes(path.read_bytes()[:400] if content is None else content)
    batch = source(folder, batch_size=16).batch(0)
    [line] = batch.unreadable
    assert line.startswith(f"{path}: ")
    row = batch.names.index("007")
    assert [at for at in range(16) if not batch.present["satellite"][at]] == [row]
    assert not batch.images[View.SATELLITE][row].any()
    assert batch.present["drone"].all()
    assert batch.texts[row] == "grey green place"
    with pytest.raises(DataError, match=rf"^{path}: "):
        source(folder).read(View.SATELLITE, "007")


def test_a_picture_that_vanished_is_left_out_and_told(folder: Path) -> None:
    triples = source(folder, batch_size=16)
    path = folder / "train" / "street" / "004.jpg"
    path.unlink()
    assert triples.batch(0).unreadable == (f"{path}: No such file or directory",)


def test_every_broken_picture_is_told(folder: Path) -> None:
    for place in range(3):
        (folder / "train" / "drone" / f"{place:03d}.jpg").write_bytes(b"")
    told = source(folder, 16).batch(0).unreadable
    assert len(told) == 3
    assert all("drone" in line and "\n" not in line for line in told)


def test_processes_share_a_batch(folder: Path) -> None:
    whole, part = source(folder, 8, augment=ALL), source(folder, 4, augment=ALL)
    for step in range(4):
        one, two, all_of_them = part.batch(step, 0, 2), part.batch(step, 1, 2), whole.batch(step)
        assert one.names + two.names == all_of_them.names
        assert one.texts + two.texts == all_of_them.texts
        assert np.array_equal(np.concatenate([one.relation, two.relation]), all_of_them.relation)
        for view in View:
            halves = np.concatenate([one.images[view], two.images[view]])
            assert np.array_equal(halves, all_of_them.images[view])
    with pytest.raises(
        DataError, match=r"optim\.batch_size is 4 for each of 5 processes, .*most 3$"
    ):
        part.batch(0, 0, 5)


def test_a_source_is_the_same_elsewhere(folder: Path) -> None:
    here = source(folder, augment=ALL)
    same(pickle.loads(pickle.dumps(here)).batch(3), here.batch(3))


def write_positions(folder: Path, *lines: str) -> Path:
    path = folder / "train" / "metadata.jsonl"
    path.write_text("\n".join(lines))
    return path


def at(place: int, east_m: float) -> str:
    entry = {"id": f"{place:03d}", "east_m": east_m, "north_m": 0.0, "footprint_m": 100.0}
    return json.dumps(entry | {"views": {"drone": {}}})


def test_places_that_overlap_are_no_negatives(folder: Path) -> None:
    # 000 and 001 share 70 of 130 m, 001 and 002 share 40 of 160; 000 and 002 share 10 of 190
    write_positions(folder, at(0, 0.0), at(1, 30.0), at(2, 90.0), at(9, 5000.0))
    triples = source(folder, batch_size=16)
    assert triples.has_positions
    assert not source(folder, split="train", batches=NO_KIN).kin.positive.items.size
    batch = triples.batch(0)
    row = [batch.names.index(f"{place:03d}") for place in range(16)]
    related = {(a, b): batch.relation[row[a], row[b]] for a in range(16) for b in range(16)}
    assert related[0, 1] == related[1, 0] == POSITIVE
    assert related[1, 2] == related[2, 1] == NEITHER
    assert related[0, 2] == related[3, 4] == NEGATIVE
    assert (np.diag(batch.relation) == POSITIVE).all()
    for step in range(8):  # where there is room they do not meet
        names = set(source(folder, 2).batch(step).names)
        assert not {"000", "001"} <= names
        assert not {"001", "002"} <= names


def test_hard_neighbours_meet(folder: Path) -> None:
    # every place is hard to tell from the next one of its pair
    neighbours = np.arange(16, dtype=np.int32)[:, None] ^ 1
    calm = source(folder, batches=BatchesConfig(hard_share=0.5))
    hard = calm.with_neighbours(neighbours)
    assert calm.neighbours is None

    def pairs(triples: TriplesSource) -> int:
        batches = [[int(name) for name in triples.batch(step).names] for step in range(16)]
        return sum(place ^ 1 in batch for batch in batches for place in batch)

    assert pairs(hard) > 2 * pairs(calm)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"east_m": 1.0, "north_m": 1.0, "footprint_m": 100.0}',
        '{"id": "000", "north_m": 1.0, "footprint_m": 100.0}',
        '{"id": "000", "east_m": "1", "north_m": 1.0, "footprint_m": 100.0}',
        '{"id": "000", "east_m": NaN, "north_m": 1.0, "footprint_m": 100.0}',
        '{"id": "000", "east_m": 1.0, "north_m": 1.0, "footprint_m": 0}',
    ],
)
def test_a_bad_line_of_metadata_is_named(line: str, folder: Path) -> None:
    path = write_positions(folder, at(0, 0.0), line)
    assert refused(folder).startswith(f"{path}, line 2: expected")


def test_two_pictures_of_one_place_are_refused(folder: Path) -> None:
    (folder / "train" / "drone" / "003.PNG").write_bytes(b"")
    assert "003.PNG and 003.jpg are pictures of one place" in refused(folder)


@pytest.mark.parametrize("content", ["", "\n", "  \n\n"])
@pytest.mark.parametrize("name", ["text.jsonl", "metadata.jsonl"])
def test_an_empty_file_of_lines_is_told(folder: Path, name: str, content: str) -> None:
    path = folder / "train" / name
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        source(folder)
    expected = f"{path}: is empty; expected a line for every place, or no such file"
    assert str(caught.value) == expected
