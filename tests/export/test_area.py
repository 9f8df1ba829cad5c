from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rasterio")

from geobridge.export.references.area import Area, middle_of, read_area
from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame

FRAME = LocalFrame(47.4, 8.5)
SQUARE = [(-100.0, -100.0), (100.0, -100.0), (100.0, 100.0), (-100.0, 100.0)]
HOLE = [(-20.0, -20.0), (20.0, -20.0), (20.0, 20.0), (-20.0, 20.0)]
INSIDE = [(50.0, 50.0), (-99.0, -99.0)]
OUTSIDE = [(0.0, 0.0), (101.0, 0.0), (0.0, -300.0)]


def lon_lat(ring: list[tuple[float, float]]) -> list[list[float]]:
    lat_deg, lon_deg = FRAME.to_geodetic(ring)
    points = [list(point) for point in zip(lon_deg.tolist(), lat_deg.tolist(), strict=True)]
    return [*points, points[0]]


def polygon() -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [lon_lat(SQUARE), lon_lat(HOLE)]}


def kml() -> str:
    def ring(points: list[list[float]]) -> str:
        text = " ".join(f"{lon},{lat},0" for lon, lat in points)
        return f"<LinearRing><coordinates>{text}</coordinates></LinearRing>"

    outer, inner = ring(lon_lat(SQUARE)), ring(lon_lat(HOLE))
    return (
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><Polygon>'
        f"<outerBoundaryIs>{outer}</outerBoundaryIs><innerBoundaryIs>{inner}</innerBoundaryIs>"
        "</Polygon></Placemark></kml>"
    )


FILES = {
    "polygon.geojson": json.dumps(polygon()),
    "feature.json": json.dumps({"type": "Feature", "geometry": polygon(), "properties": None}),
    "collection.geojson": json.dumps(
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": polygon()}]}
    ),
    "multi.geojson": json.dumps(
        {"type": "MultiPolygon", "coordinates": [polygon()["coordinates"]]}
    ),
    "area.kml": kml(),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_says_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name])
    area = read_area(tmp_path / name)
    assert area.holds(np.array(INSIDE), FRAME).all()
    assert not area.holds(np.array(OUTSIDE), FRAME).any()
    assert area.bounds_m(FRAME) == pytest.approx((-100.0, -100.0, 100.0, 100.0), abs=0.02)
    assert (area.middle.origin_lat_deg, area.middle.origin_lon_deg) == (47.4, 8.5)


def plan(fence: bool) -> dict[str, Any]:
    """Latitude first, as QGroundControl writes it; a survey over the west, a fence around all."""
    west = [[lat, lon] for lon, lat in lon_lat([(-100, -100), (0, -100), (0, 100), (-100, 100)])]
    whole = [[lat, lon] for lon, lat in lon_lat(SQUARE)]
    fences = [{"polygon": whole, "inclusion": True}, {"polygon": west, "inclusion": False}]
    return {
        "fileType": "Plan",
        "mission": {"items": [{"complexItemType": "survey", "polygon": west}]},
        "geoFence": {"polygons": fences if fence else []},
    }


@pytest.mark.parametrize(("fence", "east_is_inside"), [(True, True), (False, False)])
def test_a_plan_gives_its_fence_or_else_its_surveys(
    tmp_path: Path, fence: bool, east_is_inside: bool
) -> None:
    (tmp_path / "m.plan").write_text(json.dumps(plan(fence)))
    area = read_area(tmp_path / "m.plan")
    found = area.holds(np.array([(-50.0, 0.0), (50.0, 0.0), (150.0, 0.0)]), FRAME)
    assert found.tolist() == [True, east_is_inside, False]


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=7, unique=True)
)
def test_inside_is_what_opencv_says(corners: list[tuple[int, int]]) -> None:
    """Any polygon, its edges crossing or not; points on no edge."""
    import cv2

    ring = FRAME.to_geodetic([(10.0 * x, 10.0 * y) for x, y in corners])
    area = Area(Path("x"), ((ring,),))
    mask = np.zeros((400, 400), np.uint8)
    drawn = [[(20 * x + 200) * 256, (20 * y + 200) * 256] for x, y in corners]
    cv2.fillPoly(mask, [np.array(drawn, np.int32)], 1, shift=8)
    edges = np.zeros_like(mask)
    cv2.polylines(edges, [np.array(drawn, np.int32)], True, 1, 4, shift=8)
    rng = np.random.default_rng(len(corners))
    at = rng.integers(0, 400, (60, 2))
    clear = edges[at[:, 1], at[:, 0]] == 0
    inside = area.holds((at - 200.0) / 2.0, FRAME)
    assert (inside == (mask[at[:, 1], at[:, 0]] > 0))[clear].all()


def test_two_polygons_that_overlap_are_one_area(tmp_path: Path) -> None:
    shifted = [(x + 100.0, y) for x, y in SQUARE]
    tree = {
        "type": "MultiPolygon",
        "coordinates": [[lon_lat(SQUARE)], [lon_lat(shifted)]],
    }
    (tmp_path / "a.geojson").write_text(json.dumps(tree))
    centres = np.array([(-50.0, 0.0), (50.0, 0.0), (150.0, 0.0)])
    assert read_area(tmp_path / "a.geojson").holds(centres, FRAME).all()


def test_the_middle_across_the_date_line() -> None:
    frame = middle_of([(np.array([10.0, 10.2]), np.array([179.9, -179.9]))])
    assert frame.origin_lat_deg == pytest.approx(10.1)
    assert abs(frame.origin_lon_deg) == pytest.approx(180.0)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.geojson", "", "not JSON; expected a polygon"),
        ("a.geojson", "[]", "holds no polygon; expected"),
        ("a.geojson", '{"type": "Point", "coordinates": [8, 47]}', "holds no polygon"),
        (
            "a.geojson",
            '{"type": "Polygon", "coordinates": [[[8, 147], [9, 47], [9, 48]]]}',
            "a latitude of 147; expected longitude, latitude",
        ),
        (
            "a.geojson",
            '{"type": "Polygon", "coordinates": [[[208, 47], [9, 47], [9, 48]]]}',
            "a longitude of 208",
        ),
        (
            "a.geojson",
            '{"type": "Polygon", "coordinates": [[["x", 47], [9, 47], [9, 48]]]}',
            "corners are not pairs of numbers",
        ),
        (
            "a.geojson",
            '{"type": "Polygon", "coordinates": [[[8, 47], [9, 47]]]}',
            "has 2 corners; expected 3 or more",
        ),
        ("a.kml", "<kml>", "not KML"),
        ("a.kml", "<kml/>", "holds no polygon"),
        ("a.plan", '{"fileType": "Plan", "mission": {"items": []}}', "holds no polygon"),
    ],
)
def test_what_is_no_area(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=complaint) as refused:
        read_area(tmp_path / name)
    assert str(refused.value).startswith(str(tmp_path / name))


def test_an_area_too_large_for_one_plane(tmp_path: Path) -> None:
    ring = [[8.0, 47.0], [10.0, 47.0], [10.0, 48.0], [8.0, 48.0]]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    with pytest.raises(DataError, match="reaches more than 60 km from its middle"):
        _ = read_area(tmp_path / "a.geojson").middle
