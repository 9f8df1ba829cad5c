from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from geobridge.onboard.config import load
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.views import View
from geobridge.training.config import TrainConfig
from geobridge.training.datasets.triples import TriplesSource
from geobridge.training.pipeline import TensorBatch, batches, open_source
from geobridge.training.trainer import train

SPEC = Preprocess(16, 16)


@pytest.fixture
def folder(triples_config: Path) -> Path:
    """16 places of three views and a text."""
    return triples_config.parent / "set"


def source(folder: Path, batch_size: int = 4, **options: Any) -> TriplesSource:
    return TriplesSource(folder, tuple(View), SPEC, batch_size, 0, **options)


def write_lines(folder: Path, *lines: str) -> Path:
    path = folder / "train" / "text.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_an_epoch_holds_every_place_once(folder: Path) -> None:
    triples = source(folder)
    places = {text: place for place, text in triples.texts.items()}
    epochs = [
        [places[text] for step in range(4 * e, 4 * e + 4) for text in triples.batch(step).texts]
        for e in range(3)
    ]
    for epoch in epochs:
        assert sorted(epoch) == [f"{i:03d}" for i in range(16)]
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_batch_depends_on_its_number_alone(folder: Path) -> None:
    one, other = source(folder), source(folder)
    first = [one.batch(step) for step in range(6)]
    second = [other.batch(step) for step in reversed(range(6))][::-1]
    for a, b in zip(first, second, strict=True):
        assert a.texts == b.texts
        for view in View:
            assert np.array_equal(a.images[view], b.images[view])


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
    order = np.random.default_rng([0, 0]).permutation(16)
    assert batch.present[View.STREET].tolist() == [row != 3 for row in order]
    assert batch.present[View.DRONE].all()
    assert not batch.images[View.STREET][~batch.present[View.STREET]].any()
    assert list(batch.texts) == [f"place {row}" if row < 9 else "" for row in order]


def test_a_place_with_one_side_alone_is_left_out(folder: Path) -> None:
    for view in ("drone", "street"):
        (folder / "train" / view / "005.jpg").unlink()
    assert "005" in source(folder).places
    assert "005" not in source(folder, with_texts=False).places


def test_another_split_is_another_folder(folder: Path) -> None:
    shutil.move(folder / "train", folder / "val")
    assert len(source(folder, split="val").places) == 16


def test_texts_may_hold_any_character(folder: Path) -> None:
    texts = {"000": "a\u2028b \u0085 Straße", "001": "", "002": "\r"}
    lines = (json.dumps({"id": k, "text": v}, ensure_ascii=False) for k, v in texts.items())
    write_lines(folder, *lines, "")
    assert source(folder).texts == {"000": texts["000"], "002": "\r"}


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
    assert f"{folder}/train: 0 places with two views or a text" in refused(folder)


@pytest.mark.parametrize("content", [b"", b"no picture at all", None])
def test_a_broken_picture_is_named(content: bytes | None, folder: Path) -> None:
    path = folder / "train" / "satellite" / "007.jpg"
    path.write_bytes(path.read_bytes()[:400] if content is None else content)
    with pytest.raises(DataError, match=rf"^{path}: not a whole picture") as caught:
        source(folder, batch_size=16).batch(0)
    assert "\n" not in str(caught.value)


def open_batches(config: Path, *overrides: str) -> list[TensorBatch]:
    settings = load(TrainConfig, config, ["optim.steps=2", *overrides])
    return list(batches(settings, open_source(settings), first=0))


def test_tokens_stand_for_the_texts_there_are(triples_config: Path, folder: Path) -> None:
    write_lines(folder, '{"id": "000", "text": "a red roof"}')
    overrides = ("optim.workers=0", "optim.batch_size=16")
    batch, again = open_batches(triples_config, *overrides)
    assert batch.tokens is not None
    assert batch.text_present is not None
    assert (batch.tokens.shape, int(batch.text_present.sum())) == ((16, 16), 1)
    [row] = batch.tokens[batch.text_present].tolist()
    assert again.tokens is not None
    assert row in again.tokens.tolist()
    [silent, _] = open_batches(triples_config, *overrides, "model.text_tower=false")
    assert (silent.tokens, silent.text_present) == (None, None)


@pytest.mark.slow
def test_a_worker_names_a_broken_picture_in_one_line(triples_config: Path, folder: Path) -> None:
    path = folder / "train" / "drone" / "007.jpg"
    path.write_bytes(b"no picture at all")
    with pytest.raises(DataError, match=rf"^{path}: not a whole picture that can be decoded$"):
        open_batches(triples_config, "optim.workers=1", "optim.batch_size=16")


def test_a_view_alone_has_nothing_to_learn_from(triples_config: Path) -> None:
    overrides = ['model.views=["street"]', "model.text_tower=false", "optim.workers=0"]
    with pytest.raises(ConfigError, match=r"^model\.views: one view and no text"):
        train(triples_config, overrides)


def test_a_batch_that_shares_nothing_is_refused(triples_config: Path, folder: Path) -> None:
    for place in range(16):
        view = ("drone", "satellite", "street")[place % 3]
        (folder / "train" / view / f"{place:03d}.jpg").unlink()
    overrides = ["optim.workers=0", "optim.batch_size=2", "model.text_tower=false"]
    with pytest.raises(DataError, match=r"^step \d+: .*; raise optim\.batch_size$"):
        train(triples_config, overrides)


@pytest.mark.slow
def test_three_towers_and_text_learn_through_the_command(
    triples_config: Path, start: Callable[..., Any]
) -> None:
    process = start(triples_config, "optim.workers=0")
    out, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    checkpoint = Path(out.strip())
    assert checkpoint == triples_config.parent / "run" / "step-00000030"
    assert sorted(path.name for path in checkpoint.iterdir()) == [
        "checkpoint.json",
        "model.safetensors",
        "optimizer.safetensors",
    ]
    assert "30 steps of 8 places, views drone satellite street and text, fp32 on cpu" in log
    losses = [
        float(line.split("loss ")[1].split()[0]) for line in log.splitlines() if "loss" in line
    ]
    assert losses[-1] < losses[0] - 0.5
