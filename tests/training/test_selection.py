"""The validation split: what is asked of it, and that training does not notice."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

import torch

from geobridge.onboard.config import load
from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image
from geobridge.onboard.views import View
from geobridge.training.config import TrainConfig
from geobridge.training.datasets.triples import TriplesSource
from geobridge.training.evaluation import selection
from geobridge.training.evaluation.describe import NAMED
from geobridge.training.evaluation.directions import chosen
from geobridge.training.evaluation.selection import VALIDATION, check, validate
from geobridge.training.model import GeoBridge, build_model

DIRECTIONS = 9


@pytest.fixture
def settings(triples_config: Path) -> TrainConfig:
    """With all 16 places to validate on, and the folder of a run."""
    folder = triples_config.parent
    shutil.copytree(folder / "set" / "train", folder / "set" / "val")
    (folder / "run").mkdir()
    return load(TrainConfig, triples_config)


@pytest.fixture
def model(settings: TrainConfig) -> GeoBridge:
    torch.manual_seed(3)
    return build_model(settings.model, settings.preprocess)


def lines(settings: TrainConfig) -> list[dict[str, Any]]:
    path = Path(settings.run.folder) / VALIDATION
    return [json.loads(line) for line in path.read_text().splitlines()]


def changed(settings: TrainConfig, table: str, **keys: Any) -> TrainConfig:
    section = getattr(settings, table).model_copy(update=keys)
    return settings.model_copy(update={table: section})


def test_a_line_for_every_time(settings: TrainConfig, model: GeoBridge) -> None:
    first, second = validate(model, settings, 10), validate(model, settings, 20)
    assert first == second  # the same weights and the same places
    written = lines(settings)
    assert [line["step"] for line in written] == [10, 20]
    assert [line["r1"] for line in written] == [first, second]
    table = written[0]["table"]
    assert len(table) == DIRECTIONS
    assert first == pytest.approx(np.mean([row["r1"] for row in table]))
    assert all(row["queries"] == 16 and row["chance"]["r1"] == 1 / 16 for row in table)


def test_a_network_that_knows_the_places_scores_more_than_chance(
    settings: TrainConfig, model: GeoBridge
) -> None:
    """With one tower for all views, and views that show the same colour, most are found."""
    shared = changed(settings, "model", shared_image_towers=True, text_tower=False)
    torch.manual_seed(0)
    found = validate(build_model(shared.model, shared.preprocess), shared, 1)
    assert found is not None
    assert found > 5 / 16


def test_without_the_split_there_is_nothing(triples_config: Path, area_config: Path) -> None:
    settings = load(TrainConfig, triples_config)
    model = build_model(settings.model, settings.preprocess)
    assert validate(model, settings, 1) is None
    area = load(TrainConfig, area_config)
    assert validate(build_model(area.model, area.preprocess), area, 1) is None
    check(settings)
    check(area)
    assert not (triples_config.parent / "run" / VALIDATION).exists()


def test_no_more_places_than_asked_for_and_always_the_same(
    settings: TrainConfig, model: GeoBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = TriplesSource.read

    def spy(source: TriplesSource, view: View, name: str) -> Image:
        read.append(name)
        return original(source, view, name)

    monkeypatch.setattr(TriplesSource, "read", spy)
    few = changed(settings, "evaluation", max_places=5)
    for seed in (0, 1):
        validate(model, changed(few, "optim", seed=seed), 1)
    assert Counter(read) == dict.fromkeys(set(read), 6)  # three views, twice
    assert len(set(read)) == 5
    assert all(row["queries"] == 5 for row in lines(settings)[0]["table"])


@given(st.sets(st.text(max_size=4), min_size=1, max_size=30), st.integers(1, 30))
def test_a_choice_of_places_grows_with_them(names: set[str], count: int) -> None:
    ordered = sorted(names)
    found = chosen(ordered, count)
    assert found == sorted(set(found) & names)
    assert len(found) == min(count, len(names))
    assert set(found) <= set(chosen(ordered, count + 1))
    newcomer = "a newcomer"
    assert set(chosen([*ordered, newcomer], count)) <= set(found) | {newcomer}
    assert chosen(ordered, None) == ordered


def test_training_does_not_notice(settings: TrainConfig, model: GeoBridge) -> None:
    model.train()
    model.images["drone"].eval()  # a tower that is frozen
    modes = [module.training for module in model.modules()]
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    torch.manual_seed(7)
    states = (
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state(legacy=False)["state"]["key"].tolist(),
    )
    validate(model, settings, 1)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (
        random.getstate(),
        np.random.get_state(legacy=False)["state"]["key"].tolist(),
    )
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, weights[name])  # normalisation's averages too
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(("precision", "kind"), [("fp32", None), ("bf16", torch.bfloat16)])
def test_it_computes_as_training_does(
    precision: str,
    kind: torch.dtype | None,
    settings: TrainConfig,
    model: GeoBridge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    encode = GeoBridge.encode_image

    def spy(network: GeoBridge, view: View, image: torch.Tensor) -> torch.Tensor:
        enabled = torch.is_autocast_enabled("cpu")
        seen.append(torch.get_autocast_dtype("cpu") if enabled else None)
        return encode(network, view, image)

    monkeypatch.setattr(GeoBridge, "encode_image", spy)
    validate(model, changed(settings, "optim", precision=precision), 1)
    assert set(seen) == {kind}


def test_a_picture_that_cannot_be_read_is_named_and_its_place_lacks_it(
    settings: TrainConfig, model: GeoBridge, caplog: pytest.LogCaptureFixture
) -> None:
    drone = Path(settings.data.folder) / "val" / "drone"  # type: ignore[union-attr]
    for number in range(7):
        (drone / f"{number:03d}.jpg").write_bytes(b"no picture")
    validate(model, settings, 1)
    queries = {row["direction"]: row["queries"] for row in lines(settings)[0]["table"]}
    assert {count for name, count in queries.items() if "drone" in name} == {9}
    assert {count for name, count in queries.items() if "drone" not in name} == {16}
    named = [line for line in caplog.messages if "left out" in line]
    assert len(named) == NAMED + 1
    assert str(drone / "000.jpg") in caplog.text
    assert "7 pictures cannot be read" in caplog.text


def test_a_view_that_the_split_lacks_is_told_once_and_the_rest_is_measured(
    settings: TrainConfig, model: GeoBridge, caplog: pytest.LogCaptureFixture
) -> None:
    val = Path(settings.data.folder) / "val"  # type: ignore[union-attr]
    shutil.rmtree(val / "street")
    check(settings)
    assert f"{val}: has no pictures of the view street" in caplog.text
    caplog.clear()
    validate(model, settings, 1)
    assert "street" not in caplog.text
    assert {row["direction"] for row in lines(settings)[0]["table"]} == {
        "drone to satellite",
        "satellite to drone",
        "text to drone",
        "text to satellite",
    }


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_that_cannot_be_used_is_refused_before_training(
    split: str, settings: TrainConfig
) -> None:
    folder = Path(settings.data.folder) / split  # type: ignore[union-attr]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with pytest.raises(DataError, match=f"{split}: nothing to compare; it has the views .none."):
        check(settings)


def test_nothing_readable_is_an_error(settings: TrainConfig, model: GeoBridge) -> None:
    for picture in (Path(settings.data.folder) / "val").glob("*/*.jpg"):  # type: ignore[union-attr]
        picture.write_bytes(b"")
    with pytest.raises(DataError, match="no place has two sides that can be read"):
        validate(model, settings, 1)


def test_a_full_disk_costs_the_line_and_not_the_run(
    settings: TrainConfig,
    model: GeoBridge,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(selection, "append", full)
    assert validate(model, settings, 12) is not None
    assert "the line of step 12 is lost" in caplog.text
