"""`geobridge train CONFIG`: every key, with its unit and default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from geobridge.onboard.config import Fraction, NonNegative, Positive, Section

from .config_data import AreaConfig, AugmentConfig, BatchesConfig, TriplesConfig
from .config_geolink import GeoLinkConfig
from .config_model import ModelConfig, PreprocessConfig

Edge = Literal[
    "drone-satellite",
    "satellite-street",
    "street-drone",
    "text-drone",
    "text-satellite",
    "text-street",
    "points-drone",
    "points-satellite",
    "points-street",
    "points-text",
]
Share = Annotated[float, Field(ge=0, lt=1)]


class ObjectiveConfig(Section):
    """The six-edge objective: three image edges, three edges from text; with `[geolink]` also an
    edge from points to every other side.

    `form` "symmetric" is the mean of both directions of every edge; "directed" is as the paper
    prints it: drone to satellite, satellite to street, street to drone, text to every view, points
    to every side.
    """

    form: Literal["symmetric", "directed"] = "symmetric"
    image_weight: NonNegative = 1.0
    text_weight: NonNegative = 1.0
    points_weight: NonNegative = 1.0
    edge_weights: dict[Edge, NonNegative] = Field(default_factory=dict)
    """Share of an edge in the mean of its kind, 1 unless it stands here; 0 leaves it out."""
    label_smoothing: Fraction = 0.05
    max_logit_scale: Annotated[float, Field(ge=1)] = 100.0
    """Clamp of 1 / temperature."""


class OptimConfig(Section):
    """Steps, batches, the optimiser and its schedule.

    `batch_size` places for every process; of these `chunk_size` go through the towers at a time
    (0: all), with exactly the same gradient (GradCache). `accumulate` batches, each with its own
    negatives, make one step.
    """

    steps: Annotated[int, Field(ge=0)] = 0
    epochs: NonNegative = 0.0
    """In place of steps; an endless source has none."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    chunk_size: Annotated[int, Field(ge=0)] = 0
    accumulate: Annotated[int, Field(ge=1)] = 1
    algorithm: Literal["adamw", "adam"] = "adamw"
    learning_rate: Positive = 1e-3
    betas: Annotated[tuple[Share, Share], Field(strict=False)] = (0.9, 0.999)
    epsilon: Positive = 1e-8
    """Of Adam; also where estimators of `geolink.refinement` learn."""
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    weight_decay: NonNegative = 0.05
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on the learning rate for every block further from the output."""
    clip_norm: Positive = 1.0
    ema_decay: Share = 0.0
    """Of a moving average of the weights, which is then what is evaluated and exported; 0: none."""
    trained_blocks: Annotated[int, Field(ge=0)] = 0
    """Only so many last blocks of every image tower, its final norm, its projection and the
    temperature are trained; 0: everything."""
    text_frozen: bool = False
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="after")
    def _consistent(self) -> OptimConfig:
        if (self.steps > 0) == (self.epochs > 0):
            raise ValueError("expected steps or epochs, and not both")
        if self.chunk_size == 1 or self.chunk_size > self.batch_size:
            raise ValueError(f"chunk_size {self.chunk_size}: expected 0, or 2 to batch_size")
        return self


class DistillConfig(Section):
    """A trained network whose descriptors are learned beside the objective; none without a teacher.

    The student sees the same pictures and has descriptors as long as the teacher's, or as its first
    numbers, where the teacher was trained with `nested_dims`.
    """

    teacher: str = ""
    """A checkpoint of ours."""
    weight: Positive = 1.0
    """Of the mean of 1 - cosine, beside the objective's own weights."""


class EvaluationConfig(Section):
    """Of triples: the six directions and text, on a split, while training."""

    every_steps: Annotated[int, Field(ge=0)] = 0
    """0: only at the end."""
    split: Literal["val", "train"] = "val"
    """What the best checkpoint is chosen on; never the test split, which the final report is of."""
    max_places: Annotated[int, Field(ge=2)] = 10_000


class RunConfig(Section):
    """Where the run lives and how often it is saved."""

    folder: str
    checkpoint_every_steps: Annotated[int, Field(ge=1)] = 100
    keep_checkpoints: Annotated[int, Field(ge=1)] = 2
    tensorboard: bool = False
    """Write event files for TensorBoard beside the checkpoints."""
    wait_for_processes_s: Positive = 300.0
    """So long the processes that torchrun starts wait for each other in the beginning."""


class TrainConfig(Section):
    """The whole file."""

    model: ModelConfig
    preprocess: PreprocessConfig = PreprocessConfig()
    data: Annotated[AreaConfig | TriplesConfig, Field(discriminator="source")]
    augment: AugmentConfig = AugmentConfig()
    batches: BatchesConfig = BatchesConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    distill: DistillConfig = DistillConfig()
    geolink: GeoLinkConfig = GeoLinkConfig()
    optim: OptimConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    run: RunConfig
