from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

from geobridge.onboard.durable import held
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.training.checkpoint import checkpoints, read
from geobridge.training.checkpoint_record import MODEL, STATE, Best
from geobridge.training.distributed import World
from geobridge.training.runs import run_folder
from geobridge.training.runs.run_folder import (
    LOCK,
    UNREADABLE,
    Unreadable,
    append,
    locked,
    patiently,
)
from geobridge.training.runs.stopping import Stop
from geobridge.training.trainer import train

ALONE = World(0, 1, torch.device("cpu"))
Same = Callable[[Path, Path], bool]


@pytest.fixture(autouse=True)
def _quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geobridge.training.evaluation.area.QUERIES", 8)
    monkeypatch.setattr("geobridge.training.evaluation.report.write_page", lambda *_: None)


def test_a_folder_is_for_one(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "run"),
        pytest.raises(
            ConfigError, match=rf"^run\.folder: another process trains in {tmp_path}/run"
        ),
        locked(tmp_path / "run"),
    ):
        raise AssertionError
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK).exists()


@pytest.mark.parametrize("there", ["", "runs", "runs/run"])
def test_what_is_refused_leaves_nothing(there: str, tmp_path: Path) -> None:
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="no room"), locked(tmp_path / "runs" / "run"):
        raise DataError("no room")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_was_begun_stays(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").touch()
    with pytest.raises(DataError), locked(tmp_path / "run"):
        raise DataError("later")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"config.toml", LOCK}


def test_a_lock_that_was_withdrawn_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"

    def late(handle: int, refused: Exception) -> AbstractContextManager[None]:
        (run / LOCK).unlink()  # by one that was refused, just before this one could hold it
        (run / LOCK).touch()  # and of a third one
        return held(handle, refused)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "held", late)
        with pytest.raises(ConfigError, match="another process trains in"), locked(run):
            raise AssertionError
    assert (run / LOCK).exists(), "the third one's"


def test_a_refused_command_leaves_no_folder(area_config: Path, triples_config: Path) -> None:
    folder = area_config.parent
    problem = r"set/train: 16 places .*; optim\.batch_size is 96, expected at most 16$"
    with pytest.raises(DataError, match=problem):
        train(triples_config, ["optim.batch_size=96"])
    with pytest.raises(
        DataError, match=r"optim\.batch_size is 900; lower optim\.batch_size or data"
    ):
        train(area_config, ["optim.batch_size=900"])
    (folder / "map.tif").write_bytes(b"II*\x00 and no more")
    with pytest.raises(DataError, match="not a readable raster"):
        train(area_config)
    assert not (folder / "run").exists()


@pytest.mark.slow
@pytest.mark.fault("G7", "two trainers on one folder", "the second is refused")
def test_a_second_trainer_is_refused_and_the_first_goes_on(
    area_config: Path, start: Callable[..., subprocess.Popen[str]], same_weights: Same
) -> None:
    run, keys = area_config.parent / "run", ["optim.steps=60", "run.checkpoint_every_steps=10"]
    first = start(area_config, *keys)
    while not checkpoints(run):
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.01)
    first.send_signal(19)  # SIGSTOP: still there, however fast it is
    with pytest.raises(ConfigError, match=r"^run\.folder: another process trains in"):
        train(area_config, keys)
    first.send_signal(18)
    _, log = first.communicate(timeout=60)
    assert first.returncode == 0, log
    whole = train(area_config, [*keys, f"run.folder={area_config.parent / 'other'}"])
    assert same_weights(checkpoints(run)[-1], whole)


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Let no file of this process grow beyond so many bytes."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.mark.fault("G2", "no space for a checkpoint", "waits, then goes on")
def test_training_pauses_while_the_disk_is_full(
    area_config: Path,
    same_weights: Same,
    small_files: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run, waits, found = area_config.parent / "run", [], []

    def waited(stop: Stop, seconds: float) -> None:
        waits.append(seconds)
        found.append([path.name for path in run.iterdir() if "step" in path.name])
        small_files(20_000 if len(waits) < 3 else 2**40)

    monkeypatch.setattr(Stop, "wait", waited)
    small_files(20_000)
    path = train(area_config)
    small_files(2**40)
    assert waits == [run_folder.RETRY_S] * 3
    assert found == [[]] * 3, "nothing half-written remains"
    assert caplog.text.count(f"{run}: File too large; training pauses, free some space") == 3
    assert same_weights(path, train(area_config, [f"run.folder={run.parent / 'other'}"]))


def test_asked_to_stop_it_waits_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stop, "wait", lambda stop, _: stop.asked.set())

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    with pytest.raises(KeyboardInterrupt):
        patiently(full, tmp_path, ALONE, Stop())


def test_other_trouble_is_not_waited_for(tmp_path: Path) -> None:
    def forbidden() -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), "somewhere")

    with pytest.raises(PermissionError):
        patiently(forbidden, tmp_path, ALONE, Stop())


def test_lines_are_appended_whole_or_not(
    tmp_path: Path, small_files: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    append(tmp_path / "lines", ["first", "second"])
    small_files(20)
    append(tmp_path / "lines", ["a line that is too long for it"])
    small_files(2**40)
    append(tmp_path / "lines", ["third"])
    assert (tmp_path / "lines").read_text() == "first\nsecond\nthird\n"
    assert f"{tmp_path / 'lines'}: File too large" in caplog.text


def test_every_unreadable_picture_counts_once(tmp_path: Path) -> None:
    seen = Unreadable(tmp_path, 2)
    seen.add(["a: broken", "b: gone", "a: broken"], write=True)
    seen.add(["b: gone"], write=True)
    again = Unreadable(tmp_path, 2)
    again.add(["a: broken"], write=True)
    assert (tmp_path / UNREADABLE).read_text() == "a: broken\nb: gone\n"
    with pytest.raises(
        DataError, match=r"unreadable\.txt: 3 pictures cannot be read, data\.max_un"
    ):
        again.add(["c: broken"], write=True)
    assert (tmp_path / UNREADABLE).read_text().splitlines()[-1] == "c: broken"


@pytest.mark.fault("G5", "pictures that are none", "skipped and listed")
def test_pictures_that_cannot_be_read_are_listed(triples_config: Path) -> None:
    folder = triples_config.parent / "set/train"
    for name in ("drone/003.jpg", "street/007.jpg"):
        (folder / name).write_bytes(b"no picture")
    keys = ["optim.steps=4", "optim.workers=0"]
    path = train(triples_config, keys)
    lines = (path.parent / UNREADABLE).read_text().splitlines()
    assert sorted(line.partition(": ")[0] for line in lines) == [
        str(folder / "drone/003.jpg"),
        str(folder / "street/007.jpg"),
    ]
    other = ["data.max_unreadable=1", f"run.folder={triples_config.parent / 'other'}"]
    with pytest.raises(DataError, match=r"2 pictures cannot be read, data\.max_unreadable is 1"):
        train(triples_config, [*keys, *other])


def poisoned(monkeypatch: pytest.MonkeyPatch, step: int, change: Callable[[Any], None]) -> None:
    """Let something happen to the learner before a step of the run."""
    from geobridge.training.runs.run import Run

    usual = Run._learn

    def learn(run: Run, data: Any) -> Any:
        if run.learner.step == step:
            change(run.learner)
        return usual(run, data)

    monkeypatch.setattr(Run, "_learn", learn)


@pytest.mark.fault("G4", "NaN in the loss", "stops, with the evidence")
def test_a_loss_that_is_no_number_stops_with_evidence(
    area_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, 5, lambda learner: learner.model.log_scale.data.fill_(torch.nan))
    run = area_config.parent / "run"
    problem = (
        rf"^step 5: loss is nan, gradient norm nan; evidence in {run}/evidence-step-5;"
        rf" last good checkpoint: {run}/step-00000003; lower optim\.learning_rate$"
    )
    with pytest.raises(DataError, match=problem):
        train(area_config)
    found = json.loads((run / "evidence-step-5" / "evidence.json").read_text())
    assert len(found["places"]) == 6
    assert found["step"] == 5
    assert found["loss"] == "nan"
    assert found["edges"] == [{"drone-satellite": "nan"}]
    assert found["gradient_norm_by_tower"].keys() == {"drone", "satellite", "temperature"}
    assert found["first_weight_not_finite"] == "log_scale"
    assert 0 < found["learning_rate"] < 1e-3
    assert read(run).step == 3


def test_a_gradient_that_is_no_number_names_its_weight(
    area_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hook(learner: Any) -> None:
        weight = dict(learner.model.named_parameters())["images.satellite.tower.ln_post.bias"]
        weight.register_hook(lambda gradient: gradient * torch.inf)

    poisoned(monkeypatch, 0, hook)
    with pytest.raises(DataError, match=r"^step 0: loss is \d.*last good checkpoint: none was"):
        train(area_config)
    evidence = area_config.parent / "run" / "evidence-step-0" / "evidence.json"
    found = json.loads(evidence.read_text())
    assert found["first_weight_not_finite"] is None
    assert found["first_gradient_not_finite"] == "images.satellite.tower.ln_post.bias"
    norms = found["gradient_norm_by_tower"]
    assert isinstance(norms["drone"], float)
    assert norms["satellite"] in ("nan", "inf")


def test_figures_are_written_once_a_step(
    area_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        poisoned(patch, 5, lambda learner: learner.model.log_scale.data.fill_(torch.nan))
        with pytest.raises(DataError):
            train(area_config)
    metrics = area_config.parent / "run" / "metrics.jsonl"
    with metrics.open("a") as file:
        file.write('{"step": 6, "lo')  # a line that was cut off
    path = train(area_config)
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert rows[0].keys() == {
        *("step", "loss", "edges", "accuracy", "gradient_norm", "learning_rate", "logit_scale")
    }
    assert rows[-1]["edges"].keys() == {"drone-satellite"}
    assert path.name == "step-00000008"


def test_the_best_on_validation_is_kept(
    triples_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.2, 0.5, 0.5, 0.1])
    monkeypatch.setattr("geobridge.training.runs.run.validate", lambda *_: next(scores))
    keys = ["optim.steps=8", "optim.workers=0", "evaluation.every_steps=2"]
    best = train(triples_config, keys)
    assert best == triples_config.parent / "run" / "best"
    found = read(best)
    assert (found.step, found.standing.best) == (4, Best(4, 0.5))
    assert read(checkpoints(best.parent)[-1]).step == 8
    assert read(best.parent).step == 4
    assert {path.name for path in best.iterdir()} == {"checkpoint.json", MODEL, STATE}
    assert train(triples_config, keys) == best


def test_without_a_validation_split_the_last_is_the_one(triples_config: Path) -> None:
    keys = ["optim.steps=4", "optim.workers=0", "evaluation.every_steps=2"]
    assert train(triples_config, keys).name == "step-00000004"
