"""The thing that flies: a frame and its telemetry in, a fix or a reason out.

No clock, no socket, no file: whoever calls `handle` brings time with the frame, so replaying a log
gives the same answers to the last bit.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bundle import Bundle
from ..camera import Camera
from ..config import LocalizerConfig
from ..errors import EngineError
from ..geodesy import MAX_RADIUS_M, distance_m
from ..manifest import CoverageEntry, Manifest
from ..records import Candidate, Fix, Frame, Prior, Reason, Rejection, Telemetry
from ..retrieval.encoder import Encoder
from ..retrieval.imagery import ReferenceImagery
from ..retrieval.index import Descriptor, Index
from ..views import View
from .filter import MotionFilter, Position
from .gate import Evidence, gate
from .prepare import Prepared, prepare, trusted
from .rectify import Patch, crop_centre
from .verify import WINDOW_SPACING, Alignment, Imagery, separate, verify

log = logging.getLogger(__name__)

STAGES = ("prepare", "encode", "search", "verify", "decide")
"""What `on_stage` is told at the end of each, in this order; a rejection leaves out the rest."""

STREET_TOP_K, STREET_HINTS = 50, 2
"""Street pictures that are looked at, and places they may point at; neighbours point at one."""
TWINS = 2
"""Places that look like the one where the vehicle is said to be, and are looked at with it."""


@dataclass(frozen=True)
class Retrieved:
    """What retrieval found, and the patch that asked; all of it squares of satellite imagery.

    `hints` are squares that street pictures and dead reckoning and a prior point at: more
    places to look at, and nothing else.
    """

    candidates: list[Candidate]
    patch: Patch
    hints: list[Candidate]


class Localizer:
    """One flight's localization. Feed frames in order of exposure."""

    def __init__(
        self,
        manifest: Manifest,
        encoder: Encoder,
        index: Index,
        imagery: Imagery,
        camera: Camera,
        config: LocalizerConfig,
        on_stage: Callable[[str], None] = lambda stage: None,
    ) -> None:
        self.coverage: CoverageEntry = manifest.coverage
        self.accuracy = manifest.accuracy
        self.gsd_m = manifest.imagery.gsd_m
        self.encoder, self.index, self.imagery = encoder, index, imagery
        self.camera, self.config = camera, config
        self.local = self.coverage.frame
        self.filter = MotionFilter(config.filter)
        self._on_stage = on_stage
        self._last: Frame | None = None

    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        """Where the vehicle was when the frame was taken, or why that is not known."""
        t_ns = frame.t_capture_ns
        last = self._last
        if last is not None and t_ns <= last.t_capture_ns:
            return Rejection(t_ns, Reason.OUT_OF_ORDER, "frame is not newer than the last one")
        telemetry = trusted(telemetry)
        prepared = prepare(frame, telemetry, self.camera, self.config.prepare)
        if isinstance(prepared, Rejection):
            return prepared
        self._last = frame
        if last is not None and np.array_equal(frame.image, last.image):
            return Rejection(t_ns, Reason.FROZEN, "the same picture to the last bit as before")
        found = self.retrieve(prepared, t_ns, self._expected(t_ns), self._told(telemetry))
        if isinstance(found, Rejection):
            return found
        aligned = self._verify(prepared, found)
        if aligned is None:
            return Rejection(t_ns, Reason.NOT_VERIFIED, "no reference imagery to compare with")
        return self._decide(aligned, found, prepared, telemetry, t_ns)

    def retrieve(
        self,
        prepared: Prepared,
        t_ns: int,
        expected: Position | None = None,
        told_m: tuple[float, float] | None = None,
    ) -> Retrieved | Rejection:
        """Candidates for the ground a frame shows, near an expected position if there is one.

        Where the vehicle is said to be (`told_m`, east and north) is looked at as well and confines
        nothing: whoever says so may be deceived, and a twin of that place must show as a rival.
        """
        footprint_m = self.coverage.footprint_m
        patch = prepared.rectify(footprint_m * self.config.verify.footprint_ratio, self.gsd_m)
        if patch is None:
            return Rejection(t_ns, Reason.TILTED, "the horizon is in the picture")
        query = crop_centre(patch, footprint_m)
        seen, needed = query.valid_fraction, self.config.prepare.min_valid_fraction
        if not seen >= needed:
            detail = f"{seen:.0%} of the footprint seen, {needed:.0%} needed"
            return Rejection(t_ns, Reason.TOO_LITTLE_GROUND, detail)
        pixels = self.encoder.prepare(query.image, query.valid)
        self._on_stage("prepare")
        try:
            descriptor = self.encoder.encode([pixels])[0]
        except EngineError as error:
            return Rejection(t_ns, Reason.BAD_DESCRIPTOR, str(error))
        self._on_stage("encode")
        centre, reach = None, None
        if expected is not None:
            centre = expected.east_m + patch.east_m, expected.north_m + patch.north_m
            reach = self.config.retrieve.prior_sigmas * expected.sigma_m + footprint_m / 2
        candidates = self.index.search(descriptor, self.config.retrieve.top_k, centre, reach)
        hints = self._street_hints(descriptor, centre, reach)
        if centre is not None:  # where it is expected is looked at whatever the encoder thinks
            hints += self.index.search(descriptor, 1, centre, self.coverage.spacing_m)
        elif told_m is not None:
            hints += self._told_hints(
                descriptor, (told_m[0] + patch.east_m, told_m[1] + patch.north_m)
            )
        self._on_stage("search")
        if not candidates:
            return Rejection(t_ns, Reason.OUT_OF_AREA, "no reference near the expected position")
        return Retrieved(candidates, patch, hints)

    def _street_hints(
        self, descriptor: Descriptor, centre_m: tuple[float, float] | None, radius_m: float | None
    ) -> list[Candidate]:
        """The most similar satellite square around each of the best street pictures.

        The street picture's own score is on another scale and says nothing to the gate: a square
        it points at must pass what every other square must.
        """
        streets = self.index.search(descriptor, STREET_TOP_K, centre_m, radius_m, View.STREET)
        if not streets:
            return []
        reach_m = max(self.coverage.spacing_m, *(street.footprint_m for street in streets))
        apart_m = WINDOW_SPACING * self.config.verify.search_m
        centres = separate(self._centres(streets), apart_m, STREET_HINTS)
        around = [self.index.search(descriptor, 1, centre, reach_m) for centre in centres]
        return [square for squares in around for square in squares]

    def _told_hints(self, descriptor: Descriptor, seen_m: tuple[float, float]) -> list[Candidate]:
        """The square that the vehicle is said to see, and those anywhere that look most like it.

        Alone it would be verified without its twins, which the encoder may not have found: then
        whoever deceives the receiver would choose the twin.
        """
        squares = self.index.search(descriptor, 1, seen_m, self.coverage.spacing_m)
        if not squares:
            return []
        like_it = np.asarray(self.index.descriptors[squares[0].place], np.float32)
        like_it /= np.linalg.norm(like_it)
        alike = self.index.search(like_it, self.config.retrieve.top_k)
        apart_m = WINDOW_SPACING * self.config.verify.search_m
        centres = separate(self._centres([*squares, *alike]), apart_m, 1 + TWINS)
        around = [self.index.search(like_it, 1, at_m, self.coverage.spacing_m) for at_m in centres]
        return [*squares, *(square for found in around[1:] for square in found)]

    def _centres(self, candidates: Sequence[Candidate]) -> list[tuple[float, float]]:
        rows = self.index.centres_m[[candidate.place for candidate in candidates]]
        return [(float(east), float(north)) for east, north in rows]

    def _expected(self, t_ns: int) -> Position | None:
        """Dead reckoning from confirmed fixes.

        An unconfirmed position steers nothing: it may be the mistake that retrieval must get over.
        """
        return self.filter.predict(t_ns) if self.filter.confirmed else None

    def _told(self, telemetry: Telemetry) -> tuple[float, float] | None:
        """Where somebody else believes the vehicle to be, metres east and north."""
        prior = telemetry.prior
        if prior is None or not self._is_near(prior):
            return None
        east_m, north_m = self.local.to_enu(prior.lat_deg, prior.lon_deg)
        return float(east_m), float(north_m)

    def _is_near(self, prior: Prior) -> bool:
        """Whether the plane reaches as far; nobody else's belief may be an error of ours."""
        origin = self.local.origin_lat_deg, self.local.origin_lon_deg
        return distance_m(*origin, prior.lat_deg, prior.lon_deg) <= MAX_RADIUS_M

    def _verify(self, prepared: Prepared, found: Retrieved) -> Alignment | None:
        footprint_m = self.coverage.footprint_m * self.config.verify.footprint_ratio

        def rectify(heading_error_deg: float, scale: float) -> Patch | None:
            if (heading_error_deg, scale) == (0.0, 0.0):
                return found.patch
            return prepared.rectify(footprint_m, self.gsd_m, heading_error_deg, scale)

        centres, hints = self._centres(found.candidates), self._centres(found.hints)
        aligned = verify(rectify, centres, self.imagery, self.config.verify, hints)
        self._on_stage("verify")
        return aligned

    def _decide(
        self,
        aligned: Alignment,
        found: Retrieved,
        prepared: Prepared,
        telemetry: Telemetry,
        t_ns: int,
    ) -> Fix | Rejection:
        measured = self._position(aligned, prepared, telemetry, t_ns)
        nearest = self._supporting(found, aligned)
        evidence = Evidence(
            nearest.score,
            aligned.correlation,
            aligned.peak_ratio,
            self.filter.innovation(measured),
            self.filter.confirmed,
        )
        refusal = gate(evidence, self.config.gate)
        if refusal is not None:
            if refusal[0] is Reason.INCONSISTENT:
                self.filter.disagree(measured)
            self._on_stage("decide")
            return Rejection(t_ns, *refusal)
        confirmed = self.filter.agree(measured)
        self._on_stage("decide")
        if not confirmed:
            return Rejection(t_ns, Reason.UNCONFIRMED, "not yet confirmed by later frames")
        return self._fix(measured, evidence, nearest, telemetry)

    def _position(
        self, aligned: Alignment, prepared: Prepared, telemetry: Telemetry, t_ns: int
    ) -> Position:
        """The aligned position with everything that may be wrong about it, independent errors."""
        tilt_deg = self.config.prepare.attitude_accuracy_deg
        lever_m = prepared.height_agl_m * math.tan(math.radians(tilt_deg))
        sigma_m = math.hypot(self.accuracy.registration_m, self.accuracy.alignment_m, lever_m)
        return Position(
            t_ns,
            aligned.east_m,
            aligned.north_m,
            sigma_m,
            telemetry.velocity_east_m_s,
            telemetry.velocity_north_m_s,
        )

    def _supporting(self, found: Retrieved, aligned: Alignment) -> Candidate:
        """The candidate whose square lies nearest to the ground that the aligned patch shows."""
        seen_m = aligned.east_m + found.patch.east_m, aligned.north_m + found.patch.north_m

        def distance_m(candidate: Candidate) -> float:
            return math.dist(self.index.centres_m[candidate.place], seen_m)

        return min([*found.candidates, *found.hints], key=distance_m)

    def _fix(
        self, measured: Position, evidence: Evidence, nearest: Candidate, telemetry: Telemetry
    ) -> Fix:
        lat_deg, lon_deg = self.local.to_geodetic([measured.east_m, measured.north_m])
        return Fix(
            t_capture_ns=measured.t_ns,
            lat_deg=float(lat_deg),
            lon_deg=float(lon_deg),
            horiz_accuracy_m=measured.sigma_m,
            alt_amsl_m=telemetry.alt_amsl_m,
            velocity_north_m_s=telemetry.velocity_north_m_s,
            velocity_east_m_s=telemetry.velocity_east_m_s,
            score=evidence.score,
            correlation=evidence.correlation,
            place=nearest.place,
        )


def open_localizer(
    bundle_path: Path,
    config: LocalizerConfig,
    camera: Camera,
    on_stage: Callable[[str], None] = lambda stage: None,
    trusted_keys: Sequence[Path] | None = None,
) -> Localizer:
    """A localizer over a bundle on disk, after all its checks.

    Raises:
        BundleError: the bundle must not be flown, or no trusted key signed it.
        ConfigError: a trusted key that is none.
        EngineError: its encoder cannot run here.
    """
    bundle = Bundle.open(bundle_path, trusted_keys or ())
    if bundle.signed_by is None:
        log.warning("%s: nobody vouches for it; trusted_keys says whose bundles fly", bundle_path)
    else:
        log.info("%s: signed by key %s", bundle_path, bundle.signed_by)
    encoder = Encoder.open(bundle, View.DRONE, config.retrieve.engine, config.retrieve.precision)
    index, imagery = Index.open(bundle), ReferenceImagery.open(bundle)
    return Localizer(bundle.manifest, encoder, index, imagery, camera, config, on_stage)
