from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from geobridge.onboard.bundle import sha256
from geobridge.onboard.config import load as load_config
from geobridge.onboard.errors import ConfigError, DataError, GeobridgeError
from geobridge.onboard.views import View
from geobridge.training import checkpoint as checkpoints
from geobridge.training.checkpoint_record import MODEL, RECORD, STATE, Best, Standing
from geobridge.training.config import TrainConfig
from geobridge.training.distributed import World
from geobridge.training.learner import Learner
from geobridge.training.trainer import train
from tests.crash_states import laid, states, watched

OVERRIDES = ["optim.workers=0", "optim.batch_size=8", "model.text.vocab_size=64"]


class Trained:
    """A network of random weights, and its checkpoints."""

    def __init__(self, config: Path, *overrides: str) -> None:
        self.settings = load_config(TrainConfig, config, [*OVERRIDES, *overrides])
        self.learner = Learner(self.settings, 30, World(0, 1, torch.device("cpu")))
        self.model = self.learner.model
        with torch.no_grad():
            for weight in self.model.parameters():
                weight.add_(0.1 * torch.randn_like(weight))

    def save(self, step: int, best: Best | None = None) -> Path:
        weights, state = self.learner.weights(), self.learner.state()
        return checkpoints.save(self.settings, Standing(step, 30, 1, best), weights, state)


def written(config: Path, *overrides: str, step: int = 4) -> tuple[Trained, Path]:
    trained = Trained(config, *overrides)
    return trained, trained.save(step)


@pytest.mark.parametrize("shared", ["true", "false"])
def test_what_is_loaded_is_what_was_saved(shared: str, triples_config: Path) -> None:
    trained, path = written(triples_config, f"model.shared_image_towers={shared}")
    found = checkpoints.read(path)
    model, expected = checkpoints.load(found), trained.model.eval()
    assert (found.path, found.step, found.config) == (path, 4, trained.settings)
    assert found.model_sha256 == sha256(path / MODEL)
    assert model.state_dict().keys() == expected.state_dict().keys()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert (model.images["drone"].tower is model.images["street"].tower) == (shared == "true")
    pictures = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    street = model.encode_image(View.STREET, pictures)
    assert torch.equal(street, expected.encode_image(View.STREET, pictures))


def test_a_shared_tower_is_stored_once(triples_config: Path) -> None:
    _, own = written(triples_config)
    _, shared = written(triples_config, "model.shared_image_towers=true", step=5)
    names = {name.split(".")[1] for name in load_file(shared / MODEL) if name[:7] == "images."}
    assert names == {"drone"}
    assert (shared / MODEL).stat().st_size < (own / MODEL).stat().st_size


def test_the_record_is_json_that_says_all(triples_config: Path) -> None:
    _, path = written(triples_config)
    record = json.loads((path / RECORD).read_text())
    told = [record[key] for key in ("format_version", "step", "steps", "processes", "best")]
    assert told == [2, 4, 30, 1, None]
    assert record["config"]["preprocess"]["height_px"] == 32
    assert record["sha256"] == {name: sha256(path / name) for name in (MODEL, STATE)}


def test_a_run_folder_stands_for_its_newest_checkpoint(triples_config: Path) -> None:
    trained, old = written(triples_config)
    new = trained.save(12)
    partial = new.with_name(".partial-step-00000020")
    shutil.copytree(new, partial)
    (new.parent / "step-00000016").mkdir()
    assert checkpoints.checkpoints(new.parent) == [old, new]
    assert checkpoints.read(new.parent).step == 12


def test_only_the_newest_are_kept(triples_config: Path) -> None:
    trained, first = written(triples_config, "run.keep_checkpoints=3")
    for step in (6, 8, 10, 12):
        last = trained.save(step)
    assert sorted(p.name for p in last.parent.iterdir()) == [
        f"step-{step:08d}" for step in (8, 10, 12)
    ]
    assert not first.exists()


def test_a_step_saved_again_replaces_the_old_one(triples_config: Path) -> None:
    trained, path = written(triples_config)
    with torch.no_grad():
        trained.model.log_scale.fill_(1.25)
    assert trained.save(4) == path
    assert float(checkpoints.load(checkpoints.read(path)).log_scale.detach()) == 1.25
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_best_is_kept_beside_the_newest(triples_config: Path) -> None:
    trained = Trained(triples_config, "run.keep_checkpoints=1")
    for step in (4, 8, 12):
        path = trained.save(step, Best(step, step / 100))
        if step < 12:
            best = checkpoints.keep_best(path)
    assert best == path.with_name("best")
    assert sorted(p.name for p in path.parent.iterdir()) == ["best", path.name]
    assert checkpoints.read(best).standing == Standing(8, 30, 1, Best(8, 0.08))
    assert checkpoints.read(path.parent).step == 8  # what a run is known by
    assert checkpoints.read(path).step == 12


def test_weights_alone(triples_config: Path, tmp_path: Path) -> None:
    trained = Trained(triples_config)
    out = checkpoints.save_weights(trained.settings, trained.model, tmp_path / "imported")
    found = checkpoints.read(out)
    assert (found.step, found.has_state) == (0, False)
    assert {path.name for path in out.iterdir()} == {RECORD, MODEL}
    expected = trained.model.state_dict()
    for name, tensor in checkpoints.load(found).state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_the_first_format_is_read_for_its_weights(triples_config: Path) -> None:
    trained, path = written(triples_config)
    (path / STATE).rename(path / "optimizer.safetensors")
    record = json.loads((path / RECORD).read_text())
    hashes = record["sha256"]
    hashes["optimizer.safetensors"] = hashes.pop(STATE)
    old = {"format_version": 1, "step": 4, "config": record["config"], "sha256": hashes}
    (path / RECORD).write_text(json.dumps(old))
    found = checkpoints.read(path)
    assert torch.equal(checkpoints.load(found).log_scale, trained.model.log_scale)
    with pytest.raises(ConfigError, match=r"^run\.folder: .* holds weights alone"):
        train(triples_config, OVERRIDES)


def test_a_checkpoint_that_cannot_be_written_leaves_nothing(
    triples_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, path = written(triples_config)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geobridge.onboard.durable.sync", full)
    with pytest.raises(OSError, match="No space left"):
        trained.save(8)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def flip(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize("name", [MODEL, STATE])
@pytest.mark.parametrize("damage", [flip, lambda data: data[:-1], lambda data: b""])
def test_a_damaged_file_is_named(
    name: str, damage: Callable[[bytes], bytes], triples_config: Path
) -> None:
    _, path = written(triples_config)
    (path / name).write_bytes(damage((path / name).read_bytes()))
    with pytest.raises(DataError, match=rf"^{path / name}: truncated or changed since"):
        checkpoints.read(path)
    with pytest.raises(DataError, match=rf"^{path / name}: truncated or changed since"):
        train(triples_config, OVERRIDES)


@pytest.mark.parametrize("name", [MODEL, STATE])
def test_a_missing_file_is_named(name: str, triples_config: Path) -> None:
    _, path = written(triples_config)
    (path / name).unlink()
    with pytest.raises(DataError, match=rf"^{path / name}: missing$"):
        checkpoints.read(path)


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=rf"^{path}: not a checkpoint, {RECORD}: No such file"):
            checkpoints.read(path)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("format_version", 3, "format_version 3, this version reads 2"),
        ("format_version", None, "format_version None"),
        ("step", "4", "step is no whole number"),
        ("step", None, "step is no whole number"),
        ("processes", True, "processes is no whole number"),
        ("best", {"step": 4}, "best has no step and r1"),
        ("sha256", None, "sha256 must name"),
        ("sha256", {STATE: "0" * 64}, "sha256 must name"),
        ("config", {}, "model: Field required"),
        ("config", None, "Input should be"),
        ("config", [], "Input should be"),
    ],
)
def test_a_record_of_other_content_is_refused(
    key: str, value: object, problem: str, triples_config: Path
) -> None:
    _, path = written(triples_config)
    record = json.loads((path / RECORD).read_text())
    del record["record_sha256"]
    (path / RECORD).write_text(json.dumps(record | {key: value}))
    with pytest.raises(GeobridgeError, match=rf"^{path / RECORD}: .*{problem}") as caught:
        checkpoints.read(path)
    assert "\n" not in str(caught.value)


def complaint(path: Path) -> str | None:
    try:
        checkpoints.read(path)
    except GeobridgeError as error:
        return str(error)
    return None


def test_no_flipped_bit_of_the_record_is_a_crash(triples_config: Path) -> None:
    _, path = written(triples_config)
    data, complaints = (path / RECORD).read_bytes(), []
    places = range(0, len(data), 7)
    for at in places:
        (path / RECORD).write_bytes(data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1 :])
        if (text := complaint(path)) is not None:
            complaints.append(text)
    assert len(complaints) > 0.8 * len(places)
    assert all(text.startswith(str(path)) and "\n" not in text for text in complaints)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda w: w.pop("log_scale"), "lacks log_scale"),
        (lambda w: w.update(extra=torch.zeros(1)), "has an unknown extra"),
        (lambda w: w.update(log_scale=torch.zeros(2)), r"log_scale is \(2,\), the model's is \(\)"),
    ],
)
def test_weights_of_another_model_are_refused(
    change: Callable[[dict[str, torch.Tensor]], object], problem: str, triples_config: Path
) -> None:
    _, path = written(triples_config)
    weights = load_file(path / MODEL)
    change(weights)
    save_file(weights, path / MODEL)
    seal(path)
    with pytest.raises(DataError, match=rf"^{path / MODEL}: does not fit the model: {problem}$"):
        checkpoints.load(checkpoints.read(path))


def test_weights_that_are_none_are_refused(triples_config: Path) -> None:
    _, path = written(triples_config)
    (path / MODEL).write_bytes(b"these are no weights")
    seal(path)
    with pytest.raises(DataError, match=rf"^{path / MODEL}: not a safetensors file"):
        checkpoints.load(checkpoints.read(path))


def seal(path: Path) -> None:
    """Let the record tell what the files are now."""
    record = json.loads((path / RECORD).read_text())
    record["sha256"] = {name: sha256(path / name) for name in (MODEL, STATE)}
    del record["record_sha256"]  # as of versions that did not write it
    (path / RECORD).write_text(json.dumps(record))


@pytest.mark.fault("G3", "a changed record", "refused by its digest")
def test_a_record_that_was_changed_is_not_believed(triples_config: Path) -> None:
    _, path = written(triples_config)
    text = (path / RECORD).read_text()
    (path / RECORD).write_text(text.replace('"step": 4', '"step": 5'))
    with pytest.raises(DataError, match=r"checkpoint\.json: changed since it was written"):
        checkpoints.read(path)
    record = json.loads(text)
    del record["record_sha256"]  # as earlier ones are
    (path / RECORD).write_text(json.dumps(record))
    assert checkpoints.read(path).step == 4


@pytest.mark.fault("G1", "a power cut while saving", "the last checkpoint or the new")
def test_a_power_cut_while_saving_leaves_the_last_checkpoint(
    triples_config: Path, tmp_path: Path
) -> None:
    trained = Trained(
        triples_config, "run.keep_checkpoints=1", 'run.folder="' + str(tmp_path / "run") + '"'
    )
    run = trained.save(4).parent
    checkpoints.keep_best(run / "step-00000004")
    with watched(run) as watch:
        checkpoints.keep_best(trained.save(8))
    found = set()
    for number, (_, tree) in enumerate(states(watch, 4)):
        left = laid(tree, tmp_path / f"cut{number}")
        whole = []
        for path in checkpoints.checkpoints(left):
            with contextlib.suppress(DataError):
                whole.append(checkpoints.read(path).step)
        assert whole, "a checkpoint that can be gone on from"
        assert checkpoints.read(left / checkpoints.BEST).step in (4, 8)
        found.add(max(whole))
        shutil.rmtree(left)
    assert found == {4, 8}
