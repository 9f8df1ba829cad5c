from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import Floats, LocalFrame
from geobridge.onboard.simulation.flying.read_route import read_route
from geobridge.onboard.simulation.flying.route import CLEARANCE_M, Datum, Stop, lay
from geobridge.onboard.simulation.flying.terrain import Terrain

FRAME = LocalFrame(47.0, 8.0)


def rolling(enu_m: Floats) -> Floats:
    return 400.0 + 0.05 * enu_m[..., 0] + 15.0 * np.sin(enu_m[..., 1] / 150.0)


LAND = Terrain(FRAME, -1000.0, -1000.0, 1000.0, 1000.0, rolling)


def degrees(east_m: float, north_m: float) -> tuple[float, float]:
    lat_deg, lon_deg = FRAME.to_geodetic([east_m, north_m])
    return float(lat_deg), float(lon_deg)


def simple(command: int, *place: float, **more: Any) -> dict[str, Any]:
    """A simple item at east, north, altitude; without a place, one of no place."""
    params: list[float | None] = [0.0] * 7
    if place:
        params = [0.0, 0.0, 0.0, None, *degrees(place[0], place[1]), place[2]]
    entry = {"type": "SimpleItem", "command": command, "frame": 3, "params": params}
    return entry | {"autoContinue": True, "doJumpId": 1} | more


def plan(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    mission = {
        "version": 2,
        "firmwareType": 3,
        "vehicleType": 2,
        "cruiseSpeed": 15,
        "hoverSpeed": 7,
        "plannedHomePosition": [*degrees(0.0, 0.0), 12.0],
        "items": list(items),
    }
    return {"fileType": "Plan", "version": 1, "mission": mission | more}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[tuple[float, ...]]]:
    """Waypoints of a plan, as east, north, height over ground at (0, 0), speed."""

    def read_content(content: object) -> list[tuple[float, ...]]:
        path = tmp_path / "mission.plan"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        ground_m = LAND.ground_at(0.0, 0.0)
        return [
            (w.east_m, w.north_m, w.alt_amsl_m - ground_m, w.speed_m_s)
            for w in read_route(str(path), LAND).waypoints
        ]

    return read_content


class TestPlan:
    def test_flies_from_takeoff_to_return(self, read: Callable[..., Any]) -> None:
        flown = read(
            plan(
                simple(530),  # camera mode: not flown
                simple(22, 10.0, 0.0, 60.0),
                simple(16, 200.0, 0.0, 80.0),
                simple(178) | {"params": [1, 11, -1, 0, 0, 0, 0]},
                simple(16, 200.0, 300.0, 90.0),
                simple(20),
            )
        )
        expected = [(10, 0, 60, 7), (200, 0, 80, 7), (200, 300, 90, 11), (0, 0, 90, 11)]
        np.testing.assert_allclose(flown, expected, atol=1e-3)

    def test_heights_count_from_what_the_item_says(self, read: Callable[..., Any]) -> None:
        sea_m = LAND.ground_at(0.0, 0.0)
        flown = read(
            plan(
                simple(16, 100.0, 0.0, 1.0, AltitudeMode=1, Altitude=70.0),
                simple(16, 200.0, 0.0, 1.0, AltitudeMode=2, Altitude=600.0),
                simple(16, 300.0, 0.0, 1.0, AltitudeMode=3, Altitude=50.0, frame=0),
                simple(16, 400.0, 0.0, 540.0, frame=0),
                simple(16, 500.0, 0.0, 40.0, frame=10),
            )
        )
        by_east = {round(east): height for east, _, height, _ in flown}
        assert by_east[100] == pytest.approx(70.0)
        assert by_east[200] == pytest.approx(600.0 - sea_m)
        assert by_east[300] == pytest.approx(50.0 + LAND.ground_at(300.0, 0.0) - sea_m)
        assert by_east[400] == pytest.approx(540.0 - sea_m)
        assert len(by_east) == len(flown) == 5  # straight to heights above the terrain of a place
        assert by_east[500] == pytest.approx(40.0 + LAND.ground_at(500.0, 0.0) - sea_m)

    def test_survey_is_the_items_it_holds(self, read: Callable[..., Any]) -> None:
        corners = [(-100.0, -100.0), (-100.0, 100.0), (-60.0, 100.0), (-60.0, -100.0)]
        held = [simple(16, *corner, 50.0) for corner in corners]
        held.insert(1, simple(206))
        survey = {
            "type": "ComplexItem",
            "complexItemType": "survey",
            "TransectStyleComplexItem": {"Items": held, "version": 1},
        }
        flown = read(plan(survey))
        np.testing.assert_allclose([w[:2] for w in flown], corners, atol=1e-3)

    def test_wing_cruises_to_its_approach(self, read: Callable[..., Any]) -> None:
        landing = {
            "type": "ComplexItem",
            "complexItemType": "fwLandingPattern",
            "landingApproachCoordinate": [*degrees(300.0, 300.0), 40.0],
            "landCoordinate": [*degrees(0.0, 0.0), 0.0],
            "altitudesAreRelative": True,
        }
        flown = read(plan(simple(22, 0.0, 0.0, 80.0), landing, vehicleType=1))
        np.testing.assert_allclose(flown[-1], (300.0, 300.0, 40.0, 15.0), atol=1e-3)

    def test_first_version_has_coordinates(self, read: Callable[..., Any]) -> None:
        def old(east_m: float) -> dict[str, Any]:
            place = [*degrees(east_m, 0.0), 55.0]
            return {"type": "missionItem", "command": 16, "frame": 3, "coordinate": place}

        home = {"type": "missionItem", "coordinate": [*degrees(0.0, 0.0), 0.0]}
        flown = read(plan(old(50.0), old(150.0), version=1, plannedHomePosition=home))
        np.testing.assert_allclose([w[0] for w in flown], [50.0, 150.0], atol=1e-3)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("{", "mission.plan: not JSON"),
            ("[]", "mission.plan: expected a JSON object"),
            ({"fileType": "Parameters"}, "fileType: expected 'Plan', found 'Parameters'"),
            ({"fileType": "Plan"}, "mission: expected a JSON object"),
            (plan(version=3), "mission.version: expected 1 or 2, found 3"),
            (plan(), "mission.items: expected a list of at least one item"),
            (plan(simple(20), plannedHomePosition=[47.0]), "plannedHomePosition: expected [lat"),
            (plan(simple(20), hoverSpeed=0), "mission.hoverSpeed: expected more than 0 m/s"),
            (plan(simple(16, 0, 0, 50), simple(16, 0, 0, 60)), "at least two places"),
            (plan("x"), "item 1: expected a JSON object"),
            (plan({"type": "Odd"}), "item 1, type: expected SimpleItem or ComplexItem"),
            (plan(simple(16) | {"params": [0]}), "item 1, params: expected a list of 7"),
            (plan(simple(16) | {"command": "go"}), "item 1, command: expected a whole number"),
            (plan(simple(16, 0, 0, 50, frame=8)), "item 1, frame 8: expected 0 or 5"),
            (
                plan(simple(16, 0, 0, 50, AltitudeMode=1, Altitude="high")),
                "item 1, Altitude: expected a number, found 'high'",
            ),
            (plan(simple(177)), "item 1, command 177: cannot be flown here; expected one of 16"),
            (
                plan({"type": "ComplexItem", "complexItemType": "survey"}),
                "item 1 (survey): expected TransectStyleComplexItem.Items",
            ),
            (plan(simple(16, 0, 0, 50), simple(16, 0, 1250.5, 50)), "item 2: off the map by 250.5"),
            (
                plan(simple(16, 0, 0, 50), simple(16) | {"params": [0, 0, 0, 0, -47.0, -172.0, 9]}),
                "item 2: off the map, 127",
            ),
            (
                plan(simple(16) | {"params": [0, 0, 0, 0, 470.0, 8.0, 50]}),
                "item 1: expected a latitude and longitude in degrees, found 470.0, 8.0",
            ),
            (
                plan(simple(16, 0, 0, 50), simple(16, 800, 0, 30)),
                "item 2: 10.0 m below the ground; expected 2 m above",
            ),
        ],
    )
    def test_mistakes_are_named(self, read: Callable[..., Any], content: object, said: str) -> None:
        with pytest.raises(DataError, match=re.escape(said)) as caught:
            read(content)
        assert "\n" not in str(caught.value)
        assert "mission.plan" in str(caught.value)

    @given(
        st.recursive(
            st.none() | st.integers() | st.floats() | st.just(10**400) | st.text(),
            lambda x: st.lists(x, max_size=4),
        )
    )
    def test_no_value_in_any_place_is_a_traceback(self, value: object) -> None:
        content = plan(simple(16, 0.0, 0.0, 50.0), simple(16, 100.0, 0.0, 50.0))
        for keys in (
            ["mission", "items"],
            ["mission", "plannedHomePosition"],
            ["mission", "items", 1],
            ["mission", "items", 1, "params"],
            ["mission", "items", 1, "command"],
            ["mission", "items", 1, "frame"],
            ["mission", "hoverSpeed"],
        ):
            broken = json.loads(json.dumps(content))
            holder: Any = broken
            for key in keys[:-1]:
                holder = holder[key]
            holder[keys[-1]] = value
            assert _outcome(broken) >= 2


def _outcome(content: object) -> float:
    """Waypoints of a plan; as many as one likes where it is refused by its name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mission.plan"
        path.write_text(json.dumps(content))
        try:
            return len(read_route(str(path), LAND).waypoints)
        except DataError as error:
            return math.inf if f"{path}" in str(error) else 0.0


class TestWaypoints:
    def lines(self, *items: tuple[float, ...]) -> str:
        rows = ["QGC WPL 110"]
        home = (0, 16, *degrees(0.0, 0.0), 400.0)
        for index, (frame, command, lat, lon, alt) in enumerate([home, *items]):
            rows.append(f"{index}\t0\t{frame:g}\t{command:g}\t0\t8.5\t0\t0\t{lat}\t{lon}\t{alt}\t1")
        return "\n".join(rows) + "\n"

    def test_frames_speeds_and_return(self, tmp_path: Path) -> None:
        path = tmp_path / "field.waypoints"
        path.write_text(
            self.lines(
                (3, 22, 0.0, 0.0, 60.0),
                (0, 16, *degrees(150.0, 0.0), 470.0),
                (3, 178, 0.0, 0.0, 0.0),
                (10, 16, *degrees(150.0, 200.0), 45.0),
                (3, 20, 0.0, 0.0, 0.0),
            )
        )
        route = read_route(str(path), LAND)
        first, second, third, *_, last = route.waypoints
        assert (first.east_m, first.north_m) == pytest.approx((0.0, 0.0), abs=1e-3)
        assert first.alt_amsl_m == pytest.approx(LAND.ground_at(0.0, 0.0) + 60.0)
        assert second.alt_amsl_m == 470.0
        assert third.alt_amsl_m == pytest.approx(LAND.ground_at(150.0, 200.0) + 45.0, abs=1e-3)
        assert (second.speed_m_s, third.speed_m_s) == (12.0, 8.5)
        assert (last.east_m, last.north_m) == pytest.approx((0.0, 0.0), abs=1e-3)

    def test_known_by_its_first_line(self, tmp_path: Path) -> None:
        path = tmp_path / "field.txt"
        path.write_text(self.lines((3, 16, *degrees(9, 9), 60), (3, 16, *degrees(90, 9), 60)))
        assert len(read_route(str(path), LAND).waypoints) == 2

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "line 1: expected 'QGC WPL 110'"),
            ("QGC WPL 90\n", "line 1: expected 'QGC WPL 110', found 'QGC WPL 90'"),
            ("QGC WPL 110\n", "expected home and at least one item"),
            ("QGC WPL 110\n0\t1\n", "line 2: expected 12 columns, found 2"),
            ("QGC WPL 110\n0 1 x 16 0 0 0 0 47 8 0 1", "line 2: expected a whole number"),
            ("QGC WPL 110\n0 1 0 16 0 0 0 0 47 nan 0 1", "line 2: expected a number, found 'nan'"),
            (
                "QGC WPL 110\n0 1 0 16 0 0 0 0 0 0 0 1\n1 0 3 16 0 0 0 0 47 8 50 1",
                "item 0: expected the latitude and longitude of home",
            ),
        ],
    )
    def test_mistakes_are_named(self, tmp_path: Path, text: str, said: str) -> None:
        path = tmp_path / "field.waypoints"
        path.write_text(text)
        with pytest.raises(DataError, match=re.escape(said)) as caught:
            read_route(str(path), LAND)
        assert "\n" not in str(caught.value)


class TestCoordinates:
    def test_an_argument_and_a_file_say_the_same(self, tmp_path: Path) -> None:
        places = [",".join(map(repr, degrees(e, n))) for e, n in ((0, 0), (200, 0), (200, 100))]
        path = tmp_path / "places.txt"
        path.write_text("# a walk\n\n" + "\n".join(f"{place}  # here" for place in places))
        told = read_route(":".join(places), LAND, height_agl_m=90.0, speed_m_s=9.0)
        assert told.waypoints[0].speed_m_s == 9.0
        kept = read_route(str(path), LAND, height_agl_m=90.0, speed_m_s=9.0)
        np.testing.assert_array_equal(told.points, kept.points)

    def test_follows_the_ground(self) -> None:
        places = [",".join(map(repr, [*degrees(*p), 60.0])) for p in ((0.0, -800.0), (0.0, 800.0))]
        points = read_route(":".join(places), LAND).points
        above_m = points[:, 2] - rolling(points[:, :2])
        np.testing.assert_allclose(above_m, 60.0, atol=1e-6)
        assert np.ptp(points[:, 2]) > 25.0

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("47.0,8.0", "route: expected at least two places"),
            ("47.0,8.0:47.0,8.1,x", "place 2: expected lat,lon or lat,lon,height_agl_m"),
            ("47.0,8.0:97.0,8.1", "place 2: expected lat,lon"),
            ("47.0,8.0:nan,8.1", "place 2: expected lat,lon"),
            ("47.0,8.0:47.001,8.0,-5", "place 2: 5.0 m below the ground"),
            ("47.0,8.0:47.02,8.0", "place 2: off the map by 1223."),
            ("47.0,8.0:" * 2000 + "x", "place 2001: expected lat,lon"),
            ("nowhere.plan", "nowhere.plan: No such file"),
            ("nowhere", "nowhere: No such file"),
        ],
    )
    def test_mistakes_are_named(self, text: str, said: str) -> None:
        with pytest.raises(DataError, match=re.escape(said)):
            read_route(text, LAND)

    def test_speed_must_be_one(self) -> None:
        with pytest.raises(DataError, match="speed_m_s nan"):
            read_route("47.0,8.0:47.001,8.0", LAND, speed_m_s=float("nan"))

    def test_a_picture_is_no_route(self, tmp_path: Path) -> None:
        path = tmp_path / "picture.jpg"
        path.write_bytes(b"\xff\xd8\xff\xe0")
        with pytest.raises(DataError, match=r"picture\.jpg: expected a \.plan"):
            read_route(str(path), LAND)


class TestGround:
    def test_a_hill_between_two_places(self) -> None:
        def hill(enu_m: Floats) -> Floats:
            return 100.0 + 80.0 * np.exp(-np.sum((enu_m - [0.0, 50.0]) ** 2, axis=-1) / 1e4)

        land = Terrain(FRAME, -500.0, -500.0, 500.0, 500.0, hill)
        stops = [Stop(f"place {e}", e, 0.0, 130.0, Datum.AMSL, 10.0) for e in (-400.0, 400.0)]
        with pytest.raises(DataError, match=r"on the way to place 400\.0: 32\.3 m below"):
            lay("route", stops, land, (0.0, 0.0))

    def test_unknown_ground_is_not_flown_over(self) -> None:
        def hole(enu_m: Floats) -> Floats:
            return np.where(np.abs(enu_m[..., 0]) < 20.0, np.nan, 100.0)

        land = Terrain(FRAME, -500.0, -500.0, 500.0, 500.0, hole)
        stops = [Stop(f"place {e}", e, 0.0, 200.0, Datum.AMSL, 10.0) for e in (-400.0, 400.0)]
        with pytest.raises(DataError, match=r"on the way to place 400\.0: the ground's height"):
            lay("route", stops, land, (0.0, 0.0))

    @given(
        st.lists(
            st.tuples(
                st.floats(-1000.0, 1000.0), st.floats(-1000.0, 1000.0), st.floats(-20.0, 120.0)
            ),
            min_size=2,
            max_size=6,
        )
    )
    def test_what_is_laid_is_clear_of_the_ground(
        self, places: list[tuple[float, float, float]]
    ) -> None:
        stops = [Stop(f"{k}", *place, Datum.HOME, 10.0) for k, place in enumerate(places)]
        try:
            route = lay("route", stops, LAND, (0.0, 0.0))
        except DataError:
            return
        along_m = np.linspace(0.0, route.length_m, 500)
        path = np.stack(
            [np.interp(along_m, route.stations_m, route.points[:, axis]) for axis in range(3)], -1
        )
        assert np.min(path[:, 2] - rolling(path[:, :2])) > CLEARANCE_M - 0.5
