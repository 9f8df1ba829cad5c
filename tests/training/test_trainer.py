from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from geobridge.onboard.cli import main
from geobridge.onboard.config import load
from geobridge.onboard.errors import ConfigError, DataError, GeobridgeError
from geobridge.training import command
from geobridge.training import trainer as trainers
from geobridge.training.checkpoint import checkpoints, read, save_weights
from geobridge.training.checkpoint_record import MODEL, RECORD, STATE
from geobridge.training.config import TrainConfig
from geobridge.training.distributed import World
from geobridge.training.evaluation.report import REPORT
from geobridge.training.learner import Learner
from geobridge.training.runs.run import Run
from geobridge.training.trainer import train

Same = Callable[[Path, Path], bool]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def _quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geobridge.training.evaluation.area.QUERIES", 8)
    monkeypatch.setattr("geobridge.training.evaluation.report.write_page", lambda *_: None)


def elsewhere(config: Path) -> str:
    """The override that makes it another run."""
    return f"run.folder={config.parent / 'other'}"


Stopped = Callable[..., Path]


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Stopped:
    """The checkpoint of a run that was interrupted after so many steps."""

    def stop(config: Path, steps: int, *overrides: str, by: int = signal.SIGINT) -> Path:
        usual = Run._next

        def next_or_signal(run: Run, data: Any) -> Any:
            if run.learner.step == steps:
                signal.raise_signal(by)
            return usual(run, data)

        with monkeypatch.context() as patch:
            patch.setattr(Run, "_next", next_or_signal)
            with pytest.raises(KeyboardInterrupt):
                train(config, overrides)
        return checkpoints(Path(load(TrainConfig, config, overrides).run.folder))[-1]

    return stop


@pytest.mark.parametrize("steps", [0, 5])
def test_an_interrupted_run_ends_like_one_that_was_not(
    steps: int, area_config: Path, same_weights: Same, stopped: Stopped
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


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_the_step(
    by: int, area_config: Path, same_weights: Same, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Learner.train_step

    def interrupted(learner: Learner, batches: Any) -> Any:
        if learner.step == 4:  # beyond the steps that are only measured
            signal.raise_signal(by)
        return real(learner, batches)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(area_config)
    assert read(area_config.parent / "run").step == 5
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
    interrupted.send_signal(signal.SIGTERM)
    _, log = interrupted.communicate(timeout=30)
    assert interrupted.returncode == 130, log
    assert f"resuming from {run}/step-{step:08d}" in log
    assert f"interrupted, saved {checkpoints(run)[-1]}" in log
    assert log.endswith("geobridge train: interrupted\n")
    assert step + 10 <= read(run).step < 80

    whole = train(area_config, [*long, elsewhere(area_config)])
    assert same_weights(train(area_config, long), whole)


@pytest.mark.fault("G3", "a flipped bit in the newest checkpoint", "goes on from the one before")
def test_a_damaged_checkpoint_is_passed_over(
    area_config: Path, same_weights: Same, stopped: Stopped, caplog: pytest.LogCaptureFixture
) -> None:
    newest = stopped(area_config, 4)
    assert len(checkpoints(newest.parent)) > 1
    weights = newest / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = train(area_config)
    assert "truncated or changed since it was written; trying the one before" in caplog.text
    assert same_weights(done, train(area_config, [elsewhere(area_config)]))


def test_what_a_cut_left_behind_is_no_checkpoint(
    area_config: Path, same_weights: Same, stopped: Stopped
) -> None:
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
        ("evaluation.every_steps=2", "evaluation"),
    ],
)
def test_another_configuration_does_not_continue_a_run(
    override: str, table: str, area_config: Path, stopped: Stopped
) -> None:
    stopped(area_config, 1)
    with pytest.raises(ConfigError, match=rf"^run\.folder: .* \[{table}\] differs"):
        train(area_config, [override])


def test_what_changes_nothing_may_change(area_config: Path, stopped: Stopped) -> None:
    stopped(area_config, 1)
    overrides = ["run.keep_checkpoints=5", "model.gradient_checkpointing=true"]
    assert train(area_config, overrides).name == "step-00000008"


def test_the_configuration_lies_beside_the_run_and_goes_on(
    area_config: Path, stopped: Stopped, same_weights: Same
) -> None:
    path = stopped(area_config, 2)
    again = path.parent / "config.toml"
    assert load(TrainConfig, again) == load(TrainConfig, area_config)
    whole = train(area_config, [elsewhere(area_config)])
    assert same_weights(train(again), whole)


def test_a_folder_that_cannot_be_is_known_before_the_first_step(area_config: Path) -> None:
    (area_config.parent / "run").write_text("a file")
    with pytest.raises(ConfigError, match=r"^run\.folder: .*run: File exists$"):
        train(area_config)


def test_bf16_runs_and_keeps_float32_weights(area_config: Path, same_weights: Same) -> None:
    overrides = ["optim.precision=bf16", "optim.steps=3"]
    path = train(area_config, overrides)
    weights = load_file(path / MODEL)
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert all(bool(torch.isfinite(weight).all()) for weight in weights.values())
    whole = train(area_config, [elsewhere(area_config), "optim.steps=3"])
    assert not same_weights(path, whole)


def test_progress_tells_how_far_and_how_long(
    area_config: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geobridge.training.runs.journal._PROGRESS_EVERY_S", 0.0)
    with caplog.at_level("INFO", logger="geobridge"):
        train(area_config)
    text = caplog.text
    assert "8 steps of 6 places, views drone satellite, fp32 on cpu" in text
    assert "step 8/8  loss" in text
    assert "drone-satellite" in text
    assert "0:00 left" in text


EVERYTHING = [
    "optim.ema_decay=0.9",
    "optim.accumulate=2",
    "optim.algorithm=adam",
    "optim.layer_decay=0.8",
    "optim.workers=0",
    "batches.hard_share=0.5",
    "batches.by_similarity_from_epoch=1",
    "batches.refresh_every_epochs=2",
    "optim.batch_size=4",
    "evaluation.every_steps=3",
    "evaluation.split=train",
    "optim.steps=9",
    "run.checkpoint_every_steps=4",
]
"""Of 16 places: two steps are an epoch."""


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_all_that_a_run_knows_goes_on(
    steps: int, triples_config: Path, same_weights: Same, stopped: Stopped
) -> None:
    stopped(triples_config, steps, *EVERYTHING)
    done = train(triples_config, EVERYTHING)
    whole = train(triples_config, [*EVERYTHING, elsewhere(triples_config)])
    assert done.name == "best"
    ends = [path.parent / "step-00000009" for path in (done, whole)]
    assert same_weights(done, whole)
    assert same_weights(*ends)
    assert read(ends[0]).standing == read(ends[1]).standing
    left, right = (load_file(end / STATE) for end in ends)
    assert left.keys() == right.keys()
    assert {"mined.neighbours", "rng.cpu", "live.log_scale"} <= left.keys()
    assert all(torch.allclose(left[k].double(), right[k].double(), atol=1e-6) for k in left)


def test_averages_are_what_is_kept(triples_config: Path, same_weights: Same) -> None:
    overrides = ["optim.steps=4", "optim.ema_decay=0.5", "optim.workers=0"]
    averaged = train(triples_config, overrides)
    live = train(triples_config, [*overrides, elsewhere(triples_config), "optim.ema_decay=0"])
    assert not same_weights(averaged, live)
    state, weights = load_file(averaged / STATE), load_file(live / MODEL)
    for name in ("log_scale", "text.ln_final.weight"):
        assert torch.allclose(state[f"live.{name}"], weights[name], atol=1e-6)


def test_weights_alone_are_no_run(area_config: Path) -> None:
    settings = load(TrainConfig, area_config)
    learner = Learner(settings, 8, World(0, 1, torch.device("cpu")))
    save_weights(settings, learner.model, area_config.parent / "run" / "step-00000001")
    with pytest.raises(ConfigError, match=r"^run\.folder: .*weights alone.*model\.start_from="):
        train(area_config)


def test_a_run_of_weights_that_were_saved_alone(area_config: Path) -> None:
    settings = load(TrainConfig, area_config)
    learner = Learner(settings, 8, World(0, 1, torch.device("cpu")))
    out = save_weights(settings, learner.model, area_config.parent / "imported")
    path = train(area_config, [f"model.start_from={out}", "optim.steps=1"])
    assert load_file(path / MODEL).keys() == load_file(out / MODEL).keys()


def test_other_many_processes_are_refused(area_config: Path, stopped: Stopped) -> None:
    path = stopped(area_config, 1) / RECORD
    record = json.loads(path.read_text()) | {"processes": 2}
    del record["record_sha256"]  # as of versions that did not write it
    path.write_text(json.dumps(record))
    with pytest.raises(ConfigError, match=r"is trained by 2 processes, these are 1; start as many"):
        train(area_config)


def test_epochs_in_place_of_steps(triples_config: Path) -> None:
    text = triples_config.read_text().replace("steps = 30", "epochs = 1.5")
    triples_config.write_text(text)
    path = train(triples_config, ["optim.workers=0", "optim.accumulate=2", "optim.batch_size=3"])
    assert path.name == "step-00000004"  # of 5 batches an epoch, 7.5 in all
    assert train(triples_config, ["optim.workers=0", "optim.accumulate=2", "optim.batch_size=3"])


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (
            ["objective.image_weight=0"],
            r"^objective: no edge between drone, satellite has a weight",
        ),
        (["objective.edge_weights={drone-satellite = 0}"], r"^objective: no edge between"),
        (
            ["optim.trained_blocks=3"],
            r"^optim\.trained_blocks: 3, but the drone tower has 2 blocks",
        ),
        (["run.tensorboard=true"], r"^run\.tensorboard: the package tensorboard is not installed"),
        (["optim.batch_size=200"], r"room for"),
    ],
)
def test_what_cannot_be_trained_is_known_before_the_first_step(
    overrides: list[str], problem: str, area_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(GeobridgeError, match=problem) as caught:
        train(area_config, overrides)
    assert "\n" not in str(caught.value)
    assert not checkpoints(area_config.parent / "run")


def test_a_dry_run_tells_and_leaves_nothing(
    area_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(area_config), "--dry-run", "--json", "-q"]) == 0
    costs = json.loads(capsys.readouterr().out)
    assert (costs["steps"], costs["places_per_step"], costs["processes"]) == (8, 6, 1)
    assert costs["weights"]["drone"]["trained"] == costs["weights"]["satellite"]["trained"] > 0
    assert not (area_config.parent / "run").exists()
    train(area_config)
    with pytest.raises(ConfigError, match=r"^run\.folder: .*step-00000008 is complete"):
        command.train(area_config, dry_run=True)


def test_recipes_have_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"^nowhere: no such file, and no recipe of that name"):
        train(Path("nowhere"))
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    folder = Path(trainers.__file__).parent / "configs"
    assert ", ".join(sorted(path.stem for path in folder.glob("*.toml"))) in told


def test_an_endless_source_has_no_epochs(area_config: Path) -> None:
    area_config.write_text(area_config.read_text().replace("steps = 8", "epochs = 2"))
    with pytest.raises(ConfigError, match=r"^optim\.epochs: source 'area' is endless"):
        train(area_config)


def test_a_view_without_pictures_is_refused(triples_config: Path) -> None:
    for picture in (triples_config.parent / "set/train/street").iterdir():
        picture.unlink()
    with pytest.raises(DataError, match=r"street: holds no pictures"):
        train(triples_config)


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)
def test_tensorboard_gets_the_figures(area_config: Path) -> None:
    path = train(area_config, ["run.tensorboard=true"])
    assert list((path.parent / "tensorboard").glob("events.out.tfevents.*"))


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
    assert (out, log) == ("", "geobridge train: command line: optim.learning_rte: unknown key\n")
