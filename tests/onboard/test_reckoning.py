from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from geobridge.onboard.camera import Camera
from geobridge.onboard.config import FilterConfig
from geobridge.onboard.localization.filter import MotionFilter, Position
from geobridge.onboard.localization.moment import Moment
from geobridge.onboard.localization.motion import Motion
from geobridge.onboard.localization.prepare import Prepared
from geobridge.onboard.localization.reckoning import MotionSource, Reckoning
from geobridge.onboard.records import Attitude, Frame, Image, Telemetry
from geobridge.onboard.simulation.render.scenery import Setting
from geobridge.onboard.simulation.render.views import drone
from geobridge.onboard.simulation.state import State

Level = Callable[[Image], Setting]

S = 1_000_000_000
CONFIG = FilterConfig()


def at(
    t_s: float, east_m: float = 0.0, north_m: float = 0.0, velocity: float | None = 0.0
) -> Position:
    return Position(round(t_s * S), east_m, north_m, 3.0, velocity, velocity)


def confirmed(until_s: float = 4.0) -> MotionFilter:
    motion = MotionFilter(CONFIG)
    for second in range(CONFIG.confirmations):
        motion.agree(at(until_s - CONFIG.confirmations + 1 + second))
    return motion


def flown(t0_s: float, t1_s: float, north_m: float, east_m: float) -> Motion:
    return Motion(round(t0_s * S), round(t1_s * S), north_m, east_m, np.zeros((2, 2)))


def test_a_turn_during_silence_is_flown_as_it_was_told() -> None:
    motion = confirmed(until_s=4.0)
    motion.advance(flown(4.0, 5.0, north_m=10.0, east_m=0.0))
    motion.advance(flown(5.0, 6.0, north_m=0.0, east_m=10.0))
    there = motion.predict(6 * S)
    assert there is not None
    assert (there.east_m, there.north_m) == pytest.approx((10.0, 10.0))
    innovation = motion.innovation(at(6.0, 10.0, 10.0))
    assert innovation == pytest.approx(0.0)


def test_motion_that_says_the_same_as_the_velocity_changes_nothing() -> None:
    steady, told = MotionFilter(CONFIG), MotionFilter(CONFIG)
    for second in range(5):
        for motion in (steady, told):
            motion.agree(at(second, 3.0 * second, 3.0 * second, velocity=3.0))
        told.advance(flown(second, second + 1.0, 3.0, 3.0))
    assert steady.predict(6 * S) == told.predict(6 * S)


def test_time_that_no_motion_covers_widens_the_prediction() -> None:
    motion, gap = confirmed(), confirmed()
    motion.advance(flown(4.0, 5.0, 0.0, 0.0))
    gap.agree(at(4.0, velocity=None))
    gap.advance(flown(4.5, 5.0, 0.0, 0.0))
    known, unknown = motion.predict(5 * S), gap.predict(5 * S)
    assert known is not None
    assert unknown is not None
    assert unknown.sigma_m > known.sigma_m + 0.3 * CONFIG.unknown_speed_m_s


def test_motion_of_the_past_or_before_any_position_is_not_taken() -> None:
    motion = MotionFilter(CONFIG)
    motion.advance(flown(0.0, 1.0, 100.0, 0.0))
    for second in range(2, 7):
        motion.agree(at(second))
    motion.advance(flown(2.0, 3.0, 100.0, 0.0))
    motion.advance(None)
    there = motion.predict(6 * S)
    assert there is not None
    assert there.north_m == 0.0


@pytest.mark.parametrize("source", ["autopilot", "visual"])
def test_a_source_of_motion_says_what_was_flown(source: MotionSource, level: Level) -> None:
    reckoning = Reckoning(source)
    first, second = (moment_at(level, k, true_m_s=8.0, told_m_s=3.0) for k in (0, 1))
    assert reckoning.step(first) is None
    motion = reckoning.step(second)
    assert motion is not None
    expected_m = 3.0 if source == "autopilot" else 8.0
    assert (motion.north_m, motion.east_m) == pytest.approx((expected_m, 0.0), abs=0.5)
    told = reckoning.told(second.telemetry, motion)
    assert told.velocity_north_m_s == pytest.approx(expected_m, abs=0.5)
    silent = reckoning.told(second.telemetry, None)
    assert (silent.velocity_north_m_s is None) == (source == "visual")


def moment_at(level: Level, second: int, true_m_s: float, told_m_s: float) -> Moment:
    """Over noise of 1 m, north at one speed, with an autopilot that tells another."""
    rng = np.random.default_rng(3)
    picture = np.repeat(rng.integers(0, 255, (400, 400, 1)), 3, axis=2).astype(np.uint8)
    camera, attitude = Camera.from_hfov(320, 240, 70.0), Attitude(0.0, 0.0, 0.0)
    state = State(0.0, 0.0, true_m_s * second, 100.0, attitude, (0.0, 0.0, 0.0))
    image = drone(level(picture), camera, state).image
    telemetry = Telemetry(second * S, attitude, 100.0, None, told_m_s, 0.0)
    return Moment(Frame(image, second * S), telemetry, Prepared(image, camera, attitude, 100.0))
