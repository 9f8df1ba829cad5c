"""What is wrong with data and configurations is told in one line before the first step."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from geobridge.onboard.errors import ConfigError, DataError, GeobridgeError
from geobridge.training import command
from geobridge.training.learner import Learner
from geobridge.training.trainer import train

Change = Callable[[Path], None]
KEYS = ["optim.workers=0", "optim.steps=2"]


def spoil(folder: Path, count: int = 99) -> None:
    """The first pictures of a view are none."""
    for path in sorted(folder.iterdir())[:count]:
        path.write_bytes(b"\xff\xd8 this is a page of HTML")


def empty(folder: Path) -> None:
    folder.mkdir(parents=True)


def only_one_side(split: Path) -> None:
    """Street pictures of places that nothing else is known of."""
    for path in (split / "street").iterdir():
        path.rename(path.with_stem(f"other-{path.stem}"))


CASES: list[tuple[str, Change, str]] = [
    ("train", lambda s: spoil(s / "satellite"), "none of the first 8 satellite pictures can be"),
    ("train", lambda s: spoil(s / "drone", 8), r"none of the first 8 drone .*drone/000\.jpg: cut"),
    ("train", only_one_side, "street: no place there has another view or a text"),
    ("train", lambda s: (s / "text.jsonl").unlink(), "no place has a text .*text_tower=false"),
    ("train", lambda s: shutil.rmtree(s / "street"), "street: no such folder; expected one folder"),
    ("val", lambda s: spoil(s / "street"), "val: none of the first 8 street pictures can be read"),
    ("val", lambda s: shutil.rmtree(s / "street"), ""),
    ("test", lambda s: spoil(s / "drone"), "test: none of the first 8 drone pictures"),
]


@pytest.mark.parametrize(("split", "change", "problem"), CASES)
def test_wrong_data_are_told_before_the_network_is_built(
    split: str,
    change: Change,
    problem: str,
    triples_config: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("the network was built")

    folder = triples_config.parent / "set"
    for name in ("val", "test"):
        shutil.copytree(folder / "train", folder / name)
    change(folder / split)
    monkeypatch.setattr(Learner, "__init__", too_late)
    if not problem:  # a view that is only missing is said, and is no reason to stop
        with caplog.at_level(logging.WARNING), pytest.raises(AssertionError, match="was built"):
            train(triples_config, KEYS)
        assert f"{folder / split}: has no pictures of the view street" in caplog.text
        return
    with pytest.raises(DataError, match=problem) as caught:
        train(triples_config, KEYS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("view", ["", "drone"])
def test_an_empty_split_is_told(view: str, triples_config: Path) -> None:
    empty(triples_config.parent / "set" / "val" / view)
    with pytest.raises(DataError, match=r"set/val") as caught:
        train(triples_config, KEYS)
    assert "\n" not in str(caught.value)


def test_missing_splits_are_told_in_the_beginning(
    triples_config: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Learner, "__init__", stop)
    with caplog.at_level(logging.INFO), pytest.raises(KeyboardInterrupt):
        train(triples_config, [*KEYS, "evaluation.every_steps=1"])
    assert "no split val; nothing is chosen on" in caplog.text
    assert "no split test; the report will have no table" in caplog.text


def test_some_unreadable_pictures_are_no_reason_to_stop(triples_config: Path) -> None:
    spoil(triples_config.parent / "set" / "train" / "street", 7)
    assert train(triples_config, KEYS).name == "step-00000002"


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # whoever imports it fails
from geobridge.onboard.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["pretrain", "optim.stepz=3"], "optim.stepz"),
        (["pretrain", "optim.steps=3"], "expected steps or epochs, and not both"),
        (["pretrain", "data.folder=nowhere"], "data.folder: nowhere: no such file or folder"),
        (["area", "data.raster=no.tif"], "data.raster: no.tif: no such file or folder"),
        (["distill", "data.folder=."], "distill.teacher: runs/foundation: no such file or folder"),
        (["pretrainn"], "no recipe of that name"),
        (["pretrain", "augment.missing={text = 2.0}"], "augment.missing.text"),
        (["finetune_last3", "objective.edge_weights={text-drone = 1.0}"], "lacks a tower of it"),
        (["finetune_last3", "objective.image_weight=0"], "no edge between"),
    ],
)
def test_a_wrong_configuration_is_told_before_torch_is_loaded(
    arguments: list[str], problem: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "train", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_process_without_its_others_ends_in_one_line(triples_config: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from geobridge.onboard.cli import main; sys.exit(main(sys.argv[1:]))"
    where = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", code, "train", triples_config, "run.wait_for_processes_s=1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | where | {"MASTER_PORT": str(port)},
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert f"127.0.0.1:{port}: the 2 processes did not meet within 1 s" in line


def test_the_command_trains(triples_config: Path) -> None:
    with pytest.raises(GeobridgeError):
        command.train(triples_config, ["optim.batch_size=99"])
    assert isinstance(command.train(triples_config, KEYS, dry_run=True), dict)
    with pytest.raises(ConfigError):
        command.train(triples_config, ["optim.batch_size=1"])
