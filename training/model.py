"""The GeoBridge network (arXiv 2512.02697): one image tower per view, one text tower, one space.

No projection and no fusion on top of CLIP's own: every tower ends in a unit descriptor, and one
learnable temperature scales their products.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geobridge.onboard.errors import ConfigError
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.views import View

from .config_model import ModelConfig, PreprocessConfig
from .towers import build_clip, one_line, resize_input

if TYPE_CHECKING:
    from .runs.pipeline import TensorBatch

TEXT, POINTS = "text", "points"
MAX_LOGIT_SCALE = 100.0
"""Clamp of 1/temperature, as CLIP was trained."""


class ImageEncoder(nn.Module):
    """uint8 RGB [B, H, W, 3] to unit descriptors [B, D]: normalisation, tower, L2.

    With a `dimension` the first so many numbers of the tower's output, of unit length again. This
    module is what `geobridge export` turns into ONNX, as it is.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(
        self, tower: nn.Module, preprocess: Preprocess, dimension: int | None = None
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.dimension = dimension
        self.tower = tower
        self.register_buffer("mean", 255.0 * torch.tensor(preprocess.mean), persistent=False)
        self.register_buffer("inverse_std", 1 / (255.0 * torch.tensor(preprocess.std)), False)

    def forward(self, image: Tensor) -> Tensor:
        """[B, H, W, 3] uint8 to [B, D] float32."""
        pixels = (image.float() - self.mean) * self.inverse_std
        pixels = pixels.permute(0, 3, 1, 2).to(next(self.tower.parameters()).dtype)
        output = self.tower(pixels).float()
        if self.dimension is not None:
            output = output[:, : self.dimension]
        return F.normalize(output, dim=-1)

    @torch.no_grad()
    def length(self) -> int:
        """D, found by encoding one black picture."""
        spec, training = self.preprocess, self.training
        picture = torch.zeros(1, spec.height_px, spec.width_px, 3, device=self.mean.device)
        length = self.eval()(picture).shape[1]
        self.train(training)
        return int(length)


class GeoBridge(nn.Module):
    """Image encoders by view, a text encoder or None, and the logit scale (1 / temperature).

    `points` is a tower for point clouds that a learner may put there; it belongs to training and is
    in no checkpoint's weights.
    """

    def __init__(
        self,
        images: Mapping[View, ImageEncoder],
        text: nn.Module | None,
        logit_scale: float,
        max_logit_scale: float = MAX_LOGIT_SCALE,
    ) -> None:
        super().__init__()
        self.images = nn.ModuleDict({view.value: encoder for view, encoder in images.items()})
        self.text = text
        self.points: nn.Module | None = None
        self.max_log_scale = math.log(max_logit_scale)
        start = min(max(math.log(logit_scale), 0.0), self.max_log_scale)
        self.log_scale = nn.Parameter(torch.tensor(start))

    @property
    def logit_scale(self) -> Tensor:
        """Factor on cosine similarities."""
        return self.log_scale.exp()

    @torch.no_grad()
    def hold_temperature(self) -> None:
        """Bring the scale back into 1 to its maximum, after a step.

        A clamp inside the graph would give a value outside no gradient, and would mask by the
        gradient of each process by itself.
        """
        self.log_scale.clamp_(0.0, self.max_log_scale)

    def forward(self, batch: TensorBatch) -> dict[str, Tensor]:
        """Every tower on every row: side to [B, D] unit descriptors.

        A row that lacks a side is masked by the loss, whatever stands there: zeros, or what the
        tower makes of a black picture or an empty text.
        """
        descriptors = {
            name: _encode(encoder, batch.images[View(name)], batch.present[name])
            for name, encoder in self.images.items()
            if View(name) in batch.images
        }
        if self.text is not None and batch.tokens is not None:
            descriptors[TEXT] = self.encode_text(batch.tokens)
        if self.points is not None and batch.points is not None:
            descriptors[POINTS] = self.points(batch.points, batch.present[POINTS])
        return descriptors

    def encode_image(self, view: View, image: Tensor) -> Tensor:
        """[B, H, W, 3] uint8 to [B, D] unit descriptors."""
        descriptors: Tensor = self.images[view.value](image)
        return descriptors

    def encode_text(self, tokens: Tensor) -> Tensor:
        """[B, context] token ids to [B, D] unit descriptors."""
        if self.text is None:
            raise ValueError("this model has no text tower")
        return F.normalize(self.text(tokens).float(), dim=-1)


def _encode(encoder: nn.Module, image: Tensor, present: Tensor) -> Tensor:
    """[B, D]; black pictures that stand for missing ones stay out of a batch norm's statistics."""
    if not _has_batch_norm(encoder) or bool(present.all()):
        whole: Tensor = encoder(image)
        return whole
    training, count = encoder.training, int(present.sum())
    if count == 0:  # still a part of the graph, as other processes expect
        present = torch.zeros_like(present)
        present[0] = True
    if count < 2:  # of one picture alone there are no statistics
        encoder.eval()
    rows: Tensor = encoder(image[present])
    encoder.train(training)
    return rows.new_zeros(len(image), rows.shape[1]).index_put((present,), rows)


def _has_batch_norm(encoder: nn.Module) -> bool:
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in encoder.modules())


def build_model(
    config: ModelConfig, preprocess: PreprocessConfig, max_logit_scale: float = MAX_LOGIT_SCALE
) -> GeoBridge:
    """The network with fresh or pretrained weights; every image tower starts from the same ones.

    What only matters while training (`start_from`, `gradient_checkpointing`, `compile`) is
    `start.new_model` and `start.equip`.

    Raises:
        ConfigError: a tag, a weights file or a table that open_clip cannot use, a preprocessing
            record that contradicts the weights, or a width or length that the towers cannot have.
    """
    clip = build_clip(config, preprocess.spec)
    images: dict[View, ImageEncoder] = {}
    for view in config.view_list:
        tower = copy.deepcopy(clip.visual) if images else clip.visual
        if config.shared_image_towers:
            tower = clip.visual
        images[view] = ImageEncoder(tower, preprocess.spec_of(view))
    _widen(images, config, preprocess)
    _check_lengths(next(iter(images.values())), config)
    scale = 1.0 / config.init_temperature
    if config.brings_weights:
        scale = float(clip.logit_scale.detach().exp())
    return GeoBridge(images, clip.text if config.text_tower else None, scale, max_logit_scale)


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
        raise ConfigError(f"model.name {config.name!r}: no tokenizer: {one_line(error)}") from None


def _widen(
    images: Mapping[View, ImageEncoder], config: ModelConfig, preprocess: PreprocessConfig
) -> None:
    if preprocess.panorama != "wide" or View.STREET not in images:
        return
    if config.shared_image_towers and len(images) > 1:
        raise ConfigError(
            "preprocess.panorama: a wide panorama needs a street tower of its own;"
            " model.shared_image_towers must be false"
        )
    encoder = images[View.STREET]
    resize_input(encoder.tower, encoder.preprocess, config.name)


def _check_lengths(encoder: ImageEncoder, config: ModelConfig) -> None:
    spec = encoder.preprocess
    try:
        length = encoder.length()
    except RuntimeError as error:
        size = f"{spec.width_px}x{spec.height_px} px"
        raise ConfigError(f"preprocess: the towers cannot take {size}: {one_line(error)}") from None
    if config.nested_dims and config.nested_dims[-1] >= length:
        raise ConfigError(
            f"model.nested_dims: {config.nested_dims[-1]} must be less than the descriptor's"
            f" {length}"
        )
