from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from geobridge.onboard.views import View
from geobridge.training.config_data import AugmentConfig
from geobridge.training.config_model import PreprocessConfig
from geobridge.training.datasets.batch import TEXT
from geobridge.training.datasets.triples import TriplesSource

SPEC = PreprocessConfig(height_px=16, width_px=16)


@pytest.fixture
def folder(triples_config: Path) -> Path:
    """16 places of three views and a text."""
    return triples_config.parent / "set"


def source(folder: Path, batch_size: int = 16, **options: Any) -> TriplesSource:
    return TriplesSource(folder, tuple(View), SPEC, batch_size, 0, **options)


def test_sides_are_left_out_as_often_as_asked(folder: Path) -> None:
    missing = {"drone": 0.25, "text": 0.75}
    triples = source(folder, 16, augment=AugmentConfig(rotate=False, flip=False, missing=missing))
    batches = [triples.batch(step) for step in range(20)]
    share = {s: np.mean([b.present[s] for b in batches]) for s in (*View, TEXT)}
    assert share["satellite"] == share["street"] == 1.0
    assert abs(share["drone"] - 0.75) < 0.1
    assert abs(share[TEXT] - 0.25) < 0.1
    for batch in batches:
        assert not batch.images[View.DRONE][~batch.present["drone"]].any()


def test_views_turn_together_and_the_words_with_them(folder: Path) -> None:
    corner = np.zeros((32, 32, 3), np.uint8)
    corner[:16, 16:] = 255
    street = np.zeros((32, 64, 3), np.uint8)
    street[:, 32:48] = 255  # from north to east
    for place in range(16):
        for view, picture in (("drone", corner), ("satellite", corner), ("street", street)):
            path = folder / "train" / view / f"{place:03d}.jpg"
            path.unlink()
            cv2.imwrite(str(path.with_suffix(".png")), picture)
    lines = [json.dumps({"id": f"{i:03d}", "text": "northeast"}) for i in range(16)]
    (folder / "train" / "text.jsonl").write_text("\n".join(lines))
    triples = source(folder, 16, augment=AugmentConfig(appearance=0.0))
    seen = set()
    for step in range(4):
        batch = triples.batch(step)
        for row, text in enumerate(batch.texts):
            seen.add(text)
            top, left = text.startswith("north"), text.endswith("west")
            quadrant = batch.images[View.SATELLITE][row][4 if top else 12, 4 if left else 12]
            assert quadrant.min() == 255
            assert np.array_equal(batch.images[View.DRONE][row], batch.images[View.SATELLITE][row])
            bearing = {"northeast": 0.625, "southeast": 0.875, "southwest": 0.125}.get(text, 0.375)
            assert batch.images[View.STREET][row][8, round(16 * bearing - 0.5)].min() > 200
    assert len(seen) == 4


def test_a_street_photo_keeps_its_place_upright(folder: Path) -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:16] = 255
    for place in range(16):
        cv2.imwrite(str(folder / "train" / "satellite" / f"{place:03d}.jpg"), picture)
    batch = source(folder, 16, augment=AugmentConfig(appearance=0.0)).batch(0)
    assert (batch.images[View.SATELLITE][:, :6] > 200).all()


def test_a_wide_panorama_is_twice_as_wide(folder: Path) -> None:
    wide = PreprocessConfig(height_px=16, width_px=16, panorama="wide")
    triples = TriplesSource(folder, tuple(View), wide, 4, 0)
    assert triples.batch(0).images[View.STREET].shape == (4, 16, 32, 3)
    assert triples.batch(0).images[View.DRONE].shape == (4, 16, 16, 3)
    assert triples.read(View.STREET, "003").shape == (16, 32, 3)


def test_appearance_is_drawn_for_every_view_and_moves_nothing(folder: Path) -> None:
    calm = AugmentConfig(rotate=False, flip=False, appearance=0.0)
    plain = source(folder, augment=calm).batch(0)
    changed = source(folder, augment=calm.model_copy(update={"appearance": 1.0})).batch(0)
    assert plain.names == changed.names
    shifts = {
        view: changed.images[view].mean(axis=(1, 2)) - plain.images[view].mean(axis=(1, 2))
        for view in View
    }
    assert min(np.abs(shift).mean() for shift in shifts.values()) > 5
    assert np.abs(shifts[View.DRONE] - shifts[View.SATELLITE]).mean() > 5


def test_what_is_drawn_for_one_side_does_not_depend_on_the_others(folder: Path) -> None:
    every, without = (
        source(folder, augment=AugmentConfig(missing=missing)).batch(2)
        for missing in ({}, {"drone": 1.0, "text": 1.0})
    )
    assert np.array_equal(every.images[View.SATELLITE], without.images[View.SATELLITE])
    assert np.array_equal(every.images[View.STREET], without.images[View.STREET])
    assert not without.present["drone"].any()


def test_no_place_loses_its_last_edge(folder: Path) -> None:
    missing = dict.fromkeys(("drone", "satellite", "street", "text"), 0.9)
    for place in range(8):  # half the places have two sides alone
        (folder / "train" / "satellite" / f"{place:03d}.jpg").unlink()
        (folder / "train" / "street" / f"{place:03d}.jpg").unlink()
    triples = source(folder, 16, augment=AugmentConfig(missing=missing))
    seen = set()
    for step in range(20):
        batch = triples.batch(step)
        sides = np.stack([batch.present[side] for side in (*View, TEXT)])
        assert (sides.sum(axis=0) >= 2).all()
        few = np.array([int(name) < 8 for name in batch.names])
        assert (batch.present["drone"] & batch.present[TEXT])[few].all()
        seen.add(tuple(sides[:, batch.names.index("012")]))
    assert len(seen) > 3  # and another time others are dropped


def test_what_is_always_missing_is_never_there(folder: Path) -> None:
    missing = {"drone": 0.9, "satellite": 0.9, "street": 0.9, "text": 1.0}
    triples = source(folder, 16, augment=AugmentConfig(missing=missing))
    for step in range(5):
        present = triples.batch(step).present
        assert not present[TEXT].any()
        assert (np.stack([present[view.value] for view in View]).sum(axis=0) >= 2).all()


def test_an_edge_without_weight_is_none(folder: Path) -> None:
    missing = dict.fromkeys(("drone", "satellite", "street", "text"), 0.8)
    to_text = [("text", "drone"), ("text", "street")]
    triples = source(folder, 16, augment=AugmentConfig(missing=missing), edges=to_text)
    for step in range(10):
        present = triples.batch(step).present
        assert (present[TEXT] & (present["drone"] | present["street"])).all()


def test_a_text_is_not_skipped_where_it_is_all_there_is(folder: Path) -> None:
    for view in ("satellite", "street"):
        for place in range(1, 16):
            (folder / "train" / view / f"{place:03d}.jpg").unlink()
    lines = [json.dumps({"id": f"{i:03d}", "text": "north of a road"}) for i in range(16)]
    (folder / "train" / "text.jsonl").write_text("\n".join(lines))
    triples = source(folder, 16, augment=AugmentConfig(text="skip"))
    few = [present[TEXT].sum() for present in (triples.batch(step).present for step in range(4))]
    assert min(few) >= 15
