from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.config import PrepareConfig
from geobridge.onboard.localization.doubt import Hypothesis
from geobridge.onboard.localization.local_matches import PARTS, match_structure, reach_px
from geobridge.onboard.localization.measure import geometry_sigmas, tilt_covariance_m2
from geobridge.onboard.localization.pose import MIN_INLIERS, NOISE_PX, Floats, Pose, fit_pose
from geobridge.onboard.localization.prepare import Prepared
from geobridge.onboard.localization.structure import Field, Ground
from geobridge.onboard.records import Attitude, Telemetry

SIDE_M, TURN_DEG, STRETCH = 135.0, 2.0, 0.025
LATTICE = np.stack(np.meshgrid(*[np.linspace(-54.0, 54.0, PARTS)] * 2), axis=-1).reshape(-1, 2)


def fit(ground_m: Floats, shift_m: Floats) -> Pose | None:
    return fit_pose(ground_m, shift_m, len(ground_m), 1.0, SIDE_M, TURN_DEG, STRETCH)


def moved(
    ground_m: Floats, east_m: float, north_m: float, turn_deg: float, stretch: float
) -> Floats:
    turn = math.radians(turn_deg)
    similarity = (1.0 + stretch) * np.array(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    )
    return np.asarray(ground_m @ similarity.T - ground_m + [east_m, north_m])


small = st.floats(-1.5, 1.5)


@given(small, small, st.floats(-2.0, 2.0), st.floats(-0.02, 0.02), st.integers(0, 10_000))
def test_place_turn_and_stretch_are_found_among_outliers(
    east_m: float, north_m: float, turn_deg: float, stretch: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shift_m = moved(LATTICE, east_m, north_m, turn_deg, stretch) + rng.normal(0.0, 0.1, (25, 2))
    wild = rng.choice(25, 8, replace=False)
    shift_m[wild] = rng.uniform(-8.0, 8.0, (8, 2))
    found = fit(LATTICE, shift_m)
    assert found is not None
    assert found.inliers >= 15
    assert (found.east_m, found.north_m) == pytest.approx((east_m, north_m), abs=1.0)
    assert found.turn_deg == pytest.approx(turn_deg, abs=1.2)
    assert found.stretch == pytest.approx(stretch, abs=0.02)


@pytest.mark.parametrize("away_m", [0.0, 150.0])
@pytest.mark.parametrize("noise_m", [0.4, 1.0])
def test_the_covariance_is_that_of_the_errors(away_m: float, noise_m: float) -> None:
    """Also where the picture lies to one side of the vehicle, and its turn moves the place."""
    ground_m, errors, stated = LATTICE + np.array([away_m, 0.0]), [], []
    rng = np.random.default_rng(1)
    for _ in range(400):
        turn_deg, stretch = rng.normal(0.0, TURN_DEG / 4), rng.normal(0.0, STRETCH / 4)
        shift_m = moved(ground_m, 0.3, -0.4, turn_deg, stretch)
        found = fit(ground_m, shift_m + rng.normal(0.0, noise_m, shift_m.shape))
        assert found is not None
        errors.append((found.east_m - 0.3, found.north_m + 0.4))
        stated.append(found.covariance_m2)
    error = np.array(errors)
    nees = np.einsum("ni,nij,nj->n", error, np.linalg.inv(stated), error).mean()
    assert 0.4 < nees / 2.0 < 1.2


def test_parts_that_agree_less_make_a_wider_covariance() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(size=LATTICE.shape)
    sigmas = []
    for noise_m in (0.0, 0.5, 1.0):
        found = fit(LATTICE, noise * noise_m)
        assert found is not None
        sigmas.append(found.sigma_m)
    assert sigmas == sorted(sigmas)
    assert sigmas[0] == pytest.approx(NOISE_PX / PARTS, rel=0.05)


def test_parts_in_a_corner_say_less_than_parts_all_over() -> None:
    whole, corner = fit(LATTICE, LATTICE * 0.0), fit(LATTICE[:6], LATTICE[:6] * 0.0)
    assert whole is not None
    assert corner is not None
    assert corner.sigma_m > 1.5 * whole.sigma_m
    assert corner.spread < whole.spread / 2


def test_too_few_or_scattered_parts_are_no_fit() -> None:
    assert fit(LATTICE[: MIN_INLIERS - 1], LATTICE[: MIN_INLIERS - 1] * 0.0) is None
    scattered = np.array([[-8.0, -8.0], [8.0, 8.0], [-8.0, 8.0], [8.0, -8.0], [0.0, 0.0]])
    assert fit(LATTICE[::6], scattered) is None


def noise(side_px: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(side_px, side_px, 2)).astype(np.float32)


def ground(field: Field, shown: Field) -> Ground:
    """Ground of which only the structure is known, and that where it is shown."""
    image = np.zeros((*shown.shape, 3), np.uint8)
    return Ground(image, shown.astype(np.uint8), field * shown[..., None], shown)


def everywhere(side_px: int) -> Field:
    return np.ones((side_px, side_px), np.float32)


@pytest.mark.parametrize("shift_px", [(0, 0), (3, -2), (-5, 5)])
def test_parts_are_found_where_they_lie(shift_px: tuple[int, int]) -> None:
    side_px = 150
    reach = reach_px(side_px)
    assert reach > max(map(abs, shift_px))
    around = noise(side_px + 2 * reach, 4)
    reference = ground(around, everywhere(len(around)))
    right, down = shift_px
    picture = around[reach + down :, reach + right :][:side_px, :side_px]
    shown = everywhere(side_px)
    shown[:, : side_px // PARTS] = 0.0
    found = match_structure(ground(picture, shown), reference)
    assert found.of == len(found.at_px) == PARTS * (PARTS - 1)
    assert found.shift_px == pytest.approx(np.tile([right, down], (20, 1)), abs=0.2)
    assert found.at_px[:, 0].min() > side_px / PARTS
    elsewhere = ground(noise(len(around), 5), everywhere(len(around)))
    foreign = match_structure(ground(picture, everywhere(side_px)), elsewhere)
    assert len(foreign.at_px) < PARTS


def test_parts_beyond_the_edge_of_the_map_are_not_looked_for() -> None:
    side_px = 150
    reach = reach_px(side_px)
    around = noise(side_px + 2 * reach, 4)
    mapped = everywhere(len(around))
    mapped[: reach + 2 * side_px // PARTS] = 0.0
    picture = ground(around[reach:, reach:][:side_px, :side_px], everywhere(side_px))
    found = match_structure(picture, ground(around, mapped))
    assert found.of == len(found.at_px) == PARTS * (PARTS - 2)
    assert found.shift_px == pytest.approx(np.zeros((found.of, 2)), abs=0.2)


def test_a_picture_too_small_for_parts_has_none() -> None:
    tiny = ground(noise(30, 1), everywhere(30))
    assert match_structure(tiny, ground(noise(36, 1), everywhere(36))).of == 0


@pytest.mark.parametrize("heading_deg", [0.0, 70.0])
def test_tilt_moves_the_ground_by_the_height_and_more_along_a_flat_view(heading_deg: float) -> None:
    height_m, sigma = 100.0, math.radians(1.0)
    level = Attitude(0.0, 0.0, heading_deg)
    picture = np.zeros((240, 320, 3), np.uint8)
    nadir = Prepared(picture, Camera.from_hfov(320, 240, 70.0), level, height_m)
    assert tilt_covariance_m2(nadir, 1.0) == pytest.approx(
        np.eye(2) * (height_m * sigma) ** 2, rel=1e-3, abs=1e-3
    )
    mount = Mount(pitch_deg=-60.0)
    oblique = Prepared(picture, Camera.from_hfov(320, 240, 70.0, mount), level, height_m)
    across, along = np.sqrt(np.linalg.eigvalsh(tilt_covariance_m2(oblique, 1.0)))
    assert along == pytest.approx(height_m * sigma / math.cos(math.radians(30.0)) ** 2, rel=0.02)
    assert across == pytest.approx(height_m * sigma, rel=0.2)


CONFIG = PrepareConfig()
FLYING = Attitude(0.0, 0.0, 10.0)


@pytest.mark.parametrize(
    ("turn_deg", "scale", "telemetry", "sigmas"),
    [
        (60.0, 0.0, Telemetry(0, FLYING, 100.0), 0.0),
        (-6.0, 0.0, Telemetry(0, FLYING, 100.0, heading_accuracy_deg=1.5), 4.0),
        (357.0, 0.0, Telemetry(0, FLYING, 100.0, heading_accuracy_deg=1.0), 3.0),
        (170.0, 0.0, Telemetry(0, FLYING, 100.0, heading_accuracy_deg=90.0), 0.0),
        (0.0, 0.3, Telemetry(0, FLYING, 100.0), 0.0),
        (0.0, 0.3, Telemetry(0, FLYING, 100.0, height_accuracy_m=10.0), math.log(1.3) / 0.1),
        (0.0, -0.1, Telemetry(0, FLYING, 100.0, height_accuracy_m=0.1), -math.log(0.9) / 0.02),
        (3.0, 0.3, Telemetry(0, FLYING, None, None, heading_accuracy_deg=3.0), 1.0),
    ],
)
def test_turn_and_scale_are_judged_by_what_is_stated(
    turn_deg: float, scale: float, telemetry: Telemetry, sigmas: float
) -> None:
    found = geometry_sigmas(Hypothesis(turn_deg, scale), telemetry, CONFIG)
    assert found == pytest.approx(sigmas)
