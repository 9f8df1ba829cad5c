"""`[data]`, `[augment]` and `[batches]`: what is learned from, and how it is put together."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from geobridge.onboard.config import Fraction, NonNegative, Positive, Section


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the lower limit comes first, got {list(limits)}")
    return limits


FieldOfView = Annotated[float, Field(gt=1, lt=170)]
HeightRange = Annotated[tuple[Positive, Positive], Field(strict=False), AfterValidator(_rising)]
FieldOfViewRange = Annotated[
    tuple[FieldOfView, FieldOfView], Field(strict=False), AfterValidator(_rising)
]


FOOTPRINT_M = 150.0
_LENGTHS = "gsd_m", "min_separation_m", "position_jitter_m"


class AreaConfig(Section):
    """Drone views rendered from a georeferenced raster of the mission area, against its tiles.

    Lengths that are not given go by the footprint; their defaults are those of 150 m.
    """

    source: Literal["area"]
    raster: str
    footprint_m: Positive = FOOTPRINT_M
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

    @model_validator(mode="before")
    @classmethod
    def _by_footprint(cls, given: Any) -> Any:
        side_m = given.get("footprint_m") if isinstance(given, dict) else None
        if not isinstance(side_m, int | float) or not 0.0 < side_m < math.inf:
            return given
        times = side_m / FOOTPRINT_M
        lengths = {name: cls.model_fields[name].default * times for name in _LENGTHS}
        low, high = cls.model_fields["height_agl_m"].default
        return lengths | {"height_agl_m": (low * times, high * times)} | given


class TriplesConfig(Section):
    """A folder in GeoBridge's published layout: {train,val,test}/{drone,satellite,street}/<id>.*

    with an optional {split}/text.jsonl of {"id": ..., "text": ...}. A place may lack a view or its
    text; it trains the edges it has.
    """

    source: Literal["triples"]
    folder: str
    variant: str = ""
    """Of a public data set in a layout of its own: "same" or "cross" area, a height."""
    footprint_m: Positive = 150.0
    gsd_m: Positive = 1.0
    max_unreadable: Annotated[int, Field(ge=0)] = 100
    """So many pictures may be unreadable; they are skipped and listed in the run's folder."""


class AugmentConfig(Section):
    """Changes of triples, the same for all views of a place.

    `rotate` turns drone and satellite by quarters and rolls the panorama by as much; `flip` mirrors
    all three. Words for left, right and the points of the compass follow, or, with `text` "skip",
    a text that has any is left out of a turned or mirrored place.
    """

    rotate: bool = True
    flip: bool = True
    text: Literal["rewrite", "skip"] = "rewrite"
    appearance: Fraction = 0.5
    """Strength of the change of colour, blur and noise, drawn for every view by itself."""
    missing: dict[Literal["drone", "satellite", "street", "text"], Fraction] = Field(
        default_factory=dict
    )
    """How often a side is left out of a place that has it (modality dropout), drawn anew for every
    batch; a place is never left without an edge that it has."""


class BatchesConfig(Section):
    """Which places meet in a batch; only for triples.

    Two places whose footprints overlap by an IoU of `positive_iou` are one place to the loss; from
    `neither_iou` on they are no negatives of each other. Neither kind meets in a batch where the
    data allow it. (Values: GTA-UAV.)
    """

    positive_iou: Fraction = 0.39
    neither_iou: Fraction = 0.14
    hard_share: Fraction = 0.0
    """Part of a batch that is drawn among the neighbours of other places of it."""
    by_similarity_from_epoch: NonNegative = 4.0
    """Before, neighbours are those nearest on the ground, where positions are known."""
    refresh_every_epochs: Positive = 4.0
    """How often neighbours are mined again by similarity."""
