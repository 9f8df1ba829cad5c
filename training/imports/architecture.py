"""The configuration of a foreign checkpoint's towers: from open_clip's name, or from shapes."""

from __future__ import annotations

import math
from typing import Any, Literal

import open_clip

from geobridge.onboard.errors import ConfigError, DataError
from geobridge.onboard.views import View

from ..config_model import SELF_CONTAINED
from ..towers import QUICK_GELU
from .names import Tower

Normalisation = Literal["clip", "imagenet"]
Towers = dict[View, Tower]

HEAD_WIDTH = 64
WIDEST_OF_SUCH_HEADS = 1024
"""Wider ones of CLIP have heads of 80 to 112, which no shape tells."""
_PIXELS: dict[Normalisation, dict[str, Any]] = {
    "clip": {},
    "imagenet": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
}


def activation(model: str, quick_gelu: bool | None) -> bool | None:
    """Whether the towers have QuickGELU, as the model's name or the user says; None if nobody does.

    Raises:
        ConfigError: both say different things, or open_clip has no such model.
    """
    if model.startswith(SELF_CONTAINED):
        raise ConfigError(f"--model {model}: expected one of open_clip's own names")
    if not model:
        return quick_gelu
    known = open_clip.get_model_config(model.replace("/", "-"))
    if known is None:
        raise ConfigError(f"--model {model}: open_clip has no such model")
    own = bool(known.get("quick_gelu"))
    if quick_gelu is not None and quick_gelu != own:
        right = f"{model}{QUICK_GELU}" if quick_gelu else model.removesuffix(QUICK_GELU)
        raise ConfigError(f"--model {model}: contradicts --{'no-' * own}quick-gelu; is it {right}?")
    return own


def tables(
    by_view: Towers, text: Tower | None, model: str, quick_gelu: bool | None, pixels: Normalisation
) -> dict[str, Any]:
    """`[model]` and `[preprocess]` of these towers.

    Raises:
        DataError: shapes do not tell the architecture.
        ConfigError: nobody tells the activation.
    """
    if quick_gelu is None:
        raise ConfigError(
            "the activation is not in the weights: say --model NAME, --quick-gelu (OpenAI's CLIP"
            " and what was trained from it) or --no-quick-gelu"
        )
    first = next(iter(by_view.values()))
    side_px = _image_size(first)
    towers: dict[str, Any] = {"name": model}
    if not model:
        towers = {
            "name": "custom",
            "embed_dim": first.weights["proj"].shape[1],
            "quick_gelu": quick_gelu,
            "vision": _vision(first),
            "text": _text(text) if text else None,
        }
    towers |= {"views": [view.value for view in by_view], "text_tower": text is not None}
    size = {"height_px": side_px, "width_px": side_px}
    return {"model": towers, "preprocess": size | _PIXELS[pixels]}


def _image_size(tower: Tower) -> int:
    conv, positions = tower.weights["conv1.weight"], tower.weights.get("positional_embedding")
    if conv.ndim != 4 or conv.shape[2] != conv.shape[3] or positions is None:
        raise DataError(f"the image tower {tower.title} has no square patches with positions")
    cells = math.isqrt(len(positions) - 1)
    if cells**2 + 1 != len(positions):
        raise DataError(
            f"the image tower {tower.title} has {len(positions) - 1} patches, no square"
        )
    return int(cells * conv.shape[2])


def _vision(tower: Tower) -> dict[str, Any]:
    width = _width(tower, "conv1.weight", 0)
    return {
        "layers": tower.layers,
        "width": width,
        "head_width": HEAD_WIDTH,
        "patch_size": tower.weights["conv1.weight"].shape[2],
        "mlp_ratio": _mlp_ratio(tower, width),
    }


def _text(tower: Tower) -> dict[str, Any]:
    width = _width(tower, "token_embedding.weight", 1)
    positions = tower.weights.get("positional_embedding")
    if positions is None:
        raise DataError(f"the text tower {tower.title} lacks positional_embedding")
    return {
        "context_length": len(positions),
        "vocab_size": len(tower.weights["token_embedding.weight"]),
        "width": width,
        "heads": width // HEAD_WIDTH,
        "layers": tower.layers,
        "mlp_ratio": _mlp_ratio(tower, width),
    }


def _width(tower: Tower, name: str, axis: int) -> int:
    width = int(tower.weights[name].shape[axis])
    if width % HEAD_WIDTH or width > WIDEST_OF_SUCH_HEADS:
        raise DataError(
            f"the {tower.kind} tower {tower.title} is {width} wide: its attention heads show in no"
            " shape; say --model"
        )
    return width


def _mlp_ratio(tower: Tower, width: int) -> float:
    wide = tower.weights.get("transformer.resblocks.0.mlp.c_fc.bias")
    return len(wide) / width if wide is not None else 4.0
