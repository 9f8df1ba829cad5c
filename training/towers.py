"""The towers of one open_clip model: which, with which weights, and for pictures of which size."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from geobridge.onboard.errors import ConfigError
from geobridge.onboard.preprocess import Preprocess

from .config_model import ModelConfig

QUICK_GELU = "-quickgelu"
"""How open_clip ends the names of its models with OpenAI's activation."""


def build_clip(config: ModelConfig, preprocess: Preprocess) -> open_clip.CustomTextCLIP:
    """An image tower for such pictures and a text tower, fresh or pretrained.

    Raises:
        ConfigError: a tag, a weights file or a table that open_clip cannot use, weights that were
            trained with another activation, or a preprocessing record that contradicts them.
    """
    clip = _custom(config, preprocess) if config.name == "custom" else _tagged(config)
    _check_input(clip.visual, config, preprocess)
    return clip


def resize_input(tower: nn.Module, preprocess: Preprocess, name: str) -> None:
    """Let a tower take pictures of another size, its position embedding interpolated.

    Raises:
        ConfigError: this kind of tower is bound to the size it was built for.
    """
    size = preprocess.height_px, preprocess.width_px
    try:
        if isinstance(tower, VisionTransformer):
            _resize_transformer(tower, size)
        elif isinstance(tower, TimmModel) and hasattr(tower.trunk, "set_input_size"):
            tower.trunk.set_input_size(img_size=size)
            tower.image_size = size
        else:
            raise TypeError(f"{_kind(tower)} is bound to its size")
    except Exception as error:  # timm's trunks fail in ways of their own
        raise ConfigError(
            f"preprocess.panorama: {name} cannot take {size[1]}x{size[0]} px: {one_line(error)}"
        ) from None


def one_line(error: Exception) -> str:
    """What an error of another library says, short enough for one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _custom(config: ModelConfig, preprocess: Preprocess) -> open_clip.CustomTextCLIP:
    vision = {"image_size": (preprocess.height_px, preprocess.width_px), **config.vision}
    if "layers" in vision and isinstance(vision["layers"], list):
        vision["image_size"] = preprocess.height_px  # the residual towers take squares only
    text = config.text or {"layers": 1, "width": 64, "heads": 1}
    try:
        return open_clip.CustomTextCLIP(
            config.embed_dim, vision, text, quick_gelu=config.quick_gelu
        )
    except Exception as error:  # open_clip divides, indexes and asserts before it checks
        raise ConfigError(f"model: open_clip cannot build it: {one_line(error)}") from None


def _tagged(config: ModelConfig) -> open_clip.CustomTextCLIP:
    where = f"model.name {config.name!r}"
    if config.pretrained:
        where += f", pretrained {config.pretrained!r}"
        _check_activation(config, where)
    try:
        with nullcontext() if config.brings_weights else _quiet():
            clip = open_clip.create_model(
                config.name, pretrained=config.pretrained or None, force_custom_text=True
            )
    except Exception as error:  # open_clip, its hub client and torch raise a dozen kinds
        if "download" in str(error):
            raise ConfigError(
                f"{where}: its weights cannot be fetched; on a machine without the hub name a file:"
                " model.pretrained=open_clip_pytorch_model.bin"
            ) from None
        raise ConfigError(f"{where}: {one_line(error)}") from None
    if not isinstance(clip, open_clip.CustomTextCLIP):
        raise ConfigError(f"{where}: is a captioning model; take one with two plain towers")
    return clip


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what open_clip says, on the root logger, of a network without pretrained weights.

    A checkpoint's or an import's follow, or none are wanted.
    """
    folder, root = Path(open_clip.__file__).parent, logging.getLogger()

    def of_others(record: logging.LogRecord) -> bool:
        return folder not in Path(record.pathname).parents

    root.addFilter(of_others)
    try:
        yield
    finally:
        root.removeFilter(of_others)


def _check_activation(config: ModelConfig, where: str) -> None:
    """Refuse what open_clip only warns of: it costs accuracy and nothing else shows it."""
    name = config.name.replace("/", "-")
    weights = open_clip.get_pretrained_cfg(name, config.pretrained)
    model = open_clip.get_model_config(name)
    if not weights or model is None:
        return  # a weights file, or a name that open_clip refuses by itself
    trained, built = bool(weights.get("quick_gelu")), bool(model.get("quick_gelu"))
    if trained == built:
        return
    right = name + QUICK_GELU if trained else name.removesuffix(QUICK_GELU)
    known = f"take {right}" if right in open_clip.list_models() else "open_clip has no such model"
    with_or_without = "with" if trained else "without"
    raise ConfigError(f"{where}: trained {with_or_without} QuickGELU; {known}")


def _check_input(tower: nn.Module, config: ModelConfig, preprocess: Preprocess) -> None:
    size = getattr(tower, "image_size", None)
    height_width = size if isinstance(size, tuple) else (size, size)
    if size is not None and height_width != (preprocess.height_px, preprocess.width_px):
        raise ConfigError(
            f"preprocess: {config.name} takes {height_width[1]}x{height_width[0]} px,"
            f" configured are {preprocess.width_px}x{preprocess.height_px} px"
        )
    wanted = getattr(tower, "preprocess_cfg", {}) if config.brings_weights else {}
    for key in ("mean", "std"):
        if key in wanted and tuple(wanted[key]) != getattr(preprocess, key):
            weights = config.pretrained or config.name
            raise ConfigError(f"preprocess.{key}: {weights} needs {list(wanted[key])}")


@torch.no_grad()
def _resize_transformer(tower: VisionTransformer, size: tuple[int, int]) -> None:
    """Bicubic and antialiased, as open_clip does it when weights of another size are loaded."""
    grid = tuple(px // patch for px, patch in zip(size, tower.patch_size, strict=True))
    old = tower.positional_embedding
    at_class, at_patches = old[:1], old[1:]
    picture = at_patches.T.reshape(1, -1, *tower.grid_size)
    resized = F.interpolate(picture.float(), grid, mode="bicubic", antialias=True)
    rows: Tensor = torch.cat([at_class, resized[0].flatten(1).T.to(old.dtype)])
    tower.positional_embedding = nn.Parameter(rows.contiguous(), requires_grad=old.requires_grad)
    tower.grid_size, tower.image_size = grid, size


def _kind(tower: nn.Module) -> str:
    return type(tower.trunk if isinstance(tower, TimmModel) else tower).__name__
