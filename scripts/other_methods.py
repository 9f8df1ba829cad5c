"""Ways to a position that others take, on the same frames, telemetry and bundle as ours.

Each gives metres east and north in the bundle's plane and the 1-sigma it states, or nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from geobridge.onboard.localization.localizer import Localizer
from geobridge.onboard.localization.prepare import Prepared, prepare
from geobridge.onboard.localization.rectify import Patch
from geobridge.onboard.records import Fix, Frame, Rejection, Telemetry
from geobridge.onboard.retrieval.imagery import ReferenceImagery

Floats = npt.NDArray[np.float64]
MAP_STEP_PX, MAP_TILE_PX = 900, 1000
FEATURES, FEATURES_OF_TILE = 1500, 4000
RATIO, REPROJECTION_PX, LEAST_INLIERS = 0.8, 3.0, 15
_NS = 1e-9


class Position(NamedTuple):
    """Metres in the bundle's plane; 1-sigma per axis as stated."""

    east_m: float
    north_m: float
    sigma_m: float


class Method(Protocol):
    """A frame and its telemetry in, a position or nothing out."""

    def __call__(self, frame: Frame, telemetry: Telemetry) -> Position | None: ...


@dataclass
class Ours:
    """What flies."""

    localizer: Localizer

    def __call__(self, frame: Frame, telemetry: Telemetry) -> Position | None:
        result = self.localizer.handle(frame, telemetry)
        if not isinstance(result, Fix):
            return None
        east_m, north_m = self.localizer.local.to_enu(result.lat_deg, result.lon_deg)
        return Position(float(east_m), float(north_m), result.horiz_accuracy_m)


@dataclass
class Filtered:
    """Our fixes through a Kalman filter of the place and of the error of the velocity, each fix an
    independent measurement as accurate as it says."""

    localizer: Localizer
    velocity_bias_m_s: float = 0.5
    velocity_noise_m_s: float = 0.2
    drift_m_s: float = 0.1
    """How far the velocity's error wanders in a second."""
    _found: Position | None = None
    _t_ns: int = 0

    def __post_init__(self) -> None:
        self._ours = Ours(self.localizer)
        self._state, self._covariance = np.zeros(4), np.zeros((4, 4))

    def __call__(self, frame: Frame, telemetry: Telemetry) -> Position | None:
        fix, t_ns = self._ours(frame, telemetry), frame.t_capture_ns
        if fix is None:
            return None
        elapsed_s, self._t_ns = (t_ns - self._t_ns) * _NS, t_ns
        if self._found is None or elapsed_s > self.localizer.config.filter.max_coast_s:
            self._state[:] = fix.east_m, fix.north_m, 0.0, 0.0
            self._covariance = np.diag(np.repeat([fix.sigma_m, self.velocity_bias_m_s], 2) ** 2)
        else:
            self._predict(elapsed_s, telemetry)
            self._update(fix)
        sigma_m = math.sqrt(float(np.linalg.eigvalsh(self._covariance[:2, :2])[-1]))
        self._found = Position(float(self._state[0]), float(self._state[1]), sigma_m)
        return self._found

    def _predict(self, elapsed_s: float, telemetry: Telemetry) -> None:
        step = np.eye(4)
        step[:2, 2:] = -elapsed_s * np.eye(2)
        velocity_m_s = telemetry.velocity_east_m_s or 0.0, telemetry.velocity_north_m_s or 0.0
        self._state = step @ self._state
        self._state[:2] += np.array(velocity_m_s) * elapsed_s
        self._covariance = step @ self._covariance @ step.T
        self._covariance[:2, :2] += np.eye(2) * (self.velocity_noise_m_s * elapsed_s) ** 2
        self._covariance[2:, 2:] += np.eye(2) * self.drift_m_s**2 * elapsed_s

    def _update(self, fix: Position) -> None:
        innovation = np.array([fix.east_m, fix.north_m]) - self._state[:2]
        expected = self._covariance[:2, :2] + np.eye(2) * fix.sigma_m**2
        gain = np.linalg.solve(expected, self._covariance[:2]).T
        self._state = self._state + gain @ innovation
        self._covariance = self._covariance - gain @ self._covariance[:2]


@dataclass
class RetrievalOnly:
    """The middle of the most similar square, wherever it is; a quarter of its side for accuracy."""

    localizer: Localizer

    def __call__(self, frame: Frame, telemetry: Telemetry) -> Position | None:
        ready = _prepared(self.localizer, frame, telemetry)
        found = None if ready is None else self.localizer.retrieve(ready, frame.t_capture_ns)
        if found is None or isinstance(found, Rejection):
            return None
        best = max(found.candidates, key=lambda each: each.score)
        east_m, north_m = self.localizer.index.centres_m[best.place]
        query = found.shown.query
        return Position(
            float(east_m) - query.east_m, float(north_m) - query.north_m, found.footprint_m / 4.0
        )


@dataclass
class FixedGain:
    """The most similar square near where the last position and the velocity lead, blended in by a
    constant gain under a constant accuracy, whatever the picture shows."""

    localizer: Localizer
    gain: float = 0.3
    sigma_m: float = 10.0
    radius_m: float = 150.0
    _at: Position | None = None
    _t_ns: int = 0

    def __call__(self, frame: Frame, telemetry: Telemetry) -> Position | None:
        found = RetrievalOnly(self.localizer)(frame, telemetry)
        expected = self._expected(frame.t_capture_ns, telemetry)
        self._t_ns = frame.t_capture_ns
        if expected is None:
            self._at = found and found._replace(sigma_m=self.sigma_m)
        elif found is not None and math.dist(found[:2], expected[:2]) <= self.radius_m:
            east_m = expected.east_m + self.gain * (found.east_m - expected.east_m)
            north_m = expected.north_m + self.gain * (found.north_m - expected.north_m)
            self._at = Position(east_m, north_m, self.sigma_m)
        else:
            self._at = expected
        return self._at

    def _expected(self, t_ns: int, telemetry: Telemetry) -> Position | None:
        if self._at is None:
            return None
        elapsed_s = (t_ns - self._t_ns) * _NS
        return Position(
            self._at.east_m + (telemetry.velocity_east_m_s or 0.0) * elapsed_s,
            self._at.north_m + (telemetry.velocity_north_m_s or 0.0) * elapsed_s,
            self.sigma_m,
        )


@dataclass
class ClassicalWholeMap:
    """SIFT of the rectified frame against SIFT of the whole map, ratio test, MAGSAC similarity."""

    localizer: Localizer
    _matcher: cv2.FlannBasedMatcher = field(init=False)
    _at_m: Floats = field(init=False)

    def __post_init__(self) -> None:
        found = list(self._features_of_map())
        self._at_m = np.concatenate([at_m for at_m, _ in found])
        self._matcher = cv2.FlannBasedMatcher({"algorithm": 1, "trees": 4}, {"checks": 64})
        self._matcher.add([np.concatenate([descriptors for _, descriptors in found])])
        self._matcher.train()

    def __call__(self, frame: Frame, telemetry: Telemetry) -> Position | None:
        ready = _prepared(self.localizer, frame, telemetry)
        patch = None if ready is None else self._patch(ready)
        if patch is None:
            return None
        grey = cv2.cvtColor(patch.image, cv2.COLOR_RGB2GRAY)
        points, descriptors = cv2.SIFT.create(FEATURES).detectAndCompute(grey, patch.valid)
        if descriptors is None or len(points) < LEAST_INLIERS:
            return None
        pairs = self._matcher.knnMatch(descriptors, k=2)
        kept = [a for a, b in (p for p in pairs if len(p) == 2) if a.distance < RATIO * b.distance]
        if len(kept) < LEAST_INLIERS:
            return None
        seen_m = patch.ground_m([points[each.queryIdx].pt for each in kept])
        map_m = self._at_m[[each.trainIdx for each in kept]]
        return self._fitted(seen_m, map_m, patch.gsd_m)

    def _fitted(self, seen_m: Floats, map_m: Floats, gsd_m: float) -> Position | None:
        limit_m = REPROJECTION_PX * gsd_m
        _, inside = cv2.findHomography(seen_m, map_m, cv2.USAC_MAGSAC, limit_m, maxIters=5000)
        kept = np.zeros(len(seen_m), np.bool_) if inside is None else inside.ravel() > 0
        if kept.sum() < LEAST_INLIERS:
            return None
        model, _ = cv2.estimateAffinePartial2D(
            seen_m[kept], map_m[kept], ransacReprojThreshold=limit_m
        )
        return None if model is None else Position(float(model[0, 2]), float(model[1, 2]), limit_m)

    def _patch(self, ready: Prepared) -> Patch | None:
        localizer = self.localizer
        side_m = localizer.coverage.footprint_m * localizer.config.verify.footprint_ratio
        return ready.rectify(side_m, localizer.gsd_m)

    def _features_of_map(self) -> list[tuple[Floats, npt.NDArray[np.float32]]]:
        """Places in metres and descriptors of every overlapping tile of the imagery."""
        imagery, cover, gsd_m = (
            self.localizer.imagery,
            self.localizer.coverage,
            self.localizer.gsd_m,
        )
        assert isinstance(imagery, ReferenceImagery)
        half_m, step_m = MAP_TILE_PX * gsd_m / 2.0, MAP_STEP_PX * gsd_m
        found = []
        for north_m in np.arange(cover.south_m + half_m, cover.north_m + half_m, step_m):
            for east_m in np.arange(cover.west_m + half_m, cover.east_m + half_m, step_m):
                image, valid, centre_m = imagery.read(float(east_m), float(north_m), MAP_TILE_PX)
                grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
                points, descriptors = cv2.SIFT.create(FEATURES_OF_TILE).detectAndCompute(
                    grey, valid
                )
                if descriptors is not None:
                    px = np.array([point.pt for point in points]) - (MAP_TILE_PX - 1) / 2.0
                    found.append((np.array(centre_m) + px * [gsd_m, -gsd_m], descriptors))
        return found


def _prepared(localizer: Localizer, frame: Frame, telemetry: Telemetry) -> Prepared | None:
    ready = prepare(frame, telemetry, localizer.camera, localizer.config.prepare)
    return ready if isinstance(ready, Prepared) else None
