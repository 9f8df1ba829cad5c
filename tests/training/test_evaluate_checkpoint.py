"""`geobridge evaluate`, from the command to its table or its one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from geobridge.onboard.cli import main
from geobridge.onboard.config import load
from geobridge.onboard.metrics import guessing
from geobridge.training import checkpoint as checkpoints
from geobridge.training.config import TrainConfig
from geobridge.training.evaluation.report import REPORT
from geobridge.training.model import build_model
from geobridge.training.trainer import train

QUICK = ("optim.steps=2", "optim.workers=0", "optim.precision=bf16")


@pytest.fixture
def folder(triples_config: Path) -> Path:
    """A checkpoint beside triples with a test split of 16 places."""
    folder = triples_config.parent
    shutil.copytree(folder / "set" / "train", folder / "set" / "test")
    (folder / "set" / "test" / "street" / "003.jpg").unlink()
    settings = load(TrainConfig, triples_config)
    model = build_model(settings.model, settings.preprocess)
    checkpoints.save_weights(settings, model, folder / "weights")
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    code, out, err = told(capsys, *words)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 1, err
    return lines[0]


def test_it_gives_the_figures_of_the_run_s_own_report(
    folder: Path, triples_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(triples_config, QUICK)
    code, out, _ = told(capsys, folder / "run", "--json")
    assert code == 0
    report = json.loads((folder / "run" / REPORT).read_text())
    rows = json.loads(out)
    assert rows[: len(report)] == [_without_chance(row) for row in report]
    guesses = {row["direction"]: row for row in rows[len(report) :]}
    assert guesses.keys() == {"guessing among 16", "guessing among 15"}
    for count in (15, 16):
        row = guesses[f"guessing among {count}"]
        assert {key: row[key] for key in guessing(count)} == pytest.approx(guessing(count))


def _without_chance(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "chance"}


def test_a_table_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, folder / "weights", "-q")
    assert code == 0
    head, *rows = (line.split() for line in out.splitlines())
    assert head == ["direction", "queries", "r1", "r5", "r10", "r1_percent", "ap"]
    assert [row[:4] for row in rows[:2]] == [
        ["drone", "to", "satellite", "16"],
        ["drone", "to", "street", "15"],
    ]
    assert rows[-2][:4] == ["guessing", "among", "16", "-"]
    assert rows[-2][4:] == ["0.062", "0.312", "0.625", "0.062", "0.137"]
    assert all(len(line) < 100 for line in out.splitlines())


def test_other_data_another_split_and_fewer_places(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "set" / "test").rename(folder / "elsewhere")
    (folder / "other").mkdir()
    (folder / "elsewhere").rename(folder / "other" / "night")
    words = ("--data", folder / "other", "--split", "night", "--max-places", 6, "--json")
    with caplog.at_level("INFO"):
        code, out, _ = told(capsys, folder / "weights", *words)
    assert code == 0
    rows = json.loads(out)
    assert {row["queries"] for row in rows} <= {5, 6, None}
    assert f"step 0, on {folder / 'other' / 'night'}" in caplog.text


def test_a_view_that_the_checkpoint_lacks(
    folder: Path,
    triples_config: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    two = load(TrainConfig, triples_config, ['model.views=["drone", "satellite"]'])
    checkpoints.save_weights(two, build_model(two.model, two.preprocess), folder / "two")
    code, out, _ = told(capsys, folder / "two")
    assert code == 0
    assert "street" not in out
    street = folder / "set" / "test" / "street"
    assert f"{street}: left out, the model has no tower for it" in caplog.text
    for view in ("drone", "satellite"):
        shutil.rmtree(folder / "set" / "test" / view)
    assert refused(capsys, folder / "two", "-q").endswith(
        "test: nothing to compare; it has the views street, the model has towers for drone,"
        " satellite, text"
    )


def test_an_unreadable_picture_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    broken = folder / "set" / "test" / "drone" / "007.jpg"
    broken.write_bytes(b"\xff\xd8 and no more")
    code, out, _ = told(capsys, folder / "weights", "--json")
    assert code == 0
    queries = {row["direction"]: row["queries"] for row in json.loads(out)}
    assert (queries["drone to satellite"], queries["drone to street"]) == (15, 14)
    assert f"left out: {broken}: cut short" in caplog.text


def test_what_cannot_be_evaluated_is_one_line(
    folder: Path, triples_config: Path, area_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = folder / "weights"
    line = refused(capsys, weights, "--split", "dusk")
    assert line == f"geobridge evaluate: {folder / 'set'}: no split 'dusk' there, but test, train"
    empty = folder / "empty"
    empty.mkdir()
    assert "empty: no data set that is known, it holds nothing" in refused(
        capsys, weights, "--data", empty
    )
    assert "empty: not a checkpoint" in refused(capsys, empty)
    settings = load(TrainConfig, area_config)
    model = build_model(settings.model, settings.preprocess)
    checkpoints.save_weights(settings, model, folder / "of_area")
    assert "was not trained on triples; name a folder of them with --data" in refused(
        capsys, folder / "of_area"
    )
    tensors = weights / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    assert "model.safetensors: truncated or changed" in refused(capsys, weights)


@pytest.mark.parametrize("words", [("--max-places", "0"), ("--data", "nowhere"), ()])
def test_usage(words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", *words, *([str(tmp_path)] if words else [])])
    assert left.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
