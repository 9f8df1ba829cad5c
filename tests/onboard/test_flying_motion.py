from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import Floats, LocalFrame
from geobridge.onboard.simulation.flying.aircraft import Airframe
from geobridge.onboard.simulation.flying.faults import parse_fault
from geobridge.onboard.simulation.flying.fixed_wing import FixedWing, FixedWingLimits
from geobridge.onboard.simulation.flying.guidance import Guidance
from geobridge.onboard.simulation.flying.multirotor import Multirotor, MultirotorLimits
from geobridge.onboard.simulation.flying.route import Datum, Route, Stop, lay
from geobridge.onboard.simulation.flying.simulate import STEP_S, Ending, Steering, simulate
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.flying.vehicle import GRAVITY_M_S2, Start
from geobridge.onboard.simulation.flying.wind import CALM, Weather, Wind
from geobridge.onboard.simulation.state import State

STILL = (0.0, 0.0, 0.0)
FLAT = Terrain(
    LocalFrame(47.0, 8.0), -3000.0, -3000.0, 3000.0, 3000.0, lambda enu: 0.0 * enu[..., 0] + 300.0
)


def route(*places: tuple[float, float], height_m: float = 100.0, speed_m_s: float = 14.0) -> Route:
    stops = [Stop(f"place {k}", *p, height_m, Datum.HOME, speed_m_s) for k, p in enumerate(places)]
    return lay("route", stops, FLAT, places[0])


def velocities(states: tuple[State, ...]) -> Floats:
    return np.array([state.velocity_enu_m_s for state in states])


def tilt_deg(state: State) -> float:
    roll, pitch = math.radians(state.attitude.roll_deg), math.radians(state.attitude.pitch_deg)
    return math.degrees(math.acos(math.cos(roll) * math.cos(pitch)))


demands = st.lists(
    st.tuples(st.floats(-60.0, 60.0), st.floats(-60.0, 60.0), st.floats(-20.0, 20.0)),
    min_size=1,
    max_size=6,
)
winds = st.tuples(st.floats(-8.0, 8.0), st.floats(-8.0, 8.0), st.floats(-1.0, 1.0))


class TestMultirotor:
    @given(demands, winds)
    def test_limits_hold_whatever_is_demanded(
        self, asked: list[tuple[float, float, float]], wind: tuple[float, float, float]
    ) -> None:
        limits = MultirotorLimits()
        vehicle = Multirotor(Start((0.0, 0.0, 100.0), 90.0, 5.0), wind, limits)
        before = vehicle.state
        for demand in (demand for demand in asked for _ in range(100)):
            state = vehicle.step(STEP_S, demand, wind)
            east, north, up = state.velocity_enu_m_s
            assert tilt_deg(state) <= limits.max_lean_deg + 1e-6
            assert math.hypot(east, north) <= limits.max_speed_m_s + 1.0
            assert -limits.max_descent_m_s - 0.5 < up < limits.max_climb_m_s + 0.5
            turned = state.attitude.heading_deg - before.attitude.heading_deg
            turned_deg = abs(math.remainder(turned, 360.0))
            assert turned_deg <= limits.max_yaw_rate_deg_s * STEP_S + 1e-6
            before = state

    def test_leans_into_the_wind_and_stands(self) -> None:
        vehicle = Multirotor(Start((0.0, 0.0, 100.0), 0.0, 0.0), STILL)
        for _ in range(600):
            state = vehicle.step(STEP_S, STILL, (0.0, -8.0, 0.0))  # wind from the north
        assert math.hypot(*state.velocity_enu_m_s) < 0.05
        drag_m_s2 = 8.0 * MultirotorLimits().drag_per_s
        expected_deg = -math.degrees(math.atan(drag_m_s2 / GRAVITY_M_S2))
        assert state.attitude.pitch_deg == pytest.approx(expected_deg, abs=0.2)
        assert abs(state.attitude.roll_deg) < 0.1

    def test_rolls_right_to_go_right(self) -> None:
        vehicle = Multirotor(Start((0.0, 0.0, 100.0), 0.0, 0.0), STILL)
        for _ in range(10):
            state = vehicle.step(STEP_S, (10.0, 0.0, 0.0), STILL)
        assert state.attitude.roll_deg > 2.0
        assert state.velocity_enu_m_s[0] > 0.0


class TestFixedWing:
    @given(demands, winds)
    def test_limits_hold_whatever_is_demanded(
        self, asked: list[tuple[float, float, float]], wind: tuple[float, float, float]
    ) -> None:
        limits = FixedWingLimits()
        vehicle = FixedWing(Start((0.0, 0.0, 100.0), 90.0, 18.0), wind, limits)
        before = vehicle.state
        for demand in (demand for demand in asked for _ in range(100)):
            state = vehicle.step(STEP_S, demand, wind)
            air = np.subtract(state.velocity_enu_m_s, wind)
            assert limits.min_airspeed_m_s - 1e-6 <= np.linalg.norm(air)
            assert np.linalg.norm(air) <= limits.max_airspeed_m_s + 1e-6
            assert abs(state.attitude.roll_deg) <= limits.max_bank_deg + 1e-6
            rolled_deg = abs(state.attitude.roll_deg - before.attitude.roll_deg)
            assert rolled_deg <= limits.max_roll_rate_deg_s * STEP_S + 1e-6
            before = state

    @pytest.mark.parametrize(
        ("aside", "sign"), [((20.0, 0.0, 0.0), 1.0), ((-20.0, 0.0, 0.0), -1.0)]
    )
    def test_turns_by_banking(self, aside: tuple[float, float, float], sign: float) -> None:
        vehicle = FixedWing(Start((0.0, 0.0, 100.0), 0.0, 20.0), STILL)
        states = [vehicle.step(STEP_S, aside, STILL) for _ in range(100)]
        headings = np.unwrap([math.radians(s.attitude.heading_deg) for s in states])
        bank_rad = math.radians(states[-1].attitude.roll_deg)
        assert bank_rad * sign > 0.3
        rate_rad_s = (headings[-1] - headings[-6]) / (5 * STEP_S)
        assert rate_rad_s == pytest.approx(GRAVITY_M_S2 * math.tan(bank_rad) / 20.0, rel=0.05)

    def test_crabs_along_its_course(self) -> None:
        wind = (6.0, 0.0, 0.0)
        vehicle = FixedWing(Start((0.0, 0.0, 100.0), 0.0, 18.0), wind)
        for _ in range(100):
            state = vehicle.step(STEP_S, (0.0, 18.0, 0.0), wind)
        east, north, _ = state.velocity_enu_m_s
        assert abs(math.degrees(math.atan2(east, north))) < 0.1
        crab_deg = math.degrees(math.asin(6.0 / 18.0))
        assert state.attitude.heading_deg == pytest.approx(360.0 - crab_deg, abs=0.2)


class TestWind:
    @pytest.mark.parametrize(("height_m", "airspeed_m_s"), [(50.0, 12.0), (250.0, 20.0)])
    def test_gusts_have_the_energy_asked_for(self, height_m: float, airspeed_m_s: float) -> None:
        wind = Wind(Weather(5.0, 270.0, 1.5), seed=1)
        samples = np.array([wind.step(0.1, height_m, airspeed_m_s) for _ in range(40_000)])
        np.testing.assert_allclose(samples.mean(axis=0), [5.0, 0.0, 0.0], atol=0.45)
        np.testing.assert_allclose(samples.std(axis=0)[:2], 1.5, rtol=0.12)
        shape = (0.177 + 0.000823 * height_m / 0.3048) ** 0.4
        assert samples.std(axis=0)[2] == pytest.approx(1.5 * shape, rel=0.12)

    def test_gusts_are_longer_high_up(self) -> None:
        def kept(height_m: float) -> float:
            wind = Wind(Weather(0.0, 0.0, 1.0), seed=2)
            east = np.array([wind.step(0.2, height_m, 15.0)[0] for _ in range(10_000)])
            return float(np.corrcoef(east[:-10], east[10:])[0, 1])

        assert kept(20.0) < kept(250.0) - 0.1

    def test_comes_from_where_it_is_said_to(self) -> None:
        east, north, up = Wind(Weather(7.0, 225.0, 0.0), seed=0).step(0.1, 80.0, 10.0)
        assert (east, north, up) == pytest.approx((7.0 / math.sqrt(2), 7.0 / math.sqrt(2), 0.0))

    def test_same_seed_same_gusts(self) -> None:
        one, same, other = (Wind(Weather(), seed) for seed in (4, 4, 5))
        steps = [[w.step(0.02, 90.0, 12.0) for _ in range(50)] for w in (one, same, other)]
        assert steps[0] == steps[1] != steps[2]

    @pytest.mark.parametrize("bad", [{"wind_m_s": -1.0}, {"gust_m_s": math.nan}])
    def test_impossible_weather_is_refused(self, bad: dict[str, float]) -> None:
        with pytest.raises(DataError, match=f"{next(iter(bad))} .*: expected 0 m/s or more"):
            Weather(**bad)


places = st.lists(
    st.tuples(st.floats(-600.0, 600.0), st.floats(-600.0, 600.0)), min_size=2, max_size=5
)


class TestGuidance:
    @settings(max_examples=30)
    @given(places, st.floats(3.0, 17.0))
    def test_a_point_that_obeys_arrives(
        self, corners: list[tuple[float, float]], speed_m_s: float
    ) -> None:
        assume(any(math.dist(*pair) > 1.0 for pair in pairwise(corners)))
        way = route(*corners, speed_m_s=speed_m_s)
        guidance = Guidance(way, lookahead_s=2.0, may_hover=True)
        place, done_m = way.points[0].copy(), 0.0
        for _ in range(round((3.0 * way.duration_s + 60.0 * len(corners)) / 0.1)):
            demand = guidance.steer(*place.tolist())
            assert math.hypot(*demand[:2]) <= speed_m_s + 1e-6
            assert guidance.station_m >= done_m
            done_m = guidance.station_m
            place += 0.1 * np.array(demand)
            if guidance.has_arrived:
                break
        assert guidance.has_arrived
        assert math.dist(place[:2], way.points[-1, :2]) < 3.0

    def test_a_route_that_doubles_back_is_flown_to_its_turn(self) -> None:
        flight = simulate(route((0.0, 0.0), (400.0, 0.0), (0.0, 0.0)), FLAT, weather=CALM)
        assert flight.ending is Ending.ARRIVED
        assert max(state.east_m for state in flight.truth) == pytest.approx(400.0, abs=6.0)


class TestFlight:
    @settings(max_examples=8)
    @given(
        st.sampled_from(Airframe),
        st.integers(0, 1000),
        st.floats(0.0, 7.0),
        st.floats(0.0, 360.0),
        st.sampled_from(Steering),
    )
    def test_without_faults_it_arrives(
        self, airframe: Airframe, seed: int, wind_m_s: float, from_deg: float, steering: Steering
    ) -> None:
        way = route((-300.0, -200.0), (-300.0, 300.0), (200.0, 300.0), (200.0, -200.0))
        weather = Weather(wind_m_s, from_deg, 1.0)
        flight = simulate(way, FLAT, airframe, weather=weather, steering=steering, seed=seed)
        assert flight.ending is Ending.ARRIVED
        end = flight.truth[-1]
        near_m = 6.0 if airframe is Airframe.MULTIROTOR else 40.0
        assert math.dist((end.east_m, end.north_m), way.points[-1, :2]) < near_m
        heights_m = np.array([state.alt_amsl_m for state in flight.truth]) - 400.0
        assert np.all(np.abs(heights_m) < 12.0)

    @pytest.mark.parametrize("airframe", Airframe)
    def test_motion_is_of_one_piece(self, airframe: Airframe) -> None:
        flight = simulate(route((0.0, 0.0), (300.0, 0.0), (300.0, 300.0)), FLAT, airframe)
        places = np.array([(s.east_m, s.north_m, s.alt_amsl_m) for s in flight.truth])
        speeds = velocities(flight.truth)
        middle = 0.5 * (speeds[1:] + speeds[:-1])
        np.testing.assert_allclose(np.diff(places, axis=0) / STEP_S, middle, atol=1e-6)
        assert np.max(np.abs(np.diff(speeds, axis=0))) / STEP_S < 15.0
        times_s = np.array([s.time_s for s in flight.truth])
        np.testing.assert_allclose(np.diff(times_s), STEP_S, atol=1e-9)

    @pytest.mark.parametrize("airframe", Airframe)
    def test_gusts_shake_it(self, airframe: Airframe) -> None:
        def shaken_deg(gust_m_s: float) -> float:
            way = route((0.0, 0.0), (500.0, 0.0), speed_m_s=16.0)
            weather = Weather(5.0, 0.0, gust_m_s)
            flight = simulate(way, FLAT, airframe, weather=weather, seed=1)
            rolls = np.array([state.attitude.roll_deg for state in flight.truth[250:-250]])
            return float(np.std(rolls))

        assert shaken_deg(0.0) < 0.3
        assert 0.5 < shaken_deg(1.5) < 6.0

    def test_same_seed_same_flight(self) -> None:
        way = route((0.0, 0.0), (120.0, 0.0))
        one, same, other = (simulate(way, FLAT, seed=seed) for seed in (3, 3, 4))
        with pytest.raises(DataError, match="seed -1: expected 0 or more"):
            simulate(way, FLAT, seed=-1)
        assert one == same
        assert one.truth != other.truth

    def test_a_wrong_position_leads_astray(self) -> None:
        way = route((0.0, 0.0), (0.0, 900.0))
        flight = simulate(
            way,
            FLAT,
            weather=CALM,
            faults=[parse_fault("drift@10:1.5,90")],
            steering=Steering.BELIEF,
        )
        drifted_m = 1.5 * (flight.truth[-1].time_s - 10.0)
        assert flight.truth[-1].east_m == pytest.approx(-drifted_m, abs=8.0)
        assert abs(flight.believed[-1].east_m) < 8.0

    def test_ends_at_the_edge_of_the_map(self) -> None:
        way = route((2900.0, 0.0), (2900.0, 900.0))
        flight = simulate(
            way, FLAT, faults=[parse_fault("jump@5:300,270")], steering=Steering.BELIEF
        )
        assert flight.ending is Ending.LEFT_MAP
        assert flight.truth[-1].east_m == pytest.approx(3000.0, abs=1.0)

    def test_ends_on_the_ground(self) -> None:
        def wall(enu: Floats) -> Floats:
            return np.where(np.abs(enu[..., 0]) < 50.0, 0.0, 500.0)

        canyon = Terrain(FLAT.frame, -3000.0, -3000.0, 3000.0, 3000.0, wall)
        stops = [Stop(f"{n}", 0.0, n, 100.0, Datum.HOME, 12.0) for n in (0.0, 900.0)]
        flight = simulate(
            lay("route", stops, canyon, (0.0, 0.0)),
            canyon,
            faults=[parse_fault("jump@10:120,90")],
            steering=Steering.BELIEF,
        )
        assert flight.ending is Ending.HIT_GROUND
        assert flight.truth[-1].east_m == pytest.approx(-50.0, abs=1.0)

    def test_ends_when_its_time_is_over(self) -> None:
        flight = simulate(route((0.0, 0.0), (900.0, 0.0)), FLAT, limit_s=5.0)
        assert flight.ending is Ending.OUT_OF_TIME
        assert flight.truth[-1].time_s == pytest.approx(5.0, abs=STEP_S)
