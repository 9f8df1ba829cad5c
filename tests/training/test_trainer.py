from __future__ import annotations

import json
import math
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from geobridge.onboard.config import load
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.training import trainer as trainers
from geobridge.training.checkpoint import MODEL, checkpoints, read
from geobridge.training.config import OptimConfig, TrainConfig
from geobridge.training.pipeline import TensorBatch, batches, open_source
from geobridge.training.report import REPORT
from geobridge.training.trainer import Trainer, learning_rate, train

Same = Callable[[Path, Path], bool]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def _quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geobridge.training.evaluate.QUERIES", 8)


def elsewhere(config: Path) -> str:
    """The override that makes it another run."""
    return f"run.folder={config.parent / 'other'}"


def stopped(config: Path, steps: int, *overrides: str) -> Path:
    """The checkpoint of a run that was interrupted after so many steps."""
    settings = load(TrainConfig, config, overrides)
    torch.manual_seed(settings.optim.seed)
    trainer = Trainer(settings)
    data = batches(settings, open_source(settings), first=0)

    def until_interrupted() -> Any:
        for _ in range(steps):
            yield next(data)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.run(until_interrupted())
    return checkpoints(Path(settings.run.folder))[-1]


@pytest.mark.parametrize("steps", [0, 5])
def test_an_interrupted_run_ends_like_one_that_was_not(
    steps: int, area_config: Path, same_weights: Same
) -> None:
    partial = stopped(area_config, steps)
    assert read(partial).step == steps
    resumed = train(area_config)
    whole = train(area_config, [elsewhere(area_config)])
    assert same_weights(resumed, whole)


def test_another_seed_is_another_run(area_config: Path, same_weights: Same) -> None:
    assert not same_weights(
        train(area_config), train(area_config, [elsewhere(area_config), "optim.seed=1"])
    )


def test_an_interrupt_waits_for_the_end_of_the_step(
    area_config: Path, same_weights: Same, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.optim.AdamW.step
    taken = []

    def interrupted(optimizer: torch.optim.AdamW, *args: Any, **keys: Any) -> Any:
        taken.append(True)
        if len(taken) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(optimizer, *args, **keys)

    monkeypatch.setattr(torch.optim.AdamW, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(area_config)
    assert [read(path).step for path in checkpoints(area_config.parent / "run")] == [2]
    assert same_weights(train(area_config), train(area_config, [elsewhere(area_config)]))


def later_checkpoint(process: subprocess.Popen[str], run: Path, step: int) -> None:
    """Wait until a process has written one of a later step."""
    give_up = time.monotonic() + 60
    while not checkpoints(run) or checkpoints(run)[-1].name <= f"step-{step:08d}":
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < give_up
        time.sleep(0.002)


@pytest.mark.slow
def test_a_process_killed_and_interrupted_loses_at_most_the_interval(
    area_config: Path, start: Start, same_weights: Same
) -> None:
    run, long = area_config.parent / "run", ["optim.steps=80", "run.checkpoint_every_steps=10"]
    killed = start(area_config, *long)
    later_checkpoint(killed, run, 0)
    killed.kill()
    killed.communicate(timeout=30)
    step = read(run).step
    assert step % 10 == 0
    assert 10 <= step < 80

    interrupted = start(area_config, *long)
    later_checkpoint(interrupted, run, step)
    interrupted.send_signal(signal.SIGINT)
    _, log = interrupted.communicate(timeout=30)
    assert interrupted.returncode == 130, log
    assert f"resuming from {run}/step-{step:08d}" in log
    assert f"interrupted, saved {checkpoints(run)[-1]}" in log
    assert log.endswith("geobridge train: interrupted\n")
    assert step + 10 <= read(run).step < 80

    whole = train(area_config, [*long, elsewhere(area_config)])
    assert same_weights(train(area_config, long), whole)


def test_what_a_cut_left_behind_is_no_checkpoint(area_config: Path, same_weights: Same) -> None:
    path = stopped(area_config, 4)
    torn = path.with_name(".partial-step-00000006")
    torn.mkdir()
    (torn / "checkpoint.json").write_text("{")
    done = train(area_config)
    assert same_weights(done, train(area_config, [elsewhere(area_config)]))
    assert not torn.exists()


def test_a_complete_run_returns_at_once(area_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = train(area_config)
    assert path.name == "step-00000008"
    report = json.loads((path.parent / REPORT).read_text())
    assert report["queries"] == 8
    assert 0 <= report["r1_within_50_m"] <= 1
    (area_config.parent / "map.tif").unlink()
    before = (path / MODEL).stat().st_mtime_ns
    assert train(area_config) == path
    assert (path / MODEL).stat().st_mtime_ns == before


def test_a_report_that_was_cut_off_is_made_up_for(area_config: Path) -> None:
    path = train(area_config)
    (path.parent / REPORT).unlink()
    assert train(area_config) == path
    assert (path.parent / REPORT).exists()


def test_checkpoints_come_on_schedule_and_the_newest_stay(area_config: Path) -> None:
    train(area_config)
    names = [path.name for path in checkpoints(area_config.parent / "run")]
    assert names == ["step-00000006", "step-00000008"]
    train(area_config, [elsewhere(area_config), "run.keep_checkpoints=9"])
    assert [read(p).step for p in checkpoints(area_config.parent / "other")] == [3, 6, 8]


@pytest.mark.parametrize(
    ("override", "table"),
    [
        ("model.init_temperature=0.1", "model"),
        ("preprocess.interpolation=box", "preprocess"),
        ("data.footprint_m=41", "data"),
        ("objective.label_smoothing=0.1", "objective"),
        ("optim.steps=9", "optim"),
    ],
)
def test_another_configuration_does_not_continue_a_run(
    override: str, table: str, area_config: Path
) -> None:
    stopped(area_config, 1)
    with pytest.raises(ConfigError, match=rf"^run\.folder: .* \[{table}\] differs"):
        train(area_config, [override])


def test_the_run_table_may_change(area_config: Path) -> None:
    stopped(area_config, 1)
    assert train(area_config, ["run.keep_checkpoints=5"]).name == "step-00000008"


def test_a_folder_that_cannot_be_is_known_before_the_first_step(area_config: Path) -> None:
    (area_config.parent / "run").write_text("a file")
    with pytest.raises(FileExistsError):
        train(area_config)


def poisoned(trainer: Trainer, value: float) -> None:
    with torch.no_grad():
        trainer.model.log_scale.fill_(value)


def one_batch(settings: TrainConfig) -> TensorBatch:
    return next(batches(settings, open_source(settings), first=0))


def test_a_loss_that_is_no_number_stops_with_its_step(area_config: Path) -> None:
    settings = load(TrainConfig, area_config)
    trainer, batch = Trainer(settings), one_batch(settings)
    trainer.train_step(batch)
    poisoned(trainer, math.nan)
    with pytest.raises(DataError, match=r"^step 1: loss is nan.*lower optim\.learning_rate"):
        trainer.train_step(batch)
    assert not checkpoints(Path(settings.run.folder))


def test_a_gradient_that_is_no_number_leaves_the_weights(area_config: Path) -> None:
    settings = load(TrainConfig, area_config)
    trainer, batch = Trainer(settings), one_batch(settings)
    weight = next(trainer.model.images["drone"].parameters())
    weight.register_hook(lambda gradient: gradient * math.inf)  # type: ignore[no-untyped-call]
    before = weight.detach().clone()
    with pytest.raises(DataError, match=r"^step 0: loss is \d.*, gradient norm (nan|inf)"):
        trainer.train_step(batch)
    assert torch.equal(weight, before)


def test_bf16_runs_and_keeps_float32_weights(area_config: Path, same_weights: Same) -> None:
    overrides = ["optim.precision=bf16", "optim.steps=3"]
    path = train(area_config, overrides)
    model = Trainer(load(TrainConfig, area_config, overrides), read(path)).model
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
    whole = train(area_config, [elsewhere(area_config), "optim.steps=3"])
    assert not same_weights(path, whole)


def test_the_learning_rate_rises_and_falls() -> None:
    optim = OptimConfig(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(optim, step) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert all(a > b > 0 for a, b in pairwise(rates[10:]))
    assert learning_rate(optim, 100) == pytest.approx(0.0)


def test_gains_and_biases_are_not_decayed(area_config: Path) -> None:
    trainer = Trainer(load(TrainConfig, area_config))
    decays = {id(p): g["weight_decay"] for g in trainer.optimizer.param_groups for p in g["params"]}
    for name, weight in trainer.model.named_parameters():
        expected = 0.05 if weight.ndim > 1 else 0.0
        assert decays[id(weight)] == expected, name


def test_progress_tells_how_far_and_how_long(
    area_config: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainers, "_PROGRESS_EVERY_S", 0.0)
    with caplog.at_level("INFO", logger=trainers.__name__):
        train(area_config)
    text = caplog.text
    assert "8 steps of 6 places, views drone satellite, fp32 on cpu" in text
    assert "step 8/8  loss" in text
    assert "drone-satellite" in text
    assert "0:00 left" in text


def test_cuda_that_is_not_there_is_refused(area_config: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ConfigError, match=r"^optim\.device: cuda is not usable here"):
        train(area_config, ["optim.device=cuda"])


def test_area_needs_both_its_towers(area_config: Path) -> None:
    overrides = ['model.views=["satellite", "street"]']
    with pytest.raises(ConfigError, match=r"^model\.views: source 'area' also needs drone$"):
        train(area_config, overrides)


@pytest.mark.slow
def test_an_unknown_key_is_named_by_its_path(area_config: Path, start: Start) -> None:
    process = start(area_config, "optim.learning_rte=1e-3")
    out, log = process.communicate(timeout=60)
    assert process.returncode == 2
    assert (out, log) == ("", f"geobridge train: {area_config}: optim.learning_rte: unknown key\n")
