from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.camera import Camera
from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Attitude, Image
from geobridge.onboard.simulation.gaps import fill_gaps
from geobridge.onboard.simulation.land.palette import Season
from geobridge.onboard.simulation.mapped import MappedPlace, in_season
from geobridge.onboard.simulation.render.day import SUMMER_NOON, Day
from geobridge.onboard.simulation.render.optics import Optics, SatelliteSensor
from geobridge.onboard.simulation.render.scene import Heights
from geobridge.onboard.simulation.render.scenery import on_day
from geobridge.onboard.simulation.render.views import drone, orthomap, panorama
from geobridge.onboard.simulation.state import State

FRAME = LocalFrame(47.0, 8.0)
PLAIN = SatelliteSensor(blur_px=0.0, noise_levels=0.0, haze=0.0)
STILL = Optics(exposure_s=0.0, vignetting=0.0, blur_px=0.0, read_noise_levels=0.0)


def mapped(picture: Image, surface: Heights | None = None, **options: Any) -> MappedPlace:
    """Half a metre per pixel, the middle of the picture at (0, 0)."""
    height, width = picture.shape[:2]
    valid = options.pop("valid", np.ones((height, width), np.uint8))
    west_m, north_m = -width / 4.0, height / 4.0
    return MappedPlace(FRAME, picture, valid, west_m, north_m, 0.5, surface, **options)


def dotted(row: int, column: int, size: int = 240) -> Image:
    picture = np.full((size, size, 3), 90, np.uint8)
    picture[row - 2 : row + 3, column - 2 : column + 3] = 250
    return picture


def brightest(image: Image) -> tuple[float, float]:
    """Row and column of the middle of what is bright."""
    bright = np.clip(image.astype(float).sum(axis=2) - 450.0, 0.0, None)
    rows, columns = np.indices(bright.shape)
    return float(np.average(rows, weights=bright)), float(np.average(columns, weights=bright))


def plateau(top_m: float) -> Heights:
    """Level ground at 100 m and in its middle a block of 30 m x 30 m."""
    nodes = np.full((121, 121), 100.0, np.float32)
    nodes[45:76, 45:76] = top_m
    return Heights(nodes, -60.0, 60.0, 1.0)


def above(height_amsl_m: float, east_m: float = 0.0, north_m: float = 0.0) -> State:
    still = (0.0, 0.0, 0.0)
    return State(0.0, east_m, north_m, height_amsl_m, Attitude(0.0, 0.0, 0.0), still)


@pytest.mark.parametrize(("row", "column"), [(60, 60), (119, 31), (200, 150)])
def test_the_map_of_a_map_is_the_map(row: int, column: int) -> None:
    place = mapped(dotted(row, column))
    shot = orthomap(on_day(place, SUMMER_NOON), -60.0, 60.0, 0.5, (240, 240), PLAIN)
    assert np.abs(np.array(brightest(shot.image)) - (row, column)).max() < 0.3
    assert shot.image[5, 5].astype(float) == pytest.approx([90.0] * 3, abs=15.0)


@pytest.mark.parametrize("heading_deg", [0.0, 73.0, 200.0])
@pytest.mark.parametrize("alt_amsl_m", [0.0, 850.0])
def test_a_drone_sees_a_dot_where_its_camera_model_says(
    heading_deg: float, alt_amsl_m: float
) -> None:
    place = mapped(dotted(90, 150), alt_amsl_m=alt_amsl_m)
    camera, attitude = Camera.from_hfov(300, 240, 60.0), Attitude(3.0, -4.0, heading_deg)
    state = State(0.0, 5.0, -3.0, alt_amsl_m + 70.0, attitude, (0.0, 0.0, 0.0))
    shot = drone(on_day(place, SUMMER_NOON), camera, state, STILL)
    dot_m = np.array([150.5 * 0.5 - 60.0 - 5.0, 60.0 - 90.5 * 0.5 + 3.0, 1.0])
    column, row, scale = camera.pixel_from_ground(attitude, 70.0) @ dot_m
    found = brightest(shot.image)
    assert np.hypot(found[0] - row / scale, found[1] - column / scale) < 0.7


@given(top_m=st.floats(101.0, 160.0), height_m=st.floats(30.0, 300.0))
def test_distances_are_to_the_surface(top_m: float, height_m: float) -> None:
    place = mapped(dotted(60, 60), plateau(top_m))
    camera = Camera.from_hfov(9, 9, 4.0)
    setting = on_day(place, SUMMER_NOON)
    roof = drone(setting, camera, above(top_m + height_m), STILL, threads=1)
    ground = drone(setting, camera, above(top_m + height_m, 40.0), STILL, threads=1)
    assert roof.distance_m[4, 4] == pytest.approx(height_m, abs=0.02)
    assert ground.distance_m[4, 4] == pytest.approx(top_m - 100.0 + height_m, abs=0.02)
    assert float(place.ground_amsl_m((0.0, 0.0))) == pytest.approx(top_m)
    assert float(place.ground_amsl_m((40.0, 0.0))) == 100.0


def test_what_stands_high_throws_a_shadow_away_from_the_sun() -> None:
    place = mapped(np.full((240, 240, 3), 120, np.uint8), plateau(120.0))
    day = Day(sun_azimuth_deg=270.0, sun_elevation_deg=45.0)
    shot = orthomap(on_day(place, day), -60.0, 60.0, 0.5, (240, 240), PLAIN)
    west, east = shot.image[120, 60].astype(float), shot.image[120, 165].astype(float)
    assert east.mean() < 0.75 * west.mean()


def test_a_street_camera_stands_on_the_ground_and_sees_the_block() -> None:
    place = mapped(dotted(60, 60), plateau(120.0))
    shot = panorama(on_day(place, SUMMER_NOON), -40.0, 0.0, 90.0, 128)
    assert shot.distance_m[31, 63] == pytest.approx(25.0, abs=1.5)
    assert shot.distance_m[-1, 0] == pytest.approx(2.5, abs=0.05)
    assert np.isinf(shot.distance_m[0, 0])


def test_seasons_turn_green_and_nothing_else() -> None:
    grey, green = np.full((4, 4, 3), 128, np.uint8), np.zeros((4, 4, 3), np.uint8)
    green[:] = (70, 120, 50)
    assert np.array_equal(in_season(green, Season.SUMMER), green)
    for season in (Season.AUTUMN, Season.WINTER):
        assert np.array_equal(in_season(grey, season), grey)
    autumn, winter = (in_season(green, season)[0, 0].astype(int) for season in list(Season)[1:])
    assert autumn[0] > max(70, autumn[2])
    assert np.ptp(winter) < np.ptp(autumn)


def test_a_season_shows_in_the_views() -> None:
    picture = np.zeros((120, 120, 3), np.uint8)
    picture[:] = (70, 120, 50)
    place = mapped(picture)
    views = [
        orthomap(on_day(place, Day(season)), -20.0, 20.0, 1.0, (40, 40), PLAIN).image
        for season in Season
    ]
    red_over_green = [float(image[..., 0].mean() / image[..., 1].mean()) for image in views]
    assert red_over_green[0] < min(red_over_green[1:]) - 0.1


def test_what_is_not_valid_is_continued_and_counted() -> None:
    picture = np.full((100, 100, 3), 150, np.uint8)
    valid = np.ones((100, 100), np.uint8)
    picture[:, 60:], valid[:, 60:] = 0, 0
    place = mapped(picture, valid=valid)
    shot = orthomap(on_day(place, SUMMER_NOON), -25.0, 25.0, 0.5, (100, 100), PLAIN)
    assert np.ptp(shot.image.astype(int)) <= 3
    assert place.valid_share(-10.0, 0.0, 10.0) == pytest.approx(1.0)
    assert place.valid_share(5.0, 0.0, 10.0) == pytest.approx(0.5)
    assert place.valid_share(20.0, 0.0, 10.0) == 0.0
    assert place.valid_share(-25.0, 0.0, 20.0) == pytest.approx(0.5)


@given(data=st.data())
def test_gaps_are_filled_from_what_is_known(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    known = rng.random((height, width)) < data.draw(st.floats(0.02, 1.0))
    known[rng.integers(height), rng.integers(width)] = True
    values = rng.uniform(-50.0, 900.0, (height, width)).astype(np.float32)
    filled = fill_gaps(np.where(known, values, np.float32(np.nan)), known)
    assert np.array_equal(filled[known], values[known])
    low, high = values[known].min(), values[known].max()
    assert (filled >= low - 1e-3 * abs(low) - 1e-3).all()
    assert (filled <= high + 1e-3 * abs(high) + 1e-3).all()


def test_a_gap_in_a_slope_is_filled_with_the_slope() -> None:
    slope = np.repeat(np.arange(64, dtype=np.float32)[None], 64, axis=0)
    known = np.ones((64, 64), bool)
    known[24:40, 24:40] = False
    filled = fill_gaps(np.where(known, slope, np.float32(0.0)), known)
    assert np.abs(filled - slope).max() < 6.0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"picture": np.zeros((4, 4), np.uint8)}, r"picture \(4, 4\)"),
        ({"valid": np.ones((4, 5), np.uint8)}, r"valid \(4, 5\): expected one size"),
        ({"valid": np.zeros((4, 4), np.uint8)}, "shows nothing"),
        ({"gsd_m": 0.0}, "gsd_m 0.0: expected a number above 0"),
        ({"gsd_m": float("nan")}, "gsd_m nan"),
        ({"surface": Heights(np.full((3, 3), np.nan, np.float32), 0.0, 2.0, 1.0)}, "every node"),
        ({"surface": Heights(np.zeros((1, 3), np.float32), 0.0, 2.0, 1.0)}, "at least 2 x 2"),
        ({"surface": Heights(np.zeros((3, 3), np.float32), 1.0, 2.0, 1.0)}, "reach over"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(options: dict[str, Any], complaint: str) -> None:
    arguments = {
        "frame": FRAME,
        "picture": np.zeros((4, 4, 3), np.uint8),
        "valid": np.ones((4, 4), np.uint8),
        "west_m": 0.0,
        "north_m": 2.0,
        "gsd_m": 0.5,
    }
    with pytest.raises(DataError, match=complaint):
        MappedPlace(**arguments | options)


def test_views_do_not_depend_on_threads() -> None:
    picture = cv2.GaussianBlur(
        np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8), (0, 0), 2.0
    )
    setting = on_day(mapped(np.asarray(picture, np.uint8)), SUMMER_NOON)
    shots = [
        drone(setting, Camera.from_hfov(64, 64, 60.0), above(60.0), seed=3, threads=threads)
        for threads in (1, 2, 3)
    ]
    assert np.array_equal(shots[0].image, shots[1].image)
    assert np.array_equal(shots[0].image, shots[2].image)
