"""Rasters whose georeference GDAL does not take for one, and rasters that have none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from rasterio.control import GroundControlPoint

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.training.rasters.georeference import require_on_earth
from geobridge.training.rasters.raster import Raster

Draw = Callable[..., npt.NDArray[np.uint8]]
Write = Callable[..., Path]

FRAME = LocalFrame(33.642, 72.991)
CORNERS = ((0, 0), (0, 60), (60, 60), (60, 0))


@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.0, 200.0), (1e-9, -1e-9)])
def test_pixels_of_a_metre_at_the_origin_of_their_projection_are_read_as_others(
    corner: tuple[float, float], tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    """GDAL takes them for pixels without any georeference."""
    image, crs = texture(200), FRAME.proj
    place = rasterio.Affine(1.0, 0.0, corner[0], 0.0, -1.0, corner[1])
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning)
        if corner == (0.0, 0.0)
        else (contextlib.nullcontext())
    ):
        path = write_raster(tmp_path / "map.tif", image, crs, place)
    with Raster(path, 1.0, FRAME) as raster:
        picture, valid = raster.read_at(corner[0], corner[1], 200, 200)
    assert valid.mean() > 0.99
    assert np.abs(picture.astype(int) - image[..., :3])[2:-2, 2:-2].max() <= 1


def test_a_crs_without_a_place_for_the_pixels_is_refused(
    tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write_raster(
            tmp_path / "loose.tif", texture(60), transform=rasterio.Affine.identity()
        )
    with pytest.raises(DataError, match=r"loose.tif: .* not say where its corners lie \(gdal_tr"):
        require_on_earth(path)
    points = [GroundControlPoint(r, c, 320_000.0 + c, 3_727_000.0 - r) for r, c in CORNERS]
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = points, rasterio.crs.CRS.from_epsg(32643)
    with pytest.raises(DataError, match=r"loose.tif: has control points alone"):
        require_on_earth(path)
