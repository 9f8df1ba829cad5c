"""`geobridge dataset check`: counts, what is missing or broken, leaks, and the page to look at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from geobridge.onboard.cli import main

Write = Callable[[str], Path]


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["dataset", "check", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def facts(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    code, out, err = told(capsys, *words, "--json", "-q")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    code, out, err = told(capsys, *words, "-q")
    assert (code, out) == (2, "")
    return err.splitlines()[-1]


def notes(found: dict[str, Any]) -> str:
    return "\n".join(value for key, value in found.items() if key.startswith("note"))


def test_each_set_is_whole_and_has_a_page(
    each_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = facts(capsys, each_set, "-o", tmp_path / "out")
    assert found["protocols"]
    assert any(str(value).endswith("references") for value in found.values())
    page = (tmp_path / "out" / "check.html").read_text()
    assert page.count("data:image/jpeg") >= 1
    has_map = each_set.name not in {"university1652", "sues200", "captions", "geoloc"}
    assert ("data:image/png" in page) == has_map


def test_the_published_counts_stand_beside(
    public_set: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    found = facts(capsys, public_set("university1652"))
    assert "test gallery_satellite: 6 here, 951 as published" in notes(found)


def test_what_is_missing_or_broken_is_named(
    public_set: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = public_set("vigor")
    first, second = sorted((folder / "satellite" / "Seattle").iterdir())[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:40])
    line = refused(capsys, folder, "-o", tmp_path / "out")
    assert f"1 pictures are missing, as {first}" in line
    assert f"1 pictures cannot be decoded, as {second}" in line
    assert "pictures are missing" in (tmp_path / "out" / "check.html").read_text()


def test_leaks_by_place_by_bytes_and_by_distance(
    public_set: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = public_set("university1652")
    before = notes(facts(capsys, folder))
    assert "trained on" not in before
    assert "byte for byte" not in before
    shutil.copytree(folder / "test" / "query_drone" / "0100", folder / "train" / "drone" / "0100")
    above = folder / "train" / "satellite" / "0100"
    shutil.copytree(folder / "test" / "gallery_satellite" / "0100", above)
    found = notes(facts(capsys, folder))
    assert "1 places are trained on and asked for, as 0100" in found
    assert "test pictures are also in the training part, byte for byte" in found
    assert "within" not in notes(facts(capsys, public_set("denseuav")))
    far = facts(capsys, folder.parent / "denseuav", "--near-m", "100000")
    assert "8 queries lie within 100000 m of a training picture" in notes(far)


def test_triples_leak_too(public_set: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = public_set("geoloc")
    for split, north_m in (("train", 0.0), ("test", 30.0)):
        names = [path.stem for path in sorted((folder / split / "drone").iterdir())]
        lines = [
            {"id": name, "east_m": 1000.0 * at, "north_m": north_m, "footprint_m": 100.0}
            for at, name in enumerate(names)
        ]
        (folder / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for view in ("drone", "satellite"):
        source = folder / "test" / view / "0100.jpg"
        shutil.copy(source, folder / "train" / view / "0100.jpg")
    found = notes(facts(capsys, folder))
    assert "queries lie within 50 m of a training picture; the nearest is 30.0 m away" in found
    assert "1 places are trained on and asked for, as 0100" in found
    assert "1 test pictures are also in the training part, byte for byte" in found


def test_what_is_named_twice(public_set: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = public_set("gta-uav")
    path = folder / "cross-area-drone2sate-test.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([*entries, entries[0]]))
    assert "1 pictures are asked for or searched twice" in refused(capsys, folder)


def test_a_position_that_cannot_be_right(
    public_set: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = public_set("own")
    path = folder / "places.csv"
    lines = path.read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if "drones/0101" in line)
    lines[at] = lines[at].replace(",30.", ",31.")
    path.write_text("\n".join(lines) + "\n")
    assert "km from its reference" in refused(capsys, folder)
