from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from geobridge.onboard.errors import DataError
from geobridge.onboard.frames.device import CameraSource
from geobridge.onboard.frames.folder import FolderSource
from geobridge.onboard.frames.paced import Paced
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.frames.source import open_source
from geobridge.onboard.frames.video import VideoSource
from geobridge.onboard.records import Frame, Image

S, MS = 1_000_000_000, 1_000_000
WIDTH, HEIGHT, COUNT, RATE_HZ = 64, 48, 20, 10.0


def picture(number: int) -> Image:
    """Redder and less blue with every number, so that the order of colours shows."""
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:] = (50 + 10 * number, 100, 250 - 10 * number)
    return image


def number_of(frame: Frame) -> int:
    red, _, blue = frame.image.mean(axis=(0, 1))
    assert red + blue == pytest.approx(300, abs=12)
    return round((red - 50) / 10)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "flight.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE_HZ, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(COUNT):
        writer.write(picture(number)[..., ::-1])
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(["a.png", "b.PNG", "c.png"]):
        (tmp_path / name).write_bytes(encoded(picture(number), ".png"))
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def encoded(image: Image, suffix: str) -> bytes:
    done, data = cv2.imencode(suffix, image[..., ::-1])
    assert done
    return data.tobytes()


def rotated_by_exif(jpeg: bytes) -> bytes:
    """The same JPEG with an orientation of 6, a quarter turn, in an EXIF segment."""
    tiff = (
        b"MM\x00\x2a\x00\x00\x00\x08"
        + b"\x00\x01"
        + b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    )
    exif = b"Exif\x00\x00" + tiff + b"\x00\x00\x00\x00"
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


def test_a_video_gives_every_frame_in_rgb_at_its_presentation_time(video: Path) -> None:
    source = open_source(str(video))
    assert isinstance(source, VideoSource)
    assert source.size_px == (WIDTH, HEIGHT)
    frames = list(source)
    assert [number_of(frame) for frame in frames] == list(range(COUNT))
    assert [frame.t_capture_ns for frame in frames] == [n * S // 10 for n in range(COUNT)]
    assert frames[3].name == "flight.avi#3"
    source.close()


def test_a_video_cut_short_ends_where_it_is_cut(video: Path, tmp_path: Path) -> None:
    data = video.read_bytes()
    short = tmp_path / "short.avi"
    short.write_bytes(data[: (data.index(b"movi") + len(data)) // 2])
    frames = list(VideoSource(short))
    assert 0 < len(frames) < COUNT
    assert [number_of(frame) for frame in frames[:-1]] == list(range(len(frames) - 1))


def test_a_frame_that_cannot_be_decoded_is_not_the_end(
    video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray(video.read_bytes())
    frames_at = data.index(b"movi")
    at = frames_at + [found.start() for found in re.finditer(b"00dc", data[frames_at:])][3]
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    data[at + 8 : at + 8 + size] = bytes(size)
    spoilt = tmp_path / "flight.avi"
    spoilt.write_bytes(data)
    frames = list(VideoSource(spoilt))
    assert [number_of(frame) for frame in frames] == [n for n in range(COUNT) if n != 3]
    assert [frame.t_capture_ns for frame in frames][2:4] == [2 * S // 10, 4 * S // 10]
    assert frames[3].name == "flight.avi#4"
    assert f"1 of {COUNT} frames cannot be read" in caplog.text


def test_closing_a_video_ends_the_iteration(video: Path) -> None:
    source = VideoSource(video)
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []


@pytest.mark.parametrize("content", [b"", b"not a video at all\n" * 50])
def test_a_file_without_frames_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "flight.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"flight\.mp4: not a video"):
        open_source(str(path))


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing: no such file or folder"):
        open_source(str(tmp_path / "nothing"))


def test_a_folder_at_a_steady_rate_is_in_the_order_of_names(folder: Path) -> None:
    source = open_source(str(folder), rate_hz=4.0)
    assert isinstance(source, FolderSource)
    assert source.size_px == (WIDTH, HEIGHT)
    frames = list(source)
    assert [frame.name for frame in frames] == ["a.png", "b.PNG", "c.png"]
    assert [frame.t_capture_ns for frame in frames] == [0, S // 4, S // 2]
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(number))


def test_a_folder_with_times_is_in_their_order(folder: Path) -> None:
    times = {"a.png": 30, "b.PNG": 10, "c.png": 20, "not_here.png": 5}
    frames = list(FolderSource(folder, times_ns=times))
    assert [(frame.name, frame.t_capture_ns) for frame in frames] == [
        ("b.PNG", 10),
        ("c.png", 20),
        ("a.png", 30),
    ]


def test_a_folder_that_cannot_be_dated_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing tells when the pictures were taken"):
        FolderSource(folder)
    with pytest.raises(DataError, match=r"b\.PNG: the telemetry has no row"):
        FolderSource(folder, rate_hz=1.0, times_ns={"a.png": 0})
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="empty: holds no pictures"):
        FolderSource(empty, rate_hz=1.0)


def test_a_picture_of_another_size_is_named(folder: Path) -> None:
    (folder / "b.PNG").write_bytes(encoded(picture(1)[:20], ".png"))
    with pytest.raises(DataError, match=r"b\.PNG: expected 64x48 px"):
        list(FolderSource(folder, rate_hz=1.0))


@pytest.mark.parametrize("keep", [0, 0.3, 0.9])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.fault("C5", "JPEG and PNG cut anywhere", "refused as a whole")
def test_a_picture_cut_short_is_named(tmp_path: Path, suffix: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    data = encoded(noise, suffix)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(DataError, match=rf"cut\{suffix}: not a whole picture"):
        read_picture(path)
    path.write_bytes(data)
    assert read_picture(path).shape == (HEIGHT, WIDTH, 3)


def test_a_jpeg_is_not_turned_and_its_thumbnail_does_not_hide_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    jpeg = rotated_by_exif(encoded(picture(0), ".jpg"))
    path.write_bytes(jpeg)
    turned = cv2.imread(str(path))
    assert turned is not None
    assert turned.shape == (WIDTH, HEIGHT, 3)  # so OpenCV does read the orientation
    assert read_picture(path).shape == (HEIGHT, WIDTH, 3)
    thumbnail = b"\xff\xd8\xff\xd9"
    segment = b"\xff\xe2" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    path.write_bytes(jpeg[:2] + segment + jpeg[2:-10])
    with pytest.raises(DataError, match="not a whole picture"):
        read_picture(path)


def test_a_camera_gives_the_newest_frame_stamped_on_the_monotonic_clock(video: Path) -> None:
    before_ns = time.monotonic_ns()
    source = CameraSource("camera:0", cv2.VideoCapture(str(video)))  # a capture that hurries
    assert source.size_px == (WIDTH, HEIGHT)
    time.sleep(0.3)
    frames = iter(source)
    newest = next(frames)
    assert number_of(newest) == COUNT - 1
    assert before_ns < newest.t_capture_ns < time.monotonic_ns()
    with pytest.raises(DataError, match="camera:0: stopped giving pictures"):
        next(frames)
    source.close()


def test_closing_a_camera_wakes_who_waits_for_it(video: Path) -> None:
    class Stalling:
        read, release = cv2.VideoCapture(str(video)).read, staticmethod(lambda: None)
        get = staticmethod(lambda _: 0.0)

        def grab(self) -> bool:
            time.sleep(0.2)
            return True

        def retrieve(self) -> tuple[bool, None]:
            return False, None

    source = CameraSource("camera:0", Stalling())
    ended: list[list[Frame]] = []
    waiting = threading.Thread(target=lambda: ended.append(list(source)))
    waiting.start()
    source.close()
    waiting.join(2.0)
    assert ended == [[]]


@pytest.mark.parametrize(
    "name", ["camera:", "camera:x", "camera:-1", "camera:1.5", "camera:99999999999"]
)
def test_a_camera_that_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="expected camera:N"):
        open_source(name)


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="camera:97: no such camera"):
        open_source("camera:97")


class Recorded:
    """Frames without pictures, at given times."""

    size_px = (1, 1)

    def __init__(self, times_ns: list[int]) -> None:
        self.times_ns = times_ns
        self.is_closed = False

    def __iter__(self) -> Iterator[Frame]:
        return (Frame(np.zeros((1, 1, 3), np.uint8), t, str(t)) for t in self.times_ns)

    def close(self) -> None:
        self.is_closed = True


def test_a_recording_is_played_at_its_own_pace() -> None:
    start_ns = time.monotonic_ns()
    paced = Paced(Recorded([7 * S, 7 * S + 60 * MS, 7 * S + 150 * MS]))
    late_ns = []
    for frame in paced:
        late_ns.append(time.monotonic_ns() - frame.t_capture_ns)
        assert frame.t_capture_ns - paced.offset_ns == int(frame.name)
    assert len(late_ns) == 3
    assert all(0 <= late < 50 * MS for late in late_ns)
    assert time.monotonic_ns() - start_ns >= 150 * MS


@pytest.mark.fault("P4", "inference slower than the camera", "frames are dropped, none queued")
def test_a_slow_consumer_of_a_recording_skips_frames() -> None:
    paced = Paced(Recorded([n * 20 * MS for n in range(20)]))
    shown, ages_ns = [], []
    for frame in paced:
        shown.append(int(frame.name) // (20 * MS))
        ages_ns.append(time.monotonic_ns() - frame.t_capture_ns)
        time.sleep(0.1)
    assert shown[0] == 0
    assert shown == sorted(set(shown))
    assert len(shown) <= 6
    assert shown[-1] == 19
    assert max(ages_ns[:-1]) < 70 * MS


def test_closing_a_recording_wakes_who_waits_for_a_frame() -> None:
    recorded = Recorded([0, 3600 * S])
    paced = Paced(recorded)
    threading.Timer(0.05, paced.close).start()
    start_ns = time.monotonic_ns()
    assert [frame.name for frame in paced] == ["0"]
    assert time.monotonic_ns() - start_ns < S
    assert recorded.is_closed


@pytest.mark.real_data
def test_a_real_video_has_its_own_frame_times(data: Path) -> None:
    source = VideoSource(data / "nust_overflight/flight.mp4")
    assert source.size_px == (852, 480)
    frames = iter(source)
    times_ns = [next(frames).t_capture_ns for _ in range(90)]
    source.close()
    assert times_ns[0] == 0
    np.testing.assert_allclose(np.diff(times_ns), S / 29.97, rtol=1e-3)


@pytest.mark.real_data
def test_real_pictures_are_whole(data: Path) -> None:
    frames = list(FolderSource(data / "canberra_2018/frames", rate_hz=1.0))
    assert len(frames) == 18
    assert {frame.image.shape for frame in frames} == {(frames[0].image.shape)}
    assert read_picture(data / "brighton_beach/images/DJI_0018.JPG").shape == (2250, 4000, 3)
