"""Finds CLIP towers among the tensors of a foreign checkpoint, by what stands beside what.

The names are those of open_clip, of OpenAI's CLIP, or of Hugging Face's; whatever precedes them is
a tower's prefix. Found towers have open_clip's names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from geobridge.onboard.errors import DataError

Kind = Literal["image", "text"]

_BLOCK = "transformer.resblocks."
_INSIDE = r"(ln_[12]\.(weight|bias)|attn\.(in_proj_(weight|bias)|out_proj\.(weight|bias))"
_INSIDE += r"|mlp\.c_(fc|proj)\.(weight|bias))"
_OWN = {
    "image": rf"(class_embedding|positional_embedding|proj|conv1\.weight|ln_(pre|post)\.\w+"
    rf"|transformer\.resblocks\.\d+\.{_INSIDE})",
    "text": rf"(token_embedding\.weight|positional_embedding|text_projection|ln_final\.\w+"
    rf"|transformer\.resblocks\.\d+\.{_INSIDE})",
}
_PARTS = ("transformer.", "encoder.", "embeddings.", "conv1.", "ln_", "attn_pool")
"""What only a tower's own weights begin with."""
_ROOT = {"image": r"conv1\.weight", "text": r"token_embedding\.weight"}
_FROM_HUGGING_FACE = (
    (r"^embeddings\.class_embedding$", "class_embedding"),
    (r"^embeddings\.patch_embedding\.", "conv1."),
    (r"^embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^embeddings\.token_embedding\.", "token_embedding."),
    (r"^pre_lay(e?)rnorm\.", "ln_pre."),
    (r"^post_layernorm\.", "ln_post."),
    (r"^final_layer_norm\.", "ln_final."),
    (r"^encoder\.layers\.", _BLOCK),
    (r"\.layer_norm(\d)\.", r".ln_\1."),
    (r"\.self_attn\.", ".attn."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
)
_PROJECTIONS = {"image": ("proj", "visual_projection"), "text": ("text_projection",) * 2}
_IGNORED = re.compile(
    r"(^|\.)(position_ids|attn_mask|input_resolution|context_length|vocab_size|logit_scale)$"
)


@dataclass(frozen=True)
class Tower:
    """Weights of one tower in open_clip's names, and the names they had."""

    kind: Kind
    prefix: str
    weights: Mapping[str, Tensor]
    names: frozenset[str]

    @property
    def title(self) -> str:
        """The prefix as it is told."""
        return self.prefix.removesuffix(".") or "(no prefix)"

    @property
    def layers(self) -> int:
        """Blocks of the transformer."""
        numbers = [int(name.split(".")[2]) for name in self.weights if name.startswith(_BLOCK)]
        return 1 + max(numbers, default=-1)

    def same(self, other: Tower) -> bool:
        """Whether every weight is equal."""
        mine, its = self.weights, other.weights
        return mine.keys() == its.keys() and all(torch.equal(mine[n], its[n]) for n in mine)


def find_towers(tensors: Mapping[str, Tensor]) -> list[Tower]:
    """Every image tower and text tower, in the order of their prefixes.

    Raises:
        DataError: a tower lacks its projection, or has weights that a CLIP tower has not.
    """
    kinds: tuple[Kind, ...] = ("image", "text")
    plain = [_plain(kind, root, tensors) for kind in kinds for root in _plain_roots(kind, tensors)]
    foreign = [
        _hugging_face(kind, root, tensors)
        for kind in kinds
        for root in _hugging_face_roots(kind, tensors)
    ]
    towers = sorted([*plain, *foreign], key=lambda tower: (tower.kind, tower.prefix))
    used = frozenset[str]().union(*(tower.names for tower in towers))
    for tower in towers:
        _check_nothing_is_inside(tower, towers, set(tensors) - used)
    return towers


def left_over(tensors: Mapping[str, Tensor], towers: list[Tower]) -> list[str]:
    """Names of tensors that no tower took and that may mean something."""
    used = frozenset[str]().union(*(tower.names for tower in towers))
    return sorted(name for name in tensors if name not in used and not _IGNORED.search(name))


def _plain_roots(kind: Kind, tensors: Mapping[str, Tensor]) -> list[str]:
    beside = {"image": "class_embedding", "text": "ln_final.weight"}[kind]
    return [root for root in _roots(_ROOT[kind], tensors) if f"{root}{beside}" in tensors]


def _hugging_face_roots(kind: Kind, tensors: Mapping[str, Tensor]) -> list[str]:
    end = {"image": "patch_embedding", "text": "token_embedding"}[kind]
    return _roots(rf"embeddings\.{end}\.weight", tensors)


def _roots(end: str, tensors: Mapping[str, Tensor]) -> list[str]:
    matches = (re.fullmatch(rf"(|.*\.){end}", name) for name in tensors)
    return [match[1] for match in matches if match]


def _plain(kind: Kind, root: str, tensors: Mapping[str, Tensor]) -> Tower:
    own = re.compile(re.escape(root) + _OWN[kind])
    names = {name: name[len(root) :] for name in tensors if own.fullmatch(name)}
    weights = {new: tensors[name] for name, new in names.items()}
    return _with_projection(kind, root, weights, set(names), tensors)


def _hugging_face(kind: Kind, root: str, tensors: Mapping[str, Tensor]) -> Tower:
    renamed: dict[str, Tensor] = {}
    names: set[str] = set()
    for name, tensor in tensors.items():
        if name.startswith(root):
            new = name[len(root) :]
            for pattern, replacement in _FROM_HUGGING_FACE:
                new = re.sub(pattern, replacement, new)
            if re.fullmatch(_OWN[kind], new) or re.search(r"\.attn\.[qkv]_proj\.", new):
                renamed[new] = tensor
                names.add(name)
    return _with_projection(kind, root, _fused(renamed, root), names, tensors)


def _fused(weights: Mapping[str, Tensor], root: str) -> dict[str, Tensor]:
    """Queries, keys and values as the one matrix that open_clip has."""
    fused = {name: w for name, w in weights.items() if not re.search(r"\.[qkv]_proj\.", name)}
    for name in weights:
        if ".attn.q_proj." in name:
            parts = [name.replace("q_proj", f"{letter}_proj") for letter in "qkv"]
            lacking = [part for part in parts if part not in weights]
            if lacking:
                raise DataError(f"{root.removesuffix('.')}: lacks {lacking[0]}")
            fused[name.replace("q_proj.", "in_proj_")] = torch.cat([weights[p] for p in parts])
    return fused


def _with_projection(
    kind: Kind,
    root: str,
    weights: dict[str, Tensor],
    names: set[str],
    tensors: Mapping[str, Tensor],
) -> Tower:
    """A linear layer stores its matrix transposed, and beside a Hugging Face tower, not in it."""
    mine, its = _PROJECTIONS[kind]
    parent = re.sub(r"[^.]+\.$", "", root)
    places = [f"{root}{mine}.weight", f"{root}{its}.weight", f"{parent}{its}.weight"]
    there = [place for place in places if place in tensors and tensors[place].ndim == 2]
    if mine not in weights and there:
        weights[mine] = tensors[there[0]].T
        names.add(there[0])
    if mine not in weights:
        raise DataError(
            f"the {kind} tower {root.removesuffix('.') or '(no prefix)'} has no projection"
            f" ({mine} or {its}.weight), so nobody knows its descriptors"
        )
    return Tower(kind, root, weights, frozenset(names))


def _check_nothing_is_inside(tower: Tower, towers: list[Tower], unused: set[str]) -> None:
    deeper = tuple(t.prefix for t in towers if len(t.prefix) > len(tower.prefix))
    strange: Callable[[str], bool] = lambda rest: (  # noqa: E731
        rest.startswith(_PARTS) or (tower.kind == "image" and bool(tower.prefix))
    )
    for name in sorted(unused):
        inside = name.startswith(tower.prefix) and not name.startswith(deeper)
        if inside and strange(name[len(tower.prefix) :]) and not _IGNORED.search(name):
            raise DataError(f"the {tower.kind} tower {tower.title} is not a plain CLIP: has {name}")
