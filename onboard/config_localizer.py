"""Everything between a frame and a fix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .config_file import Fraction, NonNegative, Positive, Section
from .engines.engine import EngineName, EngineSettings

MAX_HEIGHT_RATIO = 3.0
"""Of the heights that are searched at once: so many patches as a frame has time for."""


class PrepareConfig(Section):
    """What a frame must offer before it is looked at."""

    max_tilt_deg: Positive = 35.0
    min_contrast: NonNegative = 2.5
    """Standard deviation of the grey levels below which a picture says nothing."""
    min_valid_fraction: Fraction = 0.5
    """Part of the reference footprint that the frame must cover."""
    max_telemetry_age_s: Positive = 0.5
    attitude_accuracy_deg: Positive = 1.0
    """1-sigma error of roll and pitch; it moves the seen ground by height x tan(error)."""
    heading_accuracy_deg: Positive = 3.0
    """1-sigma where telemetry does not say; what verification would not find is searched."""
    height_accuracy: Annotated[float, Field(gt=0, le=1)] = 0.02
    """1-sigma share of the height where telemetry does not say; searched in the same way."""
    level_accuracy_deg: Annotated[float, Field(gt=0, le=45)] | None = None
    """1-sigma tilt of a vehicle that tells no attitude: taken as level, any heading is searched.
    None: without attitude there is no fix."""
    height_range_agl_m: tuple[Positive, Positive] | None = Field(default=None, strict=False)
    """Lowest and highest that a vehicle without a height is searched at. None: there is no fix."""

    @model_validator(mode="after")
    def _can_be_searched(self) -> PrepareConfig:
        if self.height_range_agl_m is not None:
            low_m, high_m = self.height_range_agl_m
            if not low_m < high_m <= MAX_HEIGHT_RATIO * low_m:
                raise ValueError(
                    "height_range_agl_m: expected the lower height, and a higher one of at most"
                    f" {MAX_HEIGHT_RATIO:g} times as much"
                )
        return self


class RetrieveConfig(Section):
    """How candidates are found."""

    top_k: Annotated[int, Field(ge=1, le=1024)] = 100
    """So many because the neighbours of a place fill the first ranks, and rivals lie behind."""
    engine: EngineName = "onnxruntime"
    """The one named here or none: nothing else is tried."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Of the CPU, for encoding; 0 takes every core."""
    plans: str | None = None
    """Folder of TensorRT plans; by default ~/.cache/geobridge/plans."""
    cuda_graph: bool = False
    """Let TensorRT launch a frame as one recorded graph."""
    around: bool = False
    """Encode the squares around the middle of what is aligned as well, nine instead of one: for
    ground of which the map shows only what lies at the picture's rim. Reaches as far as
    `verify.footprint_ratio` does; every square has `verify.windows` of its own to be verified."""
    prior_sigmas: Positive = 4.0
    """Radius of the search around where dead reckoning expects us, in units of its accuracy."""

    @property
    def engine_settings(self) -> EngineSettings:
        """How its engine is opened."""
        plans = Path(self.plans) if self.plans else None
        return EngineSettings(threads=self.threads, plans=plans, cuda_graph=self.cuda_graph)


class VerifyConfig(Section):
    """Alignment of the frame with the reference imagery: the whole by correlation of structure, its
    parts by any matcher."""

    matcher: Literal["structure", "sift", "learned"] = "structure"
    """How parts are found where the whole lies."""
    matcher_model: Annotated[Path, Field(strict=False)] | None = None
    """Of `learned`: an ONNX file, see docs/matchers.md."""
    matcher_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """Its digest: nothing else is loaded."""

    windows: Annotated[int, Field(ge=1, le=16)] = 3
    """Separate neighbourhoods among the candidates that are tried, and must lose clearly."""
    hypotheses: Annotated[int, Field(ge=1, le=24)] = 3
    """Headings and heights that are tried where several may be true, the likeliest first."""
    footprint_ratio: Annotated[float, Field(ge=1, le=4)] = 1.35
    """Side of the ground square that is aligned, in reference footprints."""
    search_m: Annotated[float, Field(gt=0, le=1000)] = 40.0
    """How far from a candidate's centre the frame is looked for."""
    heading_search_deg: Annotated[float, Field(ge=0, le=45)] = 8.0
    scale_search: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    exclusion_m: Positive = 10.0
    """A second peak counts as another place from this distance on."""

    @model_validator(mode="after")
    def _learned_is_named(self) -> VerifyConfig:
        named = self.matcher_model is not None, self.matcher_sha256 is not None
        if named != (self.matcher == "learned",) * 2:
            raise ValueError("matcher_model and matcher_sha256 go with matcher = 'learned'")
        return self


class FilterConfig(Section):
    """Dead reckoning between frames and agreement over time."""

    confirmations: Annotated[int, Field(ge=1)] = 5
    """Verified positions that must agree before the first fix is published."""
    confirmation_span_s: NonNegative = 0.5
    """Time they must span."""
    motion: Literal["autopilot", "visual"] = "autopilot"
    """Whose velocity it goes by. Without GNSS the autopilot makes its own from our fixes, unless it
    has optical flow or air data: `visual` takes the motion from the pictures instead."""
    velocity_accuracy_m_s: Positive = 1.5
    unknown_speed_m_s: Positive = 25.0
    """What the vehicle may fly where telemetry gives no velocity."""
    baseline_s: Positive = 6.0
    """Positions must also agree with dead reckoning over this time, not only from the last one."""
    max_coast_s: Positive = 5.0
    """Silence after which everything is earned anew."""


class GateConfig(Section):
    """What a verified position must reach to be published. NaN reaches nothing."""

    min_score: Annotated[float, Field(ge=-1, le=1)] | None = None
    """None: what the bundle measured with its own encoders while it was packed."""
    min_correlation: Fraction = 0.15
    """For a position that continues a confirmed track."""
    min_correlation_untracked: Fraction = 0.2
    """For the first ones. Other land reaches 0.16 at best in three windows, and up to 0.27 under
    many headings and heights; then its parts do not agree (`scripts/measure_verification`)."""
    min_peak_ratio: Annotated[float, Field(ge=1)] = 1.3
    """Best correlation of structure against the best one elsewhere in the search."""
    min_peak_ratio_alike: Annotated[float, Field(ge=1)] = 1.5
    """The same before a track is confirmed, where the map has another place that looks alike."""
    min_inliers: Annotated[int, Field(ge=4, le=25)] = 6
    """Parts of the picture that agree with each other about the place. Parts of other land are
    found within 2.5 pixels of anywhere by chance for about one in fifteen."""
    min_agreeing: Fraction = 0.4
    """Share of the parts that must agree, for a position that continues a confirmed track."""
    min_agreeing_untracked: Fraction = 0.5
    min_spread: Fraction = 0.08
    """How far they must lie apart, 1-sigma where it is least, in sides of what 5 x 5 parts fill:
    the picture, or less where the map shows less than half of it. Parts all over that reach 0.28,
    parts of one row 0."""
    max_geometry_sigmas: Positive = 4.0
    """How far the alignment's turn and scale may be from the heading and height that are told."""
    max_innovation_sigmas: Positive = 4.0
    min_flown_alike_m: NonNegative = 30.0
    """Over which agreement must reach before a track is confirmed, where the map looks alike."""
    min_peak_ratio_alone: Annotated[float, Field(ge=1)] = 2.0
    """From which on it may look alike: nothing fits half as well."""
    max_doubtful_s: Positive = 5.0
    """How long a track may live on evidence that would not do for a first position; autopilots
    take a position for their own after 5 to 10 s of it."""


class LocalizerConfig(Section):
    """Everything between a frame and a fix."""

    prepare: PrepareConfig = PrepareConfig()
    retrieve: RetrieveConfig = RetrieveConfig()
    verify: VerifyConfig = VerifyConfig()
    filter: FilterConfig = FilterConfig()
    gate: GateConfig = GateConfig()
