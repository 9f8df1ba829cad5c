from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.camera import Camera
from geobridge.onboard.config import (
    FilterConfig,
    GateConfig,
    LocalizerConfig,
    PrepareConfig,
    RetrieveConfig,
    VerifyConfig,
)
from geobridge.onboard.flightlogs.telemetry_csv import read_telemetry
from geobridge.onboard.flightlogs.truth_csv import read_track
from geobridge.onboard.frames.source import open_source
from geobridge.onboard.geodesy import LocalFrame, distance_m
from geobridge.onboard.localization.localizer import STAGES, Localizer
from geobridge.onboard.localization.prepare import Prepared, prepare
from geobridge.onboard.localization.search import Believed
from geobridge.onboard.localization.supposed import Retrieved
from geobridge.onboard.manifest_entries import TerrainEntry
from geobridge.onboard.records import (
    Attitude,
    Fix,
    Frame,
    Image,
    Prior,
    Reason,
    Rejection,
    Telemetry,
)
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.index import Index
from geobridge.onboard.simulation.render.day import SUMMER_NOON, Day
from geobridge.onboard.simulation.render.scenery import Setting
from geobridge.onboard.simulation.render.views import drone
from geobridge.onboard.simulation.state import State
from geobridge.onboard.terrain import Terrain
from geobridge.onboard.views import View

S = 1_000_000_000
CAMERA = Camera.from_hfov(320, 240, 70.0)
CONFIG = LocalizerConfig()
WRONG_M = 10.0
EDGE_M = 200.0
"""How far east of its middle the map of the rehearsal ends."""


@dataclass(frozen=True)
class Moment:
    """A frame, what the autopilot said then, and where the vehicle was."""

    frame: Frame
    telemetry: Telemetry
    lat_deg: float
    lon_deg: float

    def at(self, t_ns: int) -> Moment:
        """The same view at another time; no two exposures are equal to the last bit."""
        image = self.frame.image.copy()
        image[0, 0, 0] = t_ns // 100_000_000 % 256
        return replace(
            self,
            frame=replace(self.frame, image=image, t_capture_ns=t_ns),
            telemetry=replace(self.telemetry, t_ns=t_ns),
        )

    def error_m(self, fix: Fix) -> float:
        return distance_m(fix.lat_deg, fix.lon_deg, self.lat_deg, self.lon_deg)


@dataclass(frozen=True)
class Parts:
    """An opened bundle, from which a localizer is made in no time."""

    bundle: Bundle
    encoder: Encoder
    index: Index
    imagery: ReferenceImagery

    def localizer(self, config: LocalizerConfig = CONFIG, **others: Any) -> Localizer:
        encoder = others.pop("encoder", self.encoder)
        manifest = self.bundle.manifest
        return Localizer(manifest, encoder, self.index, self.imagery, CAMERA, config, **others)


def moments(folder: Path) -> Iterator[Moment]:
    samples, track = read_telemetry(folder / "telemetry.csv"), read_track(folder / "truth.csv")
    for frame in open_source(str(folder / "flight.mp4")):
        truth = track.at(frame.t_capture_ns)
        assert truth is not None
        yield Moment(frame, samples.at(frame.t_capture_ns), *truth)


@pytest.fixture(scope="module")
def parts(rehearsal: Path) -> Parts:
    bundle = Bundle.open(rehearsal / "bundle")
    encoder = Encoder.open(bundle, View.DRONE, "onnxruntime", "fp32")
    return Parts(bundle, encoder, Index.open(bundle), ReferenceImagery.open(bundle))


@pytest.fixture(scope="module")
def flight(rehearsal: Path) -> list[Moment]:
    return list(moments(rehearsal / "flight"))


@pytest.fixture(scope="module")
def flown(parts: Parts, flight: list[Moment]) -> list[Fix | Rejection]:
    """What the flight gives with the default settings."""
    localizer = parts.localizer()
    return [localizer.handle(moment.frame, moment.telemetry) for moment in flight]


@pytest.fixture(scope="module")
def known(parts: Parts, flight: list[Moment]) -> Moment:
    """A moment in which retrieval and verification succeed without any history."""
    for moment in flight:
        result = parts.localizer().handle(moment.frame, moment.telemetry)
        if isinstance(result, Rejection) and result.reason is Reason.UNCONFIRMED:
            return moment
    raise AssertionError("not one frame of the flight is verified")


def reason_of(localizer: Localizer, moment: Moment) -> Reason:
    result = localizer.handle(moment.frame, moment.telemetry)
    assert isinstance(result, Rejection), result
    assert result.t_capture_ns == moment.frame.t_capture_ns
    assert "\n" not in result.detail
    return result.reason


def showing(moment: Moment, image: Image) -> Moment:
    return replace(moment, frame=replace(moment.frame, image=image))


def told(moment: Moment, **telemetry: Any) -> Moment:
    return replace(moment, telemetry=replace(moment.telemetry, **telemetry))


def hovering(moment: Moment, second: int) -> tuple[Frame, Telemetry]:
    """The same picture again, of a vehicle that says it stands still."""
    now = told(moment, velocity_north_m_s=0.0, velocity_east_m_s=0.0).at(second * S)
    return now.frame, now.telemetry


@pytest.mark.fault("N9", "a map of summer, a flight in autumn", "true fixes")
def test_a_flight_gives_true_fixes_after_confirmation(
    flight: list[Moment], flown: list[Fix | Rejection]
) -> None:
    errors_m = []
    for moment, result in zip(flight, flown, strict=True):
        assert result.t_capture_ns == moment.frame.t_capture_ns
        if isinstance(result, Fix):
            errors_m.append(moment.error_m(result))
            assert result.alt_amsl_m == moment.telemetry.alt_amsl_m
            assert result.velocity_east_m_s == moment.telemetry.velocity_east_m_s
    reasons = [result.reason if isinstance(result, Rejection) else None for result in flown]
    before = reasons[: reasons.index(None)]
    assert before.count(Reason.UNCONFIRMED) >= CONFIG.filter.confirmations - 1
    assert len(errors_m) > len(flight) / 2
    assert np.median(errors_m) < 5.0
    assert max(errors_m) < WRONG_M


def test_stated_accuracy_holds_every_known_error(
    parts: Parts, flight: list[Moment], flown: list[Fix | Rejection]
) -> None:
    accuracy = parts.bundle.manifest.accuracy
    for moment, result in zip(flight, flown, strict=True):
        if isinstance(result, Fix):
            height_m = moment.telemetry.height_agl_m or math.nan
            lever_m = height_m * math.tan(math.radians(CONFIG.prepare.attitude_accuracy_deg))
            stated = (accuracy.registration_m, accuracy.alignment_m, lever_m)
            assert 1.0 < result.horiz_accuracy_m / math.hypot(*stated) < 1.2


def test_a_tilted_camera_is_supported_by_the_place_it_sees(
    parts: Parts, land: Callable[[int, Day], Image], level: Callable[[Image], Setting]
) -> None:
    """Not by the place below the vehicle, 63 m away, though that is a candidate too."""
    attitude = Attitude(0.0, 30.0, 0.0)
    state = State(0.0, 10.0, -50.0, 110.0, attitude, (0.0, 0.0, 0.0))
    picture = drone(level(land(7, SUMMER_NOON)), CAMERA, state).image
    lat_deg, lon_deg = (float(x) for x in LocalFrame(47.4, 8.5).to_geodetic([10.0, -50.0]))
    seen = Telemetry(0, attitude, 110.0, None, 0.0, 0.0, Prior(lat_deg, lon_deg, 20.0))
    moment = Moment(Frame(picture, 0), seen, lat_deg, lon_deg)
    filtering = FilterConfig(confirmations=1, confirmation_span_s=0.0)
    config = LocalizerConfig(filter=filtering, retrieve=RetrieveConfig(top_k=256))
    fix = parts.localizer(config).handle(moment.frame, moment.telemetry)
    assert isinstance(fix, Fix), fix
    assert moment.error_m(fix) < 3.0
    lat_deg, lon_deg = LocalFrame(47.4, 8.5).to_geodetic(
        [10.0, -50.0 + 110.0 * math.tan(math.pi / 6)]
    )
    place = parts.index.places[fix.place]
    assert distance_m(place["lat_deg"], place["lon_deg"], float(lat_deg), float(lon_deg)) < 20.0


def test_the_same_flight_gives_the_same_bits(
    parts: Parts, flight: list[Moment], flown: list[Fix | Rejection]
) -> None:
    localizer = parts.localizer()
    assert [localizer.handle(m.frame, m.telemetry) for m in flight[:15]] == flown[:15]


PICTURES: dict[str, tuple[Callable[[Image], npt.NDArray[Any]], Reason]] = {
    "black": (np.zeros_like, Reason.BLACK),
    "one grey": (lambda image: np.full_like(image, 130), Reason.BAD_IMAGE),
    "white": (lambda image: np.full_like(image, 255), Reason.OVEREXPOSED),
    "wrong size": (lambda image: image[:-1], Reason.WRONG_SIZE),
    "grey levels only": (lambda image: image[..., 0], Reason.BAD_IMAGE),
    "with alpha": (lambda image: np.dstack([image, image[..., :1]]), Reason.BAD_IMAGE),
    "floating point": (lambda image: image.astype(float), Reason.BAD_IMAGE),
    "empty": (lambda image: image[:0], Reason.WRONG_SIZE),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_bad_picture(parts: Parts, known: Moment, name: str) -> None:
    spoil, reason = PICTURES[name]
    picture: Any = spoil(known.frame.image)
    assert reason_of(parts.localizer(), showing(known, picture)) is reason


BAD_TELEMETRY = [
    ({"attitude": None}, Reason.NO_ATTITUDE),
    ({"attitude": Attitude(math.nan, 0.0, 0.0)}, Reason.NO_ATTITUDE),
    ({"attitude": Attitude(0.0, 0.0, math.inf)}, Reason.NO_ATTITUDE),
    ({"height_agl_m": None}, Reason.NO_HEIGHT),
    ({"height_agl_m": math.nan}, Reason.NO_HEIGHT),
    ({"height_agl_m": math.inf}, Reason.NO_HEIGHT),
    ({"height_agl_m": 0.0}, Reason.NO_HEIGHT),
    ({"height_agl_m": -110.0}, Reason.NO_HEIGHT),
    ({"height_agl_m": 1e-200}, Reason.NO_HEIGHT),
    ({"height_agl_m": 1e200}, Reason.NO_HEIGHT),
    ({"t_ns": -S}, Reason.STALE_TELEMETRY),
    ({"t_ns": 1000 * S}, Reason.STALE_TELEMETRY),
    ({"attitude": Attitude(50.0, 0.0, 0.0)}, Reason.TILTED),
    ({"attitude": Attitude(180.0, 0.0, 0.0)}, Reason.TILTED),
    ({"height_agl_m": 15.0, "attitude": Attitude(0.0, 0.0, 0.0)}, Reason.TOO_LITTLE_GROUND),
]


@pytest.mark.parametrize(("telemetry", "reason"), BAD_TELEMETRY)
@pytest.mark.fault("N7", "heights and attitudes beyond the map's", "withheld, by name")
def test_bad_telemetry(
    parts: Parts, known: Moment, telemetry: dict[str, Any], reason: Reason
) -> None:
    assert reason_of(parts.localizer(), told(known, **telemetry)) is reason


@pytest.mark.parametrize(
    "telemetry",
    [
        {"velocity_north_m_s": math.nan},
        {"velocity_east_m_s": math.inf},
        {"alt_amsl_m": math.nan},
        {"prior": Prior(math.nan, 8.5, 30.0)},
        {"prior": Prior(91.0, 8.5, 30.0)},
        {"prior": Prior(47.4, 8.5, -1.0)},
        {"prior": Prior(47.4, 8.5, math.inf)},
        {"prior": Prior(47.4, 8.5, 1e12)},
    ],
)
def test_what_telemetry_cannot_know_is_as_if_it_were_not_there(
    parts: Parts, flight: list[Moment], telemetry: dict[str, Any]
) -> None:
    localizer, fixes = parts.localizer(), []
    for moment in flight[:22]:
        result = localizer.handle(moment.frame, replace(moment.telemetry, **telemetry))
        if isinstance(result, Fix):
            fixes.append(result)
            assert moment.error_m(result) < WRONG_M
            numbers = (result.alt_amsl_m, result.velocity_north_m_s, result.velocity_east_m_s)
            assert all(number is None or math.isfinite(number) for number in numbers)
    assert fixes


@pytest.mark.fault("C8", "a camera that looks up", "withheld")
def test_a_camera_that_sees_sky_alone(parts: Parts, known: Moment) -> None:
    localizer = parts.localizer(LocalizerConfig(prepare=PrepareConfig(max_tilt_deg=180.0)))
    tilted = told(known, attitude=Attitude(0.0, 140.0, 0.0))
    assert reason_of(localizer, tilted) is Reason.TOO_LITTLE_GROUND


@pytest.mark.parametrize("step_ns", [0, -1, -S])
@pytest.mark.fault("T4", "frames again, or older", "rejected")
def test_frames_that_are_not_newer(parts: Parts, known: Moment, step_ns: int) -> None:
    localizer, t_ns = parts.localizer(), known.frame.t_capture_ns
    assert reason_of(localizer, known) is Reason.UNCONFIRMED
    assert reason_of(localizer, known.at(t_ns + step_ns)) is Reason.OUT_OF_ORDER


class Answers:
    """An engine that always says the same."""

    def __init__(self, descriptors: npt.NDArray[np.float32]) -> None:
        self.descriptors = descriptors

    def run(self, images: Image) -> npt.NDArray[np.float32]:
        return self.descriptors


@pytest.mark.parametrize(
    "descriptors",
    [np.full((1, 64), np.nan), np.full((1, 64), 0.25), np.zeros((1, 64)), np.full((1, 16), 0.25)],
    ids=["nan", "too long", "zero", "another dimension"],
)
@pytest.mark.fault("P6", "an encoder that gives NaN", "never searched")
def test_an_encoder_that_answers_nonsense(
    parts: Parts, known: Moment, descriptors: npt.NDArray[np.float64]
) -> None:
    engine = Answers(descriptors.astype(np.float32))
    encoder = Encoder(engine, parts.encoder.preprocess, parts.encoder.dimension)
    assert reason_of(parts.localizer(encoder=encoder), known) is Reason.BAD_DESCRIPTOR


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        (GateConfig(min_score=1.0), Reason.LOW_SCORE),
        (GateConfig(min_correlation_untracked=1.0), Reason.NOT_VERIFIED),
        (GateConfig(min_peak_ratio=1e6), Reason.AMBIGUOUS),
    ],
)
def test_what_the_gate_withholds(
    parts: Parts, known: Moment, gate: GateConfig, reason: Reason
) -> None:
    localizer = parts.localizer(LocalizerConfig(gate=gate))
    assert reason_of(localizer, known) is reason
    assert localizer.filter.predict(known.frame.t_capture_ns) is None


@pytest.mark.fault("N5", "a flight over another land", "no fix")
def test_another_land_never_gives_a_fix(parts: Parts, rehearsal: Path) -> None:
    localizer, reasons = parts.localizer(), []
    for moment in moments(rehearsal / "abroad"):
        reasons.append(reason_of(localizer, moment))
    assert len(reasons) > 30
    assert Reason.NOT_VERIFIED in reasons


@pytest.mark.fault("N11", "a jump that no vehicle makes", "inconsistent")
def test_a_jump_before_confirmation_is_inconsistent_and_starts_anew(
    parts: Parts, flight: list[Moment]
) -> None:
    verified = [
        moment for moment in flight if reason_of(parts.localizer(), moment) is Reason.UNCONFIRMED
    ]
    here, there = verified[0], verified[-1]
    assert distance_m(here.lat_deg, here.lon_deg, there.lat_deg, there.lon_deg) > 120.0
    localizer = parts.localizer()
    assert reason_of(localizer, here.at(S)) is Reason.UNCONFIRMED
    jumped = localizer.handle(*hovering(there, 2))
    assert isinstance(jumped, Rejection)
    assert jumped.reason is Reason.INCONSISTENT
    for second in range(2, CONFIG.filter.confirmations):
        result = localizer.handle(*hovering(there, second + 1))
        assert isinstance(result, Rejection)
        assert result.reason is Reason.UNCONFIRMED
    result = localizer.handle(*hovering(there, CONFIG.filter.confirmations + 2))
    assert isinstance(result, Fix)
    assert there.error_m(result) < WRONG_M


@pytest.mark.fault("N10", "the vehicle is elsewhere at once", "silence, then the truth")
def test_a_kidnapped_drone_is_silent_and_then_right(parts: Parts, flight: list[Moment]) -> None:
    """Confirmed, then all at once elsewhere while the autopilot notices nothing."""
    verified = [
        moment for moment in flight if reason_of(parts.localizer(), moment) is Reason.UNCONFIRMED
    ]
    here, there = verified[0], verified[-1]
    localizer, before = parts.localizer(), CONFIG.filter.confirmations + 2
    results = [localizer.handle(*hovering(here, second)) for second in range(1, before + 1)]
    assert isinstance(results[-1], Fix)
    silent_s = round(CONFIG.filter.max_coast_s) + CONFIG.filter.confirmations
    after = [localizer.handle(*hovering(there, before + 1 + s)) for s in range(silent_s + 1)]
    for result in after:
        assert isinstance(result, Rejection) or there.error_m(result) < WRONG_M
    assert isinstance(after[0], Rejection)
    assert isinstance(after[-1], Fix)


def test_a_picture_that_stands_still_while_the_vehicle_flies(parts: Parts, known: Moment) -> None:
    """Though its noise, as here one pixel, is another in every frame."""
    localizer = parts.localizer()
    for second in range(1, CONFIG.filter.confirmations + 1):
        result = localizer.handle(*hovering(known, second))
    assert isinstance(result, Fix)
    flying = told(known, velocity_north_m_s=12.0, velocity_east_m_s=0.0)
    assert reason_of(localizer, flying.at((CONFIG.filter.confirmations + 1) * S)) is Reason.FROZEN


@pytest.mark.fault("C2", "equal frames in flight", "no evidence, and no fix")
def test_a_frozen_picture_is_no_evidence(parts: Parts, known: Moment) -> None:
    localizer = parts.localizer()
    for second in range(1, CONFIG.filter.confirmations + 1):
        result = localizer.handle(*hovering(known, second))
    assert isinstance(result, Fix)
    stuck, telemetry = hovering(known, CONFIG.filter.confirmations + 1)
    assert isinstance(localizer.handle(stuck, telemetry), Fix)
    for second in range(CONFIG.filter.confirmations + 2, CONFIG.filter.confirmations + 6):
        again = replace(stuck, t_capture_ns=second * S)
        result = localizer.handle(again, replace(telemetry, t_ns=second * S))
        assert isinstance(result, Rejection)
        assert result.reason is Reason.FROZEN


def test_a_prior_confines_nothing(parts: Parts, known: Moment) -> None:
    """Whoever gives it may be deceived: the rivals elsewhere must stay in sight."""
    ready = prepare(known.frame, known.telemetry, CAMERA, CONFIG.prepare)
    assert isinstance(ready, Prepared)
    alone = parts.localizer().retrieve(ready, 0)
    told = parts.localizer().retrieve(ready, 0, None, Believed((120.0, -90.0), 3.0))
    assert isinstance(alone, Retrieved)
    assert isinstance(told, Retrieved)
    assert told.candidates == alone.candidates
    hint, *twins = told.hints
    seen_m = 120.0 + told.shown.patch.east_m, -90.0 + told.shown.patch.north_m
    spacing_m = parts.index.layers[0].entry.spacing_m
    assert spacing_m is not None
    assert math.dist(parts.index.centres_m[hint.place], seen_m) <= spacing_m
    assert twins
    for twin in twins:  # of the place, elsewhere
        here, there = parts.index.centres_m[[hint.place, twin.place]]
        assert math.dist(here, there) > CONFIG.verify.search_m


def test_a_twin_of_where_the_vehicle_is_said_to_be_is_scored_by_the_picture(
    parts: Parts, known: Moment
) -> None:
    """Not by how like it is to the square that it is a twin of: that says nothing to the gate."""
    ready = prepare(known.frame, known.telemetry, CAMERA, CONFIG.prepare)
    assert isinstance(ready, Prepared)
    told = parts.localizer().retrieve(ready, 0, None, Believed((120.0, -90.0), 3.0))
    assert isinstance(told, Retrieved)
    assert len(told.hints) > 1
    for hint in told.hints:
        row = np.asarray(parts.index.descriptors[hint.place], np.float32)
        assert hint.score == pytest.approx(float(row @ told.descriptor), abs=1e-3)


@pytest.mark.fault("N1", "a receiver that is spoofed elsewhere", "the picture decides")
def test_a_prior_elsewhere_does_not_hide_the_truth(parts: Parts, known: Moment) -> None:
    for away_deg in (0.0, 200.0 / 111_000.0, 1.0):
        prior = Prior(known.lat_deg + away_deg, known.lon_deg, 5.0)
        found = reason_of(parts.localizer(), told(known, prior=prior))
        assert found is Reason.UNCONFIRMED  # seen where it is, and not yet confirmed


class Counting:
    """An encoder that remembers how many pictures it was given at once."""

    def __init__(self, encoder: Encoder) -> None:
        self.prepare, self._encode = encoder.prepare, encoder.encode
        self.asked: list[int] = []

    def encode(self, prepared: list[Image]) -> npt.NDArray[np.float32]:
        self.asked.append(len(prepared))
        return self._encode(prepared)


def test_a_heading_that_nobody_knows_is_searched_in_one_call_and_then_known(
    parts: Parts, flight: list[Moment]
) -> None:
    counting, fixes = Counting(parts.encoder), 0
    localizer = parts.localizer(encoder=counting)
    for moment in flight[:32]:
        attitude = moment.telemetry.attitude
        assert attitude is not None
        turned = replace(attitude, heading_deg=(attitude.heading_deg + 97.0) % 360.0)
        unsure = told(moment, attitude=turned, heading_accuracy_deg=90.0)
        result = localizer.handle(unsure.frame, unsure.telemetry)
        if isinstance(result, Fix):
            fixes += 1
            assert moment.error_m(result) < WRONG_M
    assert fixes > 2
    assert set(counting.asked) == {24, 1}
    assert counting.asked[0] == 24
    assert counting.asked[-1] == 1


def test_height_over_the_bundles_terrain(parts: Parts, flight: list[Moment]) -> None:
    """Level ground, whose height above the sea the autopilot's own height is told against."""
    entry = TerrainEntry(
        path="reference/terrain.npy", spacing_m=100.0, west_m=-300, north_m=300, rows=7, columns=7
    )
    ground_m = 431.0
    terrain = Terrain(entry, np.full((7, 7), ground_m, "<f4"))
    localizer, alone = parts.localizer(terrain=terrain), parts.localizer()
    for moment in flight[:8]:
        height_m = moment.telemetry.height_agl_m
        assert height_m is not None
        above_sea = told(moment, height_agl_m=None, alt_amsl_m=ground_m + height_m)
        result = localizer.handle(above_sea.frame, above_sea.telemetry)
        expected = alone.handle(moment.frame, moment.telemetry)
        assert type(result) is type(expected)
        if isinstance(result, Fix):
            assert isinstance(expected, Fix)
            there = distance_m(result.lat_deg, result.lon_deg, expected.lat_deg, expected.lon_deg)
            assert there < 1.0


def test_stages_are_told_in_order_as_far_as_a_frame_comes(parts: Parts, known: Moment) -> None:
    told_of: list[str] = []
    localizer = parts.localizer(on_stage=told_of.append)
    localizer.handle(known.frame, known.telemetry)
    assert tuple(told_of) == STAGES
    reason_of(localizer, told(known, attitude=None).at(10 * S))
    assert tuple(told_of) == STAGES


anything = st.none() | st.floats(allow_nan=True, allow_infinity=True)
number = st.floats(allow_nan=True, allow_infinity=True)
flying = st.builds(Attitude, st.floats(-40, 40), st.floats(-40, 40), st.floats(-720, 720))
garbage = st.builds(
    Telemetry,
    t_ns=st.sampled_from([S, S + S // 10, 0, -(2**62), 2**62]),
    attitude=st.none() | flying | st.builds(Attitude, number, number, number),
    height_agl_m=anything | st.floats(1e-3, 1e5),
    alt_amsl_m=anything,
    velocity_north_m_s=anything,
    velocity_east_m_s=anything,
    prior=st.none() | st.builds(Prior, number, number, number),
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(telemetry=garbage, seed=st.integers(0, 99), shows=st.sampled_from(["noise", "ground"]))
def test_no_data_makes_it_raise_or_lie(
    parts: Parts, known: Moment, telemetry: Telemetry, seed: int, shows: str
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    image = noise if shows == "noise" else known.frame.image
    localizer = parts.localizer()
    localizer.handle(*hovering(known, 0))
    result = localizer.handle(Frame(image, S), telemetry)
    assert isinstance(result, Rejection)


def follow(localizer: Localizer, flight: list[Moment]) -> tuple[list[int], list[Reason]]:
    """Which moments gave a fix, every one of them right, and why the others gave none."""
    fixed, reasons = [], []
    for row, moment in enumerate(flight):
        result = localizer.handle(moment.frame, moment.telemetry)
        if isinstance(result, Fix):
            assert moment.error_m(result) < WRONG_M
            fixed.append(row)
        else:
            reasons.append(result.reason)
    return fixed, reasons


def test_a_start_anywhere_is_found_within_seconds(parts: Parts, flight: list[Moment]) -> None:
    starts = range(0, len(flight) - 12, 6)
    found = [bool(follow(parts.localizer(), flight[row : row + 12])[0]) for row in starts]
    assert np.mean(found) >= 0.6


@pytest.fixture(scope="module")
def leaving(land: Callable[[int, Day], Image], level: Callable[[Image], Setting]) -> list[Moment]:
    """15 m a second eastward, from 140 m inside the map to 160 m beyond its edge, where other land
    goes on."""
    inside, beyond = land(7, SUMMER_NOON), land(8, SUMMER_NOON)
    half = inside.shape[1] // 2
    setting = level(np.ascontiguousarray(np.hstack([inside[:, half:], beyond[:, :half]])))
    attitude, moments = Attitude(0.0, 0.0, 60.0), []  # no seam along the rows of a picture
    for second in range(1, 22):
        from_edge_m = 15.0 * second - 155.0
        state = State(float(second), from_edge_m, -40.0, 110.0, attitude, (15.0, 0.0, 0.0))
        picture = drone(setting, CAMERA, state, seed=second).image
        place = LocalFrame(47.4, 8.5).to_geodetic([from_edge_m + EDGE_M, -40.0])
        told = Telemetry(second * S, attitude, 110.0, None, 0.0, 15.0)
        moments.append(Moment(Frame(picture, second * S), told, float(place[0]), float(place[1])))
    return moments


@pytest.mark.fault("N6", "a flight over the edge", "silence")
def test_beyond_the_edge_of_the_map_there_is_silence(parts: Parts, leaving: list[Moment]) -> None:
    fixed, _ = follow(parts.localizer(), leaving)
    assert 8 in fixed
    assert beyond_edge_m(leaving[fixed[-1]]) < 30.0


def test_the_rim_of_a_picture_is_enough_where_it_is_looked_at(
    parts: Parts, leaving: list[Moment]
) -> None:
    """Positions one by one, of a vehicle that is no longer over the map. How far beyond its
    edge goes by the encoder, and that by the processor on which it was trained."""
    once = FilterConfig(confirmations=1, confirmation_span_s=0.0)
    found = {}
    for around in (False, True):
        config = LocalizerConfig(
            retrieve=RetrieveConfig(around=around),
            verify=VerifyConfig(footprint_ratio=1.6),
            filter=once,
        )
        results = [(parts.localizer(config).handle(m.frame, m.telemetry), m) for m in leaving]
        fixes = [(result, moment) for result, moment in results if isinstance(result, Fix)]
        assert all(moment.error_m(fix) < WRONG_M for fix, moment in fixes)
        found[around] = max(beyond_edge_m(moment) for _, moment in fixes)
    assert found[True] > 5.0
    assert found[True] >= found[False] + 15.0


def beyond_edge_m(moment: Moment) -> float:
    east_m, _ = LocalFrame(47.4, 8.5).to_enu(moment.lat_deg, moment.lon_deg)
    return float(east_m) - EDGE_M


@pytest.mark.fault(
    "N1",
    "an autopilot that follows a spoofed receiver",
    "the track is earned anew",
)
def test_an_autopilot_that_disputes_is_told_for_a_while_and_then_all_is_earned_anew(
    parts: Parts, known: Moment
) -> None:
    localizer = parts.localizer()
    results = []
    for second in range(1, 22):
        results.append(localizer.handle(*hovering(told(known, position_test_ratio=1.4), second)))
    reasons = [each.reason if isinstance(each, Rejection) else None for each in results]
    assert None in reasons
    after = reasons[reasons.index(Reason.DOUBTFUL) + 1 :]
    assert after[:2] == [Reason.UNCONFIRMED] * 2
    assert None in after


@pytest.mark.fault("N8", "a compass that is wrong", "recognised")
def test_a_compass_that_states_its_accuracy_and_is_wrong_is_recognised(
    parts: Parts, known: Moment
) -> None:
    attitude = known.telemetry.attitude
    assert attitude is not None
    turned = replace(attitude, heading_deg=attitude.heading_deg + 7.0)
    sure = told(known, attitude=turned, heading_accuracy_deg=1.0)
    assert reason_of(parts.localizer(), sure) is Reason.IMPLAUSIBLE
    assert reason_of(parts.localizer(), told(known, attitude=turned)) is Reason.UNCONFIRMED
