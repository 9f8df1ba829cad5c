from __future__ import annotations

import json
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geobridge.onboard.cli import main
from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View
from geobridge.training.config_data import AugmentConfig
from geobridge.training.config_model import PreprocessConfig
from geobridge.training.datasets import shard as sharding
from geobridge.training.datasets.batch import Batch
from geobridge.training.datasets.shard import shard
from geobridge.training.datasets.triples import TriplesSource

SPEC = PreprocessConfig(height_px=16, width_px=16)
NAME = "007"


@pytest.fixture
def folder(triples_config: Path) -> Path:
    """16 places of three views, a text and a position; two lack something, one has a long name."""
    folder = triples_config.parent / "set"
    split = folder / "train"
    (split / "street" / "003.jpg").unlink()
    for view in View:
        source = split / view.value / "004.jpg"
        source.rename(source.with_name(f"Straße {'0' * 120}.v1.jpg"))
    lines = [
        {"id": f"{i:03d}", "east_m": 60.0 * i, "north_m": 0.0, "footprint_m": 100.0}
        for i in range(12)
    ]
    (split / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    shutil.copytree(split, folder / "val")
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of some kilobytes."""
    monkeypatch.setattr(sharding, "MEGABYTE", 4000)


def source(folder: Path, **options: Any) -> TriplesSource:
    return TriplesSource(folder, tuple(View), SPEC, 4, 0, augment=AugmentConfig(), **options)


def same(a: Batch, b: Batch) -> bool:
    told = (a.names, a.texts) == (b.names, b.texts) and np.array_equal(a.relation, b.relation)
    return told and all(np.array_equal(a.images[view], b.images[view]) for view in View)


@pytest.mark.usefixtures("small")
def test_shards_give_the_same_batches(folder: Path, tmp_path: Path) -> None:
    told = shard(folder, tmp_path / "out", 1)
    assert (told["train"], told["val"]) == (16, 16)
    assert told["shards"] > 4
    for split in ("train", "val"):
        plain, sharded = source(folder, split=split), source(tmp_path / "out", split=split)
        elsewhere = pickle.loads(pickle.dumps(sharded))
        for step in range(8):
            assert same(sharded.batch(step), plain.batch(step))
            assert same(elsewhere.batch(step), plain.batch(step))
        for view in View:
            for name in plain.names:
                assert np.array_equal(sharded.read(view, name), plain.read(view, name))


@pytest.mark.usefixtures("small")
def test_any_tar_can_read_a_shard(folder: Path, tmp_path: Path) -> None:
    shard(folder, tmp_path / "out", 1)
    found: dict[str, bytes] = {}
    for path in sorted((tmp_path / "out" / "train").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                found[member.name] = found.get(member.name, b"") + file.read()
    pictures = {
        f"{path.stem}.{path.parent.name}.jpg": path.read_bytes()
        for path in (folder / "train").glob("*/*.jpg")
    }
    assert {name: data for name, data in found.items() if name.endswith("jpg")} == pictures
    lines = (folder / "train" / "text.jsonl").read_bytes().splitlines()
    # those of a place without pictures stay behind
    assert set(found["text.jsonl"].splitlines()) == {line for line in lines if b'"004"' not in line}


@pytest.mark.usefixtures("small")
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(folder, tmp_path / "whole", 1)
    written = 0
    write = sharding._write_shard

    def stopping(*arguments: Any) -> None:
        nonlocal written
        written += 1
        if written == 3:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(sharding, "_write_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        shard(folder, tmp_path / "out", 1)
    with pytest.raises(DataError, match=r"/train: holds shards and no shards\.json"):
        source(tmp_path / "out")
    shard(folder, tmp_path / "out", 1)
    files = [p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*.*")]
    assert sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.*")) == (
        sorted(files)
    )
    for file in files:
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    done = written
    shard(folder, tmp_path / "out", 1)
    assert written == done  # nothing is written again


def test_another_layout_is_told_what_is_expected(folder: Path, tmp_path: Path) -> None:
    drone = folder / "train" / "drone"
    shutil.rmtree(drone)
    (drone / "0839").mkdir(parents=True)
    expected = "expected SPLIT/VIEW/ID.jpg, as GeoLoc and what geobridge dataset render writes"
    for place, problem in (
        (folder, f"{drone}: holds no pictures; "),
        (drone, f"{drone}: holds none of the folders train, val, test; "),
    ):
        with pytest.raises(DataError, match=f"^{problem}{expected}$"):
            shard(place, tmp_path / "out")


def test_a_data_set_that_changed_meanwhile_is_refused(folder: Path, tmp_path: Path) -> None:
    shard(folder, tmp_path / "out")
    (folder / "train" / "drone" / "001.jpg").write_bytes(b"other")
    with pytest.raises(DataError, match="was begun with of sha256"):
        shard(folder, tmp_path / "out")


def truncate(split: Path) -> str:
    os.truncate(split / "000000.tar", (split / "000000.tar").stat().st_size - 1000)
    return "000000.tar: has .* bytes, 000000.json says"


def remove(split: Path) -> str:
    (split / "000000.tar").unlink()
    return r"000000\.tar: no such file, but 000000\.json is there"


def no_index(split: Path) -> str:
    (split / "000000.json").unlink()
    return r"000000\.json: No such file"


def broken_index(split: Path) -> str:
    (split / "000000.json").write_text("{")
    return r"000000\.json: expected JSON as geobridge dataset shard"


def wrong_kind(split: Path) -> str:
    (split / "000000.json").write_text('{"bytes": "1", "members": {}}')
    return r"000000\.json: bytes: expected a whole number"


def beyond(split: Path) -> str:
    change(split, lambda members: members | {"007.drone.jpg": [10**9, 5]})
    return r"000000\.json: 007\.drone\.jpg: expected \[offset, size\] within the shard"


def shifted(split: Path) -> str:
    change(split, lambda members: {name: [at + 512, size] for name, (at, size) in members.items()})
    return r"000000\.tar: (has no|ends within)"


def newer(split: Path) -> str:
    path = split / "shards.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    return r"shards\.json: format 2, expected 1"


def without_view(split: Path) -> str:
    path = split / "shards.json"
    path.write_text(path.read_text().replace('"street"', '"other"'))
    return r"shards\.json: these shards have no view street"


def change(split: Path, how: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = split / "000000.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps(index | {"members": how(index["members"])}))


@pytest.mark.parametrize(
    "damage",
    [truncate, remove, no_index, broken_index, wrong_kind, beyond, shifted, newer, without_view],
)
def test_damaged_shards_are_refused_at_once(
    damage: Callable[[Path], str], folder: Path, tmp_path: Path
) -> None:
    shard(folder, tmp_path / "out")
    problem = damage(tmp_path / "out" / "train")
    with pytest.raises(DataError, match=problem) as caught:
        source(tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_an_index_with_a_wrong_place_is_found_out_when_it_is_read(
    folder: Path, tmp_path: Path
) -> None:
    shard(folder, tmp_path / "out")
    split = tmp_path / "out" / "train"
    change(split, lambda members: members | {f"{NAME}.drone.jpg": members["008.drone.jpg"]})
    with pytest.raises(DataError, match=r"000000\.tar: has no 007\.drone\.jpg at byte \d+, where"):
        source(tmp_path / "out").read(View.DRONE, NAME)


def test_a_picture_missing_from_the_index_is_a_view_the_place_lacks(
    folder: Path, tmp_path: Path
) -> None:
    shard(folder, tmp_path / "out")

    def without(members: dict[str, Any]) -> dict[str, Any]:
        return {name: at for name, at in members.items() if name != f"{NAME}.drone.jpg"}

    change(tmp_path / "out" / "train", without)
    assert NAME not in source(tmp_path / "out").pictures[View.DRONE]
    assert NAME in source(tmp_path / "out").names


def test_a_broken_picture_is_named_by_its_shard(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "drone" / f"{NAME}.jpg").write_bytes(b"no picture")
    shard(folder, tmp_path / "out")
    lines = [line for step in range(4) for line in source(tmp_path / "out").batch(step).unreadable]
    assert lines == [f"{tmp_path}/out/train/000000.tar: {NAME}.drone.jpg: not a whole picture that"
                     " can be decoded"]  # fmt: skip


@pytest.mark.parametrize("name", ["text.jsonl", "metadata.jsonl"])
def test_a_broken_line_is_named_before_anything_is_written(
    name: str, folder: Path, tmp_path: Path
) -> None:
    path = folder / "train" / name
    path.write_text(path.read_text() + "{\n")
    with pytest.raises(DataError, match=rf"^{path}, line \d+: expected"):
        shard(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_is_wrong_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dataset", "shard", str(folder), "-o", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shards"] == 2
    for arguments, problem in (
        ((folder / "train", tmp_path / "other"), "holds none of the folders train, val, test"),
        ((folder, folder), "holds the data set itself"),
        ((tmp_path / "out", tmp_path / "other"), "is sharded already"),
    ):
        assert main(["dataset", "shard", str(arguments[0]), "-o", str(arguments[1])]) == 2
        error = capsys.readouterr().err
        assert problem in error
        assert error.count("\n") == 1
