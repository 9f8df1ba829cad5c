from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from geobridge.onboard.cli import main
from geobridge.onboard.config import load
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.onboard.views import View
from geobridge.training import checkpoint as checkpoints
from geobridge.training.checkpoint_record import MODEL, STATE
from geobridge.training.config import TrainConfig
from geobridge.training.distributed import World
from geobridge.training.learner import Learner
from geobridge.training.runs import cost, plan
from geobridge.training.runs.pipeline import TensorBatch, batches, open_source
from geobridge.training.runs.probe import probe
from geobridge.training.trainer import train

ALONE = World(0, 1, torch.device("cpu"))
ALL = [
    "geolink.relation_weight=1.0",
    "geolink.relation_across=true",
    "geolink.refinement_weight=0.1",
    "geolink.tower.experts=true",
]
READINGS = ["bottleneck", "residual"]
STILL = ["optim.clip_norm=1e6", "optim.epsilon=1e-4", "optim.warmup_steps=0"]
"""A step of the images then does not depend on the length of other gradients."""


def learner(config: Path, *overrides: str) -> tuple[Learner, list[TensorBatch]]:
    settings = load(TrainConfig, config, overrides)
    data = batches(settings, open_source(settings), 0, 2)
    return Learner(settings, settings.optim.steps, ALONE), list(data)


def images(learner: Learner) -> Tensor:
    named = learner.model.named_parameters()
    return torch.cat([w.detach().flatten() for n, w in named if not n.startswith("points.")])


def points_of(learner: Learner) -> list[Tensor]:
    """The weights of the tower of points."""
    assert learner.model.points
    return list(learner.model.points.parameters())


def reading(name: str) -> list[str]:
    return [*ALL, f'geolink.refinement="{name}"']


def test_all_learn_and_tell_what_they_learned(geolink_config: Path) -> None:
    one, (_, batch) = learner(geolink_config, *reading("residual"))
    assert int(batch.present["points"].sum()) < 8  # some of these places have none
    before = images(one).clone(), [w.detach().clone() for w in points_of(one)]
    told = [one.train_step([batch]).losses[0].edges for _ in range(5)]
    edges = {"points-drone", "points-satellite", "points-street", "points-text"}
    assert told[0].keys() & {"relation", "refinement"} == set()
    assert told[-1].keys() > edges | {"relation", "refinement", "drone-satellite"}
    assert not torch.equal(images(one), before[0])
    after = points_of(one)
    assert all(not torch.equal(a, b.detach()) for a, b in zip(before[1], after, strict=True))


@pytest.mark.parametrize("name", READINGS)
def test_the_estimators_learn(name: str, geolink_config: Path) -> None:
    one, (batch, _) = learner(geolink_config, *reading(name), "geolink.refinement_steps=20")
    assert one.terms
    assert one.terms.estimators
    rows = {side: values.detach() for side, values in one.model(batch).items()}
    first = one.terms.estimators.surprise(rows, batch.present)
    one.train_step([batch])
    second = one.terms.estimators.surprise(rows, batch.present)
    assert first is not None
    assert second is not None
    assert float(second.detach()) < float(first.detach())


@pytest.mark.parametrize("name", READINGS)
def test_chunks_give_the_same_step(name: str, geolink_config: Path) -> None:
    keys = [*reading(name), "optim.epsilon=1e-3", "geolink.warmup_steps=1"]
    one, data = learner(geolink_config, *keys)
    other, _ = learner(geolink_config, *keys, "optim.chunk_size=3")
    for batch in data * 2:
        one.train_step([batch])
        other.train_step([batch])
    assert torch.allclose(images(one), images(other), atol=2e-6)
    pairs = zip(points_of(one), points_of(other), strict=True)
    assert all(torch.allclose(a, b, atol=2e-6) for a, b in pairs)


def test_places_without_points_train_as_before(geolink_config: Path) -> None:
    keys = [*STILL, "geolink.warmup_steps=0"]
    one, (batch, _) = learner(geolink_config, *keys, *reading("bottleneck"))
    base, (plain, _) = learner(geolink_config, *keys, 'geolink.points=""')
    assert torch.equal(images(one), images(base))
    for view in View:  # the same places, turned alike
        assert torch.equal(batch.images[view], plain.images[view])
    assert plain.points is None
    batch.present["points"][:] = False
    one.train_step([batch])
    base.train_step([plain])
    assert torch.allclose(images(one), images(base), atol=1e-7)


def test_while_the_points_follow_images_learn_as_without(geolink_config: Path) -> None:
    one, (batch, _) = learner(geolink_config, *STILL, *reading("bottleneck"))
    base, (plain, _) = learner(geolink_config, *STILL, 'geolink.points=""')
    points = [w.detach().clone() for w in points_of(one)]
    for _ in range(2):
        one.train_step([batch])
        base.train_step([plain])
    assert torch.allclose(images(one), images(base), atol=1e-6)
    moved = zip(points, points_of(one), strict=True)
    assert all(not torch.equal(a, b.detach()) for a, b in moved)
    one.train_step([batch])
    base.train_step([plain])
    assert not torch.allclose(images(one), images(base), atol=1e-6)


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_an_interrupted_run_ends_with_the_same_bytes(
    name: str, average: float, geolink_config: Path
) -> None:
    keys = [*reading(name), f"optim.ema_decay={average}", "geolink.missing=0.2"]
    whole = train(geolink_config, keys)
    kept = {file: (whole / file).read_bytes() for file in (MODEL, STATE)}
    shutil.rmtree(whole)
    (whole.parent / "report.json").unlink(missing_ok=True)
    assert checkpoints.read(whole.parent).step == 4
    again = train(geolink_config, keys)
    assert again == whole
    assert {file: (again / file).read_bytes() for file in kept} == kept


def test_measuring_what_it_costs_changes_nothing(geolink_config: Path) -> None:
    one, data = learner(geolink_config, *reading("residual"))
    one.train_step([data[0]])
    before = {name: t.clone() for name, t in {**one.weights(), **one.state()}.items()}
    cost.measure(one, [data[1]], open_source(one.settings))
    after = {**one.weights(), **one.state()}
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_nothing_of_it_is_in_the_weights_of_a_checkpoint(geolink_config: Path) -> None:
    path = train(geolink_config, [*reading("residual"), "optim.ema_decay=0.9", "optim.steps=3"])
    other = ["optim.steps=3", 'geolink.points=""', f"run.folder={path.parents[1] / 'base'}"]
    base = train(geolink_config, [*other, "optim.ema_decay=0.9"])
    found, plain = (load_file(each / MODEL) for each in (path, base))
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in plain.items()}
    state = load_file(path / STATE)
    assert any(name.startswith("points.") for name in state)
    assert any(name.startswith("estimator.") for name in state)
    assert not any("points." in name or "estimator" in name for name in found)
    model = checkpoints.load(checkpoints.read(path))
    assert model.points is None
    starting = [f"model.start_from={path}", 'geolink.points=""', "optim.steps=1"]
    train(geolink_config, [*starting, f"run.folder={path.parents[1] / 'after'}"])


def test_points_left_out_leave_pictures_and_order_alone(geolink_config: Path) -> None:
    _, (batch, _) = learner(geolink_config, "geolink.missing=0.5")
    _, (whole, _) = learner(geolink_config)
    assert batch.names == whole.names
    assert torch.equal(batch.images[View.DRONE], whole.images[View.DRONE])
    shown = batch.present["points"]
    assert 0 < int(shown.sum()) < int(whole.present["points"].sum())
    assert batch.points is not None
    assert whole.points is not None
    assert torch.equal(batch.points[shown], whole.points[shown])
    assert not bool(batch.points[~shown].any())


# What cannot be trained is told before the first step.


def test_too_few_places_with_points_are_refused(
    geolink_config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load(TrainConfig, geolink_config, ["geolink.min_share=0.8"])
    with pytest.raises(DataError, match=r"12 of 16 places have points, none 012, 013, 014 and"):
        probe(settings, open_source(settings))
    settings = load(TrainConfig, geolink_config, ["geolink.min_share=0.7"])
    with caplog.at_level("WARNING"):
        probe(settings, open_source(settings))
    assert "12 of 16 places have points" in caplog.text
    assert "these train as without" in caplog.text


def test_points_of_another_set_are_refused(geolink_config: Path) -> None:
    index = geolink_config.parent / "points" / "index.jsonl"
    index.write_text(index.read_text().replace('"id": "0', '"id": "x0'))
    settings = load(TrainConfig, geolink_config, ["geolink.min_share=0.0"])
    with pytest.raises(DataError, match="0 of 16 places have points"):
        probe(settings, open_source(settings))


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (['geolink.points=""', "geolink.relation_weight=1.0"], "relation_weight and refinement"),
        (['geolink.refinement="clubs"'], "refinement"),
        (["geolink.count=32", "geolink.tower.stages=6"], r"tower.stages: 6 halve 32 points"),
        (["geolink.dropout=0.9"], "dropout"),
        (["geolink.tower.neighbours=1"], "neighbours"),
    ],
)
def test_a_wrong_key_is_named(overrides: list[str], why: str, geolink_config: Path) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        load(TrainConfig, geolink_config, overrides)
    assert "\n" not in str(caught.value)


def test_edges_of_points_need_points(geolink_config: Path, area_config: Path) -> None:
    keys = ['geolink.points=""', "objective.edge_weights={points-drone = 2.0}"]
    with pytest.raises(ConfigError, match=r"edge_weights.points-drone: the model lacks a tower"):
        plan.check(load(TrainConfig, geolink_config, keys))
    plan.check(load(TrainConfig, geolink_config, keys[1:]))
    with pytest.raises(ConfigError, match=r"geolink.points: only triples have places"):
        plan.check(load(TrainConfig, area_config, ["geolink.points=somewhere"]))


def test_points_that_are_not_there_are_named(
    geolink_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(geolink_config), "geolink.points=nowhere"]) == 2
    assert "geolink.points: nowhere: no such file or folder" in capsys.readouterr().err
    assert not (geolink_config.parent / "run").exists()
    folder = geolink_config.parent / "set"
    assert main(["train", str(geolink_config), f"geolink.points={folder}"]) == 2
    told = capsys.readouterr().err
    assert "holds no points; expected what geobridge dataset points wrote" in told


def test_a_checkpoint_of_another_tower_is_no_beginning(geolink_config: Path) -> None:
    path = train(geolink_config, ["optim.steps=4"])
    found = checkpoints.read(path)
    other, _ = learner(geolink_config, "geolink.tower.width=16")
    weights, state = checkpoints.read_weights(found), checkpoints.read_state(found)
    with pytest.raises(DataError, match=r"does not fit the model: points\."):
        other.restore(4, weights, state, path)
