"""Pictures of an earlier flight on the ground: which of them show nothing but ground."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geobridge.export.references.ground.flight import Shot, usable
from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Attitude

WIDE = Camera.from_hfov(640, 480, 110.0, Mount(pitch_deg=-90.0))
PINCUSHION = replace(WIDE, distortion=(0.35, 0.0, 0.0, 0.0))


def shot(camera: Camera, roll_deg: float) -> Shot:
    return Shot(Path("a.jpg"), 47.0, 8.0, Attitude(roll_deg, 0.0, 0.0), 80.0, camera)


@pytest.mark.parametrize("camera", [WIDE, PINCUSHION])
@pytest.mark.parametrize("roll_deg", [0.0, 15.0, 30.0, 36.0, 39.0])
def test_what_is_usable_lies_on_the_ground(camera: Camera, roll_deg: float) -> None:
    """A lens may bend the horizon out of the picture that undistortion brings back."""
    taken = shot(camera, roll_deg)
    if not taken.sees_no_horizon:
        assert roll_deg > 15.0
        with pytest.raises(DataError, match="no picture looks down"):
            usable([taken], Path("flight"))
        return
    first, second, third, fourth = taken.ground_m()
    for sides in ((second - first, third - first), (third - first, fourth - first)):
        assert np.linalg.det(np.stack(sides)) < 0, "clockwise on the ground as in the picture"
