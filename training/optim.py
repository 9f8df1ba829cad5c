"""What is trained, at which rate, and the optimiser that does it.

Weights are known by their names in open_clip's towers: its ViT, its residual network and its text
transformer. The depth of a weight counts from the output: 0 is the projection and the final norm,
1 the last block, and the embedding of pixels or words is deepest.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from geobridge.onboard.errors import ConfigError

from .config import OptimConfig

log = logging.getLogger(__name__)

_TRANSFORMER_BLOCK = re.compile(r"(?:^|\.)resblocks\.(\d+)\.")
_RESIDUAL_BLOCK = re.compile(r"(?:^|\.)layer(\d)\.(\d+)\.")
_HEAD = re.compile(r"(?:^|\.)(ln_post|ln_final|attnpool|attn_pool|proj$|text_projection)")
_STEM = re.compile(r"(?:^|\.)(conv\d|bn\d|ln_pre|class_embedding|positional_emb|token_emb|cls_emb)")
_IMAGE_TOWER = re.compile(r"images\.(\w+)\.")
_ONE_RATE = ("temperature", "points")
"""Always learn, whatever is frozen, at the rate of the output."""
_NOT_DECAYED = ("positional_embedding", "class_embedding", "cls_emb")


def tower_of(name: str) -> str:
    """Which tower a weight belongs to: a view, "text", "points" or "temperature"."""
    image = _IMAGE_TOWER.match(name)
    return image[1] if image else "temperature" if "." not in name else name.partition(".")[0]


def depths(model: nn.Module) -> dict[str, int | None]:
    """How far every weight is from its tower's output; None in a tower of unknown parts."""
    found: dict[str, int | None] = {}
    for tower, names in _by_tower(model).items():
        if tower in _ONE_RATE:
            found |= dict.fromkeys(names, 0)
        else:
            found |= _tower_depths(names)
    return found


def freeze(model: nn.Module, optim: OptimConfig) -> None:
    """Let only those weights learn that the configuration means.

    By name, because open_clip's own `lock(unlocked_groups=3)` counts the projection as a group and
    leaves two blocks open.

    Raises:
        ConfigError: a tower has fewer blocks than `trained_blocks`, or unknown parts.
    """
    if optim.trained_blocks:
        for tower, names in _by_tower(model).items():
            if tower != "text" and tower not in _ONE_RATE:
                _check_blocks(tower, names, optim.trained_blocks)
    depth_of = depths(model)
    for name, weight in model.named_parameters():
        depth, text = depth_of[name], tower_of(name) == "text"
        if optim.trained_blocks and (text or depth is None or depth > optim.trained_blocks):
            weight.requires_grad_(False)
        if optim.text_frozen and text:
            weight.requires_grad_(False)


def to_training(model: nn.Module) -> None:
    """Training mode, in which running statistics of frozen layers stay as they are."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(
            weight.requires_grad for weight in module.parameters()
        ):
            module.eval()


def optimizer(model: nn.Module, optim: OptimConfig) -> torch.optim.Optimizer:
    """Adam or AdamW of the weights that learn, in groups of one rate and one decay.

    Gains, biases, position and class embeddings and the temperature are not decayed. Every group
    holds `lr_scale`, its factor on the learning rate.
    """
    depth_of = depths(model)
    if optim.layer_decay < 1.0:
        for tower in sorted({tower_of(name) for name, depth in depth_of.items() if depth is None}):
            log.warning("optim.layer_decay: the %s tower has unknown parts and one rate", tower)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            scale = optim.layer_decay ** (depth_of[name] or 0)
            decay = optim.weight_decay if _is_decayed(name, weight) else 0.0
            groups.setdefault((scale, decay), []).append(weight)
    settings = [
        {"params": weights, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), weights in groups.items()
    ]
    fused = all(weight.is_cuda for weights in groups.values() for weight in weights)
    algorithm = torch.optim.AdamW if optim.algorithm == "adamw" else torch.optim.Adam
    return algorithm(
        settings,
        lr=optim.learning_rate,
        betas=optim.betas,
        eps=optim.epsilon,
        fused=fused or None,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]


def learning_rate(optim: OptimConfig, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to zero after the last of `steps`."""
    if step < optim.warmup_steps:
        return optim.learning_rate * (step + 1) / optim.warmup_steps
    done = (step - optim.warmup_steps) / max(1, steps - optim.warmup_steps)
    return optim.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


@torch.no_grad()
def norm(tensors: Iterable[Tensor]) -> Tensor:
    """Euclidean norm of all tensors as one vector; one number on their device."""
    norms = torch._foreach_norm(list(tensors))
    length: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return length


@torch.no_grad()
def clip(gradients: list[Tensor], length: Tensor, longest: float) -> None:
    """Shorten gradients of known length to the longest that is allowed."""
    torch._foreach_mul_(gradients, (longest / (length + 1e-6)).clamp(max=1.0))


def _by_tower(model: nn.Module) -> dict[str, list[str]]:
    towers: dict[str, list[str]] = {}
    for name, _ in model.named_parameters():
        towers.setdefault(tower_of(name), []).append(name)
    return towers


def _tower_depths(names: list[str]) -> dict[str, int | None]:
    blocks = sorted({block for name in names if (block := _block(name)) is not None})
    known = bool(blocks) and all(_block(n) or _HEAD.search(n) or _STEM.search(n) for n in names)
    if not known:
        return dict.fromkeys(names)
    deepest = len(blocks) + 1
    return {name: _depth(name, blocks, deepest) for name in names}


def _depth(name: str, blocks: list[tuple[int, int]], deepest: int) -> int:
    block = _block(name)
    if block is not None:
        return len(blocks) - blocks.index(block)
    return 0 if _HEAD.search(name) else deepest


def _block(name: str) -> tuple[int, int] | None:
    """Order of the residual block a weight is in: by stage and place in it."""
    if found := _TRANSFORMER_BLOCK.search(name):
        return 0, int(found[1])
    if found := _RESIDUAL_BLOCK.search(name):
        return int(found[1]), int(found[2])
    return None


def _check_blocks(tower: str, names: list[str], wanted: int) -> None:
    blocks = {block for name in names if (block := _block(name)) is not None}
    if None in _tower_depths(names).values():
        raise ConfigError(f"optim.trained_blocks: the {tower} tower is none of open_clip's own")
    if wanted > len(blocks):
        raise ConfigError(
            f"optim.trained_blocks: {wanted}, but the {tower} tower has {len(blocks)} blocks"
        )


def _is_decayed(name: str, weight: Tensor) -> bool:
    return weight.ndim > 1 and not name.endswith(_NOT_DECAYED)
