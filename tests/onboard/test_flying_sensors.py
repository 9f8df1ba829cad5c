from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Attitude
from geobridge.onboard.simulation.flying.exposures import Shutter, exposures
from geobridge.onboard.simulation.flying.faults import Fault, FaultKind, parse_fault, parse_faults
from geobridge.onboard.simulation.flying.gnss import GnssErrors, Receiver
from geobridge.onboard.simulation.flying.noise import Wander
from geobridge.onboard.simulation.flying.sampling import state_at
from geobridge.onboard.simulation.flying.sensors import SensorErrors, Sensors
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.state import GnssReading, Readings, State

FLAT = Terrain(
    LocalFrame(47.0, 8.0), -9000.0, -9000.0, 9000.0, 9000.0, lambda enu: 0.0 * enu[..., 0] + 300.0
)
EXACT = SensorErrors(
    attitude_bias_deg=0.0,
    attitude_noise_deg=0.0,
    heading_bias_deg=0.0,
    heading_noise_deg=0.0,
    acceleration_bias_m_s2=0.0,
    acceleration_noise_m_s2=0.0,
    height_scale=0.0,
    height_noise_m=0.0,
    alt_bias_m=0.0,
    baro_drift_m=0.0,
    velocity_bias_m_s=0.0,
    velocity_noise_m_s=0.0,
)
PERFECT = GnssErrors(wander_m=0.0, noise_m=0.0, velocity_noise_m_s=0.0)


def at(time_s: float, *, alt_m: float = 400.0, attitude: Attitude | None = None) -> State:
    """Flying east at 10 m/s, ever faster by 1 m/s in every second."""
    east_m, speed_m_s = 10.0 * time_s + 0.5 * time_s**2, 10.0 + time_s
    level = attitude or Attitude(4.0, -8.0, 90.0)
    return State(time_s, east_m, 20.0, alt_m, level, (speed_m_s, 0.0, 0.0))


def solutions(
    *faults: str, seconds: float = 100.0, errors: GnssErrors = PERFECT
) -> list[GnssReading]:
    receiver = Receiver(errors, parse_faults(faults), seed=7)
    sensed = (receiver.sense(at(0.02 * k)) for k in range(round(seconds / 0.02)))
    return [solution for solution in sensed if solution is not None]


def error_m(solution: GnssReading) -> tuple[float, float]:
    true = at(solution.time_s)
    return solution.east_m - true.east_m, solution.north_m - true.north_m


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("outage@60", Fault(FaultKind.OUTAGE, 60.0)),
            ("outage@60-90.5", Fault(FaultKind.OUTAGE, 60.0, 90.5)),
            ("drift@60:0.5,45", Fault(FaultKind.DRIFT, 60.0, math.inf, 0.5, 45.0)),
            (" jump@80-95:120,-90 ", Fault(FaultKind.JUMP, 80.0, 95.0, 120.0, -90.0)),
        ],
    )
    def test_are_told_in_short(self, text: str, fault: Fault) -> None:
        assert parse_fault(text) == fault

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "outage",
            "outage@x",
            "outage@60:5,5",
            "drift@60",
            "jump@80:120",
            "fire@5",
            "jump@-1:2,3",
        ],
    )
    def test_of_another_grammar_are_refused(self, text: str) -> None:
        with pytest.raises(DataError, match="expected outage@SECONDS") as caught:
            parse_fault(text)
        assert repr(text) in str(caught.value)

    def test_end_after_they_begin(self) -> None:
        with pytest.raises(DataError, match="'outage@60-60': ends at 60 s"):
            parse_fault("outage@60-60")

    def test_outage_has_no_fix_while_it_lasts(self) -> None:
        for solution in solutions("outage@30-50"):
            is_out = 30.0 <= solution.time_s < 50.0
            assert solution.fix_type == (1 if is_out else 3)
            assert (solution.satellites >= 6) == (not is_out)
            assert (solution.hdop > 2.5) == is_out

    def test_outage_from_the_start_has_no_place(self) -> None:
        first = solutions("outage@0")[0]
        assert (first.fix_type, first.east_m, first.north_m) == (1, 0.0, 0.0)

    def test_jump_moves_by_what_it_says(self) -> None:
        for solution in solutions("jump@40-60:120,270"):
            expected = (-120.0, 0.0) if 40.0 <= solution.time_s < 60.0 else (0.0, 0.0)
            assert error_m(solution) == pytest.approx(expected, abs=1e-6)
            assert solution.fix_type == 3
            assert solution.velocity_enu_m_s[0] == pytest.approx(10.0 + solution.time_s)

    def test_drift_grows_and_shows_in_the_velocity(self) -> None:
        for solution in solutions("drift@39.9:0.5,45"):
            gone_s = max(solution.time_s - 39.9, 0.0)
            aside_m = 0.5 * gone_s / math.sqrt(2.0)
            assert error_m(solution) == pytest.approx((aside_m, aside_m), abs=1e-6)
            north_m_s = solution.velocity_enu_m_s[1]
            assert north_m_s == pytest.approx(0.5 / math.sqrt(2.0) if gone_s > 0 else 0.0, abs=1e-6)

    def test_faults_add_up(self) -> None:
        last = solutions("jump@10:30,0", "jump@20:40,90")[-1]
        assert error_m(last) == pytest.approx((40.0, 30.0), abs=1e-6)


class TestGnss:
    @pytest.mark.parametrize("rate_hz", [5.0, 10.0])
    def test_comes_at_its_rate(self, rate_hz: float) -> None:
        found = solutions(seconds=20.0, errors=GnssErrors(rate_hz=rate_hz))
        times_s = np.array([solution.time_s for solution in found])
        np.testing.assert_allclose(np.diff(times_s), 1.0 / rate_hz, atol=0.021)
        assert len(found) == pytest.approx(20.0 * rate_hz, abs=1)

    def test_states_the_accuracy_it_has(self) -> None:
        receivers = [Receiver(GnssErrors(), (), seed) for seed in range(300)]
        found = [receiver.sense(at(0.0)) for receiver in receivers]
        errors = np.array([error_m(solution) for solution in found if solution is not None])
        stated_m = next(solution.horiz_accuracy_m for solution in found if solution is not None)
        assert np.sqrt(np.mean(np.sum(errors**2, axis=1))) == pytest.approx(stated_m, rel=0.1)

    def test_errors_last(self) -> None:
        errors = np.array([error_m(s) for s in solutions(seconds=400.0, errors=GnssErrors())])
        after_2s = np.corrcoef(errors[:-10, 0], errors[10:, 0])[0, 1]
        assert after_2s > 0.8

    def test_a_rate_is_needed(self) -> None:
        with pytest.raises(DataError, match=r"GNSS rate_hz 0\.0: expected more than 0"):
            GnssErrors(rate_hz=0.0)


class TestSensors:
    def sense(self, errors: SensorErrors, seed: int = 0, seconds: float = 10.0) -> list[Readings]:
        sensors = Sensors(FLAT, seed, errors=errors, gnss=PERFECT)
        return [sensors.sense(at(0.02 * k)) for k in range(round(seconds / 0.02))]

    def test_without_errors_they_tell_the_truth(self) -> None:
        for k, readings in enumerate(self.sense(EXACT)[1:], start=1):
            true = at(0.02 * k)
            assert readings.attitude.roll_deg == pytest.approx(true.attitude.roll_deg)
            assert readings.attitude.heading_deg == pytest.approx(true.attitude.heading_deg)
            assert readings.acceleration_enu_m_s2 == pytest.approx((1.0, 0.0, 0.0), abs=1e-6)
            assert readings.alt_baro_amsl_m == pytest.approx(400.0)
            assert readings.height_agl_m == pytest.approx(100.0)

    def test_errors_have_the_sizes_asked_for(self) -> None:
        errors = SensorErrors()
        flights = [self.sense(errors, seed, seconds=0.1) for seed in range(400)]
        last = [flight[-1] for flight in flights]

        def spread(values: list[float]) -> float:
            return float(np.sqrt(np.mean(np.square(values))))

        rolls = [r.attitude.roll_deg - 4.0 for r in last]
        assert spread(rolls) == pytest.approx(math.hypot(0.7, 0.4), rel=0.12)
        headings = [math.remainder(r.attitude.heading_deg - 90.0, 360.0) for r in last]
        assert spread(headings) == pytest.approx(math.hypot(2.0, 0.4), rel=0.12)
        alts = [r.alt_baro_amsl_m - 400.0 for r in last]
        assert spread(alts) == pytest.approx(math.hypot(2.0, 1.0, 0.3), rel=0.12)
        heights = [r.height_agl_m - 100.0 for r in last if r.height_agl_m is not None]
        assert spread(heights) == pytest.approx(math.hypot(2.0, 0.3), rel=0.12)

    def test_bias_stays_for_a_flight_and_noise_does_not(self) -> None:
        readings = self.sense(SensorErrors(), seed=3, seconds=60.0)
        rolls = np.array([r.attitude.roll_deg - 4.0 for r in readings])
        assert rolls.std() == pytest.approx(0.4, rel=0.35)
        halves = rolls[:1500].mean(), rolls[1500:].mean()
        assert abs(halves[0] - halves[1]) < 0.4

    def test_barometer_drifts(self) -> None:
        errors = SensorErrors(height_noise_m=0.0, baro_drift_m=1.0, baro_forgets_s=50.0)
        sensors = Sensors(FLAT, 1, errors=errors)
        alts = np.array([sensors.sense(at(0.5 * k)).alt_baro_amsl_m for k in range(4000)])
        assert alts.std() == pytest.approx(1.0, rel=0.3)
        assert np.abs(np.diff(alts)).max() < 0.6

    def test_gravity_leaks_by_the_tilt_that_is_not_known(self) -> None:
        leaning = SensorErrors(**{**vars(EXACT), "attitude_noise_deg": 0.5})
        readings = self.sense(leaning, seed=2)[1:]
        north = [r.acceleration_enu_m_s2[1] for r in readings]
        roll_rad = [math.radians(r.attitude.roll_deg - 4.0) for r in readings]
        # heading east, right is south: rolled too far right, the felt upward push leans south
        np.testing.assert_allclose(north, -9.81 * np.array(roll_rad), atol=0.02)

    def test_a_board_askew_leaks_no_gravity(self) -> None:
        askew = SensorErrors(**{**vars(EXACT), "attitude_bias_deg": 3.0})
        readings = self.sense(askew, seed=2)[-1]
        assert abs(readings.attitude.roll_deg - 4.0) > 0.5
        assert readings.acceleration_enu_m_s2 == pytest.approx((1.0, 0.0, 0.0), abs=1e-6)

    def test_rangefinder_is_silent_beyond_its_reach(self) -> None:
        sensors = Sensors(FLAT, 0, errors=EXACT)
        assert sensors.sense(at(0.0, alt_m=500.0)).height_agl_m == pytest.approx(200.0)
        assert sensors.sense(at(0.1, alt_m=501.0)).height_agl_m is None

    def test_dead_reckoning_drifts_but_starts_well(self) -> None:
        ends = []
        for seed in range(12):
            readings = self.sense(SensorErrors(), seed, seconds=60.0)
            speed = sum(r.acceleration_enu_m_s2[1] * 0.02 for r in readings)
            ends.append(speed)
        assert 0.3 < np.sqrt(np.mean(np.square(ends))) < 8.0


class TestWander:
    @given(st.floats(0.01, 3.0), st.floats(0.1, 5.0))
    def test_keeps_its_size_at_any_step(self, dt_s: float, sigma: float) -> None:
        wander = Wander(np.random.default_rng(1), sigma, 2.0, 4000)
        for _ in range(5):
            values = wander.step(dt_s)
        assert values.std() == pytest.approx(sigma, rel=0.06)

    def test_forgets_within_its_time(self) -> None:
        wander = Wander(np.random.default_rng(1), 1.0, 2.0, 8000)
        before = wander.values
        after = wander.step(2.0)
        assert np.corrcoef(before, after)[0, 1] == pytest.approx(math.exp(-1.0), abs=0.04)


class TestExposures:
    def test_a_steady_camera(self) -> None:
        shots = exposures(Shutter(rate_hz=4.0, latency_s=0.1), 0.0, 10.0, seed=0)
        np.testing.assert_allclose([shot.time_s for shot in shots], np.arange(41) / 4.0)
        assert all(shot.stamp_s == shot.time_s for shot in shots)
        assert all(shot.arrival_s == pytest.approx(shot.time_s + 0.1) for shot in shots)

    @given(st.floats(0.5, 30.0), st.floats(0.0, 1.0), st.floats(-2.0, 2.0), st.integers(0, 100))
    def test_times_are_in_order_and_within(
        self, rate_hz: float, jitter_s: float, offset_s: float, seed: int
    ) -> None:
        shutter = Shutter(rate_hz, jitter_s, offset_s, dropped_share=0.2, late_share=0.3)
        shots = exposures(shutter, 1.0, 9.0, seed)
        times_s = [shot.time_s for shot in shots]
        assert times_s == sorted(set(times_s))
        assert all(1.0 <= time_s <= 9.0 for time_s in times_s)
        assert [s.number for s in shots] == sorted({s.number for s in shots})
        assert all(s.stamp_s - s.time_s == pytest.approx(offset_s) for s in shots)
        assert all(s.arrival_s >= s.time_s + shutter.latency_s - 1e-9 for s in shots)

    def test_shares_are_dropped_and_late(self) -> None:
        shutter = Shutter(10.0, dropped_share=0.25, late_share=0.1, latency_s=0.0, late_s=0.4)
        shots = exposures(shutter, 0.0, 600.0, seed=1)
        assert len(shots) / 6001 == pytest.approx(0.75, abs=0.03)
        late_s = np.array([shot.arrival_s - shot.time_s for shot in shots])
        assert np.mean(late_s > 0.0) == pytest.approx(0.1, abs=0.02)
        assert late_s[late_s > 0.0].mean() == pytest.approx(0.4, rel=0.2)

    @pytest.mark.parametrize(
        ("bad", "said"),
        [
            ({"rate_hz": 0.0}, "shutter rate_hz 0.0: expected more than 0"),
            ({"dropped_share": 1.0}, "shutter dropped_share 1.0: expected 0 to below 1"),
            ({"jitter_s": math.nan}, "shutter jitter_s nan: expected 0 s or more"),
            ({"clock_offset_s": math.inf}, "shutter clock_offset_s inf: expected seconds"),
        ],
    )
    def test_impossible_cameras_are_refused(self, bad: dict[str, float], said: str) -> None:
        with pytest.raises(DataError, match=said):
            Shutter(**bad)


class TestSampling:
    def test_between_two_states(self) -> None:
        one = at(0.0, attitude=Attitude(0.0, 0.0, 350.0))
        other = at(1.0, alt_m=410.0, attitude=Attitude(4.0, -2.0, 10.0))
        middle = state_at([one, other], 0.5)
        assert middle.alt_amsl_m == pytest.approx(405.0)
        assert middle.attitude.heading_deg % 360.0 == pytest.approx(0.0, abs=1e-9)
        assert middle.attitude.roll_deg == pytest.approx(2.0)
        assert middle.velocity_enu_m_s[0] == pytest.approx(10.5)

    def test_ends_stand_for_what_is_beyond(self) -> None:
        states = [at(0.0), at(1.0)]
        assert state_at(states, -1.0) == states[0]
        assert state_at(states, 7.0) == states[1]
