from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rasterio")
pytest.importorskip("shapely")

from .drawn import CONFIG, SHIFT_M, STANDS, town, write_features, write_raster, write_streets
from .stub import Stub


@pytest.fixture
def region(tmp_path: Path) -> Path:
    """mosaic.tif with a hole around (300, 300), satellite.tif shifted, streets, features."""
    valid = np.full((900, 900), 255, np.uint8)
    valid[100:200, 700:800] = 0
    write_raster(tmp_path / "mosaic.tif", town(1), valid)
    shifted = town(1, (int(SHIFT_M[0]), int(-SHIFT_M[1])))
    darker = np.clip(shifted * 0.8 + 10, 0, 255).astype(np.uint8)
    write_raster(tmp_path / "satellite.tif", darker)
    write_streets(tmp_path / "streets", STANDS)
    write_features(tmp_path / "features.geojson")
    (tmp_path / "build.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def stub() -> Iterator[Stub]:
    served = Stub()
    thread = threading.Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()
