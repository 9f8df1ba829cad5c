"""A made world on its days: light, weather, change; and that a picture is made of its arguments."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Attitude, Image
from geobridge.onboard.simulation.land.palette import Season
from geobridge.onboard.simulation.render.day import (
    AUTUMN_OVERCAST,
    BROKEN_CLOUDS,
    HAZE,
    NIGHT,
    RAIN,
    SPRING_AFTERNOON,
    SUMMER_NOON,
    WINTER_MORNING,
    Day,
)
from geobridge.onboard.simulation.render.optics import Optics, SatelliteSensor, digitise, smear
from geobridge.onboard.simulation.render.scenery import Scenery, on_day
from geobridge.onboard.simulation.render.views import drone, panorama, satellite
from geobridge.onboard.simulation.state import State
from geobridge.onboard.simulation.world import make_world

PRESETS = [SUMMER_NOON, SPRING_AFTERNOON, AUTUMN_OVERCAST, WINTER_MORNING, BROKEN_CLOUDS]
PRESETS += [HAZE, RAIN, NIGHT]
FIXED = Optics(auto_exposure=0.0, vignetting=0.0, read_noise_levels=0.0, shot_noise_levels=0.0)
CLEAN = SatelliteSensor(noise_levels=0.0)
CAMERA = Camera.from_hfov(160, 120, 70.0)
SIZE_M = 400.0


@pytest.fixture(scope="module")
def place() -> Scenery:
    return Scenery(make_world(3, SIZE_M))


def above(place: Scenery, height_m: float = 80.0, east_m: float = 0.0) -> State:
    up_m = float(place.ground_amsl_m((east_m, 0.0))) + height_m
    return State(0.0, east_m, 0.0, up_m, Attitude(0.0, 0.0, 30.0), (0.0, 0.0, 0.0))


def seen(place: Scenery, day: Day, optics: Optics = FIXED, height_m: float = 80.0) -> Image:
    return drone(on_day(place, day), CAMERA, above(place, height_m), optics).image


def contrast(image: Image) -> float:
    grey = image.astype(float).mean(axis=-1)
    return float(grey.std() / grey.mean())


class TestLight:
    def test_night_is_dark_and_its_lamps_are_lit(self, place: Scenery) -> None:
        noon, night = (seen(place, day).astype(float) ** 2 for day in (SUMMER_NOON, NIGHT))
        assert night.mean() < 0.25 * noon.mean()
        setting = on_day(place, replace(NIGHT, visibility_m=1e9))
        shot = satellite(setting, 0.0, 0.0, 300.0, 300, replace(CLEAN, haze=0.0))
        lamps = place.scene(NIGHT).lamps
        points = shot.points_enu_m.reshape(-1, 3)
        cells = ((points[:, :2] * [1.0, -1.0] + SIZE_M / 2.0) // 4.0).astype(int)
        lit = lamps[cells[:, 1], cells[:, 0]]
        level = shot.image.reshape(-1, 3).astype(float).mean(axis=1)
        on_ground = points[:, 2] < place.ground_amsl_m(points[:, :2]) + 0.1
        assert level[on_ground & (lit > 200)].mean() > 2.0 * level[on_ground & (lit == 0)].mean()

    def test_lamps_are_out_by_day(self, place: Scenery) -> None:
        oblique = replace(CAMERA, mount=Mount(pitch_deg=-35.0))
        for sun_elevation_deg, lit in ((-5.9, False), (-6.1, True)):
            day = Day(sun_elevation_deg=sun_elevation_deg, visibility_m=1e9)
            image = drone(on_day(place, day), oblique, above(place), FIXED).image.astype(int)
            warm = image[..., 0] - image[..., 2] > 60
            assert (warm & (image[..., 0] > 120)).any() == lit

    @pytest.mark.parametrize("day", [HAZE, RAIN])
    def test_bad_air_takes_contrast(self, place: Scenery, day: Day) -> None:
        clear = replace(day, visibility_m=1e9, rain=0.0)
        assert contrast(seen(place, day)) < 0.85 * contrast(seen(place, clear))
        low, high = (contrast(seen(place, day, height_m=h)) for h in (40.0, 300.0))
        assert high < 0.7 * low, "the more of it the higher one flies"

    def test_rain_wets_the_ground(self, place: Scenery) -> None:
        dry = Day(overcast=1.0, visibility_m=1e9)
        assert seen(place, replace(dry, rain=1.0)).mean() < seen(place, dry).mean() - 5.0

    def test_single_clouds_hide_ground_from_space_and_throw_shadows(self, place: Scenery) -> None:
        images = [
            satellite(on_day(place, replace(SUMMER_NOON, broken_clouds=share, seed=5)), 0.0, 0.0,
                      SIZE_M, 100, CLEAN).image.astype(float).mean(axis=-1)
            for share in (0.0, 0.6)
        ]  # fmt: skip
        assert (images[1] > images[0] + 40.0).mean() > 0.02
        one, other = (seen(place, replace(BROKEN_CLOUDS, broken_clouds=s)) for s in (0.0, 1.0))
        assert other.mean() < 0.8 * one.mean()

    def test_seasons_differ_and_their_land_is_the_same(self, place: Scenery) -> None:
        pictures = [
            satellite(on_day(place, Day(season=season)), 0.0, 0.0, SIZE_M, 200, CLEAN).image
            for season in Season
        ]
        for one, other in combinations([picture.astype(float) for picture in pictures], 2):
            assert np.abs(one - other).mean() > 2.0
            assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.6

    @pytest.mark.parametrize("day", PRESETS)
    def test_every_preset_is_exposed_so_that_something_can_be_seen(
        self, place: Scenery, day: Day
    ) -> None:
        grey = seen(place, day, Optics()).astype(float).mean(axis=-1)
        low, middle, high = np.percentile(grey, [5, 50, 95])
        assert 15.0 < middle < 190.0
        assert high - low > 25.0
        assert (grey > 250).mean() < 0.08


class TestChange:
    def test_missing_buildings_are_gone_and_the_others_stay(self, place: Scenery) -> None:
        buildings = place.world.buildings
        whole = place.scene(SUMMER_NOON).boxes
        some = place.scene(Day(buildings_missing=0.3, seed=4)).boxes
        gone = len(whole) - len(some)
        assert 0.1 * len(buildings) < gone < 0.6 * len(buildings)
        stays = {row.tobytes() for row in some}
        assert stays < {row.tobytes() for row in whole}
        none = place.scene(Day(buildings_missing=1.0)).boxes
        assert len(none) == len(whole) - len(buildings)

    def test_other_cars_and_the_same_houses(self, place: Scenery) -> None:
        one, other = (place.scene(Day(cars_moved=0.7, seed=seed)).boxes for seed in (1, 2))
        first = len(place.world.buildings) + len(place.world.decks)
        assert np.array_equal(one[:first], other[:first])
        assert len(one) != len(other) or not np.array_equal(one, other)

    def test_a_drone_sees_things_where_the_satellite_has_them(self, place: Scenery) -> None:
        setting = on_day(place, SUMMER_NOON)
        gsd_m, reach_m = 0.25, 100.0
        camera = replace(CAMERA, mount=Mount(pitch_deg=-65.0))
        points = drone(setting, camera, above(place), FIXED).points_enu_m.reshape(-1, 3)
        points = points[np.abs(points[:, :2]).max(axis=1) < reach_m - 1.0]
        size_px = round(2.0 * reach_m / gsd_m)
        shot = satellite(setting, 0.0, 0.0, 2.0 * reach_m, size_px, CLEAN)
        column, row = ((points[:, :2] * [1.0, -1.0] + reach_m) / gsd_m).astype(int).T
        around = np.stack(
            [shot.points_enu_m[row + i, column + j, 2] for i in range(-1, 2) for j in range(-1, 2)]
        )
        assert len(points) > 5000
        low, high = around.min(axis=0) - 0.3, around.max(axis=0) + 0.3
        on_top = (np.abs(around - points[:, 2]) < 0.3).any(axis=0)
        assert (points[:, 2] < high).mean() > 0.995, "nothing stands above the highest"
        assert on_top.mean() > 0.8, "the rest are walls and what eaves and crowns hide"
        assert (points[:, 2] > low)[on_top | (high - low > 2.0)].mean() > 0.9


CODE = """
import hashlib
import sys
sys.path.insert(0, {folder!r})
from {module} import fingerprint
print(fingerprint(threads={threads}))
"""


def fingerprint(threads: int | None) -> str:
    """Of one picture of each kind."""
    place = Scenery(make_world(5, 200.0, 1.0))
    setting = on_day(place, replace(RAIN, broken_clouds=0.4, buildings_missing=0.2))
    shaken = Optics(readout_s=0.02, vibration_deg=0.1)
    shots = [
        drone(setting, CAMERA, above(place), shaken, 3, 2, threads),
        satellite(setting, 0.0, 0.0, 150.0, 90, SatelliteSensor(), 3, 2, threads),
        panorama(setting, 0.0, 0.0, 20.0, 180, None, 3, 2, threads),
    ]
    parts = [part for shot in shots for part in (shot.image, shot.distance_m, shot.points_enu_m)]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_the_same_arguments_give_the_same_bytes_in_any_process() -> None:
    here = fingerprint(threads=1)
    file = Path(__file__)
    code = CODE.format(folder=str(file.parent), module=file.stem, threads=2)
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert there.stdout.strip() == here == fingerprint(threads=3)


def test_another_seed_gives_other_noise_only(place: Scenery) -> None:
    setting = on_day(place, SUMMER_NOON)
    one, other = (drone(setting, CAMERA, above(place), seed=seed) for seed in (1, 2))
    apart = one.image.astype(int) - other.image
    assert 1.0 < apart.std() < 8.0
    assert np.array_equal(one.points_enu_m, other.points_enu_m)


def test_memory_does_not_grow_with_pictures(place: Scenery) -> None:
    setting = on_day(place, SUMMER_NOON)
    tracemalloc.start()
    held = []
    for number in range(60):
        drone(setting, CAMERA, above(place, 60.0 + number, number), seed=number)
        if number in (10, 59):
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[1] - held[0] < 200_000, "one picture with its distances takes more"


class TestOptics:
    @pytest.mark.parametrize(("way", "axis"), [((12.0, 0.0), 1), ((0.0, -12.0), 0)])
    def test_smear_keeps_the_light_and_spreads_it_one_way(
        self, way: tuple[float, float], axis: int
    ) -> None:
        light = np.zeros((61, 61, 3), np.float32)
        light[30, 30] = 1.0
        out = smear(light, np.array(way))
        assert out.sum() == pytest.approx(3.0, rel=1e-4)
        assert (out[..., 0].sum(axis=axis) > 1e-3).sum() == 1
        assert 12 <= (out[..., 0].sum(axis=1 - axis) > 1e-3).sum() <= 14

    def test_auto_exposure_lifts_what_is_dark(self, place: Scenery) -> None:
        dim = Day(sun_elevation_deg=-5.0, overcast=1.0)
        assert seen(place, dim, Optics()).mean() > 1.2 * seen(place, dim).mean()

    def test_levels_are_monotonic_in_light(self) -> None:
        light = np.linspace(0.0, 3.0, 600, dtype=np.float32).reshape(1, -1, 1).repeat(3, 2)
        levels = digitise(light, 0.0, 0.0, np.random.default_rng(0))[0, :, 0].astype(int)
        assert np.all(np.diff(levels) >= 0)
        assert (levels[0], levels[-1]) == (0, 255)

    @pytest.mark.parametrize(
        ("make", "named"),
        [
            (lambda: Optics(exposure_s=-1.0), "exposure_s -1.0"),
            (lambda: Optics(vignetting=2.0), "vignetting"),
            (lambda: Optics(gain=float("nan")), "gain nan"),
            (lambda: SatelliteSensor(off_nadir_deg=60.0), "off_nadir_deg 60"),
            (lambda: SatelliteSensor(haze=float("nan")), "haze nan"),
            (lambda: Day(rain=1.1), "rain 1.1"),
            (lambda: Day(sun_elevation_deg=91.0), "sun_elevation_deg 91"),
            (lambda: Day(visibility_m=float("nan")), "visibility_m nan"),
            (lambda: Day(buildings_missing=-0.1), "buildings_missing -0.1"),
        ],
    )
    def test_impossible_numbers_are_refused(self, make: Callable[[], object], named: str) -> None:
        with pytest.raises(DataError, match=named):
            make()
