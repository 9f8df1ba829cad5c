"""A frame with all that was known when it was taken, against the one before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..records import Frame, Telemetry
from .health import Look, Problem, motion_problem
from .prepare import Prepared


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame, its trusted telemetry, and both made ready."""

    frame: Frame
    telemetry: Telemetry
    prepared: Prepared

    @cached_property
    def look(self) -> Look:
        """The picture, to be compared with those before and after it."""
        return Look(self.frame)

    def problem_after(self, before: Moment) -> Problem | None:
        """Whether the picture is all or in part that of the moment before."""
        return motion_problem(before.look, self.look, self.motion_px(before))

    def motion_px(self, before: Moment) -> float | None:
        """How far the ground in the middle of the frame before should have moved in the picture,
        by both velocities; None where one is not known. Ground that left the picture has moved all
        across it."""
        velocities = [_velocity_m_s(each.telemetry) for each in (before, self)]
        earlier = before.prepared.sight()
        centre_m = earlier.centre_m
        if velocities[0] is None or velocities[1] is None or centre_m is None:
            return None
        elapsed_s = (self.frame.t_capture_ns - before.frame.t_capture_ns) * 1e-9
        way_m = (velocities[0] + velocities[1]) / 2.0 * elapsed_s
        camera = self.prepared.camera
        there = earlier.frame_px([centre_m])[0]
        here = self.prepared.sight().frame_px([centre_m - way_m])[0]
        moved_px = math.hypot(*(here - there))
        return moved_px if math.isfinite(moved_px) else float(camera.width_px)


def _velocity_m_s(telemetry: Telemetry) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """[2] east and north."""
    east, north = telemetry.velocity_east_m_s, telemetry.velocity_north_m_s
    return None if east is None or north is None else np.array([east, north])
