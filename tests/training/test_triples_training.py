from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geobridge.onboard.config import load
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.training.config import TrainConfig
from geobridge.training.datasets.batch import TEXT
from geobridge.training.runs.pipeline import TensorBatch, batches, open_source
from geobridge.training.trainer import train


@pytest.fixture
def folder(triples_config: Path) -> Path:
    """16 places of three views and a text."""
    return triples_config.parent / "set"


def open_batches(config: Path, *overrides: str) -> list[TensorBatch]:
    settings = load(TrainConfig, config, overrides)
    return list(batches(settings, open_source(settings), first=0, stop=2))


def test_tokens_stand_for_the_texts_there_are(triples_config: Path, folder: Path) -> None:
    line = json.dumps({"id": "000", "text": "a red roof"})
    (folder / "train" / "text.jsonl").write_text(line)
    overrides = ("optim.workers=0", "optim.batch_size=16")
    batch, again = open_batches(triples_config, *overrides)
    assert batch.tokens is not None
    assert again.tokens is not None
    assert (batch.tokens.shape, int(batch.present[TEXT].sum())) == ((16, 16), 1)
    [row] = batch.tokens[batch.present[TEXT]].tolist()
    assert row in again.tokens.tolist()
    [silent, _] = open_batches(triples_config, *overrides, "model.text_tower=false")
    assert silent.tokens is None
    assert not silent.present[TEXT].any()


@pytest.mark.slow
def test_a_worker_names_too_many_broken_pictures_in_one_line(
    triples_config: Path, folder: Path
) -> None:
    path = folder / "train" / "drone" / "007.jpg"
    path.write_bytes(b"no picture at all")
    overrides = ["optim.workers=1", "optim.batch_size=16", "data.max_unreadable=0"]
    with pytest.raises(DataError, match=r"1 pictures cannot be read") as caught:
        train(triples_config, overrides)
    assert f"{path}: not a whole picture that can be decoded" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_view_alone_has_nothing_to_learn_from(triples_config: Path) -> None:
    overrides = ['model.views=["street"]', "model.text_tower=false", "optim.workers=0"]
    with pytest.raises(ConfigError, match=r"nothing to (compare|learn)"):
        train(triples_config, overrides)


def test_a_batch_that_shares_nothing_is_refused(triples_config: Path, folder: Path) -> None:
    for place in range(16):
        view = ("drone", "satellite", "street")[place % 3]
        (folder / "train" / view / f"{place:03d}.jpg").unlink()
    overrides = ["optim.workers=0", "optim.batch_size=2", "model.text_tower=false"]
    with pytest.raises(DataError, match=r"^step \d+: .*; raise optim\.batch_size or lower"):
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
    losses = [
        float(line.split("loss ")[1].split()[0]) for line in log.splitlines() if "loss" in line
    ]
    assert losses[-1] < losses[0] - 0.5
