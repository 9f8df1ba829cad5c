from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View
from geobridge.training.config_model import PreprocessConfig
from geobridge.training.datasets import copies
from geobridge.training.datasets.batch import NEGATIVE, NEITHER
from geobridge.training.datasets.shard import shard
from geobridge.training.datasets.triples import TriplesSource
from geobridge.training.trainer import train


@pytest.fixture
def folder(triples_config: Path) -> Path:
    """16 places of three views and a text; 1 and 2 share a satellite tile, 3 lacks it."""
    folder = triples_config.parent / "set"
    satellite = folder / "train" / "satellite"
    shutil.copy(satellite / "001.jpg", satellite / "002.jpg")
    (satellite / "003.jpg").unlink()
    return folder


def source(folder: Path, **options: Any) -> TriplesSource:
    spec = PreprocessConfig(height_px=16, width_px=16)
    return TriplesSource(folder, tuple(View), spec, options.pop("batch_size", 16), 0, **options)


def test_places_of_one_picture_are_no_negatives(folder: Path) -> None:
    batch = source(folder).batch(0)
    one, other = batch.names.index("001"), batch.names.index("002")
    assert batch.relation[one, other] == batch.relation[other, one] == NEITHER
    rest = batch.relation[one][[i for i in range(16) if i not in (one, other)]]
    assert (rest == NEGATIVE).all()


def test_they_do_not_meet_where_that_can_be_had(folder: Path) -> None:
    triples = source(folder, batch_size=8)
    for step in range(20):
        assert not {"001", "002"} <= set(triples.batch(step).names)


def test_shards_and_workers_know_them_too(folder: Path, tmp_path: Path) -> None:
    shard(folder, tmp_path / "shards")
    plain, sharded = source(folder), source(tmp_path / "shards")
    assert np.array_equal(sharded.batch(3).relation, plain.batch(3).relation)
    shutil.rmtree(folder)
    assert np.array_equal(pickle.loads(pickle.dumps(plain)).kin.counts, plain.kin.counts)


def test_of_one_size_is_not_the_same(folder: Path) -> None:
    path = folder / "train" / "satellite" / "002.jpg"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1  # its end is as it was
    path.write_bytes(data)
    assert not source(folder).kin.counts.any()


def test_a_picture_for_all_that_is_missing_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = folder / "train" / "street"
    for path in sorted(street.iterdir())[1:7]:
        shutil.copy(street / "000.jpg", path)
    monkeypatch.setattr(copies, "MOST", 5)
    with pytest.raises(DataError, match=r"street/000\.jpg: 7 places have this very picture"):
        source(folder).batch(0)


def test_a_set_of_one_picture_has_nothing_to_tell_apart(triples_config: Path) -> None:
    drone = triples_config.parent / "set" / "train" / "drone"
    for path in drone.iterdir():
        if path.stem != "000":
            shutil.copy(drone / "000.jpg", path)
    with pytest.raises(DataError, match="all 16 places overlap or show the same picture"):
        train(triples_config, ["optim.workers=0"])
    assert not any((triples_config.parent / "run").glob("step-*"))
