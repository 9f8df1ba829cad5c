"""Regression of fixes, and comparison of two replays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.cli import main
from geobridge.onboard.errors import DataError, DifferenceError
from geobridge.onboard.replay.columns import Columns
from geobridge.onboard.replay.compare import compare, most_different, pairs_of
from geobridge.onboard.replay.expected import TOLERANCES, differences, must_be_equal, stored_lines
from geobridge.onboard.replay.paired import Paired
from geobridge.onboard.replay.paired import differences as paired_differences

from .flown import write_lines


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("stored") / "fixes.jsonl", 60)


def changed(
    stored: Path, path: Path, number: int, change: Callable[[dict[str, Any]], None]
) -> Path:
    lines = stored.read_text().splitlines()
    line = json.loads(lines[number])
    change(line)
    lines[number] = json.dumps(line)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_same_is_the_same(stored: Path, tmp_path: Path) -> None:
    again = shutil.copy(stored, tmp_path / "fixes.jsonl")
    must_be_equal(again, stored_lines(stored))
    assert not (tmp_path / "differences.txt").exists()


@given(st.sampled_from(sorted(set(TOLERANCES) - {"position_m"})), st.booleans(), st.integers(4, 59))
def test_a_number_within_its_tolerance_is_the_same(
    stored: Path, field: str, is_within: bool, number: int
) -> None:
    factor = 0.99 if is_within else 1.01

    def move(line: dict[str, Any]) -> None:
        holder = line if field == "error_m" else line["fix"]
        holder[field] = (holder[field] or 0.0) + factor * TOLERANCES[field]

    def at_zero(line: dict[str, Any]) -> None:
        for name in ("alt_amsl_m", "velocity_north_m_s", "velocity_east_m_s"):
            line["fix"][name] = 0.0

    base = changed(stored, stored.with_name("base.jsonl"), number, at_zero)
    moved = changed(base, stored.with_name("moved.jsonl"), number, move)
    found = differences(moved, base)
    assert len(found.changes) == (0 if is_within else 1)
    if not is_within:
        assert field in found.short
        assert found.short.startswith("1 of 60 frames differ")


@pytest.mark.parametrize(("moved_m", "count"), [(0.04, 0), (0.06, 1)])
def test_places_are_compared_in_metres(
    stored: Path, tmp_path: Path, moved_m: float, count: int
) -> None:
    def north(line: dict[str, Any]) -> None:
        line["fix"]["lat_deg"] += moved_m / 111_200.0

    found = differences(changed(stored, tmp_path / "moved.jsonl", 20, north), stored)
    assert [change.field for change in found.changes] == ["position_m"] * count


def test_long_and_short_differences(stored: Path, tmp_path: Path) -> None:
    def silence(line: dict[str, Any]) -> None:
        del line["fix"]
        line["rejection"] = {"reason": "torn", "detail": ""}

    path = changed(stored, tmp_path / "fixes.jsonl", 30, silence)
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DifferenceError, match="2 of 60 frames differ: outcome in 1, first in") as e:
        must_be_equal(path, stored_lines(stored))
    assert str(e.value).endswith("differences.txt")
    told = (tmp_path / "differences.txt").read_text().splitlines()
    assert told == [
        "flight.mp4#30: outcome: fix stored, torn found",
        "flight.mp4#59: frames: a frame stored, None found",
    ]


@pytest.mark.parametrize("text", ["nonsense\n", '{"frame": 3}\n', "[]\n", 100_000 * "["])
def test_what_is_stored_must_be_fixes(stored: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(DataError, match="line 1: not what"):
        differences(stored, tmp_path / "x.jsonl")
    with pytest.raises(DataError, match="line 1: not what"):
        Columns.read(tmp_path / "x.jsonl")


def replays(folder: Path, **flights: dict[str, Any]) -> Path:
    for name, lines in flights.items():
        (folder / name).mkdir(parents=True)
        write_lines(folder / name / "fixes.jsonl", 400, **lines)
    return folder


def test_a_difference_that_is_there_is_found_and_one_that_is_not_is_chance(tmp_path: Path) -> None:
    one = replays(tmp_path / "one", a={"seed": 1}, b={"seed": 2})
    like = replays(tmp_path / "like", a={"seed": 3}, b={"seed": 4})
    worse = replays(
        tmp_path / "worse", a={"seed": 5, "error_m": 4.0}, b={"seed": 6, "error_m": 4.0}
    )
    rows = {row["figure"]: row for row in compare(one, worse, tmp_path / "x", pictures=3)}
    median = rows["error_median_m"]
    assert median["is_sure"]
    assert 1.0 < median["low"] < median["b_less_a"] < median["high"] < 4.0
    assert rows["availability_over_common_frames"]["b_less_a"] == 0.0
    assert not rows["availability_over_common_frames"]["is_sure"]
    rows = {row["figure"]: row for row in compare(one, like, tmp_path / "y", pictures=0)}
    median = rows["error_median_m"]
    assert median["low"] < 0.0 < median["high"]
    assert (tmp_path / "x/compare.html").read_text().count("<figure>") == 3


def test_with_itself_nothing_differs(tmp_path: Path) -> None:
    one = replays(tmp_path / "one", a={})
    rows = compare(one / "a", one / "a", tmp_path / "out")
    assert {row["b_less_a"] for row in rows} == {0.0}
    assert {row["is_sure"] for row in rows} == {False}
    told = json.loads((tmp_path / "out/compare.json").read_text())
    assert told["most_different"] == told["outcomes"] == []


def test_a_few_seconds_are_too_little_to_say(tmp_path: Path) -> None:
    columns = Columns.read(write_lines(tmp_path / "fixes.jsonl", 30))
    rows = paired_differences(Paired.of([(columns, columns)]))
    assert {row["low"] for row in rows} == {None}
    assert {row["is_sure"] for row in rows} == {None}


def test_frames_that_differ_most_lie_apart(tmp_path: Path) -> None:
    a, b = (
        Columns.read(write_lines(tmp_path / f"{seed}.jsonl", 400, seed=seed)) for seed in (1, 2)
    )
    paired = Paired.of([(a, b)])
    chosen = most_different(paired, 10)
    assert len(chosen) == 10
    times_s = np.sort(paired.a.t_ns[chosen]) * 1e-9
    assert np.diff(times_s).min() >= 3.0


def test_intervals_hold_what_they_promise(tmp_path: Path) -> None:
    """Of pairs that differ by chance alone, one in twenty may seem to differ."""
    seen = 0
    for seed in range(16):
        columns = [
            Columns.read(write_lines(tmp_path / "f.jsonl", 300, seed=2 * seed + side))
            for side in (0, 1)
        ]
        rows = paired_differences(Paired.of([(columns[0], columns[1])]))
        seen += next(row for row in rows if row["figure"] == "error_median_m")["is_sure"]
    assert seen <= 4


def test_flights_are_paired_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = replays(tmp_path / "one", a={}, b={})
    two = replays(tmp_path / "two", b={}, c={})
    assert [pair.name for pair in pairs_of(one, two)] == ["b"]
    assert "has no flight a" in caplog.text
    assert "has no flight c" in caplog.text


def test_what_was_stopped_is_no_flight(tmp_path: Path) -> None:
    one = replays(tmp_path / "one", a={}, **{"b/.partial-replay": {}})
    two = replays(tmp_path / "two", a={}, **{"b/.partial-replay": {}})
    assert [pair.name for pair in pairs_of(one, two)] == ["a"]


def test_pictures_of_a_flight_that_nothing_tells_where_they_lie(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = (replays(tmp_path / side, a={"seed": seed}) for seed, side in enumerate("ab"))
    for name in ("summary.json", "timing.json"):
        (one / "a" / name).write_text(100_000 * "[")
    compare(one / "a", two / "a", tmp_path / "out", pictures=1)
    assert "its pictures cannot be shown" in caplog.text


def test_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = replays(tmp_path / "one", a={})
    (tmp_path / "two").mkdir()
    assert main(["replay", "compare", str(one), str(tmp_path / "two"), "-o", "x"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("geobridge replay compare: ")
    assert "not what replays of the same flights leave" in line
    assert line.count("\n") == 1


def test_frames_that_one_side_has_not_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = replays(tmp_path / "one", a={}), replays(tmp_path / "two", a={})
    lines = (two / "a/fixes.jsonl").read_text().splitlines(keepends=True)
    (two / "a/fixes.jsonl").write_text("".join(lines[:300]))
    rows = {row["figure"]: row for row in compare(one, two, tmp_path / "out")}
    assert rows["availability_over_common_frames"]["b_less_a"] == 0.0
    told = json.loads((tmp_path / "out/compare.json").read_text())
    assert told["flights"] == [{"flight": "a", "frames_a": 400, "frames_b": 300, "frames": 300}]
    said = "100 of A's 400 frames and 0 of B's 300 are left out"
    assert told["left_out"] == said
    assert said in caplog.text
    assert (
        "300 frames of 1 flight that both have; 100 of A"
        in (tmp_path / "out/compare.html").read_text()
    )


def test_frames_of_other_names_are_not_the_same_flight(tmp_path: Path) -> None:
    one, two = replays(tmp_path / "one", a={}), replays(tmp_path / "two", a={})
    text = (two / "a/fixes.jsonl").read_text()
    (two / "a/fixes.jsonl").write_text(text.replace("flight.mp4#", "tuesday.mp4#"))
    with pytest.raises(
        DataError, match=r"not the same flight: .* flight\.mp4#0 .* tuesday\.mp4#0 "
    ):
        compare(one, two, tmp_path / "out")
    assert not (tmp_path / "out").exists()
