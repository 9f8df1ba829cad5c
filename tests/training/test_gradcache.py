from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from geobridge.onboard.errors import ConfigError
from geobridge.onboard.views import View
from geobridge.training.config import ObjectiveConfig
from geobridge.training.config_model import ModelConfig, PreprocessConfig
from geobridge.training.gradcache import backward
from geobridge.training.losses import Descriptors, Loss, geobridge_loss
from geobridge.training.model import GeoBridge, build_model
from geobridge.training.runs.pipeline import TensorBatch

PLACES, SIDE_PX, WORDS = 7, 16, 30
VISION = {"layers": 2, "width": 16, "head_width": 8, "patch_size": 4}
TEXT = {"layers": 1, "width": 16, "heads": 2, "context_length": 8, "vocab_size": WORDS}


def network_of(
    patch_dropout: float = 0.0, vision: dict[str, object] | None = None, side_px: int = SIDE_PX
) -> GeoBridge:
    """A GeoBridge of the smallest transformers, the same every time."""
    torch.manual_seed(3)
    vision = vision or VISION | {"patch_dropout": patch_dropout}
    preprocess = PreprocessConfig(height_px=side_px, width_px=side_px)
    return build_model(ModelConfig(embed_dim=8, vision=vision, text=TEXT), preprocess).train()


@pytest.fixture(scope="module")
def batch() -> TensorBatch:
    random = torch.Generator().manual_seed(8)
    shape = (PLACES, SIDE_PX, SIDE_PX, 3)
    images = {
        view: torch.randint(0, 256, shape, generator=random, dtype=torch.uint8) for view in View
    }
    tokens = torch.randint(1, WORDS, (PLACES, 8), generator=random)
    present = {side: torch.ones(PLACES, dtype=torch.bool) for side in (*images, "text")}
    present[View.STREET][4:] = False
    relation = torch.eye(PLACES, dtype=torch.int8)
    relation[0, 6] = relation[6, 0] = 1
    relation[1, 2] = relation[2, 1] = -1
    return TensorBatch(images, present, tokens, relation, tuple(map(str, range(PLACES))))


class Objective:
    """The loss of a network's descriptors of a batch."""

    def __init__(self, network: GeoBridge, batch: TensorBatch) -> None:
        self.network, self.batch = network, batch

    def __call__(self, rows: Descriptors) -> Loss:
        present, objective = self.batch.present, ObjectiveConfig(label_smoothing=0.1)
        scale = self.network.logit_scale
        return geobridge_loss(
            rows, present, rows, present, self.batch.relation, scale, objective, nested_dims=(4,)
        )


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """To 1e-6, and where a parameter's gradients are large to 1e-6 of the largest."""
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        atol = 1e-6 * max(1.0, float(gradient.abs().max()))
        assert torch.allclose(found[name], gradient, rtol=0, atol=atol), name


def direct(network: GeoBridge, batch: TensorBatch, chunk_size: int) -> Loss:
    """Chunk after chunk too, so that the same patches are dropped, but in one graph."""
    starts = range(0, batch.size, chunk_size)
    parts = [network(batch.rows(slice(start, start + chunk_size))) for start in starts]
    loss = Objective(network, batch)({s: torch.cat([p[s] for p in parts]) for s in parts[0]})
    torch.autograd.backward([loss.total])
    return loss


@pytest.mark.parametrize("chunk_size", [0, 1, 2, 3, 6, 7, 100])
def test_chunks_give_the_gradient_of_the_whole(batch: TensorBatch, chunk_size: int) -> None:
    network, same = network_of(), network_of()
    expected = direct(same, batch, PLACES)
    loss = backward(network, batch, Objective(network, batch), chunk_size)
    assert_same(gradients(network), gradients(same))
    assert len(gradients(network)) == len(list(network.parameters()))
    assert float(loss.total) == pytest.approx(float(expected.total.detach()), abs=1e-6)
    assert loss.edges.keys() == loss.accuracy.keys() == expected.edges.keys()


@pytest.mark.parametrize("chunk_size", [2, 3])
def test_both_passes_drop_the_same_patches(batch: TensorBatch, chunk_size: int) -> None:
    network, same, other = (network_of(patch_dropout=0.5) for _ in range(3))
    torch.manual_seed(11)
    expected = direct(same, batch, chunk_size)
    after = torch.get_rng_state()
    torch.manual_seed(11)
    loss = backward(network, batch, Objective(network, batch), chunk_size)
    assert_same(gradients(network), gradients(same))
    assert float(loss.total) == pytest.approx(float(expected.total.detach()), abs=1e-6)
    assert torch.equal(torch.get_rng_state(), after)  # the next step draws anew

    torch.manual_seed(12)
    direct(other, batch, chunk_size)
    difference = gradients(other)["log_scale"] - gradients(same)["log_scale"]
    assert abs(float(difference)) > 1e-3  # other patches would have been seen


def test_gradients_of_batches_add_up(batch: TensorBatch) -> None:
    network, same = network_of(), network_of()
    for _ in range(2):
        backward(network, batch, Objective(network, batch), 3)
    direct(same, batch, PLACES)
    assert_same(gradients(network), {key: 2 * value for key, value in gradients(same).items()})


@pytest.mark.parametrize("chunk_size", [0, 3])
def test_the_scale_is_on_the_gradient_and_not_on_the_loss(
    batch: TensorBatch, chunk_size: int
) -> None:
    network, same = network_of(), network_of()
    expected = direct(same, batch, PLACES)
    objective = Objective(network, batch)
    loss = backward(network, batch, objective, chunk_size, scale=lambda total: 1024 * total)
    assert_same({key: value / 1024 for key, value in gradients(network).items()}, gradients(same))
    assert float(loss.total) == pytest.approx(float(expected.total.detach()), abs=1e-6)


@pytest.mark.parametrize("trained", ["images", "log_scale"])
def test_frozen_parts_stay_without_gradient(batch: TensorBatch, trained: str) -> None:
    network, same = network_of(), network_of()
    for each in (network, same):
        for name, parameter in each.named_parameters():
            parameter.requires_grad_(name.startswith(trained))
    direct(same, batch, PLACES)
    backward(network, batch, Objective(network, batch), 2)
    assert_same(gradients(network), gradients(same))
    assert all(name.startswith(trained) for name in gradients(network))


def test_a_side_that_the_loss_leaves_out_gets_a_gradient_of_zero(batch: TensorBatch) -> None:
    network = network_of()

    def loss_of(rows: Descriptors) -> Loss:
        return Loss((rows["drone"] * rows["satellite"]).sum(), {}, {})

    backward(network, batch, loss_of, 3)
    found = gradients(network)
    assert len(found) == len(list(network.parameters())) - 1  # all but the temperature
    assert not any(bool(g.any()) for name, g in found.items() if "street" in name)
    assert any(bool(g.any()) for name, g in found.items() if "drone" in name)


def test_only_a_chunk_has_activations_at_a_time(batch: TensorBatch) -> None:
    network, seen = network_of(), []
    network.register_forward_pre_hook(
        lambda _, arguments: seen.append((arguments[0].size, torch.is_grad_enabled()))
    )
    backward(network, batch, Objective(network, batch), 3)
    assert seen == [(3, False), (3, False), (1, False), (3, True), (3, True), (1, True)]


@pytest.mark.parametrize("chunk_size", [0, 3])
def test_half_precision_is_for_the_towers_alone(batch: TensorBatch, chunk_size: int) -> None:
    network, entered = network_of(), 0
    objective = Objective(network, batch)

    @contextmanager
    def autocast() -> Iterator[None]:
        nonlocal entered
        entered += 1
        with torch.autocast("cpu", torch.bfloat16):
            yield

    def loss_of(rows: Descriptors) -> Loss:
        assert not torch.is_autocast_enabled("cpu")
        return objective(rows)

    backward(network, batch, loss_of, chunk_size, autocast)
    exact = network_of()
    direct(exact, batch, PLACES)
    assert entered == (6 if chunk_size else 1)
    a, b = (torch.cat([g.flatten() for g in gradients(n).values()]) for n in (network, exact))
    assert float(torch.cosine_similarity(a, b, dim=0)) > 0.99
    assert not torch.equal(a, b)


def test_batch_norm_in_training_is_refused(batch: TensorBatch) -> None:
    residual = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8}
    network = network_of(vision=residual, side_px=32)
    with pytest.raises(ConfigError, match=r"optim\.chunk_size: batch norm needs a batch as a"):
        backward(network, batch, Objective(network, batch), 3)
    assert not gradients(network)
