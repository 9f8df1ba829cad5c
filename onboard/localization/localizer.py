"""The thing that flies: a frame and its telemetry in, a fix or a reason out.

No clock, no socket, no file: whoever calls `handle` brings time with the frame, so replaying a log
gives the same answers to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..camera import Camera
from ..config import LocalizerConfig
from ..errors import EngineError
from ..manifest import Manifest
from ..manifest_entries import CoverageEntry
from ..records import Fix, Frame, Prior, Reason, Rejection, Telemetry
from ..retrieval.encoder import Encoder
from ..retrieval.index import Index
from ..terrain import Terrain
from .alignment import Alignment, Imagery, between_m, contrast
from .breaker import Breaker
from .doubt import AS_TOLD, Hypothesis
from .filter import MotionFilter, Position
from .gate import gate, is_doubtful, may_confirm
from .local_matches import Matcher, match_structure
from .lost import Lost
from .measure import evidence_of, fix_of, geometry_sigmas, measured_position
from .moment import Moment
from .motion import Motion
from .prepare import Prepared, prepare
from .reckoning import Reckoning
from .rectify import Patch
from .search import Believed, Search, believed
from .supposed import Looked, Retrieved, likeliest, patch_centres_m, shown, supporting
from .told import Below, trusted
from .verify import verify

STAGES = ("prepare", "rectify", "encode", "search", "verify", "decide")
"""What `on_stage` is told at the end of each, in this order; a rejection leaves out the rest."""


class Localizer:
    """One flight's localization. Feed frames in order of exposure.

    `verify` may be replaced by what gives the same answers, as a replay that knows them already
    does. `looked`: what the last frame was judged by, None where it did not come so far.
    """

    def __init__(
        self,
        manifest: Manifest,
        encoder: Encoder,
        index: Index,
        imagery: Imagery,
        camera: Camera,
        config: LocalizerConfig,
        on_stage: Callable[[str], None] = lambda stage: None,
        prior: Prior | None = None,
        terrain: Terrain | None = None,
        match: Matcher = match_structure,
    ) -> None:
        """`prior`: where the vehicle may be, for telemetry that does not say. `match` finds the
        parts of a picture on the map."""
        self.coverage: CoverageEntry = manifest.coverage
        self.accuracy = manifest.accuracy
        self.gsd_m = manifest.reference_imagery.gsd_m
        self.encoder, self.index, self.imagery = encoder, index, imagery
        self.camera, self.config = camera, config
        self.local = self.coverage.frame
        self._search = Search(index, config)
        self._on_stage = on_stage
        self._prior, self._terrain = prior, terrain
        self.verify: Callable[..., Alignment | None] = partial(verify, match=match)
        self.looked: Looked | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the track; the next fix is earned as the first one was."""
        self.filter = MotionFilter(self.config.filter)
        self._last: Moment | None = None
        self._reckoning = Reckoning(self.config.filter.motion)
        self._lost = Lost(self._search, self.config.filter)
        self._settled, self._breaker = AS_TOLD, Breaker()

    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        """Where the vehicle was when the frame was taken, or why that is not known."""
        t_ns = frame.t_capture_ns
        last, self.looked = self._last, None
        if last is not None and t_ns <= last.frame.t_capture_ns:
            return Rejection(t_ns, Reason.OUT_OF_ORDER, "frame is not newer than the last one")
        telemetry = trusted(telemetry)
        prior = believed(telemetry.prior or self._prior, self.local)
        below = self._below(t_ns, prior)
        prepared = prepare(frame, telemetry, self.camera, self.config.prepare, below)
        if isinstance(prepared, Rejection):
            return prepared
        moment = Moment(frame, telemetry, prepared)
        self._last = moment
        problem = moment.problem_after(last) if last else None
        if problem is not None:
            return Rejection(t_ns, *problem)
        motion = self._reckoning.step(moment)
        telemetry = self._reckoning.told(telemetry, motion)
        self.filter.advance(motion)
        self._on_stage("prepare")
        # an unconfirmed position steers nothing: it may be the mistake to get over
        expected = self.filter.predict(t_ns) if self.filter.confirmed else None
        found = self._likely(prepared, t_ns, expected, prior)
        if isinstance(found, Rejection):
            return found
        if expected is not None:
            self._lost.found(expected)
        else:
            found = [self._with_cloud(found[0], motion, t_ns), *found[1:]]
        try:
            best = self._best(prepared, found)
        except EngineError as error:  # of a learned matcher
            return Rejection(t_ns, Reason.NOT_VERIFIED, str(error))
        if best is None:
            return Rejection(t_ns, Reason.NOT_VERIFIED, "no reference imagery to compare with")
        decided = self._decide(*best, prepared, telemetry, t_ns)
        self._on_stage("decide")
        return decided

    def retrieve(
        self,
        prepared: Prepared,
        t_ns: int,
        expected: Position | None = None,
        prior: Believed | None = None,
    ) -> Retrieved | Rejection:
        """Candidates for the ground a frame shows, near an expected position if there is one, under
        the likeliest heading and height.

        Where the vehicle is said to be (`prior`) is looked at as well and confines nothing:
        whoever says so may be deceived, and a twin of that place must show as a rival.
        """
        found = self._likely(prepared, t_ns, expected, prior)
        return found if isinstance(found, Rejection) else found[0]

    def _likely(
        self, prepared: Prepared, t_ns: int, expected: Position | None, prior: Believed | None
    ) -> list[Retrieved] | Rejection:
        """As `retrieve`, under several headings and heights that differ, the likeliest first."""
        supposed, footprints_m = self._supposed(prepared, expected), self._search.footprints_m
        footprint_m, seen = shown(t_ns, prepared, supposed, footprints_m, self.gsd_m, self.config)
        if isinstance(seen, Rejection):
            return seen
        pixels = [self.encoder.prepare(each.query.image, each.query.valid) for each in seen]
        self._on_stage("rectify")
        try:
            descriptors = self.encoder.encode(pixels)
        except EngineError as error:
            return Rejection(t_ns, Reason.BAD_DESCRIPTOR, str(error))
        self._on_stage("encode")
        found = []
        for each, descriptor in zip(seen, descriptors, strict=True):
            best, hints = self._search.look(descriptor, each.query, footprint_m, expected, prior)
            found.append(Retrieved(best, each, footprint_m, hints, descriptor))
        self._on_stage("search")
        likely = likeliest(found, self.config.verify.hypotheses)
        if not likely:
            return Rejection(t_ns, Reason.OUT_OF_AREA, "no reference near the expected position")
        return likely

    def _with_cloud(self, found: Retrieved, motion: Motion | None, t_ns: int) -> Retrieved:
        """With the squares that all frames since the track was lost point at."""
        query, footprint_m = found.shown.query, found.footprint_m
        places_m = self._lost.hints(t_ns, motion, found.candidates, query, footprint_m)
        more = self._search.pointed_at(found.descriptor, footprint_m, places_m)
        return replace(found, hints=[*found.hints, *more])

    def _supposed(self, prepared: Prepared, expected: Position | None) -> tuple[Hypothesis, ...]:
        """What is tried about heading and height: on a confirmed track what it was before."""
        several = len(prepared.hypotheses) > 1
        return (self._settled,) if several and expected is not None else prepared.hypotheses

    def _below(self, t_ns: int, prior: Believed | None) -> Below | None:
        """The heights of the bundle, and where on them the vehicle is expected, or said to be."""
        if self._terrain is None:
            return None
        expected = self.filter.predict(t_ns) if self.filter.confirmed else None
        if expected is not None:
            return Below(self._terrain, (expected.east_m, expected.north_m))
        return Below(self._terrain, told=(*prior.at_m, prior.sigma_m) if prior else None)

    def _best(
        self, prepared: Prepared, found: Sequence[Retrieved]
    ) -> tuple[Alignment, Retrieved] | None:
        """The best alignment of all that is likely; those that lie elsewhere are its rivals."""
        aligned = [(each, self._verify(prepared, each)) for each in found]
        sound = [(each, of) for of, each in aligned if each is not None]
        self._on_stage("verify")
        if not sound:
            return None
        best, of = max(sound, key=lambda pair: pair[0].correlation)
        rivals = [
            contrast(best.correlation, other.correlation)
            for other, _ in sound
            if between_m(best, other) > self.config.verify.exclusion_m
        ]
        return replace(best, peak_ratio=min([best.peak_ratio, *rivals])), of

    def _verify(self, prepared: Prepared, found: Retrieved) -> Alignment | None:
        """The patch, and as it would be under other headings and heights, against the imagery."""
        footprint_m = found.footprint_m * self.config.verify.footprint_ratio

        def rectify(heading_error_deg: float, scale: float, coarser: int) -> Patch | None:
            if (heading_error_deg, scale, coarser) == (0.0, 0.0, 1):
                return found.shown.patch
            further = found.shown.hypothesis.further(heading_error_deg, scale)
            return prepared.rectify(
                footprint_m, self.gsd_m * coarser, further.heading_offset_deg, further.scale
            )

        centres_m, hints_m = patch_centres_m(found, self._search)
        return self.verify(rectify, centres_m, self.imagery, self.config.verify, hints_m)

    def _decide(
        self,
        aligned: Alignment,
        found: Retrieved,
        prepared: Prepared,
        telemetry: Telemetry,
        t_ns: int,
    ) -> Fix | Rejection:
        """Publish or withhold what was measured, and let the filter learn of it."""
        config = self.config
        measured = measured_position(
            t_ns, aligned, prepared, telemetry, self.accuracy, config.prepare
        )
        nearest = supporting(aligned, found, self._search)
        deviation = found.shown.hypothesis.further(aligned.heading_error_deg, aligned.scale_error)
        evidence = evidence_of(
            aligned,
            nearest,
            self._search.layer_of(nearest).scores,
            float(self.index.places["aliasing"][nearest.place]),
            geometry_sigmas(deviation, telemetry, config.prepare),
            self.filter,
            measured,
            telemetry,
        )
        self.looked = Looked(prepared, found, aligned, evidence)
        refusal = gate(evidence, config.gate)
        if refusal is None:
            # only what is believed moves the breaker: what is refused is no part of a track
            doubtful_s = self._breaker.after(t_ns, is_doubtful(evidence, config.gate))
            refusal = gate(replace(evidence, doubtful_s=doubtful_s), config.gate)
        if refusal is not None:
            if refusal[0] is Reason.INCONSISTENT:
                self.filter.disagree(measured)
            elif refusal[0] is Reason.DOUBTFUL:
                # what is earned anew begins without doubt: an autopilot that disputes what it was
                # told stays so until it is told again
                self.filter.reset()
                self._breaker = Breaker()
            return Rejection(t_ns, *refusal)
        too_soon = may_confirm(evidence, config.gate)
        confirmed = self.filter.agree(measured, too_soon is None)
        self._settled = deviation
        if not confirmed:
            waits = Reason.UNCONFIRMED, "not yet confirmed by later frames"
            return Rejection(t_ns, *(too_soon or waits))
        return fix_of(measured, evidence, nearest, telemetry, self.local)
