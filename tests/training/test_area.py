from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geobridge.onboard.config import validate
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.views import View
from geobridge.training.appearance.beyond import gone_on
from geobridge.training.config_data import AreaConfig
from geobridge.training.datasets.area import AreaSource, cut

Draw = Callable[..., npt.NDArray[np.uint8]]
Write = Callable[..., Path]

CALM: dict[str, Any] = {
    "position_jitter_m": 0.0,
    "tilt_deg": 0.0,
    "attitude_error_deg": 0.0,
    "heading_error_deg": 0.0,
    "height_error": 0.0,
    "appearance": 0.0,
}
SIZE_PX = 64


@pytest.fixture(scope="module")
def area_map(texture: Draw, write_raster: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raster(tmp_path_factory.mktemp("area") / "map.tif", texture(300))


def source(path: Path, batch_size: int = 6, seed: int = 0, **keys: Any) -> AreaSource:
    tree = {
        "footprint_m": 64.0,
        "gsd_m": 1.0,
        "min_separation_m": 40.0,
        "position_jitter_m": 15.0,
        "height_agl_m": [60, 90],
    } | keys
    config = validate(AreaConfig, {"source": "area", "raster": str(path)} | tree, "data")
    return AreaSource(config, Preprocess(SIZE_PX, SIZE_PX), batch_size, seed)


def correlation(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    inner = np.s_[8:-8, 8:-8]
    grey_a, grey_b = (picture.mean(axis=2)[inner].ravel() for picture in (a, b))
    return float(np.corrcoef(grey_a, grey_b)[0, 1])


def test_a_batch_depends_on_its_seed_and_number_alone(area_map: Path) -> None:
    one, other, reseeded = source(area_map), source(area_map), source(area_map, seed=1)
    forwards = [one.batch(step) for step in range(3)]
    backwards = [other.batch(step) for step in (2, 1, 0)][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        for view in (View.DRONE, View.SATELLITE):
            assert np.array_equal(a.images[view], b.images[view])
    pictures = [batch.images[View.DRONE] for batch in (*forwards, reseeded.batch(0))]
    assert not any(np.array_equal(a, b) for a, b in combinations(pictures, 2))


def test_a_batch_has_both_views_of_every_place(area_map: Path) -> None:
    batch = source(area_map).batch(5)
    assert set(batch.images) == {View.DRONE, View.SATELLITE}
    for view, pictures in batch.images.items():
        assert pictures.shape == (6, SIZE_PX, SIZE_PX, 3)
        assert pictures.dtype == np.uint8
        assert batch.present[view].all()
    assert batch.texts == ("",) * 6


def test_places_of_a_batch_keep_their_distance(area_map: Path) -> None:
    drawn: list[list[Any]] = []

    class Watched(AreaSource):
        def pair(self, centre_px: Any, rng: np.random.Generator) -> Any:
            drawn[-1].append(centre_px)
            return super().pair(centre_px, rng)

    plain = source(area_map, 8, min_separation_m=70.0, gsd_m=1.5)
    watched = Watched(plain.config, plain.preprocess, 8, 0)
    for step in range(12):
        drawn.append([])
        watched.batch(step)
    assert [len(places) for places in drawn] == [8] * 12
    for places in drawn:
        assert min(math.dist(a, b) for a, b in combinations(places, 2)) * 1.5 >= 70.0


@pytest.mark.parametrize("size_px", [63, 64])
def test_without_errors_a_drone_sees_its_tile_at_any_heading(area_map: Path, size_px: int) -> None:
    calm = source(area_map, footprint_m=float(size_px), **CALM)
    rng = np.random.default_rng(7)
    for _ in range(12):  # every view draws a heading, a height and a camera of its own
        drone, satellite = calm.pair(rng.uniform(90, 210, 2), rng)
        assert correlation(drone, satellite) > 0.98


@pytest.mark.parametrize("size_px", [63, 64])
def test_drone_and_tile_are_not_shifted_on_the_average(
    size_px: int, write_raster: Write, tmp_path: Path
) -> None:
    ramp = 20 + 0.75 * np.add.outer(np.arange(150), np.arange(150))
    path = write_raster(tmp_path / "ramp.tif", np.repeat(ramp[..., None], 3, 2).astype(np.uint8))
    calm = source(path, footprint_m=float(size_px), min_separation_m=0.0, **CALM)
    rng = np.random.default_rng(3)
    pairs = [calm.pair(rng.uniform(60, 90, 2), rng) for _ in range(80)]
    inner = np.s_[8:-8, 8:-8]
    levels = [float(np.mean(d[inner].astype(float) - s[inner])) for d, s in pairs]
    assert abs(np.mean(levels)) / 0.75 < 0.3  # pixels east plus pixels south


@pytest.mark.parametrize(
    "error",
    [
        {"position_jitter_m": 15.0},
        {"attitude_error_deg": 5.0},
        {"heading_error_deg": 15.0},
        {"height_error": 0.3},
    ],
)
def test_every_error_tells(error: dict[str, Any], area_map: Path) -> None:
    wrong = source(area_map, footprint_m=64.0, **(CALM | error))
    rng = np.random.default_rng(7)
    scores = [correlation(*wrong.pair(rng.uniform(90, 210, 2), rng)) for _ in range(8)]
    assert np.mean(scores) < 0.9


def test_appearance_changes_the_look_and_not_the_place(area_map: Path) -> None:
    changed = source(area_map, **(CALM | {"appearance": 1.0}))
    rng = np.random.default_rng(7)
    pairs = [changed.pair(rng.uniform(90, 210, 2), rng) for _ in range(12)]
    own = np.median([correlation(drone, satellite) for drone, satellite in pairs])
    others = [correlation(pairs[i][0], pairs[i - 1][1]) for i in range(12)]
    assert 0.4 < own < 0.98
    assert np.max(np.abs(others)) < own


def test_ground_that_the_camera_misses_is_filled(area_map: Path) -> None:
    low = source(area_map, **(CALM | {"height_agl_m": [20.0, 20.0], "hfov_deg": [40.0, 40.0]}))
    rng = np.random.default_rng(0)
    view = low.drone_view(np.array([150.0, 150.0]), rng)
    filled = (view == low.preprocess.fill).all(axis=2)
    assert filled[0, 0]
    assert not filled[SIZE_PX // 2, SIZE_PX // 2]
    assert 0.5 < filled.mean() < 0.98


def test_a_drone_sees_ground_where_the_map_ends(
    texture: Draw, write_raster: Write, tmp_path: Path
) -> None:
    """The outline of what is mapped must not tell a place."""
    image = np.maximum(texture(300), 1)
    image[:, :150] = 0
    half = source(write_raster(tmp_path / "half.tif", image, nodata=0), **CALM)
    rng, edge = np.random.default_rng(0), np.array([160.0, 150.0])
    high = source(half.config.raster, **(CALM | {"height_agl_m": [200.0, 200.0]}))
    view, square = high.drone_view(edge, rng), half.satellite_view(edge, rng)
    beyond, shown = np.s_[8:-8, 2:18], np.s_[8:-8, 28:-2]
    assert (square == half.preprocess.fill).all(axis=2)[beyond].all()
    assert not (view == half.preprocess.fill).all(axis=2).any()
    assert view[beyond].std() > 0.5 * view[shown].std()
    assert np.abs(view[shown].astype(int) - square[shown]).mean() < 8.0


@given(arrays(np.uint8, (24, 20), elements=st.integers(0, 1)), st.integers(0, 9))
def test_a_picture_goes_on_with_what_it_shows(valid: npt.NDArray[np.uint8], seed: int) -> None:
    image = np.random.default_rng(seed).integers(1, 256, (24, 20, 3)).astype(np.uint8)
    image[valid == 0] = 0
    whole = gone_on(image, valid)
    assert np.array_equal(whole[valid > 0], image[valid > 0])
    if valid.any():
        colours = {tuple(colour) for colour in image[valid > 0]}
        assert {tuple(colour) for colour in whole.reshape(-1, 3)} <= colours


def test_places_lie_where_there_is_map(texture: Draw, write_raster: Write, tmp_path: Path) -> None:
    image = texture(300)
    image[:, :150] = 0
    path = write_raster(tmp_path / "half.tif", image, nodata=0)
    half = source(path, min_valid_fraction=1.0, **CALM)
    for centre in half.centres_px[:: len(half.centres_px) // 50]:
        _, valid = cut(half.image, half.valid, centre, half.size_px)
        assert valid.mean() > 0.96
    whole = source(path, min_valid_fraction=0.0, **CALM)
    assert len(whole.centres_px) > 1.5 * len(half.centres_px)


def test_a_square_beyond_the_edge_is_black_and_invalid() -> None:
    image, valid = np.full((20, 30, 3), 9, np.uint8), np.ones((20, 30), np.uint8)
    square, mask = cut(image, valid, np.array([0.0, 0.0]), 9)
    assert mask[4:, 4:].all()
    assert (mask.sum(), square.sum()) == (25, 25 * 27)
    _, nothing = cut(image, valid, np.array([500.0, -500.0]), 9)
    assert not nothing.any()


@pytest.mark.parametrize(
    "keys", [{"min_separation_m": 500.0}, {"footprint_m": 5000.0}, {"min_valid_fraction": 1.0}]
)
def test_a_map_too_small_for_a_batch_is_refused(
    keys: dict[str, Any], texture: Draw, write_raster: Write, tmp_path: Path
) -> None:
    path = write_raster(tmp_path / "small.tif", texture(60))
    with pytest.raises(
        DataError, match=r"small\.tif: room for \d places .* optim\.batch_size is 6"
    ):
        source(path, **keys)


def test_a_map_that_is_none_is_refused(tmp_path: Path, texture: Draw, write_raster: Write) -> None:
    (tmp_path / "none.tif").write_bytes(b"II*\x00 and no more")
    for path, problem in (
        (tmp_path / "none.tif", "not a readable raster"),
        (write_raster(tmp_path / "where.tif", texture(60), None), "has no CRS"),
    ):
        with pytest.raises(DataError, match=problem) as caught:
            source(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="footprint_m"):
        source(Path("map.tif"), footprint_m=-1.0)
