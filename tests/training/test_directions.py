"""The table from every view to every other one, over descriptors whose ranks a hand can count."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from geobridge.onboard.config import load
from geobridge.onboard.views import View
from geobridge.training.config import TrainConfig
from geobridge.training.config_model import ModelConfig, PreprocessConfig
from geobridge.training.datasets.triples import TriplesSource
from geobridge.training.evaluation.directions import six_directions
from geobridge.training.evaluation.report import REPORT, has_report
from geobridge.training.model import tokenizer
from geobridge.training.trainer import train

Array = npt.NDArray[Any]
Row = dict[str, Any]

CONFIG = ModelConfig(
    views=("drone", "satellite"),
    vision={"layers": [1, 1, 1, 1]},
    text={"context_length": 8, "vocab_size": 49408},
)


class Known(nn.Module):
    """A model that knows every place by its colour, and every text by its words."""

    def __init__(self, views: Mapping[View, Array], texts: Mapping[str, Array]) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self._views = {view: torch.tensor(table).float() for view, table in views.items()}
        self._tokens = tokenizer(CONFIG)(list(texts)) if texts else None
        self._texts = torch.tensor(np.array(list(texts.values()))).float()

    def encode_image(self, view: View, images: Tensor) -> Tensor:
        return self._views[view][images[:, 0, 0, 0].long() // 10]

    def encode_text(self, tokens: Tensor) -> Tensor:
        assert self._tokens is not None
        same = (tokens[:, None] == self._tokens[None]).all(dim=2)
        return self._texts[same.int().argmax(dim=1)]


def source_of(
    folder: Path, places: Mapping[View, list[int]], texts: Mapping[int, str]
) -> TriplesSource:
    """Pictures of one colour each, ten times the number of the place."""
    for view, numbers in places.items():
        (folder / "test" / view.value).mkdir(parents=True)
        for number in numbers:
            colour = np.full((8, 8, 3), 10 * number, np.uint8)
            cv2.imwrite(str(folder / "test" / view.value / f"{number:02d}.png"), colour)
    lines = [json.dumps({"id": f"{number:02d}", "text": text}) for number, text in texts.items()]
    if lines:
        (folder / "test" / "text.jsonl").write_text("\n".join(lines) + "\n")
    spec = PreprocessConfig(height_px=8, width_px=8)
    return TriplesSource(folder, tuple(places), spec, 1, 0, split="test")


def table(model: Known, source: TriplesSource, config: ModelConfig = CONFIG) -> dict[str, Row]:
    rows = six_directions(model, config, source)
    return {row["direction"]: row for row in rows}


SCORES = np.array(
    [
        [0.9, 0.1, 0.2, 0.3],
        [0.8, 0.5, 0.1, 0.2],
        [0.9, 0.8, 0.7, 0.6],
        [0.1, 0.2, 0.3, 0.4],
    ]
)
"""Of drone pictures (rows) against satellite pictures; the right ones rank 1, 2, 3 and 1."""


def test_a_hand_counts_the_same(tmp_path: Path) -> None:
    four = [0, 1, 2, 3]
    source = source_of(tmp_path, {View.DRONE: four, View.SATELLITE: four}, {})
    found = table(Known({View.DRONE: np.eye(4), View.SATELLITE: SCORES.T}, {}), source)
    assert set(found) == {"drone to satellite", "satellite to drone"}
    there = found["drone to satellite"]
    assert (there["queries"], there["r1"], there["r5"], there["r10"]) == (4, 0.5, 1.0, 1.0)
    assert there["ap"] == pytest.approx((1 + 1 / 4 + 1 / 6 + 1) / 4)
    back = found["satellite to drone"]  # by column; the tie at 0.9 counts against it
    assert (back["queries"], back["r1"]) == (4, 0.25)
    assert back["ap"] == pytest.approx((1 / 4 + 1 / 4 + 1 + 1 / 4) / 4)


def test_recall_counts_to_its_k(tmp_path: Path) -> None:
    """Place k of twelve has k others before the right one."""
    twelve = list(range(12))
    scores = -np.ones((12, 12))
    for k in twelve:
        others = [column for column in twelve if column != k]
        scores[k, others[:k]] = 1.0
        scores[k, k] = 0.0
    source = source_of(tmp_path, {View.DRONE: twelve, View.SATELLITE: twelve}, {})
    found = table(Known({View.DRONE: np.eye(12), View.SATELLITE: scores.T}, {}), source)
    row = found["drone to satellite"]
    assert (row["r1"], row["r5"], row["r10"]) == pytest.approx((1 / 12, 5 / 12, 10 / 12))


def test_a_place_without_a_side_is_neither_asked_nor_offered(tmp_path: Path) -> None:
    places = {View.DRONE: [0, 1, 2], View.SATELLITE: [0, 1, 3], View.STREET: [2]}
    everywhere = np.ones((4, 4))  # whoever is offered ties with the right one
    drone, satellite = np.eye(4), np.eye(4)
    drone[2] = everywhere[2]
    satellite[3] = everywhere[3]
    source = source_of(tmp_path, places, {3: "a lonely lake"})
    assert source.names == ("00", "01", "02", "03")
    known = Known(
        {View.DRONE: drone, View.SATELLITE: satellite, View.STREET: np.eye(4)},
        {"a lonely lake": everywhere[3]},
    )
    found = table(known, source)
    for direction in ("drone to satellite", "satellite to drone"):
        assert (found[direction]["queries"], found[direction]["r1"]) == (2, 1.0)
    assert found["drone to street"]["queries"] == 1
    assert found["text to satellite"]["queries"] == 1
    # no place has both of these
    assert not {"satellite to street", "street to satellite", "text to drone"} & set(found)


TEXTS = {0: "a lake", 1: "two roads", 3: "a mill"}


def test_texts_ask_and_are_never_asked_for(tmp_path: Path) -> None:
    four = [0, 1, 2, 3]
    source = source_of(tmp_path, {View.DRONE: four, View.SATELLITE: four}, TEXTS)
    texts = {text: SCORES[number] for number, text in TEXTS.items()}
    views = {View.DRONE: np.eye(4), View.SATELLITE: np.eye(4)[[1, 0, 2, 3]]}
    found = table(Known(views, texts), source)
    assert set(found) == {
        "drone to satellite",
        "satellite to drone",
        "text to drone",
        "text to satellite",
    }
    # place 2 has no text: columns 0, 1 and 3 of rows 0, 1 and 3
    row = found["text to drone"]
    assert (row["queries"], row["r1"]) == (3, pytest.approx(2 / 3))
    assert row["ap"] == pytest.approx((1 + 1 / 4 + 1) / 3)
    # the satellite takes place 0 for place 1
    assert found["text to satellite"]["r1"] == pytest.approx(2 / 3)
    assert found["drone to satellite"]["r1"] == 0.5


def test_without_a_text_tower_there_are_no_text_rows(tmp_path: Path) -> None:
    four = [0, 1, 2, 3]
    source = source_of(tmp_path, {View.DRONE: four, View.SATELLITE: four}, TEXTS)
    blind = CONFIG.model_copy(update={"text_tower": False})
    views = {View.DRONE: np.eye(4), View.SATELLITE: np.eye(4)}
    found = table(Known(views, {}), source, blind)
    assert set(found) == {"drone to satellite", "satellite to drone"}


@pytest.mark.parametrize("is_training", [True, False])
def test_measuring_leaves_the_mode_of_the_model(is_training: bool, tmp_path: Path) -> None:
    four = [0, 1, 2, 3]
    source = source_of(tmp_path, {View.DRONE: four, View.SATELLITE: four}, TEXTS)
    views = {View.DRONE: np.eye(4), View.SATELLITE: np.eye(4)}
    known = Known(views, {text: np.ones(4) for text in TEXTS.values()}).train(is_training)
    table(known, source)
    assert known.training == is_training


QUICK = ("optim.steps=1", "optim.workers=0")


def test_a_run_with_a_test_split_has_a_report_of_it(
    triples_config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = triples_config.parent
    shutil.copytree(folder / "set" / "train", folder / "set" / "test")
    (folder / "set" / "test" / "street" / "003.jpg").unlink()
    assert has_report(load(TrainConfig, triples_config))
    with caplog.at_level("INFO"):
        train(triples_config, QUICK)
    rows = json.loads((folder / "run" / REPORT).read_text())
    queries = {row["direction"]: row["queries"] for row in rows}
    views = ("drone", "satellite", "street")
    pairs = {f"{a} to {b}" for a in (*views, "text") for b in views if a != b}
    assert queries == {pair: 15 if "street" in pair else 16 for pair in pairs}
    for row in rows:
        assert 0.0 <= row["r1"] <= row["r5"] <= row["r10"] <= 1.0
        assert row["r1"] <= row["ap"] + 1e-9
        assert row["direction"] in caplog.text


def test_a_run_without_a_test_split_has_no_report(triples_config: Path) -> None:
    assert not has_report(load(TrainConfig, triples_config))
    checkpoint = train(triples_config, QUICK)
    assert checkpoint.exists()
    assert not (triples_config.parent / "run" / REPORT).exists()


def test_a_report_that_is_missing_is_made_up_for(triples_config: Path) -> None:
    folder = triples_config.parent
    shutil.copytree(folder / "set" / "train", folder / "set" / "test")
    first = train(triples_config, QUICK)
    before = (folder / "run" / REPORT).read_text()
    (folder / "run" / REPORT).unlink()
    assert train(triples_config, QUICK) == first
    assert (folder / "run" / REPORT).read_text() == before
