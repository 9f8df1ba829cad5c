from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.frames.video import VideoSource
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.localization.motion import (
    STEP_ACCURACY_DEG,
    Motion,
    NoMotion,
    VisualOdometry,
)
from geobridge.onboard.localization.sight import Sight
from geobridge.onboard.records import Attitude, Frame, Image
from geobridge.onboard.simulation.render.day import SUMMER_NOON
from geobridge.onboard.simulation.render.optics import Optics
from geobridge.onboard.simulation.render.scenery import Scenery, Setting, on_day
from geobridge.onboard.simulation.render.views import drone
from geobridge.onboard.simulation.state import State
from geobridge.onboard.simulation.world import make_world

S, STEP_S = 1_000_000_000, 0.25
CAMERA = Camera.from_hfov(480, 360, 70.0)
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def land() -> Setting:
    return on_day(Scenery(make_world(11, size_m=800.0)), SUMMER_NOON)


def flown(count: int, tilt_deg: float, height_m: float, rock_deg: float = 4.0) -> list[State]:
    """A curve over the middle of the land by a vehicle that rocks."""
    states = []
    for number in range(count):
        t_s = number * STEP_S
        course = 0.4 + 0.05 * t_s
        east, north = -120.0 + 12.0 * t_s * math.sin(course), -80.0 + 12.0 * t_s * math.cos(course)
        attitude = Attitude(
            rock_deg * math.sin(2.1 * t_s),
            tilt_deg + rock_deg * math.sin(1.3 * t_s + 1.0),
            (math.degrees(course) + 3.0 * math.sin(t_s)) % 360.0,
        )
        states.append(State(t_s, east, north, height_m, attitude, (0.0, 0.0, 0.0)))
    return states


def seen(land: Setting, states: list[State], camera: Camera = CAMERA) -> list[Image]:
    """What each of the states sees, above the ground in the middle."""
    ground_m = ground(land)
    return [
        drone(
            land, camera, replace(s, alt_amsl_m=s.alt_amsl_m + ground_m), Optics(), seed=number
        ).image
        for number, s in enumerate(states)
    ]


def ground(land: Setting) -> float:
    return float(land.place.ground_amsl_m(np.array([-60.0, 20.0])))


def steps(
    images: list[Image], states: list[State], told: list[Attitude], camera: Camera = CAMERA
) -> list[Motion | NoMotion]:
    odometry = VisualOdometry()
    return [
        odometry.step(
            Frame(image, round(state.time_s * S)), Sight.above(camera, attitude, state.alt_amsl_m)
        )
        for image, state, attitude in zip(images, states, told, strict=True)
    ]


def errors(found: list[Motion | NoMotion], states: list[State]) -> tuple[Floats, Floats]:
    """[N, 2] metres north and east that motions are off by, and [N, 2, 2] what they state."""
    off, stated = [], []
    for motion, (before, now) in zip(found[1:], pairwise(states), strict=True):
        if isinstance(motion, Motion):
            truth = (now.north_m - before.north_m, now.east_m - before.east_m)
            off.append(np.array([motion.north_m, motion.east_m]) - truth)
            stated.append(motion.covariance_m2)
            assert motion.t0_ns == round(before.time_s * S)
            assert motion.t1_ns == round(now.time_s * S)
    return np.array(off), np.array(stated)


@pytest.mark.parametrize(("tilt_deg", "height_m"), [(0.0, 120.0), (25.0, 120.0), (0.0, 250.0)])
def test_a_rocking_flight_over_hills_and_houses(
    land: Setting, tilt_deg: float, height_m: float
) -> None:
    states = flown(17, tilt_deg, height_m)
    found = steps(seen(land, states), states, [state.attitude for state in states])
    off_m, stated_m2 = errors(found, states)
    assert len(off_m) == len(states) - 1
    assert np.median(np.hypot(*off_m.T)) < 0.001 * height_m
    nees = np.einsum("ni,nij,nj->n", off_m, np.linalg.inv(stated_m2), off_m)
    assert nees.mean() / 2.0 < 1.0
    assert np.hypot(*off_m.sum(axis=0)) < 0.06 * 12.0 * STEP_S * len(off_m)


def test_attitudes_that_err_are_stated(land: Setting) -> None:
    states, rng = flown(17, 0.0, 120.0), np.random.default_rng(4)
    images, nees = seen(land, states), []
    for _ in range(10):
        told = [
            Attitude(
                s.attitude.roll_deg + rng.normal(0.0, STEP_ACCURACY_DEG),
                s.attitude.pitch_deg + rng.normal(0.0, STEP_ACCURACY_DEG),
                s.attitude.heading_deg + rng.normal(0.0, 1.0),
            )
            for s in states
        ]
        off_m, stated_m2 = errors(steps(images, states, told), states)
        assert len(off_m) == len(states) - 1
        nees += np.einsum("ni,nij,nj->n", off_m, np.linalg.inv(stated_m2), off_m).tolist()
    assert 0.6 < np.mean(nees) / 2.0 < 1.6


def test_turning_on_the_spot_is_no_motion(land: Setting) -> None:
    states = [replace(s, east_m=-60.0, north_m=20.0) for s in flown(7, 0.0, 120.0, rock_deg=8.0)]
    off_m, _ = errors(steps(seen(land, states), states, [s.attitude for s in states]), states)
    assert len(off_m) == len(states) - 1
    assert np.hypot(*off_m.T).max() < 1.0


@cache
def noise(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (360, 480, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "second",
    [
        lambda _: noise(2),
        lambda image: np.full_like(image, 90),
        lambda image: np.ascontiguousarray(image[::-1]),
        lambda image: np.ascontiguousarray(np.rot90(image[:, 60:420], 1)[:, :360]),
    ],
)
def test_what_is_not_the_same_ground_says_nothing(
    land: Setting, second: Callable[[Image], Image]
) -> None:
    states = flown(2, 0.0, 120.0)
    first = seen(land, states)[0]
    found = steps([first, second(first)], states, [s.attitude for s in states])
    assert isinstance(found[1], NoMotion)
    assert any(letter.isdigit() for letter in found[1].detail)


@pytest.mark.parametrize("later_ns", [0, -S, 3 * S])
def test_frames_without_a_moment_between_say_nothing(land: Setting, later_ns: int) -> None:
    state = flown(1, 0.0, 120.0)[0]
    image, sight = seen(land, [state])[0], Sight.above(CAMERA, state.attitude, 120.0)
    odometry = VisualOdometry()
    assert isinstance(odometry.step(Frame(image, 0), sight), NoMotion)
    assert isinstance(odometry.step(Frame(image, later_ns), sight), NoMotion)


@pytest.mark.real_data
def test_the_recorded_flight_moves_as_its_truth_does(data: Path) -> None:
    """Its attitude is not known and taken as level, and its truth is good to some metres."""
    folder = data / "nust_overflight"
    with (folder / "truth.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["frame"]) >= 150]
    lat_deg, lon_deg = (
        [float(row[f"sift_centre_{name}"]) for row in rows] for name in ("lat", "lon")
    )
    at_m = LocalFrame(lat_deg[0], lon_deg[0]).to_enu(lat_deg, lon_deg)
    camera = Camera.from_hfov(852, 480, 73.7, Mount(yaw_deg=180.0))
    height_m = 110.0 / math.tan(math.radians(73.7 / 2.0))
    sight, odometry = Sight.above(camera, Attitude(0.0, 0.0, 297.0), height_m), VisualOdometry()
    way_m, ways_m = np.zeros(2), {}
    for number, frame in enumerate(VideoSource(folder / "flight.mp4")):
        if number % 10 == 0:
            motion = odometry.step(frame, sight)
            assert isinstance(motion, Motion) or number < 150
            if isinstance(motion, Motion):
                way_m = way_m + np.array([motion.east_m, motion.north_m])
            ways_m[number] = way_m
    frames = [int(row["frame"]) for row in rows]
    for number in range(len(frames) - 1):
        moved_m = ways_m[frames[number + 1]] - ways_m[frames[number]]
        assert math.dist(moved_m, at_m[number + 1] - at_m[number]) < 4.0
    whole_m = ways_m[frames[-1]] - ways_m[frames[0]]
    assert math.dist(whole_m, at_m[-1] - at_m[0]) < 0.1 * np.hypot(*(at_m[-1] - at_m[0]))
