"""The network that a run begins with, and what it needs only while it is trained."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from torch import nn

from geobridge.onboard.errors import ConfigError
from geobridge.onboard.views import View

from . import checkpoint as checkpoints
from .config import TrainConfig
from .config_model import ModelConfig
from .model import GeoBridge, ImageEncoder, build_model
from .towers import one_line, resize_input

_WITHOUT_WEIGHT = {"Identity", "Dropout", "DropPath", "PatchDropout"}
"""Layers in which two towers may differ and still hold the same weights."""


def new_model(settings: TrainConfig) -> GeoBridge:
    """The network before its first step: fresh, pretrained, or from a checkpoint of ours.

    Raises:
        ConfigError: see `build_model`; or `model.start_from` is another architecture.
        DataError: `model.start_from` is no checkpoint, or damaged.
    """
    config, limit = settings.model, settings.objective.max_logit_scale
    model = build_model(config, settings.preprocess, limit)
    if config.start_from:
        found = checkpoints.read(Path(config.start_from))
        _check_normalisation(settings, found)
        _take_weights(model, checkpoints.load(found), config)
    return model


def equip(model: GeoBridge, config: ModelConfig, device: torch.device) -> None:
    """Gradient checkpointing and `torch.compile` as configured; names of weights stay.

    Raises:
        ConfigError: a tower or this machine cannot do it.
    """
    if config.gradient_checkpointing:
        for name, tower in _towers(model).items():
            _checkpoint_gradients(name, tower)
    if config.compile:
        _try_to_compile(device)
        for tower in _towers(model).values():
            tower.compile()


def _towers(model: GeoBridge) -> dict[str, nn.Module]:
    """Every tower once, under its first name."""
    encoders: dict[str, nn.Module] = {n: e.tower for n, e in model.images.items()}  # type: ignore[misc]
    if model.text is not None:
        encoders["text"] = model.text
    names: dict[nn.Module, str] = {}
    for name, tower in encoders.items():
        names.setdefault(tower, name)
    return {name: tower for tower, name in names.items()}


def _checkpoint_gradients(name: str, tower: Any) -> None:
    try:
        if isinstance(tower, ModifiedResNet):  # open_clip accepts and ignores it
            raise TypeError("a ModifiedResNet has no checkpoints")
        if isinstance(tower, TimmModel):  # open_clip would only warn
            tower.trunk.set_grad_checkpointing(True)
        else:
            tower.set_grad_checkpointing(True)
    except Exception as error:  # each kind of tower refuses in its own way
        raise ConfigError(
            f"model.gradient_checkpointing: the {name} tower cannot: {one_line(error)}"
        ) from None


def _try_to_compile(device: torch.device) -> None:
    """Compilation happens at the first batch; what it lacks here is better known now."""
    try:
        torch.compile(lambda x: (x * x).sum())(torch.ones(8, device=device))
    except Exception as error:  # Dynamo, Inductor, Triton and a C++ compiler have errors each
        raise ConfigError(f"model.compile: not on this machine: {one_line(error)}") from None


def _check_normalisation(settings: TrainConfig, found: checkpoints.Checkpoint) -> None:
    for key in ("mean", "std", "fit"):
        trained = getattr(found.config.preprocess, key)
        if getattr(settings.preprocess, key) != trained:
            raise ConfigError(f"preprocess.{key}: {found.path} was trained with {trained}")


def _take_weights(model: GeoBridge, source: GeoBridge, config: ModelConfig) -> None:
    where = f"model.start_from {config.start_from}"
    if config.shared_image_towers and len(_towers(source).keys() - {"text"}) > 1:
        raise ConfigError(f"{where}: has a tower for every view, model.shared_image_towers is true")
    for name, encoder in model.images.items():
        taken = _source_tower(source, View(name), where)
        _fill(encoder.tower, _in_size(taken, encoder), f"{where}: the {name} tower")  # type: ignore[arg-type]
    if model.text is not None:
        if source.text is None:
            raise ConfigError(f"{where}: has no text tower; set model.text_tower to false")
        _fill(model.text, source.text, f"{where}: the text tower")
    with torch.no_grad():
        model.log_scale.copy_(source.log_scale.clamp(0.0, model.max_log_scale))


def _source_tower(source: GeoBridge, view: View, where: str) -> ImageEncoder:
    """The tower of this view; of another one only if there is no choice."""
    if view.value in source.images:
        return source.images[view.value]  # type: ignore[return-value]
    towers = [name for name in _towers(source) if name != "text"]
    if len(towers) > 1:
        raise ConfigError(f"{where}: has no {view} tower; it has {', '.join(source.images)}")
    return source.images[towers[0]]  # type: ignore[return-value]


def _in_size(taken: ImageEncoder, encoder: ImageEncoder) -> nn.Module:
    """The tower of `taken`, widened where only `encoder` looks at wide panoramas."""
    have, want = taken.preprocess, encoder.preprocess
    if have.height_px == want.height_px and 2 * have.width_px == want.width_px:
        tower = copy.deepcopy(taken.tower)
        resize_input(tower, want, "model.start_from")
        return tower
    return taken.tower


def _fill(tower: nn.Module, source: nn.Module, where: str) -> None:
    own, given = _parts(tower), _parts(source)
    for name in [*own, *given]:
        have, want = given.get(name, "nothing"), own.get(name, "nothing")
        if have != want:
            raise ConfigError(f"{where} differs at {name}: has {have}, wanted {want}")
    tower.load_state_dict(source.state_dict())


def _parts(tower: nn.Module) -> dict[str, str]:
    """What two towers must have alike: shapes, kinds of layers, and heads, which show in none."""
    layers = {
        name: " ".join([type(module).__name__, *_heads(module)])
        for name, module in tower.named_modules()
        if type(module).__name__ not in _WITHOUT_WEIGHT
    }
    return layers | {name: str(tuple(t.shape)) for name, t in tower.state_dict().items()}


def _heads(module: nn.Module) -> list[str]:
    heads = getattr(module, "num_heads", None)
    return [] if heads is None else [f"of {heads} heads"]
