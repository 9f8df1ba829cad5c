from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from geobridge.onboard.config import load
from geobridge.training.config import TrainConfig
from geobridge.training.distributed import World
from geobridge.training.learner import MAX_SKIPPED, Learner, NotFiniteError
from geobridge.training.runs import cost
from geobridge.training.runs.pipeline import TensorBatch, batches, open_source

ALONE = World(0, 1, torch.device("cpu"))
NO_DROPOUT = "model.vision.patch_dropout=0"


def learner(config: Path, *overrides: str) -> tuple[Learner, list[TensorBatch]]:
    """A new one, and the first two batches."""
    settings = load(TrainConfig, config, overrides)
    data = batches(settings, open_source(settings), 0, 2)
    return Learner(settings, settings.optim.steps, ALONE), list(data)


def weights(learner: Learner) -> torch.Tensor:
    return torch.cat([w.detach().flatten().clone() for w in learner.model.parameters()])


def test_a_step_lowers_the_loss_of_its_batch(area_config: Path) -> None:
    one, (batch, _) = learner(area_config, NO_DROPOUT)
    losses = [float(one.train_step([batch]).total) for _ in range(6)]
    assert one.step == 6
    assert losses[-1] < losses[0]


def test_the_mean_of_a_batch_and_itself_is_the_batch(area_config: Path) -> None:
    one, (batch, _) = learner(area_config, NO_DROPOUT)
    other, _ = learner(area_config, NO_DROPOUT)
    for _ in range(2):
        one.train_step([batch])
        other.train_step([batch, batch])
    assert torch.allclose(weights(one), weights(other), atol=1e-6)


def test_the_order_of_accumulated_batches_is_nothing(area_config: Path) -> None:
    keys = NO_DROPOUT, "optim.epsilon=1e-4"
    one, data = learner(area_config, *keys)
    other, _ = learner(area_config, *keys)
    one.train_step(data)
    other.train_step(data[::-1])
    assert torch.allclose(weights(one), weights(other), atol=1e-6)


def test_chunks_give_the_same_step(area_config: Path) -> None:
    keys = NO_DROPOUT, "optim.epsilon=1e-4"
    one, data = learner(area_config, *keys)
    other, _ = learner(area_config, *keys, "optim.chunk_size=4")
    for batch in data:
        one.train_step([batch])
        other.train_step([batch])
    assert torch.allclose(weights(one), weights(other), atol=1e-6)


@pytest.mark.parametrize(("limit", "start"), [(14.5, 14.2857), (100.0, 14.2857)])
def test_the_temperature_stays_within_its_limits(
    limit: float, start: float, area_config: Path
) -> None:
    one, data = learner(area_config, f"objective.max_logit_scale={limit}", "optim.warmup_steps=0")
    assert float(one.model.logit_scale.detach()) == pytest.approx(start, rel=1e-4)
    for _ in range(4):
        with torch.no_grad():
            one.model.log_scale.add_(1.0)
        one.train_step([data[0]])
        assert 1.0 <= float(one.model.log_scale.detach().exp()) <= limit * (1 + 1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_changes_nothing(value: float, area_config: Path) -> None:
    one, data = learner(area_config, "optim.ema_decay=0.9")
    one.train_step([data[0]])
    tower = next(one.model.images["drone"].parameters())
    with torch.no_grad():
        tower[0] = value
    assert one.average
    before, average = weights(one), {k: v.clone() for k, v in one.average.values.items()}
    moments = {k: v.clone() for k, v in one.state().items() if k.startswith("moment.")}
    with pytest.raises(NotFiniteError):
        one.train_step([data[1]])
    assert one.step == 1
    assert torch.equal(weights(one).nan_to_num(7, 7), before.nan_to_num(7, 7))
    assert all(torch.equal(value, average[name]) for name, value in one.average.values.items())
    assert all(torch.equal(one.state()[name], value) for name, value in moments.items())


def test_half_precision_skips_and_then_gives_up(area_config: Path) -> None:
    one, data = learner(area_config, "optim.precision=fp16", "optim.ema_decay=0.5")
    tower = next(one.model.images["drone"].parameters())
    hook = tower.register_hook(lambda gradient: gradient * math.inf)  # type: ignore[no-untyped-call]
    before, scale = weights(one), one.scaler.get_scale()
    one.train_step([data[0]])
    assert (one.step, one.skipped) == (1, 1)
    assert one.scaler.get_scale() == scale / 2
    assert torch.equal(weights(one), before)
    hook.remove()
    for _ in range(8):  # until the scale has found its place
        one.train_step([data[0]])
    assert one.skipped == 0
    assert not torch.equal(weights(one), before)

    tower.register_hook(lambda gradient: gradient * math.nan)  # type: ignore[no-untyped-call]
    before = weights(one)
    for _ in range(MAX_SKIPPED - 1):
        one.train_step([data[1]])
    with pytest.raises(NotFiniteError):
        one.train_step([data[1]])
    assert torch.equal(weights(one), before)


def test_the_average_follows_the_weights(area_config: Path) -> None:
    one, data = learner(area_config, "optim.ema_decay=0.3")
    name, weight = next((n, w) for n, w in one.model.named_parameters() if w.ndim > 1)
    expected = weight.detach().clone()
    for step in range(1, 6):
        one.train_step([data[step % 2]])
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight.detach()
    assert one.average
    assert torch.allclose(one.average.values[name], expected, atol=1e-6)
    live = weight.detach().clone()
    with one.evaluating() as model:
        assert not model.training
        assert torch.allclose(weight.detach(), expected, atol=1e-6)
    assert model.training
    assert torch.equal(weight.detach(), live)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_measuring_changes_nothing(precision: str, triples_config: Path) -> None:
    keys = "optim.ema_decay=0.5", f"optim.precision={precision}", "optim.workers=0"
    one, data = learner(triples_config, *keys)
    one.train_step([data[0]])
    before = {**one.weights(), **one.state()}
    before = {name: value.clone() for name, value in before.items()}
    burst = cost.measure(one, [data[1]], open_source(one.settings))
    assert one.step == 1
    assert burst.step_s > 0
    assert burst.batch_s > 0
    after = {**one.weights(), **one.state()}
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_what_is_told_of_the_cost(triples_config: Path) -> None:
    keys = "optim.workers=0", "optim.text_frozen=true", "optim.accumulate=2", "optim.ema_decay=0.5"
    one, _ = learner(triples_config, *keys)
    costs = cost.figures(one, cost.Burst(0.5, 0.25, 2**30), epochs=30.0)
    assert one.model.text
    count = sum(weight.numel() for weight in one.model.text.parameters())
    assert costs["weights"]["text"] == {"trained": 0, "frozen": count}
    trained = sum(tower["trained"] for tower in costs["weights"].values())
    memory = costs["memory_gib"]
    assert memory["weights"] == pytest.approx(4 * (trained + count) / 2**30)
    assert memory["moments"] == 2 * memory["gradients"] == 2 * memory["average"]
    assert memory["sum"] == pytest.approx(
        1 + memory["weights"] + memory["average"]  # the burst had gradients and moments in it
    )
    assert (costs["steps"], costs["places_per_step"], costs["pictures"]) == (30, 16, 30 * 16 * 3)
    assert costs["hours"] == pytest.approx(30 * (0.5 + 2 * 0.25) / 3600)
    assert costs["disk_gib"]["needed"] == pytest.approx(3 * costs["disk_gib"]["checkpoint"])


@pytest.mark.parametrize("shared", ["false", "true"])
def test_averaged_weights_have_averaged_statistics(shared: str, triples_config: Path) -> None:
    keys = f"model.shared_image_towers={shared}", "optim.ema_decay=0.6", "optim.workers=0"
    one, data = learner(triples_config, *keys)
    buffers = dict(one.model.named_buffers())
    name = next(n for n in buffers if n.endswith("running_mean"))
    expected = buffers[name].clone()
    for step in range(1, 6):
        one.train_step([data[step % 2]])
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * buffers[name]
    live = buffers[name].clone()
    assert not torch.allclose(expected, live, atol=1e-4)
    assert torch.allclose(one.weights()[name], expected, atol=1e-6)
    with one.evaluating() as model:
        assert torch.allclose(dict(model.named_buffers())[name], expected, atol=1e-6)
    assert torch.equal(buffers[name], live)
    weights = {key: value.clone() for key, value in one.weights().items()}
    state = {key: value.clone() for key, value in one.state().items()}
    other, _ = learner(triples_config, *keys, "optim.seed=1")
    other.restore(5, weights, state, Path())
    assert torch.equal(dict(other.model.named_buffers())[name], live)
    assert torch.equal(other.weights()[name], weights[name])
