"""The GeoBridge network (arXiv 2512.02697): one image tower per view, one text tower, one space.

No projection and no fusion on top of CLIP's own: every tower ends in a unit descriptor, and one
learnable temperature scales their products.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geobridge.onboard.errors import ConfigError
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.views import View

from .config import ModelConfig

MAX_LOGIT_SCALE = 100.0
"""Clamp of 1/temperature, as CLIP was trained."""


class ImageEncoder(nn.Module):
    """uint8 RGB [B, H, W, 3] to unit descriptors [B, D]: normalisation, tower, L2.

    This module is what `geobridge export` turns into ONNX, as it is.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, tower: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.tower = tower
        self.register_buffer("mean", 255.0 * torch.tensor(preprocess.mean), persistent=False)
        self.register_buffer("inverse_std", 1 / (255.0 * torch.tensor(preprocess.std)), False)

    def forward(self, image: Tensor) -> Tensor:
        """[B, H, W, 3] uint8 to [B, D] float32."""
        pixels = (image.float() - self.mean) * self.inverse_std
        pixels = pixels.permute(0, 3, 1, 2).to(next(self.tower.parameters()).dtype)
        return F.normalize(self.tower(pixels).float(), dim=-1)


class GeoBridge(nn.Module):
    """Image encoders by view, a text encoder or None, and the logit scale (1 / temperature)."""

    def __init__(
        self, images: Mapping[View, ImageEncoder], text: nn.Module | None, logit_scale: float
    ) -> None:
        super().__init__()
        self.images = nn.ModuleDict({view.value: encoder for view, encoder in images.items()})
        self.text = text
        self.log_scale = nn.Parameter(torch.tensor(math.log(logit_scale)))

    @property
    def logit_scale(self) -> Tensor:
        """Factor on cosine similarities."""
        return self.log_scale.clamp(max=math.log(MAX_LOGIT_SCALE)).exp()

    def encode_image(self, view: View, image: Tensor) -> Tensor:
        """[B, H, W, 3] uint8 to [B, D] unit descriptors."""
        descriptors: Tensor = self.images[view.value](image)
        return descriptors

    def encode_text(self, tokens: Tensor) -> Tensor:
        """[B, context] token ids to [B, D] unit descriptors."""
        if self.text is None:
            raise ValueError("this model has no text tower")
        return F.normalize(self.text(tokens).float(), dim=-1)


def build_model(config: ModelConfig, preprocess: Preprocess) -> GeoBridge:
    """The network with fresh or pretrained weights; every image tower starts from the same ones.

    Raises:
        ConfigError: a tag, a weights file or a table that open_clip cannot use, or a preprocessing
            record that contradicts the weights.
    """
    clip = _custom(config, preprocess) if config.name == "custom" else _tagged(config)
    _check_input(clip.visual, config, preprocess)
    images: dict[View, ImageEncoder] = {}
    for view in config.view_list:
        first = next(iter(images.values()), None)
        if first is None:
            tower = clip.visual
        else:
            tower = first.tower if config.shared_image_towers else copy.deepcopy(first.tower)
        images[view] = ImageEncoder(tower, preprocess)
    own_scale = float(clip.logit_scale.detach().exp())
    scale = own_scale if config.brings_weights else 1.0 / config.init_temperature
    return GeoBridge(images, clip.text if config.text_tower else None, scale)


def tokenizer(config: ModelConfig) -> open_clip.SimpleTokenizer:
    """Texts to [B, context] token ids for this model's text tower.

    Raises:
        ConfigError: open_clip has no tokenizer for it, or lacks a library that it needs.
    """
    if config.name == "custom":
        context = int((config.text or {}).get("context_length", 77))
        return open_clip.SimpleTokenizer(context_length=context)
    try:
        return open_clip.get_tokenizer(config.name)
    except Exception as error:  # as many kinds as for the model
        raise ConfigError(f"model.name {config.name!r}: no tokenizer: {_line(error)}") from None


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
        raise ConfigError(f"model: open_clip cannot build it: {_line(error)}") from None


def _tagged(config: ModelConfig) -> open_clip.CustomTextCLIP:
    where = f"model.name {config.name!r}"
    if config.pretrained:
        where += f", pretrained {config.pretrained!r}"
    try:
        clip = open_clip.create_model(
            config.name, pretrained=config.pretrained or None, force_custom_text=True
        )
    except Exception as error:  # open_clip, its hub client and torch raise a dozen kinds
        raise ConfigError(f"{where}: {_line(error)}") from None
    if not isinstance(clip, open_clip.CustomTextCLIP):
        raise ConfigError(f"{where}: is a captioning model; take one with two plain towers")
    return clip


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


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
