from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.config import LocalizerConfig, PrepareConfig, RetrieveConfig, VerifyConfig
from geobridge.onboard.localization.doubt import AS_TOLD
from geobridge.onboard.localization.prepare import Prepared, ground, prepare, upright
from geobridge.onboard.localization.told import Below, trusted
from geobridge.onboard.manifest_entries import TerrainEntry
from geobridge.onboard.records import Attitude, Frame, Reason, Rejection, Telemetry
from geobridge.onboard.terrain import Terrain

CAMERA = Camera.from_hfov(160, 120, 70.0)
ON_GIMBAL = replace(CAMERA, mount=Mount(gimbal=True))
CONFIG = PrepareConfig()
FRAME = Frame(np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8), 0)
TOLD = Telemetry(0, Attitude(1.0, -2.0, 30.0), 100.0)
SLOPE = TerrainEntry(
    path="reference/terrain.npy", spacing_m=50.0, west_m=-200.0, north_m=200.0, rows=9, columns=9
)
"""Ground that rises by 1 m in 10 towards the east, 400 m in the middle."""
BELOW = Terrain(SLOPE, np.tile(400.0 + 5.0 * np.arange(-4, 5), (9, 1)).astype("<f4"))


def ready(telemetry: Telemetry, camera: Camera = CAMERA, **others: Any) -> Prepared:
    found = prepare(FRAME, trusted(telemetry), camera, **({"config": CONFIG} | others))
    assert isinstance(found, Prepared), found
    return found


def reason(telemetry: Telemetry, camera: Camera = CAMERA, **others: Any) -> Reason:
    found = prepare(FRAME, trusted(telemetry), camera, **({"config": CONFIG} | others))
    assert isinstance(found, Rejection), found
    assert found.detail
    return found.reason


def test_what_is_told_well_is_one_hypothesis() -> None:
    found = ready(TOLD)
    assert found.hypotheses == (AS_TOLD,)
    assert found.added_accuracy_m == 0.0
    assert found.relief is None


@pytest.mark.parametrize(("ratio", "squares"), [(1.0, 1), (1.5, 9)])
def test_around_the_middle_there_are_squares_where_there_is_room(
    ratio: float, squares: int
) -> None:
    config = LocalizerConfig(
        retrieve=RetrieveConfig(around=True), verify=VerifyConfig(footprint_ratio=ratio)
    )
    found = ground(0, ready(TOLD), 40.0, 0.5, config)
    assert not isinstance(found, Rejection)
    patch, seen = found
    places = [(square.east_m - patch.east_m, square.north_m - patch.north_m) for square in seen]
    assert len(seen) == squares
    assert len(set(places)) == squares
    assert places[0] == (0.0, 0.0)


@given(
    pitch_deg=st.floats(-90.0, -60.0),
    heading_deg=st.floats(0.0, 360.0),
    vehicle=st.builds(
        Attitude, st.floats(-30.0, 30.0), st.floats(-30.0, 30.0), st.floats(0.0, 360.0)
    ),
)
def test_a_gimbal_holds_the_camera_whatever_the_vehicle_does(
    pitch_deg: float, heading_deg: float, vehicle: Attitude
) -> None:
    gimbal = Attitude(0.0, pitch_deg, heading_deg)
    found = ready(replace(TOLD, attitude=vehicle, gimbal=gimbal), ON_GIMBAL)
    axis = found.enu_from_camera @ [0.0, 0.0, 1.0]
    down, turn = math.radians(-pitch_deg), math.radians(heading_deg)
    flat = math.cos(down)
    expected = [flat * math.sin(turn), flat * math.cos(turn), -math.sin(down)]
    assert axis == pytest.approx(expected, abs=1e-9)
    top = found.enu_from_camera @ [0.0, -1.0, 0.0]
    assert top[0] * math.cos(turn) - top[1] * math.sin(turn) == pytest.approx(0.0, abs=1e-9)
    assert top[0] * math.sin(turn) + top[1] * math.cos(turn) >= 0.0


def test_a_gimbal_and_a_fixed_mount_of_the_same_angles_see_the_same() -> None:
    level = replace(TOLD, attitude=Attitude(0.0, 0.0, 70.0))
    fixed = ready(level, replace(CAMERA, mount=Mount(0.0, -75.0, 0.0)))
    held = ready(replace(level, gimbal=Attitude(0.0, -75.0, 70.0)), ON_GIMBAL)
    assert held.enu_from_camera == pytest.approx(fixed.enu_from_camera, abs=1e-12)


def test_a_gimbal_that_is_not_heard_is_no_attitude() -> None:
    assert reason(TOLD, ON_GIMBAL) is Reason.NO_ATTITUDE
    torn = replace(TOLD, gimbal=Attitude(0.0, math.nan, 0.0))
    assert reason(torn, ON_GIMBAL) is Reason.NO_ATTITUDE
    alone = replace(TOLD, attitude=None, gimbal=Attitude(0.0, -90.0, 20.0))
    assert ready(alone, ON_GIMBAL).hypotheses == (AS_TOLD,)


def test_the_lever_arm_turns_with_the_vehicle() -> None:
    ahead = replace(CAMERA, mount=Mount(forward_m=2.0, down_m=0.5))
    east = ready(replace(TOLD, attitude=Attitude(0.0, 0.0, 90.0)), ahead)
    assert east.sight().camera_m == pytest.approx([2.0, 0.0, 99.5])
    patch, bare = (
        east.rectify(40.0, 1.0),
        ready(replace(TOLD, attitude=Attitude(0.0, 0.0, 90.0))).rectify(40.0, 1.0),
    )
    assert patch is not None
    assert bare is not None
    assert (patch.east_m, patch.north_m) == pytest.approx((bare.east_m + 2.0, bare.north_m))


@pytest.mark.parametrize("accuracy", [10.0, 45.0, 1000.0, math.nan, -1.0])
def test_a_doubtful_heading_is_searched(accuracy: float) -> None:
    found = ready(replace(TOLD, heading_accuracy_deg=accuracy))
    turns = {each.heading_offset_deg for each in found.hypotheses}
    assert len(turns) == {10.0: 3, 45.0: 13}.get(accuracy, 24)
    assert found.hypotheses[0] == AS_TOLD


def test_a_doubtful_height_is_searched() -> None:
    found = ready(replace(TOLD, height_accuracy_m=15.0))
    assert {round(each.scale, 2) for each in found.hypotheses} >= {-0.2, -0.11, 0.0, 0.12, 0.25}
    assert reason(replace(TOLD, height_accuracy_m=50.0)) is Reason.NO_HEIGHT
    assert reason(replace(TOLD, height_accuracy_m=math.nan)) is Reason.NO_HEIGHT


def test_without_attitude_the_vehicle_is_level_where_that_is_allowed() -> None:
    blind = replace(TOLD, attitude=None)
    assert reason(blind) is Reason.NO_ATTITUDE
    found = ready(blind, config=PrepareConfig(level_accuracy_deg=8.0))
    assert len(found.hypotheses) == 24
    assert found.added_accuracy_m == pytest.approx(100.0 * math.tan(math.radians(8.0)))


def test_without_height_a_range_is_searched_where_that_is_allowed() -> None:
    blind = replace(TOLD, height_agl_m=None)
    assert reason(blind) is Reason.NO_HEIGHT
    found = ready(blind, config=PrepareConfig(height_range_agl_m=(60.0, 120.0)))
    heights_m = [found.height_agl_m * (1.0 + each.scale) for each in found.hypotheses]
    assert min(heights_m) < 64.0
    assert max(heights_m) > 113.0
    assert found.height_agl_m == pytest.approx(math.sqrt(60.0 * 120.0))


def test_height_above_sea_level_and_terrain_tell_the_height_above_ground() -> None:
    high = replace(TOLD, height_agl_m=None, alt_amsl_m=520.0)
    assert reason(high) is Reason.NO_HEIGHT
    here = ready(high, below=Below(BELOW, (100.0, 30.0)))
    assert here.height_agl_m == pytest.approx(110.0)
    assert here.hypotheses == (AS_TOLD,)
    lost = ready(high, below=Below(BELOW))
    assert lost.height_agl_m == pytest.approx(120.0)
    assert len(lost.hypotheses) > 1
    assert reason(replace(high, alt_amsl_m=380.0), below=Below(BELOW)) is Reason.NO_HEIGHT


def test_a_slope_bends_the_sight_where_the_place_is_known() -> None:
    sight = ready(TOLD, below=Below(BELOW, (0.0, 0.0))).sight()
    assert sight.relief is not None
    east_m, up_m = 40.0, 4.0
    higher = ready(replace(TOLD, height_agl_m=100.0 - up_m)).sight()
    assert sight.frame_px([[east_m, 0.0]]) == pytest.approx(higher.frame_px([[east_m, 0.0]]))
    assert ready(TOLD, below=Below(BELOW)).sight().relief is None


def test_what_looks_ahead_is_not_flattened() -> None:
    bent = replace(CAMERA, distortion=(-0.2, 0.03, 0.0, 0.0), mount=Mount(pitch_deg=0.0))
    found = upright(FRAME, bent, CONFIG)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, bent.undistort(FRAME.image))
    dark = upright(replace(FRAME, image=FRAME.image // 40), bent, CONFIG)
    assert isinstance(dark, Rejection)
    assert dark.reason is Reason.BLACK


@pytest.mark.parametrize("heights", [(60.0, 60.0), (120.0, 60.0), (20.0, 200.0)])
def test_heights_that_cannot_be_searched_are_refused(heights: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="expected the lower height, and a higher one"):
        PrepareConfig(height_range_agl_m=heights)
