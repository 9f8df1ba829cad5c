from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.preprocess import (
    _STEP,
    Interpolation,
    Preprocess,
    _bands,
    apply,
    resize,
)
from geobridge.onboard.records import Image

pillow = pytest.importorskip("PIL.Image")

sides = st.integers(1, 90)
interpolations = st.sampled_from(["bicubic", "box"])


def picture(height_px: int, width_px: int, seed: int = 1) -> Image:
    """Noise over a slope: hard edges, and both ends of the range."""
    noise = np.random.default_rng(seed).integers(-90, 90, (height_px, width_px, 3))
    slope = np.linspace(0, 255, width_px)[None, :, None]
    return np.clip(noise + slope, 0, 255).astype(np.uint8)


def pattern(height_px: int, width_px: int) -> Image:
    """The same everywhere: whole numbers only."""
    y, x = np.mgrid[:height_px, :width_px].astype(np.int64)
    channels = [x * 5 + y * 3, (x * y) // 7, (x // 9 + y // 6) % 2 * 200 + 20]
    return (np.stack(channels, axis=-1) % 256).astype(np.uint8)


@given(sides, sides, sides, sides, interpolations, st.integers(0, 99))
def test_equals_pillow_to_one_grey_level(
    height: int, width: int, to_height: int, to_width: int, interpolation: Interpolation, seed: int
) -> None:
    image = picture(height, width, seed)
    kernel = pillow.Resampling[interpolation.upper()]
    # One axis at a time: newer Pillows choose by size which one comes first, we never do.
    wide = pillow.fromarray(image).resize((to_width, height), kernel)
    expected = np.asarray(wide.resize((to_width, to_height), kernel))
    found = resize(image, to_height, to_width, interpolation)
    assert np.abs(found.astype(int) - expected).max() <= 1


@given(st.integers(1, 700), st.integers(1, 300), interpolations)
def test_every_sum_is_exact_in_a_double(
    source: int, target: int, interpolation: Interpolation
) -> None:
    """Else the bytes would hang on the order in which a machine's matrix product adds."""
    made = 0
    for rows, places, weights in _bands(source, target, interpolation):
        assert (rows.start, weights.shape) == (made, (rows.stop - made, places.stop - places.start))
        made = rows.stop
        steps = weights / _STEP
        assert np.array_equal(steps, np.rint(steps))
        assert np.all(np.sum(steps, axis=1) * _STEP == 1.0)
        assert np.all(255 * np.abs(steps).sum(axis=1) < 2**53)
    assert made == target


def test_no_other_thread_is_woken() -> None:
    """Those of a matrix product spin on afterwards, and take the cores of whoever comes next."""
    code = """
import time, numpy as np
from geobridge.onboard.preprocess import resize
def others():
    return time.process_time() - time.thread_time()
before = -1.0
while others() > before + 1e-3:  # they spin at their birth too
    before = others()
    time.sleep(0.3)
for side_px in (150, 640, 2000, 2000, 2000):
    resize(np.zeros((side_px, side_px, 3), np.uint8), 224, 224, "bicubic")
print(others() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.02


@given(sides, sides, interpolations)
def test_its_own_size_is_left_as_it_is(
    height: int, width: int, interpolation: Interpolation
) -> None:
    image = picture(height, width)
    for fit in ("squash", "centre_crop"):
        spec = Preprocess(height, width, interpolation, fit)
        assert np.array_equal(apply(image, spec), image)


@given(sides, sides, sides, sides, interpolations, st.integers(0, 255))
def test_one_colour_stays_one_colour(
    height: int, width: int, to_height: int, to_width: int, interpolation: Interpolation, grey: int
) -> None:
    image = np.full((height, width, 3), grey, np.uint8)
    assert np.all(resize(image, to_height, to_width, interpolation) == grey)


@given(sides, sides)
def test_channels_do_not_mix(height: int, width: int) -> None:
    image = picture(height, width)
    spec = Preprocess(24, 24)
    assert np.array_equal(apply(image, spec)[..., ::-1], apply(image[..., ::-1], spec))


def test_centre_crop_takes_the_middle() -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 255
    assert np.all(apply(image, Preprocess(5, 5, fit="centre_crop")) == 255)
    assert not np.all(apply(image, Preprocess(5, 5)) == 255)


def test_the_mask_is_filled() -> None:
    image, valid = picture(20, 30), np.ones((20, 30), np.uint8)
    valid[:, 15:] = 0
    spec = Preprocess(20, 30, fill=(1, 2, 3))
    filled = apply(image, spec, valid)
    assert np.array_equal(filled[:, :15], image[:, :15])
    assert np.all(filled[:, 15:] == [1, 2, 3])
    hidden = image.copy()
    hidden[:, 15:] = 0
    smaller = Preprocess(7, 11, fill=(1, 2, 3))
    assert np.array_equal(apply(image, smaller, valid), apply(hidden, smaller, valid))


def test_what_comes_in_is_not_changed() -> None:
    image, valid = picture(20, 30), np.zeros((20, 30), np.uint8)
    before = image.copy()
    apply(image, Preprocess(8, 8), valid)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(image: Image) -> None:
    with pytest.raises(ValueError, match=r"expected \[H, W, 3\] uint8 RGB"):
        apply(image, Preprocess(4, 4))


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mask \(8, 9\) does not fit picture \(8, 8\)"):
        apply(picture(8, 8), Preprocess(4, 4), np.ones((8, 9), np.uint8))


@pytest.mark.parametrize(
    "arguments",
    [
        {"height_px": 0, "width_px": 8},
        {"height_px": 8, "width_px": 5000},
        {"height_px": 8, "width_px": 8, "std": (1.0, 0.0, 1.0)},
        {"height_px": 8, "width_px": 8, "std": (1.0, float("nan"), 1.0)},
    ],
)
def test_a_record_that_cannot_be_meant_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"out of range|must be positive"):
        Preprocess(**arguments)


# What this module and Pillow 13 answered for `pattern(113, 157)`, to see a change of either.
GOLDEN: dict[Interpolation, list[list[list[int]]]] = {
    "bicubic": [
        [[135, 60, 120], [125, 116, 120], [125, 120, 120], [132, 122, 120]],
        [[126, 116, 120], [130, 130, 120], [129, 128, 120], [119, 128, 120]],
        [[123, 120, 120], [125, 128, 120], [127, 127, 120], [139, 127, 120]],
    ],
    "box": [
        [[136, 50, 120], [116, 110, 119], [117, 117, 120], [136, 119, 120]],
        [[125, 110, 120], [142, 126, 120], [135, 125, 120], [112, 127, 120]],
        [[124, 116, 120], [112, 125, 119], [127, 129, 120], [144, 126, 120]],
    ],
}


@pytest.mark.parametrize("interpolation", GOLDEN)
def test_golden_pixels(interpolation: Interpolation) -> None:
    found = resize(pattern(113, 157), 3, 4, interpolation).astype(int)
    assert np.abs(found - np.array(GOLDEN[interpolation])).max() <= 1
