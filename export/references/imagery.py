"""The reference imagery of a bundle: RGBA tiles, row 0 at the north edge.

Alpha is 0 where nothing is shown, else 255 less the row of the source that shows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from geobridge.onboard import durable
from geobridge.onboard.manifest_entries import ImageryEntry
from geobridge.onboard.records import Image
from geobridge.onboard.retrieval.imagery import decode_tile, tile_path

from .ground.mosaic import NOBODY, Mosaic

TILE_PX = 256
OPAQUE = 255


def write_imagery(mosaic: Mosaic, folder: Path) -> ImageryEntry:
    """Write every tile that shows something and is not there yet."""
    grid = mosaic.grid
    rows, columns = math.ceil(grid.height_px / TILE_PX), math.ceil(grid.width_px / TILE_PX)
    for row in range(rows):
        for column in range(columns):
            path = folder / tile_path(row, column)
            if path.exists():
                continue
            image, owner = mosaic.read(row * TILE_PX, column * TILE_PX, TILE_PX, TILE_PX)
            if (owner != NOBODY).any():
                durable.write_bytes(path, _png(image, owner))
    return ImageryEntry(
        gsd_m=grid.gsd_m,
        tile_px=TILE_PX,
        west_m=grid.west_m,
        north_m=grid.north_m,
        rows=rows,
        columns=columns,
    )


def tile_reader(
    folder: Path, tile_px: int, sources: Collection[int] | None = None
) -> Callable[[int, int], Image | None]:
    """Reads tiles that `write_imagery` wrote: [T, T, 4] RGBA, or None where there is none.

    Of `sources` alone, if some are given: what others show is left out.
    """

    def read(row: int, column: int) -> Image | None:
        path = folder / tile_path(row, column)
        tile = decode_tile(path.read_bytes(), tile_px) if path.is_file() else None
        if tile is not None and sources is not None:
            tile[~np.isin(tile[..., 3], [OPAQUE - source for source in sources])] = 0
        return tile

    return read


def source_of(alpha: npt.NDArray[np.uint8]) -> int:
    """The first listed of the sources that show something of a square."""
    return OPAQUE - int(alpha.max())


def _png(image: Image, owner: npt.NDArray[np.uint8]) -> bytes:
    alpha = np.where(owner == NOBODY, 0, OPAQUE - owner).astype(np.uint8)
    _, encoded = cv2.imencode(".png", np.dstack([image[..., ::-1], alpha]))
    return encoded.tobytes()
