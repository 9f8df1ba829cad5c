"""`geobridge evaluate` on public data sets: tables, files, what flies, and what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch

from geobridge.onboard.cli import main
from geobridge.onboard.config import load
from geobridge.training import checkpoint as checkpoints
from geobridge.training.config import TrainConfig
from geobridge.training.evaluation import described
from geobridge.training.evaluation.tables import as_latex, label, written
from geobridge.training.model import build_model
from geobridge.training.protocols.published import Published, beside, published

Write = Callable[[str], Path]


@pytest.fixture
def weights(triples_config: Path) -> Path:
    """A checkpoint for three views and words that was trained on nothing."""
    settings = load(TrainConfig, triples_config, ["model.shared_image_towers=true"])
    torch.manual_seed(0)
    model = build_model(settings.model, settings.preprocess)
    return checkpoints.save_weights(settings, model, triples_config.parent / "weights")


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def rows_of(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    code, out, err = told(capsys, *words, "--json", "-q")
    assert code == 0, err
    rows: list[dict[str, Any]] = json.loads(out)
    return rows


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    code, out, err = told(capsys, *words, "-q")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1, err
    return err


def test_every_set_by_every_protocol(
    each_set: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    rows = rows_of(capsys, weights, "--dataset", each_set, "-o", out)
    assert {row["dataset"] for row in rows} == {each_set.name}
    for row in rows:
        assert 0 <= row["r1"] <= row["r5"] <= row["r10"] <= 1
    # colours tell the places apart, and one tower for all views sees colours
    assert all(row["r5"] > 0.5 for row in rows if "text" not in row["task"])
    report = json.loads((out / "report.json").read_text())
    assert report["rows"] == rows
    assert {rule["protocol"] for rule in report["rules"]} == {row["protocol"] for row in rows}
    with (out / "figures.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert len((out / "table.tex").read_text().splitlines()) == 2 * len(
        {row["protocol"] for row in rows}
    )
    tasks = {(row["protocol"], row["task"]) for row in rows}
    lists = sorted((out / "ranks").glob("*.jsonl"))
    assert len(lists) == len(tasks)
    for path in (out / "pictures").iterdir():
        assert cv2.imread(str(path)) is not None
    assert (out / "index.html").read_text().count("<h3>") >= len(tasks)


def test_rank_lists_are_those_of_the_figures(
    public_set: Write, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    folder = public_set("university1652")
    words = ("--dataset", folder, "--protocol", "university1652", "-o", out)
    rows = {row["task"]: row for row in rows_of(capsys, weights, *words)}
    for task in ("drone to satellite", "satellite to drone"):
        path = out / "ranks" / f"university1652-{task.replace(' ', '-')}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert np.mean([line["rank"] == 1 for line in lines]) == rows[task]["r1"]
        assert np.mean([line["ap"] for line in lines]) == pytest.approx(rows[task]["ap"])
        for line in lines:
            first = [at for at, name in enumerate(line["found"], 1) if name in line["right"]]
            assert (first or [line["rank"]])[0] == line["rank"]
            assert line["scores"] == sorted(line["scores"], reverse=True)


def test_both_readings_of_the_gallery_and_the_published_beside(
    public_set: Write, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = told(capsys, weights, "--dataset", public_set("university1652"), "-q")
    assert code == 0
    assert "drone to satellite, 12 queries, 6 references (university1652)" in out
    assert "drone to satellite, 12 queries, 4 references (university1652-sample4geo)" in out
    assert "97.77!" in out
    assert "! GeoBridge: AP 97.77 with R@1 95.82: at most 96.86 with one right reference" in out
    assert "layumi/University1652-Baseline" in out


def test_fewer_references_never_cost_a_rank(
    public_set: Write, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--dataset", public_set("sues200"), "--no-flips")
    rows = rows_of(capsys, weights, *words)
    full, queried = (
        {row["task"]: row for row in rows if row["protocol"] == name}
        for name in ("sues200", "sues200-sample4geo")
    )
    for task in full.keys() & queried.keys():
        assert queried[task]["r1"] >= full[task]["r1"]
        assert queried[task]["gallery"] < full[task]["gallery"]


def test_what_flies_beside_what_was_trained(
    public_set: Write,
    triples_config: Path,
    tmp_path: Path,
    texture: Callable[..., Any],
    write_raster: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    vision = "{layers=1, width=32, head_width=16, patch_size=8}"
    vit = [f"model.vision={vision}", "model.text_tower=false", 'model.views=["drone", "satellite"]']
    settings = load(TrainConfig, triples_config, [*vit, "model.shared_image_towers=true"])
    torch.manual_seed(1)
    model = build_model(settings.model, settings.preprocess)
    weights = checkpoints.save_weights(settings, model, tmp_path / "weights")
    encoders = tmp_path / "encoders"
    assert main(["export", str(weights), "-o", str(encoders), "-q"]) == 0
    capsys.readouterr()
    words = ("--dataset", public_set("gta-uav"), "--protocol", "gta-uav-cross")
    options = ("--dims", "8", "--search", "exact", "--search", "hnsw")
    rows = rows_of(capsys, weights, encoders, *words, *options)
    assert [(row["model"], row["dims"], row["search"]) for row in rows] == [
        (model, dims, search)
        for model in ("checkpoint weights", "encoders fp32", "encoders fp16")
        for dims in (16, 8)
        for search in ("exact", "hnsw")
    ]
    exact = {row["model"]: row for row in rows if (row["dims"], row["search"]) == (16, "exact")}
    whole, flown = exact["checkpoint weights"], exact["encoders fp32"]
    assert flown["ap"] == pytest.approx(whole["ap"], abs=0.05)
    assert all("ap" not in row for row in rows if row["search"] == "hnsw")
    one = rows_of(capsys, encoders / "drone.fp16.onnx", *words)
    assert [row["model"] for row in one] == ["encoders fp16"]
    code, out, _ = told(capsys, weights, encoders, *words, "-q")
    assert code == 0
    assert "encoders fp16, 16" in out
    write_raster(tmp_path / "map.tif", texture(200))
    packing = (tmp_path / "map.tif", "--encoders", encoders, "-o", tmp_path / "bundle")
    assert main(["pack", *map(str, packing), "--footprint-m", "40", "-q"]) == 0
    capsys.readouterr()
    packed = rows_of(capsys, tmp_path / "bundle", *words)
    by_name = {row["model"]: row["ap"] for row in packed}
    assert by_name["bundle fp16"] == exact["encoders fp16"]["ap"]


def test_another_split_of_triples(
    public_set: Write, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--dataset", public_set("geoloc"), "--protocol", "geoloc")
    assert {row["queries"] for row in rows_of(capsys, weights, *words)} == {4}
    rows = rows_of(capsys, weights, *words, "--split", "train")
    assert {row["queries"] for row in rows} == {12}
    line = refused(capsys, weights, *words, "--max-places", "3")
    assert "--max-places: a protocol has all" in line


def test_words_to_pictures_and_back(
    public_set: Write, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row["task"]: row for row in rows_of(capsys, weights, "--data", public_set("captions"))}
    there, back = rows["text to satellite"], rows["satellite to text"]
    assert (there["queries"], there["gallery"]) == (32, 16)
    assert (back["queries"], back["gallery"]) == (16, 32)


def test_a_stopped_run_goes_on_with_what_was_described(
    public_set: Write,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("--dataset", public_set("cvusa"), "-o", tmp_path / "out")
    monkeypatch.setattr(described, "CHUNK", 2)
    first = rows_of(capsys, weights, *words)
    kept = sorted((tmp_path / "out" / "descriptors").rglob("*.npy"))
    assert len(kept) == 4
    kept[0].unlink()
    kept[1].write_bytes(kept[1].read_bytes()[:-4])
    calls = []
    describe = described._describe

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return describe(*arguments)

    monkeypatch.setattr(described, "_describe", counted)
    assert rows_of(capsys, weights, *words) == first
    assert len(calls) == 2


def test_mistakes_are_one_line(
    public_set: Write, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = public_set("cvusa")
    broken = folder / "bingmap" / "19" / f"{101:07d}.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert f"{broken}: cut short" in refused(capsys, weights, "--dataset", folder)
    broken.unlink()
    assert f"{broken}: No such file or directory" in refused(capsys, weights, "--dataset", folder)
    broken.write_bytes(whole)
    line = refused(capsys, weights, "--dataset", folder, "--protocol", "vigor-same")
    assert "--protocol vigor-same: is of vigor, these data are cvusa: cvusa" in line
    words, file = ("--dims", "8", "--dims", "99", "-o", tmp_path / "out"), tmp_path / "file"
    line = refused(capsys, weights, "--dataset", folder, *words)
    assert "--dims 99: the descriptors of checkpoint weights have 16 numbers" in line
    assert not (tmp_path / "out").exists(), "nothing was described"
    file.write_text("mine")
    line = refused(capsys, weights, "--dataset", folder, "-o", file)
    assert f"-o {file}: exists and is not a folder" in line
    assert "no data set that is known" in refused(capsys, weights, "--dataset", tmp_path / "sets")


def test_a_network_without_the_towers(
    public_set: Write, weights: Path, triples_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = load(
        TrainConfig,
        triples_config,
        ['model.views=["drone", "satellite"]', "model.text_tower=false"],
    )
    model = build_model(two.model, two.preprocess)
    path = checkpoints.save_weights(two, model, weights.parent / "two")
    line = refused(capsys, path, "--dataset", public_set("cvusa"))
    assert "nothing that checkpoint two has two towers for" in line


def test_published_figures_that_cannot_be() -> None:
    marked = {(each.task, each.method) for each in published() if each.impossible}
    assert marked == {
        ("drone to satellite", "GeoBridge"),
        ("street to satellite", "Sample4Geo"),
        ("satellite to street", "Sample4Geo"),
        ("satellite to street", "TransGeo"),
    }
    possible = Published("x", "x", "x", {"r1": 90.0, "ap": 92.5}, "x")
    assert not possible.impossible
    assert Published("x", "x", "x", {"r1": 90.0, "ap": 92.6}, "x").impossible
    assert not Published("x", "x", "x", {"r1": 90.0, "ap": 80.0}, "x", single=False).impossible
    assert all(each.source for each in published())
    assert [each.method for each in beside("cvact", "street to satellite, test")] == [
        "P-BEV",
        "Geo2",
    ]


def test_figures_as_papers_write_them() -> None:
    assert [label(name) for name in ("r5", "sdm3", "dis1_m", "l25m", "ma3m", "ap")] == [
        "R@5",
        "SDM@3",
        "Dis@1 m",
        "L@25m",
        "MA@3m",
        "AP",
    ]
    assert written("r1", 0.95825) == "95.83"
    assert written("median_m", 12.345) == "12.35"
    row = {"protocol": "university1652", "task": "drone to satellite", "model": "a_b", "dims": 8}
    row |= {"search": "exact", "r1": 0.5, "ap": 0.25}
    assert as_latex([row]).splitlines()[1] == r"a\_b, 8 & 50.00 & 25.00 \\"
