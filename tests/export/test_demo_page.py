"""What the demo's page and sheet add to their figures: what guessing gives, names of columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.export.demonstration.page import write_page
from geobridge.export.demonstration.sheet import PLACES, TEXT_PX, TILE_PX, write_sheet
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.metrics import (
    average_precision,
    first_ranks,
    guessing,
    one_percent_k,
    recall_at_k,
)


def first_of(references: int, queries: int) -> npt.NDArray[np.bool_]:
    """[queries, references] the first reference is the right one."""
    return np.repeat(np.eye(1, references, dtype=bool), queries, axis=0)


@given(references=st.integers(1, 120))
def test_guessing_is_the_mean_over_every_rank_that_the_right_one_can_have(references: int) -> None:
    scores = np.tile(np.arange(references, dtype=float), (references, 1))
    scores[:, 0] = np.arange(references) + 0.5  # one query for each rank
    right, expected = first_of(references, references), guessing(references)
    ranks = first_ranks(scores, right)
    assert sorted(ranks) == list(range(1, references + 1))
    assert average_precision(scores, right, "trapezoid").mean() == pytest.approx(expected["ap"])
    for k in (1, 5, 10):
        assert recall_at_k(ranks, k) == pytest.approx(expected[f"r{k}"])
    one_percent = recall_at_k(ranks, one_percent_k(references, "layumi"))
    assert one_percent == pytest.approx(expected["r1_percent"])


@pytest.mark.parametrize("references", [1, 2, 7, 36])
def test_guessing_is_what_random_scores_give(references: int) -> None:
    queries = 20_000
    scores = np.random.default_rng(references).random((queries, references))
    right, expected = first_of(references, queries), guessing(references)
    precisions = average_precision(scores, right, "trapezoid")
    five_sigmas = 5.0 * max(float(precisions.std()), 1e-12) / np.sqrt(queries)
    assert precisions.mean() == pytest.approx(expected["ap"], abs=five_sigmas)
    ranks = first_ranks(scores, right)
    for k in (1, 5, 10):
        assert recall_at_k(ranks, k) == pytest.approx(expected[f"r{k}"], abs=0.02)


def test_step_precision_would_be_guessed_otherwise() -> None:
    """The control: the two kinds of AP differ by more than the simulation above allows."""
    scores = np.random.default_rng(0).random((20_000, 36))
    precisions = average_precision(scores, first_of(36, 20_000), "step")
    assert abs(precisions.mean() - guessing(36)["ap"]) > 0.03


SUMMARY: dict[str, Any] = {
    "arrived": True,
    "ending": "arrived",
    "flight_s": 75.0,
    "without_gnss_s": 59.0,
    "without_gnss_m": 547.0,
    "frames": 224,
    "fixes": 138,
    "wrong_fixes": 0,
    "withheld": {"low_score": 42, "not_verified": 44},
    "stated_accuracy_m": 2.8,
    "fix_error_m": {"median": 2.3, "p95": 3.8, "max": 4.2},
    "autopilot_error_m": {"median": 3.2, "p95": 6.2, "max": 6.8},
    "unaided": {"gave_up_after_s": 8.1, "error_m": 5.8},
}


def page(folder: Path, counts: dict[str, int]) -> str:
    rows = [
        {"direction": name, "queries": n, "r1": 0.25, "r5": 0.5, "r10": 0.75, "ap": 0.4}
        for name, n in counts.items()
    ]
    picture = folder / "picture.png"
    assert cv2.imwrite(str(picture), np.zeros((4, 4, 3), np.uint8))
    write_page(folder / "index.html", SUMMARY, rows, picture, picture, {"the bundle": "bundle/"})
    return (folder / "index.html").read_text()


def line(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def test_every_direction_has_its_level_of_chance(tmp_path: Path) -> None:
    counts = {"drone to satellite": 36, "drone to street": 8, "text to satellite": 36}
    text = page(tmp_path, counts)
    for name, n in counts.items():
        assert line(name, str(n), "25.0 %", "50.0 %", "75.0 %", "40.0 %") in text
    above, foot = text.split("<tfoot>")
    assert "guessing among" not in above
    foot = foot.partition("</tfoot>")[0]
    assert foot.count("<tr>") == 2
    # (1 + H) / 2n: 7.2 % of 36, 23.2 % of 8
    assert line("guessing among 36", "", "2.8 %", "13.9 %", "27.8 %", "7.2 %") in foot
    assert line("guessing among 8", "", "12.5 %", "62.5 %", "100.0 %", "23.2 %") in foot


def test_without_a_direction_there_is_no_chance_to_tell(tmp_path: Path) -> None:
    text = page(tmp_path, {})
    assert "guessing among" not in text
    assert "<tfoot>" not in text


def test_a_sheet_names_its_columns_once(tmp_path: Path) -> None:
    split = tmp_path / "set" / "test"
    names = [f"{number:03d}" for number in range(PLACES)]
    for view, width_px in (("satellite", 40), ("drone", 40), ("street", 80)):
        (split / view).mkdir(parents=True)
        for name in names:
            plain = np.full((40, width_px, 3), 140, np.uint8)
            assert cv2.imwrite(str(split / view / f"{name}.jpg"), plain)
    lines = (json.dumps({"id": name, "text": "a mill"}) + "\n" for name in names)
    (split / "text.jsonl").write_text("".join(lines))
    write_sheet(tmp_path / "sheet.png", tmp_path / "set")
    sheet = read_picture(tmp_path / "sheet.png").astype(int)
    rows = [sheet[top : top + TILE_PX] for top in range(0, len(sheet), TILE_PX + TEXT_PX)]
    lefts_px = (0, TILE_PX, 2 * TILE_PX)
    widths_px = []
    for left in lefts_px:
        column = rows[0][:, left : left + TILE_PX]
        named = (np.abs(column - 140) > 20).any(axis=2)
        assert named[:15, :30].mean() > 0.9  # a plate in the corner, with the name on it
        assert (column[:30] > 230).all(axis=2).sum() > 40
        assert not named[40:].any()
        widths_px.append(int(named.any(axis=0).sum()))
    assert widths_px[0] > widths_px[2] >= widths_px[1] - 10  # satellite is the longest of them
    assert all((np.abs(row - 140) < 5).all() for row in rows[1:])
