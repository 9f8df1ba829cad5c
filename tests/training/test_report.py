"""The page of a run and its curves, read back as a browser would have them."""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from geobridge.onboard.config import load
from geobridge.training.config import TrainConfig
from geobridge.training.evaluation.curves import WINDOWS, curve, draw, read_rows
from geobridge.training.evaluation.report import REPORT
from geobridge.training.evaluation.run_page import PAGE, write_page
from geobridge.training.trainer import train

EDGES = ("drone-satellite", "satellite-street", "street-drone", "text-drone", "text-satellite")


class Page(HTMLParser):
    """Its headings, its cells by row, and where its pictures come from."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.rows: list[list[str]] = []
        self.sources: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in ("img", "meta"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    @property
    def picture(self) -> Any:
        (source,) = self.sources
        data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def step(number: int, loss: float = 2.0) -> dict[str, Any]:
    return {
        "step": number,
        "loss": loss,
        "edges": {edge: loss / place for place, edge in enumerate(EDGES, start=2)},
        "accuracy": {edge: place / 10 for place, edge in enumerate(EDGES)},
        "gradient_norm": 1.5,
        "learning_rate": 1e-3,
    }


def validation(number: int, r1: float) -> dict[str, Any]:
    row = {"direction": "drone to satellite", "queries": 40, "r1": r1, "chance": {"r1": 0.025}}
    return {"step": number, "r1": r1, "table": [row]}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_run_leaves_a_page_that_needs_nothing_else(triples_config: Path) -> None:
    folder = triples_config.parent
    for split in ("val", "test"):
        shutil.copytree(folder / "set" / "train", folder / "set" / split)
    train(triples_config, ("optim.steps=4", "optim.workers=0", "evaluation.every_steps=2"))
    page, table = Page(folder / "run" / PAGE), json.loads((folder / "run" / REPORT).read_text())
    assert not page.stack.count("table")
    for row in table:
        figures = (row[key] for key in ("r1", "r5", "r10", "r1_percent", "ap"))
        shown = [f"{100 * figure:.1f} %" for figure in figures]
        assert [row["direction"], str(row["queries"]), *shown] in page.rows
    assert ["guessing among 16", "", "6.2 %", "31.2 %", "62.5 %", "6.2 %", "13.7 %"] in page.rows
    assert page.picture.shape[1] > 1000
    assert "batch_size = 8" in page.text
    best = json.loads((folder / "run" / "best" / "checkpoint.json").read_text())["step"]
    assert f"weights of step {best}, the best on the split val" in page.text
    assert not re.search(r"https?://|<script|<link", page.text)


def test_a_run_on_an_area_tells_what_it_finds_on_the_map(area_config: Path) -> None:
    run = train(area_config, ("optim.steps=1",)).parent
    figures, page = json.loads((run / REPORT).read_text()), Page(run / PAGE)
    share = f"{100 * figures['r1_within_50_m']:.1f} %"
    assert ["first candidate within 50 m", share] in page.rows
    assert "measured with the last weights, step 1" in page.text.lower()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "a <run>"
    run.mkdir()
    return run


def test_without_matplotlib_one_line_says_so(
    run: Path, triples_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(run / "metrics.jsonl", [step(1), step(2)])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    page = Page(write_page(run, load(TrainConfig, triples_config), None))
    assert page.sources == []
    assert page.text.count("they need matplotlib") == 1
    assert "The data have no test split" in page.text
    assert "<h1>Training run a &lt;run&gt;</h1>" in page.text


def test_a_run_that_wrote_no_figures_has_a_page_all_the_same(
    run: Path, triples_config: Path
) -> None:
    page = Page(write_page(run, load(TrainConfig, triples_config), None))
    assert page.sources == []
    assert "No metrics.jsonl is there to draw" in page.text


def test_rows_of_a_step_are_one_and_a_line_cut_off_is_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = ['{"step": 2, "loss": 5, "rate": 1}', '{"step": 1}', '{"step": 2, "loss": 3}']
    path.write_text("\n".join([*lines, '{"st', "[1]", '{"step": null}', '{"step": 3, "lo']))
    assert read_rows(path) == [{"step": 1}, {"step": 2, "loss": 3, "rate": 1}]
    assert read_rows(tmp_path / "absent.jsonl") == []


def shown(metrics: list[dict[str, Any]], checks: list[dict[str, Any]]) -> Any:
    return cv2.imdecode(np.frombuffer(draw(metrics, checks), np.uint8), cv2.IMREAD_COLOR)


def ink(picture: Any, colour: str) -> int:
    """Pixels of a colour, given as #rrggbb."""
    bgr = [int(colour[place : place + 2], 16) for place in (5, 3, 1)]
    return int((np.abs(picture.astype(int) - bgr) < 12).all(axis=2).sum())


def test_curves_show_what_was_written() -> None:
    metrics = [step(number, 6.0 / number) for number in range(1, 60)]
    without = shown(metrics, [])
    with_checks = shown(metrics, [validation(20, 0.3), validation(40, 0.5)])
    assert without.shape == with_checks.shape
    assert np.abs(without.astype(int) - with_checks).mean() > 1.0
    for row in metrics:
        del row["edges"]["text-drone"], row["accuracy"]["text-drone"]
    fewer = shown(metrics, [])
    assert ink(without, "#8a4fff") > 200
    assert ink(fewer, "#8a4fff") == 0


@pytest.mark.parametrize(
    "rows",
    [
        [step(1)],
        [step(1) | {"gradient_norm": float("inf")}, step(2) | {"loss": float("nan")}],
        [step(1) | {"gradient_norm": 0.0, "learning_rate": 0.0}, step(2)],
        [{"step": 1, "validation_r1": 0.5}],
    ],
)
def test_odd_figures_are_drawn_all_the_same(rows: list[dict[str, Any]]) -> None:
    assert shown(rows, [validation(1, 0.0)]).std() > 1


def test_a_curve_is_a_running_mean_of_what_is_a_number() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(4.0, 1.0, 1000)
    rows: list[dict[str, Any]] = [{"step": n, "x": float(v)} for n, v in enumerate(values)]
    window = 1000 // WINDOWS
    steps, means = curve([*rows, {"step": 1000, "x": float("inf")}, {"step": 1001}], "x")
    assert len(means) == 1001 - window
    for first in (0, 500, 1000 - window):
        part = slice(first, first + window)
        assert steps[first] == pytest.approx(np.arange(1000)[part].mean())
        assert means[first] == pytest.approx(values[part].mean())
    assert curve(rows[:3], "x")[1] == pytest.approx(values[:3])
    assert [len(part) for part in curve(rows, "y")] == [0, 0]
