"""`[geolink]`: point clouds that guide the image towers while they learn (arXiv 2604.13183)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from geobridge.onboard.config import Fraction, NonNegative, Positive, Section


class PointTowerConfig(Section):
    """The tower that makes a descriptor of a point cloud.

    Every stage keeps half of the points and looks at `neighbours` of each among those before it.
    """

    width: Annotated[int, Field(ge=8, le=1024)] = 64
    """Channels of the first stage; every second one has twice as many."""
    stages: Annotated[int, Field(ge=1, le=6)] = 4
    neighbours: Annotated[int, Field(ge=2, le=128)] = 24
    experts: bool = False
    """An expert for every stage, weighed by a gate, beside one that always speaks."""
    unit_m: Positive = 50.0
    """What is 1 inside the tower; one for all clouds, so that sizes mean something."""


class GeoLinkConfig(Section):
    """What point clouds add to training; nothing without `points`.

    The edges between points and the other sides belong to `[objective]` (`points_weight`).
    """

    points: str = ""
    """What `geobridge dataset points` wrote."""
    min_share: Fraction = 0.5
    """Part of the places that must have points; those that have none train as without."""
    count: Annotated[int, Field(ge=32, le=16_384)] = 1024
    """Points that the tower sees of a cloud."""
    tower: PointTowerConfig = PointTowerConfig()
    yaw_deg: Annotated[float, Field(ge=0, le=180)] = 10.0
    """Clouds turn by at most so much; those whose north is not known turn anyhow."""
    jitter_m: NonNegative = 0.2
    """1-sigma of what every point is moved by."""
    dropout: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """Part of a cloud that is left out, drawn anew for every batch; none of a cloud that would
    then have fewer than `count` points."""
    missing: Fraction = 0.0
    """How often a place that has points is shown without."""
    warmup_steps: Annotated[int, Field(ge=0)] = 500
    """Meanwhile the tower of the points follows the others, which learn as without it."""
    ramp_steps: Annotated[int, Field(ge=0)] = 500
    """Then the terms below grow to their weights in so many steps."""
    relation_weight: NonNegative = 0.0
    """Of relation distillation (UVRD)."""
    relation_distance: Literal["smooth_l1", "mse"] = "smooth_l1"
    relation_across: bool = False
    """Distances between views too, and not only within each."""
    refinement: Literal["off", "bottleneck", "residual"] = "off"
    """Geometric-aware semantic refinement (GSR): which reading of it."""
    refinement_weight: NonNegative = 0.1
    refinement_steps: Annotated[int, Field(ge=1, le=20)] = 3
    """Of the estimators of mutual information, before each step of the towers."""
    refinement_rate: Positive = 1e-3
    """Learning rate of the estimators."""
    refinement_width: Annotated[int, Field(ge=4, le=4096)] = 256
    """Hidden numbers of the estimators."""

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> GeoLinkConfig:
        if not self.points and (self.relation_weight or self.refinement != "off"):
            raise ValueError("relation_weight and refinement need points")
        if self.count >> self.tower.stages < 2:
            raise ValueError(
                f"tower.stages: {self.tower.stages} halve {self.count} points until none is left"
            )
        return self
