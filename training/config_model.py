"""`[model]` and `[preprocess]`: which towers, and what they are shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from geobridge.onboard.config import Positive, Section
from geobridge.onboard.manifest_entries import PreprocessEntry
from geobridge.onboard.preprocess import Fit, Interpolation, Preprocess
from geobridge.onboard.views import View

CUSTOM_DIM = 128
"""Length of a custom model's descriptors; every other model has its own."""

PRESETS = {"geobridge_l14": {"name": "ViT-L-14-quickgelu", "pretrained": "openai"}}
"""Names that stand for a model and its weights: CLIP ViT-L/14 as OpenAI trained it, descriptors of
768 numbers, is what GeoBridge was published with."""

SELF_CONTAINED = ("hf-hub:", "local-dir:")
"""Beginnings of model names that bring their own weights."""


class ModelConfig(Section):
    """Which towers, from which open_clip model.

    `name` is an open_clip tag (`ViT-L-14-quickgelu`), a hub name (`hf-hub:owner/model`), a folder
    (`local-dir:path`), a preset (`geobridge_l14`), or `custom` with the tables `vision` and `text`
    in open_clip's own keys.
    `pretrained` is an open_clip weights tag or a weights file; empty for random initialisation. A
    hub name or a folder brings its own weights.
    """

    name: str = "custom"
    pretrained: str = ""
    embed_dim: Annotated[int, Field(ge=2, le=8192)] = CUSTOM_DIM
    quick_gelu: bool = False
    vision: dict[str, Any] = Field(default_factory=dict)
    text: dict[str, Any] | None = None
    views: tuple[Literal["drone", "satellite", "street"], ...] = Field(
        default=("drone", "satellite", "street"), strict=False
    )
    text_tower: bool = True
    shared_image_towers: bool = False
    init_temperature: Positive = 0.07
    """Of a model without pretrained weights; a pretrained one brings its own."""
    start_from: str = ""
    """A checkpoint of ours (a run, or what `geobridge import` wrote) whose weights are taken."""
    nested_dims: tuple[Annotated[int, Field(ge=2)], ...] = Field(default=(), strict=False)
    """The first so many numbers of a descriptor are trained to work alone (Matryoshka)."""
    gradient_checkpointing: bool = False
    """Less memory, a third more time."""
    compile: bool = False
    """`torch.compile` of every tower."""

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, keys: Any) -> Any:
        """A preset as what it stands for; weights that are named are taken instead of its own."""
        preset = PRESETS.get(str(keys.get("name"))) if isinstance(keys, dict) else None
        if preset is None:
            return keys
        own = {**preset, "pretrained": ""} if keys.get("start_from") else preset
        given = keys.get("pretrained", own["pretrained"])
        if isinstance(given, str) and given not in ("", own["pretrained"]) and "." not in given:
            raise ValueError(f"{keys['name']} has the weights openai, got {given!r}")
        return {**own, **keys, "name": own["name"]}

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if len(set(self.views)) != len(self.views) or not self.views:
            raise ValueError("views must name one to three different views")
        if self.name == "custom" and not self.vision:
            raise ValueError("a custom model needs a [model.vision] table")
        if self.name == "custom" and self.text_tower and self.text is None:
            raise ValueError("a custom model needs a [model.text] table or text_tower = false")
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> ModelConfig:
        own = self.vision or self.text or self.quick_gelu or self.embed_dim != CUSTOM_DIM
        if self.name != "custom" and own:
            raise ValueError("vision, text, embed_dim and quick_gelu belong to name = 'custom'")
        if self.name == "custom" and self.pretrained:
            raise ValueError("pretrained needs the open_clip tag of its weights as name")
        if self.name.startswith(SELF_CONTAINED) and self.pretrained:
            raise ValueError(f"{self.name} brings its own weights; leave pretrained empty")
        if self.pretrained and self.start_from:
            raise ValueError("pretrained and start_from: expected one of them")
        if list(self.nested_dims) != sorted(set(self.nested_dims)):
            raise ValueError(f"nested_dims must rise, got {list(self.nested_dims)}")
        return self

    @property
    def brings_weights(self) -> bool:
        """Whether the network starts from weights that were trained before."""
        return bool(self.pretrained) or self.name.startswith(SELF_CONTAINED)

    @property
    def view_list(self) -> tuple[View, ...]:
        """The views that have a tower, in order."""
        return tuple(View(name) for name in self.views)


class PreprocessConfig(PreprocessEntry):
    """How a picture becomes encoder input; the defaults are CLIP's."""

    height_px: Annotated[int, Field(ge=1, le=4096)] = 224
    width_px: Annotated[int, Field(ge=1, le=4096)] = 224
    interpolation: Interpolation = "bicubic"
    fit: Fit = "squash"
    fill: Annotated[tuple[int, int, int], Field(strict=False)] = (122, 117, 104)
    mean: Annotated[tuple[float, float, float], Field(strict=False)] = (
        0.48145466,
        0.4578275,
        0.40821073,
    )
    std: Annotated[tuple[Positive, Positive, Positive], Field(strict=False)] = (
        0.26862954,
        0.26130258,
        0.27577711,
    )
    panorama: Literal["square", "wide"] = "square"
    """Street pictures squashed to the same size as all (the paper), or twice as wide."""

    @property
    def entry(self) -> PreprocessEntry:
        """As the bundle stores it, of all views but a wide panorama."""
        return PreprocessEntry(**self.model_dump(exclude={"panorama"}))

    @property
    def spec(self) -> Preprocess:
        """The record that `preprocess.apply` takes, of all views but a wide panorama."""
        return self.entry.spec

    def spec_of(self, view: View) -> Preprocess:
        """The record of one view."""
        if view is View.STREET and self.panorama == "wide":
            return replace(self.spec, width_px=2 * self.width_px)
        return self.spec
