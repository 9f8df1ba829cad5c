from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from geobridge.onboard.config import load
from geobridge.onboard.errors import ConfigError
from geobridge.training import optim
from geobridge.training.config import OptimConfig, TrainConfig
from geobridge.training.model import GeoBridge, build_model

TRANSFORMER = "model.vision={layers = 4, width = 32, head_width = 16, patch_size = 8}"


def network(config: Path, *overrides: str) -> GeoBridge:
    settings = load(TrainConfig, config, ["model.text.vocab_size=64", *overrides])
    return build_model(settings.model, settings.preprocess)


def config(**keys: Any) -> OptimConfig:
    return OptimConfig(steps=10, **keys)


def test_depth_counts_from_the_output(triples_config: Path) -> None:
    depths = optim.depths(network(triples_config, TRANSFORMER))
    tower, block = "images.satellite.tower", "transformer.resblocks"
    assert depths["log_scale"] == 0
    assert depths[f"{tower}.proj"] == depths[f"{tower}.ln_post.weight"] == 0
    assert [depths[f"{tower}.{block}.{i}.ln_1.bias"] for i in range(4)] == [4, 3, 2, 1]
    for name in ("conv1.weight", "class_embedding", "positional_embedding", "ln_pre.bias"):
        assert depths[f"{tower}.{name}"] == 5
    assert depths["text.text_projection"] == depths["text.ln_final.bias"] == 0
    assert depths[f"text.{block}.0.attn.in_proj_weight"] == 1
    assert depths["text.token_embedding.weight"] == depths["text.positional_embedding"] == 2


def test_depth_of_a_residual_network(triples_config: Path) -> None:
    depths = optim.depths(network(triples_config, "model.vision.layers=[1, 2, 1, 1]"))
    tower = "images.drone.tower"
    assert depths[f"{tower}.attnpool.c_proj.weight"] == 0
    blocks = ["layer1.0", "layer2.0", "layer2.1", "layer3.0", "layer4.0"]
    assert [depths[f"{tower}.{block}.conv1.weight"] for block in blocks] == [5, 4, 3, 2, 1]
    assert depths[f"{tower}.conv1.weight"] == depths[f"{tower}.bn3.bias"] == 6


@pytest.mark.parametrize("name", ["ViT-B-32", "RN50", "ViT-B-32-quickgelu"])
def test_no_weight_of_open_clips_own_towers_is_unknown(name: str) -> None:
    with torch.device("meta"):
        clip = open_clip.CustomTextCLIP(**open_clip.get_model_config(name))
    towers = nn.ModuleDict({"images": nn.ModuleDict({"drone": clip.visual}), "text": clip.text})
    assert None not in optim.depths(towers).values()


def test_rates_fall_with_depth(triples_config: Path) -> None:
    model = network(triples_config, TRANSFORMER)
    optimizer = optim.optimizer(model, config(layer_decay=0.5))
    optim.set_rate(optimizer, 0.1)
    rates = {id(w): group["lr"] for group in optimizer.param_groups for w in group["params"]}
    depths = optim.depths(model)
    for name, weight in model.named_parameters():
        assert rates[id(weight)] == pytest.approx(0.1 * 0.5 ** float(depths[name] or 0))


def test_a_tower_of_unknown_parts_has_one_rate(
    triples_config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = network(triples_config, TRANSFORMER)
    tower: Any = model.images["street"].tower
    tower.extra = nn.Linear(2, 2)
    optimizer = optim.optimizer(model, config(layer_decay=0.5))
    assert "optim.layer_decay: the street tower has unknown parts and one rate" in caplog.text
    assert len(caplog.records) == 1
    scales = {id(w): g["lr_scale"] for g in optimizer.param_groups for w in g["params"]}
    assert {scales[id(weight)] for weight in model.images["street"].parameters()} == {1.0}
    with pytest.raises(ConfigError, match=r"^optim\.trained_blocks: the street tower is none"):
        optim.freeze(model, config(trained_blocks=1))


def test_what_is_not_decayed(triples_config: Path) -> None:
    model = network(triples_config, TRANSFORMER)
    optimizer = optim.optimizer(model, config(weight_decay=0.05))
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for name, weight in model.named_parameters():
        embeds = name.endswith(("positional_embedding", "class_embedding"))
        assert decays[id(weight)] == (0.05 if weight.ndim > 1 and not embeds else 0.0), name


@pytest.mark.parametrize("blocks", [1, 3, 4])
def test_only_the_last_blocks_learn(blocks: int, triples_config: Path) -> None:
    model = network(triples_config, TRANSFORMER)
    optim.freeze(model, config(trained_blocks=blocks))
    learns = {name for name, weight in model.named_parameters() if weight.requires_grad}
    expected = {"log_scale"}
    for name, _ in model.named_parameters():
        tail = name.partition(".tower.")[2]
        last = [f"transformer.resblocks.{i}." for i in range(4 - blocks, 4)]
        if tail.startswith(("ln_post.", *last)) or tail == "proj":
            expected.add(name)
    assert learns == expected
    trained = [w for g in optim.optimizer(model, config()).param_groups for w in g["params"]]
    assert len(trained) == len(learns)


def test_more_blocks_than_there_are(triples_config: Path) -> None:
    model = network(triples_config, TRANSFORMER)
    with pytest.raises(ConfigError, match=r"trained_blocks: 5, but the drone tower has 4 blocks$"):
        optim.freeze(model, config(trained_blocks=5))


def test_a_frozen_text_tower(triples_config: Path) -> None:
    model = network(triples_config)
    optim.freeze(model, config(text_frozen=True))
    for name, weight in model.named_parameters():
        assert weight.requires_grad == (not name.startswith("text.")), name


def test_statistics_of_frozen_layers_stay(triples_config: Path) -> None:
    model = network(triples_config)
    optim.freeze(model, config(trained_blocks=1))
    optim.to_training(model)
    tower: Any = model.images["drone"].tower
    before = {name: value.clone() for name, value in tower.named_buffers()}
    tower(torch.randn(4, 3, 32, 32))
    changed = {n for n, value in tower.named_buffers() if not torch.equal(value, before[n])}
    assert changed
    assert all(name.startswith("layer4.") for name in changed)


def test_the_learning_rate_rises_and_falls() -> None:
    keys = OptimConfig(steps=1, warmup_steps=10, learning_rate=1.0)
    rates = [optim.learning_rate(keys, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert all(a > b > 0 for a, b in pairwise(rates[10:]))
    assert optim.learning_rate(keys, 100, 100) == pytest.approx(0.0)


@given(
    st.lists(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=5), min_size=1),
    st.floats(0.1, 10),
)
def test_clipping_keeps_the_direction(values: list[list[float]], longest: float) -> None:
    gradients = [torch.tensor(value) for value in values]
    whole = torch.cat(gradients)
    length = optim.norm(gradients)
    assert float(length) == pytest.approx(float(whole.norm()), rel=1e-5, abs=1e-30)
    optim.clip(gradients, length, longest)
    clipped = torch.cat(gradients)
    assert float(clipped.norm()) <= longest * (1 + 1e-5)
    if float(length) < 0.99 * longest:
        assert torch.equal(clipped, whole)
    else:
        assert torch.allclose(clipped * whole.norm(), whole * clipped.norm(), rtol=1e-4, atol=1e-3)
