"""Height above ground over land that is not level, from MAVLink messages to the localizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.camera import Camera
from geobridge.onboard.config import LocalizerConfig, PrepareConfig
from geobridge.onboard.geodesy import LocalFrame, distance_m
from geobridge.onboard.localization.localizer import Localizer
from geobridge.onboard.localization.told import Below, Height, height, trusted
from geobridge.onboard.manifest_entries import TerrainEntry
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.records import Attitude, Fix, Frame, Prior, Rejection, Telemetry
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.index import Index
from geobridge.onboard.terrain import Terrain
from geobridge.onboard.views import View

S, MS = 1_000_000_000, 1_000_000
DOWN, AHEAD = wire.MAV_SENSOR_ROTATION_PITCH_270, wire.MAV_SENSOR_ROTATION_NONE
CONFIG = PrepareConfig()
HALF_M, SPACING_M = 300.0, 10.0
VALLEY = 400.0
Floats = npt.NDArray[np.float64]


def hill_amsl_m(east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> Floats:
    """A valley in the west, a hill in the east, 50 m between them."""
    return np.asarray(
        VALLEY + 25.0 * np.sin(np.asarray(east_m) * math.tau / 400.0) + 0.0 * np.asarray(north_m)
    )


def hills() -> Terrain:
    count = round(2 * HALF_M / SPACING_M) + 1
    entry = TerrainEntry(
        path="reference/terrain.npy",
        spacing_m=SPACING_M,
        west_m=-HALF_M,
        north_m=HALF_M,
        rows=count,
        columns=count,
    )
    steps = np.linspace(-HALF_M, HALF_M, count)
    east, north = np.meshgrid(steps, -steps)
    return Terrain(entry, hill_amsl_m(east, north).astype("<f4"))


def through_wire(message: Any) -> Any:
    [received] = wire.MAVLink(None).parse_buffer(message.pack(wire.MAVLink(None, 1, 1)))
    return received


def position(
    alt_m: float,
    above_home_m: float,
    velocity: tuple[float, float] = (0.0, 0.0),
    place: tuple[int, int] = (474_000_000, 85_000_000),
) -> Any:
    """GLOBAL_POSITION_INT; metres, metres per second north and east."""
    heights = round(alt_m * 1e3), round(above_home_m * 1e3)
    north, east = (round(each * 100.0) for each in velocity)
    return through_wire(
        wire.MAVLink_global_position_int_message(0, *place, *heights, north, east, 0, 0)
    )


def attitude(roll_deg: float = 0.0, heading_deg: float = 0.0) -> Any:
    angles = (math.radians(each) for each in (roll_deg, 0.0, heading_deg))
    return through_wire(wire.MAVLink_attitude_message(0, *angles, 0.0, 0.0, 0.0))


def distance(
    metres: float, orientation: int = DOWN, most_m: float = 120.0, quality: int = 0
) -> Any:
    """DISTANCE_SENSOR of a laser."""
    cm = round(metres * 100)
    return through_wire(
        wire.MAVLink_distance_sensor_message(
            0, 50, round(most_m * 100), cm, 0, 0, orientation, 255, 0.0, 0.0, [0] * 4, quality
        )
    )


def report(current_m: float, spacing: int = 100) -> Any:
    """TERRAIN_REPORT."""
    return through_wire(wire.MAVLink_terrain_report_message(0, 0, spacing, 0.0, current_m, 0, 500))


def heard(*messages: Any, at_ns: int = S) -> Telemetry:
    """All at one second, and asked for then or later."""
    ours = AutopilotTelemetry(patience_s=0.0)
    for message in messages:
        ours.feed(message, S)
    return ours.at(at_ns)


def found(telemetry: Telemetry, below: Below | None = None, **config: Any) -> Height:
    high = height(trusted(telemetry), replaced(**config), below)
    assert isinstance(high, Height), high
    return high


def replaced(**config: Any) -> PrepareConfig:
    return PrepareConfig(**{**CONFIG.model_dump(), **config})


def test_home_says_nothing_of_the_ground_here() -> None:
    told = heard(attitude(), position(510.0, 120.0))
    assert (told.height_agl_m, told.height_above_home_m) == (None, 120.0)


def test_a_rangefinder_that_looks_down_tells_by_the_attitude() -> None:
    level = heard(attitude(), position(510.0, 120.0), distance(60.0))
    assert level.height_agl_m == pytest.approx(60.0)
    banked = heard(attitude(25.0), position(510.0, 120.0), distance(60.0))
    assert banked.height_agl_m == pytest.approx(60.0 * math.cos(math.radians(25.0)), rel=1e-4)
    assert heard(position(510.0, 120.0), distance(60.0)).height_agl_m is None  # tilted by what?


@pytest.mark.parametrize(
    "message",
    [
        distance(60.0, AHEAD),
        distance(0.4),
        distance(120.0),
        distance(200.0),
        distance(60.0, quality=1),
    ],
)
def test_one_that_measures_nothing_or_something_else_tells_nothing(message: Any) -> None:
    assert heard(attitude(), message).height_agl_m is None
    assert heard(attitude(35.0), distance(60.0)).height_agl_m is None


@pytest.mark.parametrize(("later_ms", "is_told"), [(400, True), (600, False)])
def test_a_range_is_stale_after_half_a_second(later_ms: int, is_told: bool) -> None:
    told = heard(attitude(), position(510.0, 120.0), distance(60.0), at_ns=S + later_ms * MS)
    assert (told.height_agl_m is not None) == is_told


def test_the_autopilot_s_own_terrain_is_followed_while_it_climbs() -> None:
    ours = AutopilotTelemetry(patience_s=0.0)
    ours.feed(position(510.0, 120.0), S)
    ours.feed(report(90.0), S)
    ours.feed(position(514.0, 124.0), S + 400 * MS)
    assert ours.at(S + 400 * MS).height_agl_m == pytest.approx(94.0)
    assert ours.at(S + 400 * MS).height_accuracy_m == 10.0
    ours.feed(position(514.0, 124.0), 3 * S)
    assert ours.at(3 * S).height_agl_m is None  # the ground has moved on
    ours.feed(report(90.0, spacing=0), 3 * S)
    assert ours.at(3 * S).height_agl_m is None  # it has no terrain here
    ours.feed(report(90.0), 3 * S + MS)
    ours.forget()
    ours.feed(position(514.0, 124.0), 3 * S + 2 * MS)
    assert ours.at(3 * S + 2 * MS).height_agl_m is None


def test_a_range_goes_before_a_terrain() -> None:
    told = heard(attitude(), position(510.0, 120.0), report(90.0), distance(60.0))
    assert told.height_agl_m == pytest.approx(60.0)
    assert told.height_accuracy_m == 3.0


@given(st.floats(-190.0, 190.0), st.floats(-190.0, 190.0), st.floats(485.0, 560.0))
def test_over_hills_sea_level_and_terrain_tell_where_home_does_not(
    east_m: float, north_m: float, alt_m: float
) -> None:
    home_m = float(hill_amsl_m(-100.0, -100.0))
    told = heard(attitude(), position(alt_m, alt_m - home_m))
    truth_m = alt_m - float(hill_amsl_m(east_m, north_m))
    high = found(told, Below(hills(), (east_m, north_m)))
    assert high.agl_m == pytest.approx(truth_m, abs=1.5)  # ground is the middle within 30 m
    assert found(told).agl_m == pytest.approx(alt_m - home_m, abs=0.01)  # nothing else is known


def test_what_states_a_worse_accuracy_yields_where_the_place_is_known() -> None:
    terrain, told = hills(), heard(attitude(), position(510.0, 135.0), report(120.0))
    assert found(told, Below(terrain, (0.0, 0.0))).agl_m == pytest.approx(110.0, abs=0.1)
    assert found(told, Below(terrain)).agl_m == pytest.approx(120.0)
    low = heard(attitude(), position(510.0, 135.0), distance(108.0))
    assert found(low, Below(terrain, (0.0, 0.0))).agl_m == pytest.approx(110.0, abs=0.1)
    sure = replace(told, height_accuracy_m=None)
    assert found(sure, Below(terrain, (0.0, 0.0))).agl_m == pytest.approx(120.0)


def test_terrain_too_wide_to_search_is_looked_at_where_the_vehicle_is_said_to_be() -> None:
    steep = Terrain(hills().entry, (8.0 * (np.asarray(hills()._heights_m) - VALLEY)).astype("<f4"))
    told = Telemetry(0, alt_amsl_m=150.0)
    assert isinstance(height(told, CONFIG, Below(steep)), str)
    near = found(told, Below(steep, told=(0.0, 0.0, 5.0)))
    assert near.agl_m == pytest.approx(150.0, abs=5.0)
    valley = replace(told, alt_amsl_m=-80.0)  # below the middle of all heights
    assert found(valley, Below(steep, told=(-100.0, 0.0, 5.0))).agl_m == pytest.approx(120.0, abs=2)
    home = replace(told, height_above_home_m=80.0)
    assert found(home, Below(steep)).agl_m == 80.0
    assert found(home, Below(steep, told=(900.0, 0.0, 5.0))).agl_m == 80.0  # beyond the terrain


def test_below_the_ground_is_no_height() -> None:
    """The height above sea level is wrong then; that above home need not be."""
    told, below = Telemetry(0, alt_amsl_m=380.0), Below(hills(), (100.0, 0.0))
    said = height(told, CONFIG, below)
    assert said == "-44 m above the terrain, by the height above sea level"
    assert found(replace(told, height_above_home_m=80.0), below).agl_m == 80.0


def test_an_autopilot_that_is_nowhere_is_above_home_alone() -> None:
    """Without GNSS since power-on: 80 m above home, and 80 m above the sea over a coast."""
    told = heard(attitude(), position(480.0, 80.0, place=(0, 0)))
    assert told.alt_amsl_m is None
    assert found(told, Below(hills(), (0.0, 0.0))).agl_m == 80.0


@dataclass(frozen=True)
class Flown:
    """A frame over the hills, what was told by then, and where it was taken, metres."""

    frame: Frame
    telemetry: Telemetry
    east_m: float
    north_m: float


@pytest.fixture(scope="module")
def crossing(land: Callable[..., Any]) -> list[Flown]:
    """From the valley to the hill at one height above the sea: 135 to 85 m above the ground."""
    from geobridge.onboard.simulation.mapped import MappedPlace
    from geobridge.onboard.simulation.render.day import AUTUMN_OVERCAST, Day
    from geobridge.onboard.simulation.render.scene import Heights
    from geobridge.onboard.simulation.render.scenery import on_day
    from geobridge.onboard.simulation.render.views import drone
    from geobridge.onboard.simulation.state import State

    picture = land(7, AUTUMN_OVERCAST)
    steps = np.arange(-HALF_M, HALF_M + 1.0, 5.0)
    east, north = np.meshgrid(steps, -steps)
    surface = Heights(hill_amsl_m(east, north).astype(np.float32), -HALF_M, HALF_M, 5.0)
    valid = np.ones(picture.shape[:2], np.uint8)
    frame = LocalFrame(47.4, 8.5)
    setting = on_day(MappedPlace(frame, picture, valid, -200.0, 200.0, 0.5, surface), Day())
    camera, ours = Camera.from_hfov(320, 240, 70.0), AutopilotTelemetry(patience_s=0.0)
    shots, alt_m, home_m = [], 510.0, float(hill_amsl_m(-100.0, -60.0))
    for n in range(21):
        t_ns, east_m, north_m = n * S, -100.0 + 10.0 * n, -60.0 + 6.0 * n
        level = Attitude(0.0, 0.0, 59.0)
        state = State(n, east_m, north_m, alt_m, level, (10.0, 6.0, 0.0))
        image = drone(setting, camera, state, seed=n).image
        ours.feed(attitude(0.0, 59.0), t_ns)
        ours.feed(position(alt_m, alt_m - home_m, (6.0, 10.0)), t_ns)
        shots.append(Flown(Frame(image, t_ns), ours.at(t_ns), east_m, north_m))
    return shots


def located(bundle: Bundle, shots: list[Flown], terrain: Terrain | None, **others: Any) -> Any:
    """Of each frame, how far off its fix is; None where it has none."""
    manifest, camera = bundle.manifest, Camera.from_hfov(320, 240, 70.0)
    encoder = Encoder.open(bundle, View.DRONE, "onnxruntime", "fp32")
    parts = encoder, Index.open(bundle), ReferenceImagery.open(bundle)
    localizer = Localizer(manifest, *parts, camera, LocalizerConfig(), terrain=terrain, **others)
    errors_m = []
    for shot in shots:
        outcome: Fix | Rejection = localizer.handle(shot.frame, shot.telemetry)
        lat_deg, lon_deg = localizer.local.to_geodetic([shot.east_m, shot.north_m])
        errors_m.append(
            distance_m(outcome.lat_deg, outcome.lon_deg, float(lat_deg), float(lon_deg))
            if isinstance(outcome, Fix)
            else None
        )
    return errors_m


def test_a_flight_over_hills_goes_by_the_bundle_s_terrain(
    rehearsal: Path, crossing: list[Flown]
) -> None:
    """Home would have it 50 m too high in the end: that gives silence, and nothing wrong."""
    bundle = Bundle.open(rehearsal / "bundle")
    known = located(bundle, crossing, hills(), prior=Prior(47.4, 8.5, 150.0))
    errors_m = [each for each in known if each is not None]
    assert len(errors_m) >= 12, known
    assert max(errors_m) < 8.0
    assert all(each is not None for each in known[-5:]), known
    by_home = located(bundle, crossing, None)
    assert all(each is None or each < 10.0 for each in by_home), by_home
    assert not any(by_home[-5:]), by_home
