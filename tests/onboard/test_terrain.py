from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.errors import BundleError
from geobridge.onboard.manifest_entries import TerrainEntry
from geobridge.onboard.terrain import Terrain

ENTRY = TerrainEntry(
    path="reference/terrain.npy", spacing_m=10.0, west_m=-50.0, north_m=30.0, rows=5, columns=8
)


@given(st.floats(-60.0, 40.0), st.floats(-30.0, 40.0))
def test_heights_between_nodes_are_bilinear(east_m: float, north_m: float) -> None:
    """A plane and a twist are what bilinear interpolation gives back exactly."""
    column, row = np.meshgrid(np.arange(8), np.arange(5))
    terrain = Terrain(ENTRY, (100.0 + 3.0 * column - 2.0 * row + column * row).astype("<f4"))
    x, y = (east_m + 50.0) / 10.0, (30.0 - north_m) / 10.0
    found = terrain.height_amsl_m(east_m, north_m)
    if 0.0 <= x <= 7.0 and 0.0 <= y <= 4.0:
        assert found == pytest.approx(100.0 + 3.0 * x - 2.0 * y + x * y, abs=1e-3)
    else:
        assert found is None


@pytest.mark.parametrize("at", [(np.nan, 0.0), (0.0, np.inf), (1e300, 0.0)])
def test_nowhere_there_is_no_height(at: tuple[float, float]) -> None:
    assert Terrain(ENTRY, np.zeros((5, 8), "<f4")).height_amsl_m(*at) is None


@pytest.mark.parametrize("height", [np.nan, np.inf, -600.0, 9001.0])
def test_what_is_no_height_is_refused(height: float) -> None:
    heights = np.zeros((5, 8), "<f4")
    heights[2, 3] = height
    with pytest.raises(BundleError, match=r"reference/terrain\.npy"):
        Terrain(ENTRY, heights)


@given(st.floats(-40.0, 40.0), st.floats(-40.0, 40.0))
def test_the_ground_of_a_slope_is_at_the_point_and_a_roof_is_none(
    east: float, north: float
) -> None:
    entry = ENTRY.model_copy(update={"west_m": -100.0, "north_m": 100.0, "rows": 21, "columns": 21})
    column, row = np.meshgrid(np.arange(21), np.arange(21))
    slope = (200.0 + 1.5 * column - 0.5 * row).astype("<f4")
    terrain = Terrain(entry, slope)
    here = terrain.height_amsl_m(east, north)
    assert terrain.ground_amsl_m(east, north) == pytest.approx(here, abs=1e-3)
    slope[9:12, 9:12] += 15.0  # a house of 30 m in the middle
    relief = Terrain(entry, slope).around(0.0, 0.0)
    assert relief is not None
    assert relief.up_m(np.array([[0.0, 0.0], [80.0, 0.0]])) == pytest.approx([15.0, 12.0], abs=2.0)
    assert terrain.around(500.0, 0.0) is None
