from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geobridge.onboard.camera import Camera
from geobridge.onboard.config import GateConfig, VerifyConfig
from geobridge.onboard.localization.alignment import Alignment, Rectifier
from geobridge.onboard.localization.gate import Evidence, gate
from geobridge.onboard.localization.prepare import Prepared
from geobridge.onboard.localization.structure import correlate, peak, second_peak, structure
from geobridge.onboard.localization.verify import coarser, separate, verify
from geobridge.onboard.manifest_entries import ImageryEntry
from geobridge.onboard.records import Attitude, Image
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.simulation.render.day import AUTUMN_OVERCAST, SUMMER_NOON, Day
from geobridge.onboard.simulation.render.scenery import Setting
from geobridge.onboard.simulation.render.views import drone
from geobridge.onboard.simulation.state import State

Level = Callable[[Image], Setting]
Land = Callable[[int, Day], Image]

CAMERA = Camera.from_hfov(320, 240, 70.0)
CONFIG = VerifyConfig()
GSD_M, PATCH_M, SIZE_M = 1.0, 135.0, 400.0

shifts = st.floats(-20.0, 20.0)


@pytest.fixture(scope="module")
def summer(land: Land) -> Image:
    return land(7, SUMMER_NOON)


@pytest.fixture(scope="module")
def autumn(land: Land) -> Image:
    return land(7, AUTUMN_OVERCAST)


def imagery_of(orthophoto: Image, alpha: int = 255) -> ReferenceImagery:
    """A square map in one tile, its middle at the origin."""
    size_px = round(SIZE_M / GSD_M)
    small = cv2.resize(orthophoto, (size_px, size_px), interpolation=cv2.INTER_AREA)
    tile = np.dstack([small, np.full((size_px, size_px), alpha, np.uint8)])
    entry = ImageryEntry(
        gsd_m=GSD_M, tile_px=size_px, west_m=-SIZE_M / 2, north_m=SIZE_M / 2, rows=1, columns=1
    )
    return ReferenceImagery(entry, lambda row, column: tile)


def seen_from(
    level: Level, orthophoto: Image, east_m: float, north_m: float, heading_deg: float = 30.0
) -> Prepared:
    attitude = Attitude(2.0, -3.0, heading_deg)
    state = State(0.0, east_m, north_m, 110.0, attitude, (0.0, 0.0, 0.0))
    picture = drone(level(orthophoto), CAMERA, state).image
    return Prepared(picture, CAMERA, attitude, 110.0)


def rectifier(frame: Prepared, gsd_m: float = GSD_M) -> Rectifier:
    return lambda turn, stretch, coarser: frame.rectify(PATCH_M, gsd_m * coarser, turn, stretch)


def find(frame: Prepared, imagery: ReferenceImagery, *near_m: tuple[float, float]) -> Alignment:
    aligned = verify(rectifier(frame), near_m, imagery, CONFIG)
    assert aligned is not None
    return aligned


def is_confident(aligned: Alignment) -> bool:
    figures = aligned.correlation, aligned.peak_ratio
    assert np.isfinite(
        [value for value in vars(aligned).values() if value is not aligned.pose]
    ).all()
    pose = aligned.pose
    parts = (pose.inliers, pose.inliers / pose.of, pose.spread) if pose else (0, 0.0, 0.0)
    return gate(Evidence(1.0, *figures, *parts, 0.0, None, tracking=True), GateConfig()) is None


def off_m(aligned: Alignment, east_m: float, north_m: float) -> float:
    return float(np.hypot(aligned.east_m - east_m, aligned.north_m - north_m))


@settings(max_examples=25)
@given(
    east_m=st.floats(-90.0, 90.0),
    north_m=st.floats(-90.0, 90.0),
    heading_deg=st.floats(0.0, 360.0),
    heading_error_deg=st.floats(-8.0, 8.0),
    scale_error=st.floats(-0.05, 0.05),
    shift_m=st.tuples(shifts, shifts),
)
def test_the_vehicle_is_found(
    level: Level,
    summer: Image,
    east_m: float,
    north_m: float,
    heading_deg: float,
    heading_error_deg: float,
    scale_error: float,
    shift_m: tuple[float, float],
) -> None:
    truth = seen_from(level, summer, east_m, north_m, heading_deg)
    told = replace(
        truth,
        attitude=replace(truth.attitude, heading_deg=heading_deg + heading_error_deg),
        height_agl_m=truth.height_agl_m / (1.0 + scale_error),
    )
    found = find(told, imagery_of(summer), (east_m + shift_m[0], north_m + shift_m[1]))
    assert is_confident(found)
    # the height moves the middle of a tilted picture, too
    assert off_m(found, east_m, north_m) < 0.5 * GSD_M + 110.0 * 0.063 * abs(scale_error)
    assert found.heading_error_deg == pytest.approx(heading_error_deg, abs=0.3)
    assert found.scale_error == pytest.approx(scale_error, abs=0.005)
    assert found.pose is not None
    assert found.pose.inliers >= 0.8 * found.pose.of


LIGHTS: dict[str, Callable[[Image], Image]] = {
    "inverted": lambda image: 255 - image,
    "dark": lambda image: (255.0 * (image / 255.0) ** 2.5).astype(np.uint8),
    "bright": lambda image: (255.0 * (image / 255.0) ** 0.4).astype(np.uint8),
    "flat": lambda image: (110.0 + 0.3 * (image - 110.0)).astype(np.uint8),
    "blue": lambda image: (image * np.array([0.4, 0.7, 1.0])).astype(np.uint8),
}


@pytest.mark.parametrize("light", LIGHTS)
def test_other_light_changes_nothing(level: Level, summer: Image, light: str) -> None:
    frame = seen_from(level, summer, 40.0, -30.0)
    found = find(
        replace(frame, image=LIGHTS[light](frame.image)), imagery_of(summer), (50.0, -40.0)
    )
    assert is_confident(found)
    assert off_m(found, 40.0, -30.0) < 1.5 * GSD_M


@pytest.mark.parametrize("east_m", [-80.0, -40.0, 0.0, 40.0, 80.0])
def test_another_season_is_found_or_not_believed(
    level: Level, summer: Image, autumn: Image, east_m: float
) -> None:
    frame = seen_from(level, autumn, east_m, 25.0)
    found = find(frame, imagery_of(summer), (east_m + 10.0, 15.0))
    assert off_m(found, east_m, 25.0) < 4.0 or not is_confident(found)


def test_the_right_one_of_several_neighbourhoods_is_taken(level: Level, summer: Image) -> None:
    frame = seen_from(level, summer, 40.0, -30.0)
    found = find(frame, imagery_of(summer), (-100.0, 90.0), (80.0, 100.0), (45.0, -25.0))
    assert off_m(found, 40.0, -30.0) < 1.5 * GSD_M


@pytest.mark.parametrize("season", [SUMMER_NOON, AUTUMN_OVERCAST], ids=["summer", "autumn"])
def test_another_land_is_not_believed(level: Level, land: Land, summer: Image, season: Day) -> None:
    orthophoto, imagery = land(8, season), imagery_of(summer)
    for east_m, north_m in ((-80.0, -80.0), (-80.0, 80.0), (0.0, 0.0), (80.0, -80.0), (80.0, 80.0)):
        frame = seen_from(level, orthophoto, east_m, north_m, heading_deg=east_m)
        assert not is_confident(find(frame, imagery, (east_m, north_m), (-north_m, east_m)))


def test_noise_is_not_believed(level: Level, summer: Image) -> None:
    rng = np.random.default_rng(3)
    frame = seen_from(level, summer, 0.0, 0.0)
    noise = rng.integers(0, 256, frame.image.shape).astype(np.uint8)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3.0), np.uint8)
    for image in (noise, smooth):
        assert not is_confident(find(replace(frame, image=image), imagery_of(summer), (0.0, 0.0)))


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_an_empty_frame_is_not_believed(level: Level, summer: Image, grey: int) -> None:
    frame = seen_from(level, summer, 0.0, 0.0)
    empty = replace(frame, image=np.full_like(frame.image, grey))
    assert not is_confident(find(empty, imagery_of(summer), (0.0, 0.0)))


def test_imagery_that_shows_nothing_is_not_believed(level: Level, summer: Image) -> None:
    frame = seen_from(level, summer, 0.0, 0.0)
    assert not is_confident(find(frame, imagery_of(summer, alpha=0), (0.0, 0.0)))
    assert not is_confident(find(frame, imagery_of(np.full_like(summer, 90)), (0.0, 0.0)))
    assert not is_confident(find(frame, imagery_of(summer), (5000.0, 0.0)))


def test_without_ground_or_a_place_to_look_there_is_no_answer(level: Level, summer: Image) -> None:
    frame, imagery = seen_from(level, summer, 0.0, 0.0), imagery_of(summer)
    assert verify(lambda *_: None, [(0.0, 0.0)], imagery, CONFIG) is None
    assert verify(rectifier(frame), [], imagery, CONFIG) is None


def test_a_search_too_small_to_hold_another_place_is_not_believed(
    level: Level, summer: Image
) -> None:
    frame = seen_from(level, summer, 0.0, 0.0)
    patch = frame.rectify(PATCH_M, GSD_M)
    assert patch is not None
    aligned = verify(
        rectifier(frame),
        [(patch.east_m, patch.north_m)],
        imagery_of(summer),
        VerifyConfig(search_m=3.0, exclusion_m=10.0),
    )
    assert aligned is not None
    assert aligned.correlation > 0.5
    assert not is_confident(aligned)


def test_the_same_answer_every_time(level: Level, summer: Image, autumn: Image) -> None:
    frame = seen_from(level, autumn, 40.0, -30.0)
    first, second = (find(frame, imagery_of(summer), (50.0, -40.0)) for _ in range(2))
    assert first.pose is not None
    assert second.pose is not None
    assert replace(first, pose=None) == replace(second, pose=None)
    pairs = zip(vars(first.pose).values(), vars(second.pose).values(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_separate_keeps_the_likeliest_of_a_neighbourhood() -> None:
    centres = [(0.0, 0.0), (5.0, 5.0), (30.0, 0.0), (30.0, 3.0), (0.0, 60.0), (99.0, 99.0)]
    assert separate(centres, 20.0, 3) == [(0.0, 0.0), (30.0, 0.0), (0.0, 60.0)]


def test_structure_is_in_proportion_and_only_where_the_mask_says() -> None:
    rng = np.random.default_rng(1)
    image = np.asarray(
        cv2.GaussianBlur(rng.integers(0, 256, (80, 80, 3)).astype(np.uint8), (0, 0), 2.0), np.uint8
    )
    valid = np.ones((80, 80), np.uint8)
    valid[:, :30] = 0
    field, mask = structure(image, valid)
    assert field.shape == (80, 80, 2)
    assert not field[mask == 0].any()
    assert not mask[:, :32].any()
    assert mask[10:70, 34:70].all()
    assert np.linalg.norm(field, axis=2).max() <= 2.0 + 1e-5


@given(st.integers(0, 10_000))
def test_correlation_stays_within_its_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    template, window = rng.normal(size=(8, 9, 2)), rng.normal(size=(20, 17, 2))
    template, window = template.astype(np.float32), window.astype(np.float32)
    window[5:13, 3:12] = template * np.float32(rng.uniform(0.5, 3.0))
    surface = correlate(template, np.ones((8, 9), np.float32), window)
    assert surface.shape == (13, 9)
    assert np.abs(surface).max() <= 1.0 + 1e-4
    assert surface[5, 3] == pytest.approx(1.0, abs=1e-4)
    top, row, column = peak(surface)
    assert top == surface.max()
    assert (round(row), round(column)) == (5, 3)
    assert second_peak(surface, row, column, 1.6) < top


@given(st.floats(3.0, 8.0), st.floats(3.0, 8.0))
def test_the_peak_is_found_between_pixels(row: float, column: float) -> None:
    rows, columns = np.mgrid[:12, :12]
    surface = (1.0 - 0.01 * ((rows - row) ** 2 + (columns - column) ** 2)).astype(np.float32)
    _, found_row, found_column = peak(surface)
    assert (found_row, found_column) == pytest.approx((row, column), abs=1e-3)


def test_structure_does_not_depend_on_where_in_memory_it_works() -> None:
    rng = np.random.default_rng(3)
    image = cv2.GaussianBlur(rng.integers(0, 256, (202, 202, 3), dtype=np.uint8), (0, 0), 2.0)
    valid = np.ones((202, 202), np.uint8)
    first, _ = structure(image, valid)
    moved = []
    for _ in range(60):
        moved = [*moved[-15:], np.empty(int(rng.integers(1, 400_000)), np.uint8)]
        again, _ = structure(image, valid)
        assert np.array_equal(again, first)


@pytest.mark.parametrize("finer", [2, 4])
def test_a_finer_map_is_searched_coarsely_and_measured_as_well(
    level: Level, summer: Image, finer: int
) -> None:
    size_px = round(finer * SIZE_M / GSD_M)
    fine = cv2.resize(summer, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    tile = np.dstack([fine, np.full((size_px, size_px), 255, np.uint8)])
    entry = ImageryEntry(
        gsd_m=GSD_M / finer,
        tile_px=size_px,
        west_m=-SIZE_M / 2,
        north_m=SIZE_M / 2,
        rows=1,
        columns=1,
    )
    frame = seen_from(level, summer, 40.0, -30.0)
    told = replace(frame, attitude=replace(frame.attitude, heading_deg=34.0))
    imagery = ReferenceImagery(entry, lambda row, column: tile)
    found = verify(rectifier(told, GSD_M / finer), [(50.0, -40.0)], imagery, CONFIG)
    assert found is not None
    assert is_confident(found)
    assert off_m(found, 40.0, -30.0) < 0.5 * GSD_M
    assert found.heading_error_deg == pytest.approx(4.0, abs=0.3)


@given(st.integers(1, 2000), st.integers(8, 400))
def test_a_patch_is_made_coarser_no_more_than_needed(size_px: int, at_most_px: int) -> None:
    factor = coarser(size_px, at_most_px)
    assert size_px <= factor * at_most_px
    assert factor == 1 or size_px > (factor - 1) * at_most_px


@pytest.mark.parametrize("config", [{"heading_search_deg": 0.0}, {"scale_search": 0.0}])
def test_what_is_known_exactly_need_not_be_searched(
    level: Level, summer: Image, config: dict[str, float]
) -> None:
    frame = seen_from(level, summer, 40.0, -30.0)
    found = verify(rectifier(frame), [(50.0, -40.0)], imagery_of(summer), VerifyConfig(**config))
    assert found is not None
    assert is_confident(found)
    assert off_m(found, 40.0, -30.0) < 0.5 * GSD_M
