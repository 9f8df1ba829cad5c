"""Street references point at places; only satellite squares and imagery decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from geobridge.onboard.bundle import PLACE, Bundle
from geobridge.onboard.camera import Camera
from geobridge.onboard.config import (
    FilterConfig,
    GateConfig,
    LocalizerConfig,
    RetrieveConfig,
    VerifyConfig,
)
from geobridge.onboard.flightlogs.telemetry_csv import read_telemetry
from geobridge.onboard.flightlogs.truth_csv import read_track
from geobridge.onboard.frames.source import open_source
from geobridge.onboard.localization.filter import Position
from geobridge.onboard.localization.localizer import Localizer
from geobridge.onboard.localization.prepare import Prepared, prepare
from geobridge.onboard.manifest_entries import LayerEntry
from geobridge.onboard.records import Fix, Frame, Image, Reason, Rejection, Telemetry
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.index import Index
from geobridge.onboard.retrieval.layer import spatial_order
from geobridge.onboard.views import VIEW_CODES, View

CAMERA = Camera.from_hfov(320, 240, 70.0)
WRONG_M, REACH_M = 10.0, 40.0
AT_ONCE = FilterConfig(confirmations=1, confirmation_span_s=0.0)
NARROW = LocalizerConfig(
    filter=AT_ONCE, retrieve=RetrieveConfig(top_k=1), verify=VerifyConfig(windows=1)
)
"""One candidate and one window: whoever misleads retrieval loses the place."""
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Moment:
    frame: Frame
    telemetry: Telemetry
    east_m: float
    north_m: float

    def error_m(self, place: Fix, bundle: Bundle) -> float:
        enu_m = bundle.manifest.coverage.frame.to_enu(place.lat_deg, place.lon_deg)
        return math.dist(enu_m, (self.east_m, self.north_m))


class Remembering(Encoder):
    """Keeps what it answered."""

    answers: list[Floats]

    def encode(self, prepared: Any) -> npt.NDArray[np.float32]:
        found = super().encode(prepared)
        self.answers.append(found[0])
        return found


@dataclass(frozen=True)
class Parts:
    bundle: Bundle
    encoder: Encoder
    imagery: ReferenceImagery

    def localizer(self, index: Index, config: LocalizerConfig) -> Localizer:
        return Localizer(self.bundle.manifest, self.encoder, index, self.imagery, CAMERA, config)

    def query(self, moment: Moment) -> Floats:
        """What the localizer will search with."""
        entry = self.encoder
        remembering = Remembering(entry.engine, entry.preprocess, entry.dimension)
        remembering.answers = []
        index = Index.open(self.bundle)
        parts = replace(self, encoder=remembering)
        parts.localizer(index, NARROW).handle(moment.frame, moment.telemetry)
        return remembering.answers[0]

    def index(
        self,
        streets_m: list[tuple[float, float]],
        descriptors: list[Floats],
        change: Callable[[Any, Floats], None] = lambda places, descriptors: None,
    ) -> Index:
        """The bundle's squares, changed in place by `change`, and street pictures among them."""
        squares, rows = self.bundle.places().copy(), np.array(self.bundle.descriptors())
        change(squares, rows)
        streets = np.zeros(len(streets_m), PLACE)
        for street, centre_m in zip(streets, streets_m, strict=True):
            street["east_m"], street["north_m"] = centre_m
        streets["view"], streets["footprint_m"] = VIEW_CODES[View.STREET], REACH_M
        order = spatial_order(streets["east_m"], streets["north_m"])
        places = np.concatenate([squares, streets[order]])
        both = np.concatenate([rows, np.reshape(descriptors, (-1, rows.shape[1]))[order]])
        layers = list(self.bundle.manifest.layers)
        if len(streets):
            layers.append(_layer_of(len(squares), len(streets)))
        return Index(places, both.astype(np.float16), layers)


def _layer_of(first: int, count: int) -> LayerEntry:
    return LayerEntry(
        view="street",
        footprint_m=REACH_M,
        spacing_m=None,
        apart_m=2 * REACH_M,
        first=first,
        count=count,
        graph=None,
        scores=None,
    )


def moments(folder: Path, bundle: Bundle) -> Iterator[Moment]:
    samples, track = read_telemetry(folder / "telemetry.csv"), read_track(folder / "truth.csv")
    for frame in open_source(str(folder / "flight.mp4")):
        truth = track.at(frame.t_capture_ns)
        assert truth is not None
        east_m, north_m = bundle.manifest.coverage.frame.to_enu(*truth)
        yield Moment(frame, samples.at(frame.t_capture_ns), float(east_m), float(north_m))


@pytest.fixture(scope="module")
def parts(rehearsal: Path) -> Parts:
    bundle = Bundle.open(rehearsal / "bundle")
    encoder = Encoder.open(bundle, View.DRONE, "onnxruntime", "fp32")
    return Parts(bundle, encoder, ReferenceImagery.open(bundle))


@pytest.fixture(scope="module")
def flight(parts: Parts, rehearsal: Path) -> list[Moment]:
    return list(moments(rehearsal / "flight", parts.bundle))


@pytest.fixture(scope="module")
def known(parts: Parts, flight: list[Moment]) -> Moment:
    """A moment that is verified at once, far enough from the middle to be misled."""
    index = Index.open(parts.bundle)
    for moment in flight:
        localizer = parts.localizer(index, LocalizerConfig(filter=AT_ONCE))
        result = localizer.handle(moment.frame, moment.telemetry)
        if isinstance(result, Fix) and math.hypot(moment.east_m, moment.north_m) > 90.0:
            return moment
    raise AssertionError("not one frame of the flight is verified")


def decoy(moment: Moment, query: Floats) -> Callable[[Any, Floats], None]:
    """Gives the very descriptor of the query to the square farthest from the truth."""

    def change(places: Any, descriptors: Floats) -> None:
        away = np.hypot(places["east_m"] - moment.east_m, places["north_m"] - moment.north_m)
        descriptors[np.argmax(away)] = query

    return change


def prepared(moment: Moment) -> Prepared:
    found = prepare(moment.frame, moment.telemetry, CAMERA, LocalizerConfig().prepare)
    assert isinstance(found, Prepared)
    return found


def flown(parts: Parts, index: Index, flown_over: list[Moment]) -> list[Fix | Rejection]:
    localizer = parts.localizer(index, LocalizerConfig())
    return [localizer.handle(moment.frame, moment.telemetry) for moment in flown_over]


def test_a_street_picture_leads_to_a_place_that_retrieval_missed(
    parts: Parts, known: Moment
) -> None:
    query, here = parts.query(known), (known.east_m + 10.0, known.north_m)
    misled = parts.index([], [], decoy(known, query))
    result = parts.localizer(misled, NARROW).handle(known.frame, known.telemetry)
    assert isinstance(result, Rejection)
    helped = parts.index([here], [query], decoy(known, query))
    fix = parts.localizer(helped, NARROW).handle(known.frame, known.telemetry)
    assert isinstance(fix, Fix), fix
    assert known.error_m(fix, parts.bundle) < WRONG_M
    place = helped.places[fix.place]
    assert place["view"] == VIEW_CODES[View.SATELLITE]
    own = float(np.asarray(helped.descriptors[fix.place], np.float32) @ query)
    assert fix.score == pytest.approx(own, abs=1e-5)  # of the square, not the street's 1.0
    assert fix.score < 0.999


def test_the_score_of_a_street_picture_passes_no_gate(parts: Parts, known: Moment) -> None:
    query, here = parts.query(known), (known.east_m, known.north_m)

    def unlike(places: Any, descriptors: Floats) -> None:
        near = np.hypot(places["east_m"] - here[0], places["north_m"] - here[1]) < 2 * REACH_M
        descriptors[near] = -query
        decoy(known, query)(places, descriptors)

    localizer = parts.localizer(parts.index([here], [query], unlike), NARROW)
    result = localizer.handle(known.frame, known.telemetry)
    assert isinstance(result, Rejection)
    assert result.reason is Reason.LOW_SCORE


def crowd(parts: Parts, flight: list[Moment]) -> Index:
    """Street pictures all over the map, more like any frame than the squares are."""
    queries = np.stack([parts.query(moment) for moment in flight[::4]])
    loud = queries.mean(axis=0) / np.linalg.norm(queries.mean(axis=0))
    rng = np.random.default_rng(6)
    centres = [(float(e), float(n)) for e, n in rng.uniform(-180.0, 180.0, (300, 2))]
    noisy = loud + rng.normal(0.0, 0.01, (300, len(loud)))
    return parts.index(centres, list(noisy / np.linalg.norm(noisy, axis=1, keepdims=True)))


def test_wrong_street_pictures_make_no_fix_wrong(parts: Parts, flight: list[Moment]) -> None:
    index = crowd(parts, flight)
    results, plain = flown(parts, index, flight), flown(parts, Index.open(parts.bundle), flight)
    fixes = [(m, r) for m, r in zip(flight, results, strict=True) if isinstance(r, Fix)]
    assert len(fixes) >= 0.9 * sum(isinstance(result, Fix) for result in plain)
    for moment, fix in fixes:
        assert moment.error_m(fix, parts.bundle) < WRONG_M
        assert index.places["view"][fix.place] == VIEW_CODES[View.SATELLITE]


def test_another_land_gives_no_fix_with_street_pictures_either(
    parts: Parts, flight: list[Moment], rehearsal: Path
) -> None:
    abroad = list(moments(rehearsal / "abroad", parts.bundle))
    results = flown(parts, crowd(parts, abroad), abroad)
    assert all(isinstance(result, Rejection) for result in results)


def test_hints_stay_apart_and_inside_the_gate(parts: Parts, known: Moment) -> None:
    query, localized = parts.query(known), LocalizerConfig()
    here, beside = (known.east_m, known.north_m), (known.east_m + 5.0, known.north_m)
    far = (-known.east_m, -known.north_m)
    index = parts.index([here, beside, far], [query] * 3)
    localizer = parts.localizer(index, localized)
    found = localizer.retrieve(prepared(known), known.frame.t_capture_ns)
    assert not isinstance(found, Rejection)
    centres = index.centres_m[[hint.place for hint in found.hints]]
    assert len(centres) == 2
    for centre, at in zip(centres, (here, far), strict=True):
        assert math.dist(centre, at) <= REACH_M
    prior = Position(known.frame.t_capture_ns, *here, 5.0, None, None)
    gated = localizer.retrieve(prepared(known), known.frame.t_capture_ns, prior)
    assert not isinstance(gated, Rejection)
    street, expected = (hint.place for hint in gated.hints)
    assert street == found.hints[0].place
    assert math.dist(index.centres_m[expected], here) <= REACH_M


def test_where_it_is_expected_is_looked_at_whatever_was_found(parts: Parts, known: Moment) -> None:
    """The square there is the same whether the candidates of the search reach so far or not."""
    t_ns, ready, index = known.frame.t_capture_ns, prepared(known), Index.open(parts.bundle)
    spacing_m = parts.bundle.manifest.layers[0].spacing_m
    assert spacing_m is not None
    for east_m, north_m in ((0.0, 0.0), (30.0, -20.0), (-55.0, 40.0)):
        at_m = known.east_m + east_m, known.north_m + north_m
        hints = []
        for top_k in (1, 100):
            config = LocalizerConfig(retrieve=RetrieveConfig(top_k=top_k))
            localizer = parts.localizer(index, config)
            found = localizer.retrieve(ready, t_ns, Position(t_ns, *at_m, 40.0, None, None))
            assert not isinstance(found, Rejection)
            assert len(found.candidates) == 1 or top_k > 1
            hints.append([hint.place for hint in found.hints])
            query = found.shown.query
            seen_m = at_m[0] + query.east_m, at_m[1] + query.north_m
            assert math.dist(index.centres_m[hints[-1][0]], seen_m) <= spacing_m
        assert hints[0] == hints[1]
        assert len(hints[0]) == 1


def test_a_street_picture_beside_no_square_points_at_nothing(parts: Parts, known: Moment) -> None:
    index = parts.index([(900.0, 900.0)], [parts.query(known)])
    found = parts.localizer(index, LocalizerConfig()).retrieve(prepared(known), 0)
    assert not isinstance(found, Rejection)
    assert found.hints == []
    assert {candidate.view for candidate in found.candidates} == {View.SATELLITE}


def test_hints_take_no_window_from_the_squares(parts: Parts, known: Moment) -> None:
    query, read = parts.query(known), []

    class Watched:
        def read(self, east_m: float, north_m: float, size_px: int) -> tuple[Image, Image, Any]:
            read.append((east_m, north_m))
            return parts.imagery.read(east_m, north_m, size_px)

    def windows(index: Index) -> list[tuple[float, float]]:
        read.clear()
        config = LocalizerConfig(gate=GateConfig(min_score=1.0))
        manifest = parts.bundle.manifest
        Localizer(manifest, parts.encoder, index, Watched(), CAMERA, config).handle(
            known.frame, known.telemetry
        )
        return read[:-1]  # the last look is a closer one at the best of them

    plain = windows(Index.open(parts.bundle))
    far = (-known.east_m, -known.north_m)
    hinted = windows(parts.index([far], [query]))
    assert hinted[: len(plain)] == plain
    assert len(hinted) == len(plain) + 1
