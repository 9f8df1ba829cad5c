from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.preprocess import Preprocess, apply
from geobridge.training.datasets.decode import SPARE, UnreadableError, decode

DATA = Path(os.environ.get("GEOBRIDGE_DATA", Path(__file__).parents[2] / "../shared/data"))


def jpeg(picture: npt.NDArray[np.uint8], *options: int) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92, *options])[1].tobytes()


def scene(height_px: int, width_px: int) -> npt.NDArray[np.uint8]:
    """Detail of every size, as photographs have it, and more of the finest."""
    picture = np.full((height_px, width_px, 3), 128, np.float32)
    for step in (1, 4, 16, 64):
        rough = (height_px // step + 2, width_px // step + 2, 3)
        noise = np.random.default_rng(step).standard_normal(rough, np.float32)
        picture += 20 * cv2.resize(noise, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((64, 64), (64, 64)),
        ((127, 500), (127, 500)),
        ((128, 128), (64, 64)),
        ((130, 259), (65, 130)),
        ((300, 256), (75, 64)),
        ((512, 1030), (64, 129)),
    ],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    picture = decode(jpeg(scene(*shape)), 32, 32)
    assert picture.shape == (*expected, 3)
    assert min(picture.shape[:2]) >= min(SPARE * 32, *shape)


@pytest.mark.parametrize("size", [(700, 700), (1200, 1200), (600, 1200)])
def test_the_input_is_nearly_that_of_a_full_decode(size: tuple[int, int]) -> None:
    data, spec = jpeg(scene(*size)), Preprocess(64, 64)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    whole = apply(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), spec)
    near = apply(decode(data, 64, 64), spec)
    difference = np.abs(near.astype(int) - whole)
    assert difference.mean() < 1.0
    assert np.quantile(difference, 0.99) <= 4


def test_colours_and_orientation_are_those_of_flight(tmp_path: Path) -> None:
    picture = scene(40, 60)
    picture[:20, :30] = (0, 0, 255)  # red, as OpenCV writes it
    for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp"):
        path = tmp_path / f"a{suffix}"
        cv2.imwrite(str(path), picture)
        assert np.array_equal(decode(path.read_bytes(), 40, 60), read_picture(path))
    data = jpeg(picture)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    assert decode(turned, 40, 60).shape == (40, 60, 3)
    assert decode(jpeg(picture[..., 0]), 40, 60).shape == (40, 60, 3)
    assert decode(jpeg(picture, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), 8, 8).shape == (20, 30, 3)


@pytest.mark.parametrize("kept", [0, 1, 2, 20, 300, -2])
def test_a_cut_jpeg_is_unreadable(kept: int) -> None:
    data = jpeg(scene(200, 200))
    with pytest.raises(UnreadableError):
        decode(data[:kept], 8, 8)


WHOLE = {
    "plain": jpeg(scene(200, 200)),
    "progressive": jpeg(scene(200, 200), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": jpeg(scene(200, 200), cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
}
THUMBNAIL = jpeg(scene(20, 20))
WHOLE["thumbnail"] = (
    WHOLE["plain"][:2]
    + b"\xff\xe1"
    + (len(THUMBNAIL) + 2).to_bytes(2, "big")
    + THUMBNAIL
    + WHOLE["plain"][2:]
)
for suffix in (".png", ".webp", ".tif", ".bmp"):
    WHOLE[suffix] = cv2.imencode(suffix, scene(64, 64))[1].tobytes()


@settings(deadline=None, max_examples=120)
@given(
    st.sampled_from(sorted(WHOLE)), st.floats(0.0, 1.0, exclude_max=True), st.sampled_from([8, 150])
)
def test_no_part_of_a_picture_passes_for_it(kind: str, share: float, size_px: int) -> None:
    """Grey below where a file ends would be learned as if it were land."""
    data = WHOLE[kind]
    assert decode(data, size_px, size_px).shape[0] >= min(size_px, 64)
    with pytest.raises(UnreadableError):
        decode(data[: int(share * len(data))], size_px, size_px)


def test_bytes_that_fill_up_are_no_damage() -> None:
    data = WHOLE["plain"]
    filled = data[:2] + b"\xff" * 5 + data[2:] + b"\0" * 100
    assert np.array_equal(decode(filled, 20, 20), decode(data, 20, 20))
    assert decode(filled, 20, 20).shape == (50, 50, 3)


def test_other_bytes_are_unreadable() -> None:
    rng = np.random.default_rng(0)
    for start in (b"", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF"):
        with pytest.raises(UnreadableError):
            decode(start + rng.integers(0, 256, 400, np.uint8).tobytes(), 8, 8)


@pytest.mark.real_data
def test_photographs_come_out_as_from_a_full_decode() -> None:
    photographs: list[Any] = sorted(DATA.rglob("*.jpg"), key=lambda path: -path.stat().st_size)[:3]
    if not photographs:
        pytest.skip(f"no photographs in {DATA}")
    spec = Preprocess(112, 112)
    for path in photographs:
        near = apply(decode(path.read_bytes(), 112, 112), spec)
        difference = np.abs(near.astype(int) - apply(read_picture(path), spec))
        assert difference.mean() < 0.3
        assert np.quantile(difference, 0.99) <= 1
