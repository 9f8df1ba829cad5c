"""Pictures of an earlier flight on the ground: which of them show nothing but ground."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from geobridge.export.references.ground.flight import FlightGround, Shot, usable
from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
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


def test_what_a_lens_does_not_show_is_not_valid(tmp_path: Path) -> None:
    folding = replace(
        Camera.from_hfov(640, 480, 63.0, Mount(pitch_deg=-90.0)),
        distortion=(0.17, -0.22, 0.0, 0.0, -0.61),
    )
    cv2.imwrite(str(tmp_path / "a.png"), np.full((480, 640, 3), 255, np.uint8))
    taken = replace(shot(folding, 0.0), path=tmp_path / "a.png")
    ground = FlightGround([taken], LocalFrame(47.0, 8.0), 0.5)
    image, valid = ground.read_at(-60.0, 60.0, 240, 240)
    assert 0.2 < valid.mean() < 0.9
    assert image[cv2.erode(valid, np.ones((3, 3), np.uint8)) > 0].min() > 240
