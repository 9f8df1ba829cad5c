from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# The same examples on every machine and every run; a slow machine is no failure.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def data() -> Path:
    """Recorded flights, which are not part of the repository; for tests marked `real_data`."""
    folder = Path(os.environ.get("GEOBRIDGE_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no recorded flights at {folder}; GEOBRIDGE_DATA names their folder")
    return folder
