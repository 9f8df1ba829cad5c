"""`geobridge train CONFIG`: every key, with its unit and default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from geobridge.onboard.config import Fraction, NonNegative, Positive, Section
from geobridge.onboard.manifest import PreprocessEntry
from geobridge.onboard.preprocess import Fit, Interpolation
from geobridge.onboard.views import View

CUSTOM_DIM = 128
"""Length of a custom model's descriptors; every other model has its own."""

SELF_CONTAINED = ("hf-hub:", "local-dir:")
"""Beginnings of model names that bring their own weights."""


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the lower limit comes first, got {list(limits)}")
    return limits


FieldOfView = Annotated[float, Field(gt=1, lt=170)]
HeightRange = Annotated[tuple[Positive, Positive], Field(strict=False), AfterValidator(_rising)]
FieldOfViewRange = Annotated[
    tuple[FieldOfView, FieldOfView], Field(strict=False), AfterValidator(_rising)
]


class ModelConfig(Section):
    """Which towers, from which open_clip model.

    `name` is an open_clip tag (`ViT-L-14-quickgelu`), a hub name (`hf-hub:owner/model`), a folder
    (`local-dir:path`), or `custom` with the tables `vision` and `text` in open_clip's own keys.
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
    std: Annotated[tuple[float, float, float], Field(strict=False)] = (
        0.26862954,
        0.26130258,
        0.27577711,
    )


class AreaConfig(Section):
    """Drone views rendered from a georeferenced raster of the mission area, against its tiles."""

    source: Literal["area"]
    raster: str
    footprint_m: Positive = 150.0
    """Side of the ground square that one descriptor describes."""
    gsd_m: Positive = 1.0
    """Ground sampling of rectified patches and of reference imagery."""
    min_valid_fraction: Fraction = 0.6
    """Part of a place's square that the raster must cover."""
    min_separation_m: NonNegative = 60.0
    """Two places of one batch lie at least so far apart."""
    position_jitter_m: NonNegative = 15.0
    """How far the matching tile's centre may lie from the drone view's."""
    height_agl_m: HeightRange = (100.0, 250.0)
    hfov_deg: FieldOfViewRange = (60.0, 90.0)
    tilt_deg: Annotated[float, Field(ge=0, le=30)] = 6.0
    """Roll and pitch each stay within it 19 times out of 20."""
    attitude_error_deg: Annotated[float, Field(ge=0, le=10)] = 1.5
    heading_error_deg: NonNegative = 5.0
    height_error: Fraction = 0.06
    appearance: Fraction = 1.0
    """Strength of the change of light, colour, shadow, vegetation, blur and occlusion."""


class TriplesConfig(Section):
    """A folder in GeoBridge's published layout: {train,val,test}/{drone,satellite,street}/<id>.*

    with an optional {split}/text.jsonl of {"id": ..., "text": ...}. A place may lack a view or its
    text; it trains the edges it has.
    """

    source: Literal["triples"]
    folder: str
    footprint_m: Positive = 150.0
    gsd_m: Positive = 1.0


class ObjectiveConfig(Section):
    """The six-edge objective: three image edges, three edges from text."""

    image_weight: NonNegative = 1.0
    text_weight: NonNegative = 1.0
    label_smoothing: Fraction = 0.05


class OptimConfig(Section):
    """AdamW with warm-up and cosine decay."""

    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)] = 64
    learning_rate: Positive = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    weight_decay: NonNegative = 0.05
    clip_norm: Positive = 1.0
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: Annotated[int, Field(ge=0)] = 1


class RunConfig(Section):
    """Where the run lives and how often it is saved."""

    folder: str
    checkpoint_every_steps: Annotated[int, Field(ge=1)] = 100
    keep_checkpoints: Annotated[int, Field(ge=1)] = 2


class TrainConfig(Section):
    """The whole file."""

    model: ModelConfig
    preprocess: PreprocessConfig = PreprocessConfig()
    data: Annotated[AreaConfig | TriplesConfig, Field(discriminator="source")]
    objective: ObjectiveConfig = ObjectiveConfig()
    optim: OptimConfig
    run: RunConfig
