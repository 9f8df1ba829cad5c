"""TOML files and `key=value` overrides to validated, frozen models; units stand in the key names.

Model facts (input size, descriptor dimension, footprint) are not here: they come from the bundle.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .calibration.intrinsics import COUNTS
from .calibration.read import read_calibration
from .camera import Camera, Lens, Mount
from .engines.engine import EngineName, EngineSettings
from .errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Degrees = Annotated[float, Field(ge=-360, le=360)]
Side = Annotated[int, Field(ge=16, le=16_384)]
Lever = Annotated[float, Field(ge=-50, le=50)]
MAX_HEIGHT_RATIO = 3.0
"""Of the heights that are searched at once: so many patches as a frame has time for."""
KeyPaths = Annotated[
    tuple[Annotated[Path, Field(strict=False)], ...], Field(strict=False, min_length=1)
]


class Section(BaseModel):
    """One table of a configuration file: typed, frozen, without room for unknown keys or NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class MountConfig(Section):
    """Camera on vehicle, angles as a gimbal reports them."""

    roll_deg: Degrees = 0.0
    pitch_deg: Degrees = -90.0
    yaw_deg: Degrees = 0.0
    forward_m: Lever = 0.0
    """With `right_m`, `down_m`: where the camera is from the point whose position is estimated."""
    right_m: Lever = 0.0
    down_m: Lever = 0.0
    gimbal: bool = False
    """The camera hangs on a gimbal, whose attitude comes with the telemetry."""

    @model_validator(mode="after")
    def _fixed_or_not(self) -> MountConfig:
        fixed = {"roll_deg", "pitch_deg", "yaw_deg"} & self.model_fields_set
        if self.gimbal and fixed:
            raise ValueError(
                f"{min(fixed)} is of a camera that is fixed, and this one is on a gimbal"
            )
        return self


class IntrinsicsConfig(Section):
    """A calibration for pictures of one size; distortion in OpenCV's order (k1 k2 p1 p2 k3)."""

    width_px: Annotated[int, Field(gt=0)]
    height_px: Annotated[int, Field(gt=0)]
    fx_px: Positive
    fy_px: Positive
    cx_px: float
    cy_px: float
    distortion: tuple[float, ...] = Field(default=(), strict=False)
    lens: Lens = "pinhole"
    """`fisheye` has the four coefficients of an equidistant lens."""

    @model_validator(mode="after")
    def _opencv_takes_these(self) -> IntrinsicsConfig:
        counts = COUNTS[self.lens]
        if len(self.distortion) not in counts:
            raise ValueError(
                f"distortion of a {self.lens} takes {_either(counts[1:])} coefficients in OpenCV's"
                " order"
            )
        return self


class CameraConfig(Section):
    """A horizontal field of view, for an undistorted picture, or full intrinsics, here or in a
    file."""

    hfov_deg: Annotated[float, Field(gt=1, lt=170)] | None = None
    intrinsics: IntrinsicsConfig | None = None
    calibration: str | None = None
    """A file of OpenCV, Kalibr or ROS."""
    calibrated: str | None = None
    """Which camera of a Kalibr chain."""
    mount: MountConfig = MountConfig()

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> CameraConfig:
        ways = (self.hfov_deg, self.intrinsics, self.calibration)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("needs one of hfov_deg, an [intrinsics] table, or a calibration file")
        if self.calibrated is not None and self.calibration is None:
            raise ValueError("calibrated names a camera of a calibration file, which is missing")
        return self

    def size_px(self) -> tuple[int, int] | None:
        """Width and height of the pictures that the intrinsics are for; None for a field of view.

        Raises:
            ConfigError: the calibration file is none.
        """
        known = self._known()
        return (known["width_px"], known["height_px"]) if known else None

    def camera(self, width_px: int, height_px: int) -> Camera:
        """The camera of pictures of this size.

        Raises:
            ConfigError: the intrinsics were given for another size, or their file is none.
        """
        mount, known = Mount(**self.mount.model_dump()), self._known()
        if known is None:
            assert self.hfov_deg is not None
            return Camera.from_hfov(width_px, height_px, self.hfov_deg, mount)
        if (known["width_px"], known["height_px"]) != (width_px, height_px):
            raise ConfigError(
                f"{self.calibration or 'camera.intrinsics'}: for"
                f" {known['width_px']}x{known['height_px']} px,"
                f" the pictures have {width_px}x{height_px} px"
            )
        return Camera(**known, mount=mount)

    def _known(self) -> dict[str, Any] | None:
        """Full intrinsics by `Camera`'s names, where there are any."""
        if self.calibration is not None:
            return vars(read_calibration(Path(self.calibration), self.calibrated))
        return self.intrinsics.model_dump() if self.intrinsics else None


def _either(counts: Sequence[int]) -> str:
    *others, last = map(str, counts)
    return f"{', '.join(others)} or {last}" if others else last


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
    prior_sigmas: Positive = 4.0
    """Radius of the search around where dead reckoning expects us, in units of its accuracy."""

    @property
    def engine_settings(self) -> EngineSettings:
        """How its engine is opened."""
        plans = Path(self.plans) if self.plans else None
        return EngineSettings(threads=self.threads, plans=plans, cuda_graph=self.cuda_graph)


class VerifyConfig(Section):
    """Alignment of the frame with the reference imagery by correlation of structure."""

    windows: Annotated[int, Field(ge=1, le=16)] = 3
    """Separate neighbourhoods among the candidates that are tried, and must lose clearly."""
    footprint_ratio: Annotated[float, Field(ge=1, le=4)] = 1.35
    """Side of the ground square that is aligned, in reference footprints."""
    search_m: Annotated[float, Field(gt=0, le=1000)] = 40.0
    """How far from a candidate's centre the frame is looked for."""
    heading_search_deg: Annotated[float, Field(ge=0, le=45)] = 8.0
    scale_search: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    exclusion_m: Positive = 10.0
    """A second peak counts as another place from this distance on."""


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
    min_correlation: Fraction = 0.2
    """For a position that continues a confirmed track."""
    min_correlation_untracked: Fraction = 0.3
    """For the first ones: wrong matches under a wrong heading or height reach up to 0.27."""
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
    """How far they must lie apart, 1-sigma where it is least, in sides of the picture; parts all
    over it reach 0.28, parts of one row 0."""
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


OutputName = Literal[
    "auto",
    "gps_input",
    "odometry",
    "vision_position_estimate",
    "external_position_estimate",
    "global_position_sensor",
]


class LinkConfig(Section):
    """Where the autopilot is, who we are to it, and what it is told."""

    address: str = "udpout:127.0.0.1:14550"
    """`udpout:HOST:PORT`, `udpin:HOST:PORT`, `tcp:HOST:PORT` or the path of a serial device."""
    baud: Annotated[int, Field(gt=0)] = 921_600
    allow_remote: bool = False
    """Let the address lie beyond this computer; needs a key."""
    signing_key: Annotated[Path, Field(strict=False)] | None = None
    """A file, its owner's alone: 32 bytes, 64 hexadecimal digits, or `passphrase: WORDS`."""
    signing_state: str = "~/.local/state/geobridge/signing"
    """Where timestamps are kept that must not be used again."""
    signing_link_id: Annotated[int, Field(ge=1, le=255)] = 1
    source_system: Annotated[int, Field(ge=1, le=255)] = 1
    source_component: Annotated[int, Field(ge=1, le=255)] = 197
    """197 is MAV_COMP_ID_VISUAL_INERTIAL_ODOMETRY."""
    autopilot_system: Annotated[int, Field(ge=1, le=255)] = 1
    autopilot_component: Annotated[int, Field(ge=1, le=255)] = 1
    """The one autopilot that is believed; everybody else is passed over."""
    gimbal_component: Annotated[int, Field(ge=1, le=255)] | None = None
    """Of a gimbal that speaks MAVLink for itself, 154 as a rule, in the autopilot's system; None:
    its attitude is told by the autopilot."""
    ground_system: Annotated[int, Field(ge=1, le=255)] = 255
    """The ground station whose commands are obeyed."""
    output: OutputName = "auto"
    """What the autopilot is told; `auto` chooses by its kind and version."""
    gps_id: Annotated[int, Field(ge=0, le=7)] = 0
    """Of GPS_INPUT: the receiver whose GPSn_TYPE is 14, counted from 0."""
    sensor_id: Annotated[int, Field(ge=1, le=255)] = 1
    """Of GLOBAL_POSITION_SENSOR: what EKF2_AGPi_ID says; 0 there is a slot that is off."""
    rate_hz: Annotated[float, Field(ge=5, le=50)] = 8.0
    """ArduPilot calls a GPS unhealthy when messages are more than 215 ms apart on average."""
    max_fix_age_s: Annotated[float, Field(gt=0, le=10)] = 2.0
    """A fix is propagated by velocity for so long; then one explicit no-fix, then silence."""

    @model_validator(mode="after")
    def _not_the_autopilot_itself(self) -> LinkConfig:
        ours = self.source_system, self.source_component
        if ours == (self.autopilot_system, self.autopilot_component):
            raise ValueError("source_component must differ from the autopilot's")
        if self.gimbal_component in (self.source_component, self.autopilot_component):
            raise ValueError("gimbal_component must differ from the autopilot's and our own")
        return self


class SourceConfig(Section):
    """Where frames and telemetry come from."""

    frames: str
    """A video file, a folder of pictures, or a camera: `camera:0`, `v4l2:/dev/video0`, `csi:0`,
    `gst:PIPELINE`, `rtsp://...`, or `stream:SOCKET` of a capture program."""
    telemetry: str = "mavlink"
    """A telemetry CSV, or `mavlink` for the autopilot on the link."""
    rate_hz: Positive | None = None
    """Pictures per second of a folder whose telemetry does not name them."""
    process_rate_hz: Positive = 5.0
    """Frames are taken at most so often; the newest wins."""
    size_px: tuple[Side, Side] = Field(default=(1280, 720), strict=False)
    """Width and height that a `v4l2:` or `csi:` camera is asked for."""
    camera_rate_hz: Positive = 30.0
    """Pictures per second that it is asked for."""
    exposure_offset_ms: Annotated[float, Field(ge=-2000, le=2000)] = 0.0
    """From the time that a camera, kernel or stream gives to mid-exposure, by calibration."""


class RecordConfig(Section):
    """What is kept of a flight."""

    folder: str | None = None
    """Where each flight gets a file of its own; None keeps no record."""
    frames: Literal["none", "thumbnails", "every"] = "none"
    """`every` keeps each frame that was looked at to the last bit, for `geobridge replay`."""
    quota_mb: Annotated[int, Field(ge=10)] = 4096
    """The oldest records make room for a new one when they take more than half of this."""


class StatusConfig(Section):
    """The page for a browser on this computer."""

    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """On 127.0.0.1 alone: `/`, `/healthz`, `/metrics`; None serves nothing, 0 takes a free one."""


class ReplayConfig(Section):
    """`geobridge replay --config` or overrides."""

    trusted_keys: KeyPaths | None = None
    """As in `RunConfig`."""
    prior: str | None = None
    """As in `RunConfig`."""
    camera: CameraConfig
    localizer: LocalizerConfig = LocalizerConfig()


class RunConfig(Section):
    """`geobridge run CONFIG`."""

    bundle: str
    trusted_keys: KeyPaths | None = None
    """Public keys, one of which must have signed the bundle; None flies any bundle, and warns."""
    prior: str | None = None
    """An area that `geobridge locate --area` saved: looked at too where telemetry has no prior."""
    camera: CameraConfig
    source: SourceConfig
    localizer: LocalizerConfig = LocalizerConfig()
    link: LinkConfig = LinkConfig()
    record: RecordConfig = RecordConfig()
    status: StatusConfig = StatusConfig()


S = TypeVar("S", bound=Section)


def load(
    model: type[S],
    path: Path | None = None,
    overrides: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
) -> S:
    """A configuration from a TOML file and `table.key=value` overrides; later overrides win.

    Tables of the file take the place of those of `base`, whole; overrides change single keys.

    Raises:
        ConfigError: names the file and the full key, in one line.
    """
    where = str(path) if path else "configuration"
    tree = {**(base or {}), **(read_toml(path) if path else {})}
    for override in overrides:
        _override(tree, override)
    return validate(model, tree, where)


def validate(model: type[S], tree: Mapping[str, Any], where: str) -> S:
    """A model from plain data.

    Raises:
        ConfigError: names `where` and the full path of the first wrong key.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first complaint as `full.key: what was expected`."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    text = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        text = "unknown key"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{key}: {text}{more}" if key else f"{text}{more}"


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, beyond all bounds
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override {override!r}: expected table.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    table = tree
    for depth, part in enumerate(parts[:-1], start=1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"override {override!r}: {'.'.join(parts[:depth])} is not a table")
    table[parts[-1]] = value
