"""Whether a turned place is what a turned world shows, on rendered pictures and their truth."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("numba")

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.records import Attitude
from geobridge.onboard.simulation.render.day import SUMMER_NOON
from geobridge.onboard.simulation.render.scenery import Scenery, Setting, on_day
from geobridge.onboard.simulation.render.views import drone, panorama, satellite
from geobridge.onboard.simulation.state import State
from geobridge.onboard.simulation.world import make_world
from geobridge.onboard.views import View
from geobridge.training.appearance.turned import Turn
from geobridge.training.config_data import AugmentConfig

EAST_M, NORTH_M = 10.0, -20.0
WIDTH_PX = 128
TURNS = [Turn(*each) for each in product(range(4), (False, True))]


@pytest.fixture(scope="module")
def setting() -> Setting:
    return on_day(Scenery(make_world(3, 400.0, 0.5)), SUMMER_NOON)


def difference(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def moved(points_m: npt.NDArray[np.float64], turn: Turn) -> npt.NDArray[np.float64]:
    """Metres east and north of the middle in the turned world; quarters anticlockwise."""
    east, north = points_m[..., 0] - EAST_M, points_m[..., 1] - NORTH_M
    for _ in range(turn.quarters):
        east, north = -north, east
    return np.stack([-east if turn.mirrored else east, north], axis=-1)


@pytest.mark.parametrize("quarters", range(4))
def test_a_rolled_panorama_is_one_with_its_camera_turned(setting: Setting, quarters: int) -> None:
    north = panorama(setting, EAST_M, NORTH_M, 0.0, WIDTH_PX, threads=1).image
    rolled = Turn(quarters).picture(View.STREET, north)
    apart = [
        difference(rolled, panorama(setting, EAST_M, NORTH_M, heading, WIDTH_PX, threads=1).image)
        for heading in (0.0, 90.0, 180.0, 270.0)
    ]
    assert np.argmin(apart) == quarters  # what lay in the east is in the north now
    assert apart[quarters] < 5 < min(apart[:quarters] + apart[quarters + 1 :]) / 5


@pytest.mark.parametrize("quarters", range(4))
def test_a_turned_drone_picture_is_one_with_its_vehicle_turned(
    setting: Setting, quarters: int
) -> None:
    camera = Camera.from_hfov(96, 96, 60.0, Mount(pitch_deg=-90.0))

    def above(heading_deg: float) -> npt.NDArray[np.uint8]:
        up_m = float(setting.place.ground_amsl_m((EAST_M, NORTH_M))) + 120.0
        attitude = Attitude(0.0, 0.0, heading_deg)
        state = State(0.0, EAST_M, NORTH_M, up_m, attitude, (0.0, 0.0, 0.0))
        return drone(setting, camera, state, threads=1).image

    turned = Turn(quarters).picture(View.DRONE, above(0.0))
    apart = [difference(turned, above(heading)) for heading in (0.0, 90.0, 180.0, 270.0)]
    assert np.argmin(apart) == quarters
    assert apart[quarters] < min(apart[:quarters] + apart[quarters + 1 :]) / 2


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_turned_map_shows_the_turned_world_north_up(setting: Setting, turn: Turn) -> None:
    shot = satellite(setting, EAST_M, NORTH_M, 100.0, 50, threads=1)
    east_north_m = moved(turn.picture(View.SATELLITE, shot.points_enu_m), turn)
    column, row = np.meshgrid(np.arange(50), np.arange(50))
    assert np.abs(east_north_m[..., 0] - (2.0 * column - 49.0)).max() < 1e-3
    assert np.abs(east_north_m[..., 1] - (49.0 - 2.0 * row)).max() < 1e-3


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_rolled_panorama_shows_the_turned_world_with_north_in_the_middle(
    setting: Setting, turn: Turn
) -> None:
    shot = panorama(setting, EAST_M, NORTH_M, 0.0, WIDTH_PX, threads=1)
    east_north_m = moved(turn.picture(View.STREET, shot.points_enu_m), turn)
    bearing = np.arctan2(east_north_m[..., 0], east_north_m[..., 1])
    column = np.arange(WIDTH_PX)
    error = bearing - ((column + 0.5) / WIDTH_PX - 0.5) * 2.0 * np.pi
    seen = np.isfinite(error) & (np.hypot(*east_north_m.transpose(2, 0, 1)) > 1.0)
    assert seen.mean() > 0.3
    assert np.abs(np.angle(np.exp(1j * error[seen]))).max() < 1e-3


def test_eight_turns_are_drawn_alike() -> None:
    rng, augment = np.random.default_rng(0), AugmentConfig()
    drawn = [Turn.draw(rng, augment) for _ in range(4000)]
    assert min(drawn.count(turn) for turn in TURNS) > 400
    upright = [Turn.draw(rng, AugmentConfig(rotate=False, flip=False)) for _ in range(9)]
    assert not any(upright)


def pictures(**shapes: tuple[int, int]) -> dict[View, npt.NDArray[np.uint8]]:
    return {View(view): np.zeros((*shape, 3), np.uint8) for view, shape in shapes.items()}


def test_a_view_that_cannot_follow_holds_the_others() -> None:
    turn = Turn(3, True)
    square = pictures(drone=(8, 8), satellite=(9, 9), street=(50, 101))
    assert turn.allowed(square, "", True) == turn
    assert turn.allowed({}, "", True) == turn
    photo = pictures(drone=(8, 8), street=(75, 100))
    assert turn.allowed(photo, "", True) == Turn(0, True)
    oblong = pictures(drone=(75, 100), satellite=(8, 8))
    assert turn.allowed(oblong, "", True) == Turn(2, True)
    assert Turn(1).allowed(oblong, "", True) == Turn()


def test_words_follow_or_are_left_out() -> None:
    turn, text = Turn(1, True), "a road in the north"
    assert turn.words(text, rewriting=True) == "a road in the east"
    assert turn.words(text, rewriting=False) == ""
    assert turn.words("a red roof", rewriting=False) == "a red roof"
    assert Turn().words(text, rewriting=False) == text
    assert Turn(1).words("a spiral, clockwise", rewriting=False)
    assert not Turn(0, True).words("a spiral, clockwise", rewriting=False)


def test_left_and_right_hold_a_place_upright_unless_they_are_left_out() -> None:
    turn, text = Turn(2, True), "a road on the left"
    assert turn.allowed({}, text, rewriting=True) == Turn(0, True)
    assert turn.allowed({}, text, rewriting=False) == turn
    assert turn.words(text, rewriting=False) == ""
