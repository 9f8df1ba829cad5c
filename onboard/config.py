"""What a configuration may say; units stand in the key names.

Model facts (input size, descriptor dimension, footprint) are not here: they come from the bundle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .config_camera import CameraConfig, IntrinsicsConfig, MountConfig
from .config_file import (
    Fraction,
    NonNegative,
    Positive,
    Section,
    first_problem,
    load,
    read_toml,
    validate,
)
from .config_link import LinkConfig, OutputName
from .config_localizer import (
    MAX_HEIGHT_RATIO,
    FilterConfig,
    GateConfig,
    LocalizerConfig,
    PrepareConfig,
    RetrieveConfig,
    VerifyConfig,
)

__all__ = [
    "MAX_HEIGHT_RATIO",
    "CameraConfig",
    "FilterConfig",
    "Fraction",
    "GateConfig",
    "IntrinsicsConfig",
    "LinkConfig",
    "LocalizerConfig",
    "MountConfig",
    "NonNegative",
    "OutputName",
    "Positive",
    "PrepareConfig",
    "RecordConfig",
    "ReplayConfig",
    "RetrieveConfig",
    "RunConfig",
    "Section",
    "SourceConfig",
    "StatusConfig",
    "TrustConfig",
    "VerifyConfig",
    "first_problem",
    "load",
    "read_toml",
    "validate",
]

Side = Annotated[int, Field(ge=16, le=16_384)]
KeyPaths = Annotated[
    tuple[Annotated[Path, Field(strict=False)], ...], Field(strict=False, min_length=1)
]


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


class TrustConfig(Section):
    """Whose bundles fly, beside those of `trusted_keys`."""

    key_list: Annotated[Path, Field(strict=False)] | None = None
    """A list of keys that root keys signed, see `geobridge keys list`."""
    root_keys: KeyPaths | None = None
    """Public keys that may sign it."""
    threshold: Annotated[int, Field(ge=1, le=16)] = 2
    """So many of them must have."""
    development: bool = False
    """Fly what development keys signed, too: for the bench."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> TrustConfig:
        if (self.key_list is None) != (self.root_keys is None):
            raise ValueError("key_list and root_keys: expected both or neither")
        if self.root_keys is not None and len(self.root_keys) < self.threshold:
            raise ValueError(f"threshold: {self.threshold} of {len(self.root_keys)} root keys")
        return self


class ReplayConfig(Section):
    """`geobridge replay --config` or overrides."""

    trusted_keys: KeyPaths | None = None
    """As in `RunConfig`."""
    trust: TrustConfig = TrustConfig()
    prior: str | None = None
    """As in `RunConfig`."""
    camera: CameraConfig = Field(default={}, validate_default=True)
    localizer: LocalizerConfig = LocalizerConfig()


class RunConfig(Section):
    """`geobridge run CONFIG`."""

    bundle: str
    trusted_keys: KeyPaths | None = None
    """Public keys, one of which must have signed the bundle; without them and without
    `trust.key_list` any bundle flies, with a warning."""
    trust: TrustConfig = TrustConfig()
    prior: str | None = None
    """An area that `geobridge locate --area` saved: looked at too where telemetry has no prior."""
    camera: CameraConfig = Field(default={}, validate_default=True)
    source: SourceConfig
    localizer: LocalizerConfig = LocalizerConfig()
    link: LinkConfig = LinkConfig()
    record: RecordConfig = RecordConfig()
    status: StatusConfig = StatusConfig()
