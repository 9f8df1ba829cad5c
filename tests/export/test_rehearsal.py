from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rasterio")
pytest.importorskip("numba")
pytest.importorskip("matplotlib")

import itertools

import rasterio

from geobridge.export.rehearsal import posterior
from geobridge.export.rehearsal.aged import swap_patches
from geobridge.export.rehearsal.conditions import Ranges, draw, sun
from geobridge.export.rehearsal.flown import FIX, Flown
from geobridge.export.rehearsal.geofiles import NODATA, write_geojson, write_geotiff
from geobridge.export.rehearsal.grid import Grid
from geobridge.export.rehearsal.localizability import map_of, observed, wrong_of
from geobridge.export.rehearsal.paths import COURSES, Lanes, area_of, around
from geobridge.export.rehearsal.rehearse import rehearse, rehearse_and_tell
from geobridge.export.rehearsal.survey import Survey
from geobridge.export.rehearsal.verdict import (
    WHY,
    WORTH,
    Say,
    longest_silence_s,
    say,
    stretches,
    tell,
    totals,
    without_crumbs,
)
from geobridge.onboard.errors import DataError, GeobridgeError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Reason
from geobridge.onboard.simulation.flying.read_route import read_route
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.land.palette import Season

FRAME = LocalFrame(47.4, 8.5)
FLAT = Terrain(FRAME, -500.0, -500.0, 500.0, 500.0, lambda enu: np.zeros(np.shape(enu)[:-1]))
CAMERA = ("camera.hfov_deg=70.0",)
SHARES = st.floats(0.0, 30.0)


def coordinates(*places_m: tuple[float, float]) -> str:
    lat_deg, lon_deg = FRAME.to_geodetic(np.array(places_m, float))
    return ":".join(f"{lat:.8f},{lon:.8f}" for lat, lon in zip(lat_deg, lon_deg, strict=True))


def flown(
    number: int,
    east_m: list[float],
    said: list[str],
    error_m: float = 2.0,
    north_m: float = 0.0,
) -> Flown:
    places = np.array([(east, north_m) for east in east_m]).reshape(-1, 2)
    lat_deg, lon_deg = FRAME.to_geodetic(places)
    fixed = [each == FIX for each in said]
    return Flown(
        number,
        "arrived",
        {},
        [0.5 * k for k in range(len(said))],
        lat_deg.tolist(),
        lon_deg.tolist(),
        said,
        [error_m if each else None for each in fixed],
        [2.0 if each else None for each in fixed],
    )


# -- conditions ---------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(0, 500))
def test_conditions_stay_within_their_ranges_and_depend_on_nothing_else(
    seed: int, number: int
) -> None:
    ranges = Ranges(
        heights_agl_m=(80.0, 130.0),
        seasons=(Season.WINTER,),
        visibility_m=(2_000.0, 5_000.0),
        map_age_years=(1.0, 2.0),
        wind_m_s=(3.0, 5.0),
    )
    drawn = draw(ranges, 47.4, seed, number)
    assert drawn == draw(ranges, 47.4, seed, number)
    assert drawn.height_agl_m is not None
    assert 80.0 <= drawn.height_agl_m <= 130.0
    assert drawn.day.season is Season.WINTER
    assert 2_000.0 <= drawn.day.visibility_m <= 5_000.0
    assert 1.0 <= drawn.map_age_years <= 2.0
    assert 3.0 <= drawn.weather.wind_m_s <= 5.0
    assert drawn.day.sun_elevation_deg < 45.0


def test_few_flights_fill_their_ranges_and_meet_every_season() -> None:
    ranges = Ranges(heights_agl_m=(100.0, 200.0))
    drawn = [draw(ranges, 47.4, 3, number) for number in range(12)]
    heights_m = sorted(each.height_agl_m or 0.0 for each in drawn)
    assert max(np.diff([100.0, *heights_m, 200.0])) < 30.0
    assert {each.day.season for each in drawn} == set(Season)
    assert len({each.day.seed for each in drawn}) == 12


def test_an_older_map_differs_more_from_the_land() -> None:
    days = [draw(Ranges(map_age_years=(age, age)), 47.4, 1, 0).day for age in (0.0, 2.0, 10.0)]
    for name in ("cars_moved", "small_changes", "buildings_missing"):
        assert getattr(days[0], name) == 0.0
        assert getattr(days[0], name) < getattr(days[1], name) <= getattr(days[2], name)


@pytest.mark.parametrize(
    ("lat_deg", "days", "hour", "azimuth_deg", "elevation_deg"),
    [
        (47.4, 0.0, 12.0, 180.0, 90.0 - 47.4 + 23.44),
        (47.4, 182.6, 12.0, 180.0, 90.0 - 47.4 - 23.44),
        (0.0, 91.31, 6.0, 90.0, 0.0),
        (0.0, 91.31, 18.0, 270.0, 0.0),
        (-33.9, 0.0, 12.0, 0.0, 90.0 - 33.9 + 23.44),
    ],
)
def test_the_sun_stands_where_it_stands(
    lat_deg: float, days: float, hour: float, azimuth_deg: float, elevation_deg: float
) -> None:
    azimuth, elevation = sun(lat_deg, days, hour)
    assert abs((azimuth - azimuth_deg + 180.0) % 360.0 - 180.0) < 0.5
    assert elevation == pytest.approx(elevation_deg, abs=0.5)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"heights_agl_m": (140.0, 100.0)}, "heights_agl_m 140 to 100"),
        ({"heights_agl_m": (-5.0, 100.0)}, "heights_agl_m -5 to 100"),
        ({"cloud_cover": (0.0, 1.5)}, "cloud_cover"),
        ({"map_age_years": (float("nan"), 2.0)}, "map_age_years"),
        ({"seasons": ()}, "seasons"),
    ],
)
def test_ranges_that_make_no_sense_are_named(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(DataError, match=named):
        Ranges(**wrong)


# -- what is flown ------------------------------------------------------------------------------


@given(st.integers(1, 9), st.sampled_from([40.0, 60.0]))
def test_lanes_cross_every_cell_in_every_course(flights: int, cell_m: float) -> None:
    area = (-200.0, -150.0, 200.0, 150.0)
    lanes = Lanes(area, (0.0, 360.0), cell_m, flights)
    crossings = np.zeros((COURSES, 4, 5), int)
    for number in range(flights):
        route = lanes.route(number, 100.0, FLAT)
        along_m = np.arange(0.0, route.length_m, 2.0)
        east, north = (np.interp(along_m, route.stations_m, route.points[:, k]) for k in (0, 1))
        assert np.all(np.abs(east) <= 200.0 + 1e-6)
        assert np.all(np.abs(north) <= 150.0 + 1e-6)
        cells = ((north + 150.0) // 75.1).astype(int), ((east + 200.0) // 80.1).astype(int)
        np.add.at(crossings[number % COURSES], cells, 1)
    assert np.all(crossings[: min(flights, COURSES)] > 0)


def test_an_area_on_the_map_is_taken_and_others_are_named() -> None:
    low, high = FRAME.to_geodetic([-100.0, -50.0]), FRAME.to_geodetic([100.0, 50.0])
    box = (float(low[1]), float(low[0]), float(high[1]), float(high[0]))
    assert area_of(box, FLAT) == pytest.approx((-100.0, -50.0, 100.0, 50.0), abs=1e-3)
    with pytest.raises(DataError, match=r"north-east corner: off the map by"):
        area_of((box[0], box[1], 8.6, box[3]), FLAT)
    with pytest.raises(DataError, match=r"expected west,south,east,north"):
        area_of((box[2], box[1], box[0], box[3]), FLAT)
    with pytest.raises(DataError, match=r"too small for a lane"):
        Lanes((0.0, 0.0, 20.0, 20.0), (0.0, 360.0), 50.0, 4).route(0, 100.0, FLAT)


# -- estimates ----------------------------------------------------------------------------------


@given(SHARES, SHARES, st.floats(0.01, 0.99), st.floats(0.02, 0.98))
def test_quantiles_are_ordered_and_more_hits_raise_them(
    hits: float, misses: float, prior: float, share: float
) -> None:
    middle = float(posterior.quantile(hits, misses, prior, 0.5))
    low = float(posterior.quantile(hits, misses, prior, 0.05))
    high = float(posterior.quantile(hits, misses, prior, 0.95))
    assert 0.0 <= low <= middle <= high <= 1.0
    assert low <= float(posterior.mean(hits, misses, prior)) + 1e-6
    more = float(posterior.quantile(hits + 1.0, misses, prior, share))
    assert more >= float(posterior.quantile(hits, misses, prior, share)) - 1e-9


@pytest.mark.parametrize(
    ("hits", "misses", "share", "expected"),
    [
        (0.5, 0.5, 0.05, 0.05),  # uniform
        (0.5, 0.5, 0.95, 0.95),
        (1.5, 0.5, 0.05, 0.05**0.5),  # Beta(2, 1): x**2
        (0.0, 0.0, 0.05, np.sin(np.pi * 0.05 / 2.0) ** 2),  # arcsine
        (0.5, 9.5, 0.95, 1.0 - 0.05**0.1),  # Beta(1, 10)
    ],
)
def test_quantiles_where_they_are_known(
    hits: float, misses: float, share: float, expected: float
) -> None:
    assert float(posterior.quantile(hits, misses, 0.5, share)) == pytest.approx(expected, abs=0.004)


def line(cells: int, cell_m: float = 50.0) -> tuple[Grid, list[float]]:
    """A grid along the equator of the frame, and places 10 m apart in its cells."""
    east_m = [10.0 * k for k in range(round(cells * cell_m / 10.0))]
    lat_deg, lon_deg = FRAME.to_geodetic(np.array([(e, 0.0) for e in east_m]))
    return Grid.around(lat_deg, lon_deg, cell_m), east_m


def test_a_map_tells_where_there_are_fixes_and_where_not() -> None:
    grid, east_m = line(12)
    said = [FIX if east < 300.0 else "low_score" for east in east_m]
    found = map_of(grid, [flown(k, east_m, said) for k in range(10)])
    begin, end = (grid.cells(*FRAME.to_geodetic(np.array([(e, 0.0)])))[0] for e in (60.0, 540.0))
    availability = found.availability.ravel()
    assert availability[begin] > 0.85
    assert availability[end] < 0.15
    assert found.availability_low.ravel()[begin] > 0.6
    assert found.availability_high.ravel()[end] < 0.4
    assert found.error_m.ravel()[begin] == pytest.approx(2.0)
    assert found.reason.ravel()[end] == "low_score"
    assert found.reason.ravel()[begin] == ""


def test_a_cell_where_nobody_flew_is_unknown_even_beside_good_ones() -> None:
    grid, east_m = line(6)
    found = map_of(grid, [flown(k, east_m, [FIX] * len(east_m)) for k in range(5)])
    unknown = found.passes == 0
    assert unknown.any()
    for name in ("availability", "availability_low", "availability_high", "error_m", "wrong"):
        assert np.isnan(getattr(found, name)[unknown]).all()
        assert np.isfinite(getattr(found, name)[~unknown]).all()
    assert say(float("nan")) is Say.UNKNOWN


def test_many_frames_of_one_flight_are_one_pass() -> None:
    grid, _ = line(2)
    slow = flown(0, [20.0 + 0.01 * k for k in range(2000)], [FIX] * 2000)
    found = map_of(grid, [slow])
    cell = np.unravel_index(int(np.nanargmax(found.availability)), grid.shape)
    assert found.passes[cell] == 1
    assert found.availability_low[cell] < 0.9
    assert observed(grid, [slow])[1][cell] == 1.0


@given(st.integers(0, 6), st.integers(1, 20))
def test_more_passes_narrow_the_interval_and_never_promise_certainty(bad: int, passes: int) -> None:
    grid, east_m = line(2)

    def width(times: int) -> float:
        flights = [
            flown(k, east_m[:4], ["ambiguous" if k < bad * times else FIX] * 4)
            for k in range((bad + passes) * times)
        ]
        found = map_of(grid, flights)
        assert float(np.nanmin(found.availability_low)) > 0.0
        assert float(np.nanmax(found.availability_high)) < 1.0
        return float(np.nanmax(found.availability_high - found.availability_low))

    assert width(4) < width(1)


def test_wrong_fixes_are_counted_where_they_happen_and_spoil_no_error() -> None:
    grid, east_m = line(10)
    good = [flown(k, east_m, [FIX] * len(east_m)) for k in range(8)]
    half = len(east_m) // 2
    liar = flown(8, east_m[half:], [FIX] * (len(east_m) - half), error_m=400.0)
    assert wrong_of(liar).all()
    assert not wrong_of(good[0]).any()
    found = map_of(grid, [*good, liar])
    cells = grid.cells(*FRAME.to_geodetic(np.array([(30.0, 0.0), (470.0, 0.0)])))
    wrong, error_m = found.wrong.ravel()[cells], found.error_m.ravel()[cells]
    assert wrong[1] > 0.05 > wrong[0]
    assert found.wrong_fixes.sum() == len(liar.said)
    assert found.wrong_fixes.ravel()[cells[0]] == 0
    assert error_m == pytest.approx([2.0, 2.0])
    figures = totals([*good, liar])
    assert figures["flights_with_wrong_fixes"] == 1
    assert figures["wrong_fixes"] == len(liar.said)
    assert figures["flights_with_wrong_fixes_at_most"] == pytest.approx(0.4291, abs=1e-4)


def test_what_is_promised_of_wrong_fixes_is_the_exact_bound_and_nothing_without_fixes() -> None:
    """1 - 0.05 ** (1 / n) of n flights without a wrong fix, by Clopper and Pearson."""
    good = [flown(k, [0.0, 10.0], [FIX, FIX]) for k in range(24)]
    silent = [flown(k, [0.0, 10.0], ["ambiguous"] * 2) for k in range(24, 30)]
    told = tell("route", totals([*good, *silent]), [])
    assert "Wrong fixes: 0 of 48, in 0 of 24 flights with fixes; with 95 % confidence" in told
    assert "in no more than 12% of flights like these" in told
    told = tell("route", totals(silent), [])
    assert "Wrong fixes: none, for there was no fix." in told
    assert "confidence" not in told


def test_a_fix_within_its_bound_is_not_wrong() -> None:
    east_m = [0.0, 10.0]
    assert not wrong_of(flown(0, east_m, [FIX, FIX], error_m=29.0)).any()
    assert wrong_of(flown(0, east_m, [FIX, "ambiguous"], error_m=31.0)).tolist() == [True, False]


def test_a_flight_that_ended_at_once_changes_nothing() -> None:
    grid, east_m = line(3)
    flights = [flown(k, east_m, [FIX] * len(east_m)) for k in range(3)]
    with_it, without = map_of(grid, [*flights, flown(3, [], [])]), map_of(grid, flights)
    np.testing.assert_array_equal(with_it.availability, without.availability)
    np.testing.assert_array_equal(with_it.passes, without.passes)


# -- verdict ------------------------------------------------------------------------------------


def test_the_stretches_cover_the_route_and_say_where_silence_is() -> None:
    grid, east_m = line(20)
    said = ["low_score" if 400.0 <= east < 700.0 else FIX for east in east_m]
    known = [east for east in east_m if east < 850.0]
    found = map_of(grid, [flown(k, known, said[: len(known)]) for k in range(12)])
    wide = replace(FLAT, east_m=1200.0)
    route = read_route(coordinates((0.0, 0.0), (990.0, 0.0)), wide)
    parts = stretches(found, *around(route, FRAME, 5.0))
    assert parts[0].begin_m == 0.0
    assert parts[-1].end_m == pytest.approx(990.0, abs=0.01)
    assert all(one.end_m == two.begin_m for one, two in itertools.pairwise(parts))
    assert parts[0].say is Say.STEADY
    assert parts[-1].say is Say.UNKNOWN
    silent = [part for part in parts if part.say is Say.SILENCE]
    assert len(silent) == 1
    assert silent[0].begin_m == pytest.approx(400.0, abs=60.0)
    assert silent[0].end_m == pytest.approx(700.0, abs=60.0)
    assert silent[0].reason == "low_score"
    text = tell("plan", totals([flown(0, known, said[: len(known)])]), parts)
    assert f"from {silent[0].begin_m:.0f} m to {silent[0].end_m:.0f} m" in text
    assert "no frame was judged there" in text
    assert "the ground looks like no reference" in text
    assert text.endswith(WORTH)


def test_every_reason_for_silence_has_words() -> None:
    assert set(WHY) == set(Reason)


def test_crumbs_join_the_piece_before_and_nothing_longer_does() -> None:
    along_m = np.arange(0.0, 150.0, 5.0)
    for length, kept in ((4, False), (5, True)):
        says = [Say.UNKNOWN, *[Say.STEADY] * 10, *[Say.SILENCE] * length, *[Say.STEADY] * 9]
        whole = without_crumbs(says, along_m, 25.0)
        assert len(whole) == len(says)
        assert whole[0] is Say.UNKNOWN
        assert (Say.SILENCE in whole) is kept


def test_silence_is_measured_from_fix_to_fix() -> None:
    said = ["low_score", FIX, FIX, "low_score", "low_score", "low_score", FIX, "low_score"]
    assert longest_silence_s(flown(0, [0.0] * 8, said)) == 2.0
    assert longest_silence_s(flown(0, [0.0] * 8, ["low_score"] * 8)) == 3.5


# -- files --------------------------------------------------------------------------------------


def test_a_gis_finds_the_cells_where_the_flights_were(tmp_path: Path) -> None:
    grid, east_m = line(8)
    said = [FIX if east < 200.0 else "ambiguous" for east in east_m]
    found = map_of(grid, [flown(k, east_m, said) for k in range(6)])
    route = read_route(coordinates((5.0, 0.0), (390.0, 0.0)), FLAT)
    parts = stretches(found, *around(route, FRAME, 5.0))
    write_geotiff(tmp_path / "map.tif", found)
    write_geojson(tmp_path / "map.geojson", found, parts)
    lat_deg, lon_deg = FRAME.to_geodetic(np.array([(30.0, 0.0), (370.0, 0.0)]))
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert dataset.crs.to_epsg() == 32632
        assert dataset.nodata == NODATA
        assert dataset.descriptions[0].startswith("availability")
        assert dataset.tags()["worth"] == WORTH
        places = rasterio.warp.transform("EPSG:4326", dataset.crs, lon_deg, lat_deg)
        values = np.array(list(dataset.sample(zip(*places, strict=True))))
        assert values[0, 0] > 0.8 > 0.2 > values[1, 0]
        assert values[:, 3].tolist() == [6.0, 6.0]
        assert (dataset.read(1) == NODATA).sum() == np.isnan(found.availability).sum()
    tree = json.loads((tmp_path / "map.geojson").read_text())
    cells = [f for f in tree["features"] if f["properties"]["kind"] == "cell"]
    assert len(cells) == grid.rows * grid.columns
    here = [f for f in cells if _within(f["geometry"]["coordinates"][0], lon_deg[0], lat_deg[0])]
    assert len(here) == 1
    assert here[0]["properties"]["availability"] == pytest.approx(values[0, 0], abs=1e-3)
    unknown = [f for f in cells if f["properties"]["passes"] == 0]
    assert {f["properties"]["verdict"] for f in unknown} == {"unknown"}
    lines = [f for f in tree["features"] if f["properties"]["kind"] == "stretch"]
    assert [f["properties"]["verdict"] for f in lines] == [part.say.value for part in parts]


def _within(ring: list[list[float]], lon_deg: float, lat_deg: float) -> bool:
    corners = np.array(ring)
    assert np.array_equal(corners[0], corners[-1])
    sides, offsets = np.diff(corners, axis=0), [lon_deg, lat_deg] - corners[:-1]
    return bool(np.all(sides[:, 0] * offsets[:, 1] - sides[:, 1] * offsets[:, 0] > 0))


def test_cells_too_small_for_the_area_are_refused() -> None:
    lat_deg, lon_deg = FRAME.to_geodetic(np.array([(0.0, 0.0), (20_000.0, 20_000.0)]))
    with pytest.raises(DataError, match="cell_m 5"):
        Grid.around(lat_deg, lon_deg, 5.0)


@given(st.floats(0.0, 0.6), st.integers(0, 100))
def test_patches_change_about_the_share_asked_for(share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (300, 300, 3), np.uint8)
    before = picture.copy()
    swap_patches(picture, share, (8.0, 16.0), rng)
    assert np.mean(np.any(picture != before, axis=2)) == pytest.approx(share, abs=0.12)


# -- the whole ----------------------------------------------------------------------------------

ROUTE = coordinates((-100.0, -60.0), (20.0, -40.0))
SHORT = Survey(route=ROUTE, flights=3, cell_m=40.0, processes=1, seed=5)
FILES = ("rehearsal.png", "localizability.tif", "localizability.geojson", "rehearsal.json")


@pytest.mark.slow
def test_a_rehearsal_resumes_to_the_same_bytes_and_flies_nothing_twice(
    rehearsal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, out = rehearsal / "bundle", tmp_path / "out"
    result = rehearse(bundle, out, survey=SHORT, overrides=CAMERA)
    flights = sorted((out / "flights").glob("0*.json"))
    assert len(flights) == 3
    assert result["frames"] == sum(len(Flown.read(path).said) for path in flights) > 30
    assert result["fixes"] > 0
    assert result["wrong_fixes"] == 0
    assert "kinder than the sky" in result["verdict"]
    whole = {name: (out / name).read_bytes() for name in (*FILES, "flights/00001.json")}
    flights[1].unlink()
    for name in FILES:
        (out / name).unlink()
    kept_ns = flights[0].stat().st_mtime_ns
    assert rehearse(bundle, out, survey=SHORT, overrides=CAMERA) == result
    assert flights[0].stat().st_mtime_ns == kept_ns
    again = {name: (out / name).read_bytes() for name in whole}
    assert [name for name in whole if whole[name] != again[name]] == []

    monkeypatch.setattr("geobridge.export.rehearsal.campaign.fly", None)  # nothing is to be flown
    choices = {name: getattr(SHORT, name) for name in ("route", "flights", "cell_m", "seed")}
    seasons = ("summer", "autumn", "winter")
    told = rehearse_and_tell(bundle, out, overrides=CAMERA, seasons=seasons, area=None, **choices)
    assert told.startswith(result["verdict"])
    assert str(out / "localizability.tif") in told
    fewer = rehearse(bundle, out, survey=replace(SHORT, flights=2), overrides=CAMERA)
    assert fewer["flights"] == 2
    with pytest.raises(TypeError):
        rehearse(bundle, out, survey=replace(SHORT, seed=6), overrides=CAMERA)


@pytest.mark.slow
def test_processes_change_nothing_and_an_area_is_covered(rehearsal: Path, tmp_path: Path) -> None:
    low, high = FRAME.to_geodetic([-60.0, -60.0]), FRAME.to_geodetic([60.0, 60.0])
    box = (float(low[1]), float(low[0]), float(high[1]), float(high[0]))
    survey = Survey(area=box, flights=4, cell_m=60.0, rate_hz=1.0, processes=1)
    bundle = rehearsal / "bundle"
    alone = rehearse(bundle, tmp_path / "alone", survey=survey, overrides=CAMERA)
    shared = replace(survey, processes=2)
    rehearse(bundle, tmp_path / "shared", survey=shared, overrides=CAMERA)
    for number in range(4):
        name = f"flights/{number:05d}.json"
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "shared" / name).read_bytes()
    report = json.loads((tmp_path / "alone" / "rehearsal.json").read_text())
    assert report["cells_known"] >= 4
    assert report["stretches"] == []
    assert alone["verdict"].startswith("area: 4 simulated flights")


@pytest.mark.slow
def test_a_rehearsal_killed_in_mid_flight_goes_on(rehearsal: Path, tmp_path: Path) -> None:
    survey = replace(SHORT, rate_hz=1.0, flights=4, processes=2)
    code = (
        "from geobridge.export.rehearsal.rehearse import rehearse\n"
        "from geobridge.export.rehearsal.survey import Survey\n"
        "from pathlib import Path\n"
        f"rehearse(Path({str(rehearsal / 'bundle')!r}), Path({str(tmp_path / 'killed')!r}),"
        f" survey=Survey(route={ROUTE!r}, rate_hz=1.0, flights=4, cell_m=40.0, processes=2,"
        f" seed=5), overrides={CAMERA!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    folder = tmp_path / "killed" / "flights"
    while process.poll() is None and not list(folder.glob("0*.json")):
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    time.sleep(1.0)  # the other processes see the end of the first one
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("0*.json")}
    assert 0 < len(kept) < 4
    bundle = rehearsal / "bundle"
    rehearse(bundle, tmp_path / "killed", survey=survey, overrides=CAMERA)
    assert all((folder / name).stat().st_mtime_ns == then for name, then in kept.items())
    rehearse(bundle, tmp_path / "whole", survey=survey, overrides=CAMERA)
    for path in sorted(folder.glob("0*.json")):
        assert path.read_bytes() == (tmp_path / "whole" / "flights" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("survey", "named"),
    [
        ({"route": coordinates((0.0, 0.0), (900.0, 0.0))}, r"route, place 2: off the map by \d+"),
        ({"route": f"{ROUTE},1.0"}, r"only 1\.0 m above the ground"),
        ({"route": "m:0,0:900,0"}, r"route, place 2: off the map by \d+"),
        ({"route": ROUTE, "cell_m": 0.1}, r"cell_m 0\.1: \d+ x \d+ cells; choose larger ones"),
        ({"route": "plan.plan"}, r"plan\.plan: not JSON"),
        ({"route": "missing.plan"}, r"missing\.plan: No such file"),
        ({"area": (8.49, 47.39, 8.7, 47.41)}, r"area, .* corner: off the map"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_flown(
    rehearsal: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    survey: dict[str, object],
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.plan").write_text("not a plan")
    with pytest.raises(GeobridgeError, match=named) as caught:
        rehearse(rehearsal / "bundle", tmp_path / "out", survey=Survey(**survey), overrides=CAMERA)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_map_of_other_land_than_the_bundle_is_refused(rehearsal: Path, tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 300, "height": 300}
    place = rasterio.Affine(1.0, 0.0, 600_000.0, 0.0, -1.0, 5_300_000.0)
    with rasterio.open(
        tmp_path / "m.tif", "w", crs="EPSG:32632", transform=place, **profile
    ) as new:
        new.write(np.random.default_rng(1).integers(0, 256, (3, 300, 300), np.uint8))
    with pytest.raises(DataError, match=r"bundle: covers other land than the map"):
        rehearse(
            rehearsal / "bundle",
            tmp_path / "out",
            raster=tmp_path / "m.tif",
            survey=Survey(flights=4, processes=1),
            overrides=CAMERA,
        )


def test_what_does_not_fit_together_is_named(rehearsal: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="route and area"):
        Survey(route=ROUTE, area=(0.0, 0.0, 1.0, 1.0))
    with pytest.raises(DataError, match="flights 0"):
        Survey(flights=0)
    with pytest.raises(DataError, match=r"rate_hz 1e\+09: expected more than 0, at most 120"):
        Survey(rate_hz=1e9)
    with pytest.raises(DataError, match=r"cell_m 0\.001: expected 0\.1 to 10000"):
        Survey(cell_m=0.001)
    bundle = rehearsal / "bundle"
    with pytest.raises(DataError, match="surface model needs the map"):
        rehearse(bundle, tmp_path / "out", dsm=rehearsal / "map.tif", overrides=CAMERA)
    with pytest.raises(DataError, match="no such file"):
        rehearse(bundle, tmp_path / "out", raster=tmp_path / "none.tif", overrides=CAMERA)
