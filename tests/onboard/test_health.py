from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.frames.folder import FolderSource
from geobridge.onboard.frames.picture import size_of
from geobridge.onboard.frames.video import VideoSource
from geobridge.onboard.localization.health import Look, Problem, picture_problem
from geobridge.onboard.localization.health import motion_problem as problem_of_looks
from geobridge.onboard.records import Frame, Image, Reason

WIDTH, HEIGHT, MIN_CONTRAST = 320, 240, 2.5
Spoil = Callable[[Image], Image]


def problem_of(image: Image) -> Reason | None:
    found = picture_problem(Frame(image, 0), *size_of(image), MIN_CONTRAST)
    assert found is None or any(letter.isdigit() for letter in found[1])
    return found[0] if found else None


def scene(seed: int = 1) -> Image:
    """Blocks askew and noise, as sharp as a camera is."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(40, 200, (50, 50, 3)).astype(np.float32)
    large = cv2.resize(blocks, (400, 400), interpolation=cv2.INTER_NEAREST)
    turn = cv2.getRotationMatrix2D((200.0, 200.0), 25.0, 1.0)
    turn[:, 2] -= (40.0, 80.0)
    askew = cv2.warpAffine(large, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    soft = cv2.GaussianBlur(askew, (0, 0), 0.6) + rng.normal(0.0, 2.0, askew.shape)
    return np.clip(soft, 0, 255).astype(np.uint8)


def smeared(image: Image) -> Image:
    return np.asarray(cv2.filter2D(image, -1, np.full((1, 21), 1.0 / 21.0)), np.uint8)


def torn(image: Image) -> Image:
    image = image.copy()
    image[100:] = np.roll(image[100:], 30, axis=1)
    return image


def cut_short(image: Image) -> Image:
    """As a decoder fills up what is missing of a JPEG."""
    image = image.copy()
    image[170:] = 128
    return image


SPOILT: dict[str, tuple[Spoil, Reason]] = {
    "lens cap": (lambda image: image // 24, Reason.BLACK),
    "into the sun": (
        lambda image: np.clip(image * 1.0 + 170, 0, 255).astype(np.uint8),
        Reason.OVEREXPOSED,
    ),
    "fog": (lambda image: (120 + image * 0.02).astype(np.uint8), Reason.BAD_IMAGE),
    "out of focus": (
        lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 3.0), np.uint8),
        Reason.BLURRED,
    ),
    "motion": (smeared, Reason.BLURRED),
    "torn": (torn, Reason.TORN),
    "cut short": (cut_short, Reason.TORN),
}


def test_a_whole_picture_is_well() -> None:
    assert problem_of(scene()) is None


@pytest.mark.parametrize("name", SPOILT)
@pytest.mark.fault("C3", "black, white, overexposed, a cap", "withheld, by name")
def test_a_spoilt_picture_has_its_reason(name: str) -> None:
    spoil, reason = SPOILT[name]
    assert problem_of(spoil(scene())) is reason


@given(level=st.integers(0, 255), noise=st.floats(0.0, 2.0), seed=st.integers(0, 99))
@pytest.mark.fault("C3", "any level with any noise", "withheld")
def test_nothing_but_noise_is_never_well(level: int, noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    grey = np.clip(rng.normal(level, noise, (HEIGHT, WIDTH, 1)), 0, 255)
    assert problem_of(np.repeat(grey.astype(np.uint8), 3, axis=2)) is not None


@given(st.integers(1, 40), st.integers(1, 40))
@pytest.mark.fault("C4", "another height or width", "refused, never resized")
def test_another_size_is_refused(height: int, width: int) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    found = picture_problem(Frame(picture, 0), width + 1, height, 0.0)
    assert found is not None
    assert found[0] is Reason.WRONG_SIZE


def motion_problem(before: Image, now: Image, motion_px: float | None) -> Problem | None:
    return problem_of_looks(Look(Frame(before, 0)), Look(Frame(now, 1)), motion_px)


def again(image: Image) -> Image:
    """The same picture, coded anew."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def noisy(image: Image) -> Image:
    noise = np.random.default_rng(5).normal(0.0, 4.0, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("copy", [again, noisy])
@pytest.mark.fault(
    "C2",
    "the same picture again, also encoded anew",
    "frozen where the vehicle moves",
)
def test_a_picture_that_stands_still_is_frozen_where_it_should_move(copy: Spoil) -> None:
    before, now = scene(), copy(scene())
    found = motion_problem(before, now, 20.0)
    assert found is not None
    assert found[0] is Reason.FROZEN
    for hovering in (0.0, 2.0, None, float("nan")):
        assert motion_problem(before, now, hovering) is None
    moved = copy(np.roll(scene(), 20, axis=1))
    assert motion_problem(before, moved, 20.0) is None


def test_the_same_bytes_are_frozen_whatever_is_known() -> None:
    for motion_px in (None, 0.0, 20.0):
        found = motion_problem(scene(), scene(), motion_px)
        assert found is not None
        assert found[0] is Reason.FROZEN


@pytest.mark.fault("C6", "half of one frame over half of another", "torn")
def test_half_a_picture_of_before_is_torn() -> None:
    before, now = scene(1), scene(2)
    now[120:] = before[120:]
    found = motion_problem(before, now, 20.0)
    assert found is not None
    assert found[0] is Reason.TORN
    dark = np.zeros_like(before)  # rows that are black in both have nothing to tell
    assert motion_problem(np.vstack([before, dark]), np.vstack([scene(2), dark]), 20.0) is None


def real_pictures(data: Path) -> Iterator[Image]:
    for number, frame in enumerate(VideoSource(data / "nust_overflight/flight.mp4")):
        if number % 5 == 0:
            yield frame.image
    for folder in ("brighton_beach/images", "canberra_2018/frames", "street_lund"):
        for frame in FolderSource(data / folder, rate_hz=1.0):
            yield frame.image


@pytest.mark.real_data
def test_no_real_picture_is_suspected(data: Path) -> None:
    problems = [
        picture_problem(Frame(image, 0), *size_of(image), MIN_CONTRAST)
        for image in real_pictures(data)
    ]
    assert len(problems) > 150
    assert set(problems) == {None}


@pytest.mark.real_data
def test_no_real_flight_is_frozen(data: Path) -> None:
    frames = list(VideoSource(data / "nust_overflight/flight.mp4"))[::6]
    width_px, way_px = 852, 12.0 * 0.2 * 852 / 220
    for before, now in pairwise(frames):
        assert motion_problem(before.image, now.image, way_px) is None
    found = motion_problem(frames[0].image, again(frames[0].image), way_px)
    assert found is not None
    assert way_px > width_px * 0.01
