"""Cameras without their hardware: clocks, pipelines, and a network camera that is spoken to."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.errors import DataError
from geobridge.onboard.frames import pipelines
from geobridge.onboard.frames.clock import OLDEST_NS, KernelClock, StreamClock
from geobridge.onboard.frames.device import Shooting, has_gstreamer, pipeline_of
from geobridge.onboard.frames.source import is_live, open_source

S, MS = 1_000_000_000, 1_000_000
START_NS = 500 * S


@given(st.integers(0, OLDEST_NS), st.integers(-50 * MS, 50 * MS))
def test_the_kernel_knows_when(age_ns: int, offset_ns: int) -> None:
    clock = KernelClock(offset_ns)
    assert clock.at(START_NS - age_ns, START_NS) == START_NS - age_ns + offset_ns


@pytest.mark.parametrize("stamp_ns", [0, START_NS + 1, START_NS - OLDEST_NS - 1, 1_700_000_000 * S])
def test_a_stamp_of_another_clock_is_not_believed(stamp_ns: int) -> None:
    assert KernelClock(-20 * MS).at(stamp_ns, START_NS) == START_NS - 20 * MS


@given(st.integers(OLDEST_NS, 60 * S))
def test_a_picture_that_waited_is_as_old_as_its_stamp(age_ns: int) -> None:
    clock = KernelClock()
    clock.at(START_NS - 30 * MS, START_NS)
    assert clock.at(START_NS + S, START_NS + S + age_ns) == START_NS + S
    assert clock.at(START_NS + 9 * S, START_NS + 8 * S) == START_NS + 8 * S  # no time to come


@given(
    way_ns=st.integers(0, 400 * MS),
    jitter_ms=st.lists(st.integers(0, 300), min_size=60, max_size=120),
    drift_ppm=st.integers(-50, 50),
)
def test_a_stream_is_dated_without_the_jitter_of_its_network(
    way_ns: int, jitter_ms: list[int], drift_ppm: int
) -> None:
    """From its first quick picture on, to what clocks drift apart while it is remembered."""
    clock, quick = StreamClock(-way_ns), False
    for number, extra_ms in enumerate([*jitter_ms, 0]):
        taken_ns = START_NS + number * 100 * MS
        stream_ns = number * 100 * MS * (1_000_000 + drift_ppm) // 1_000_000
        found_ns = clock.at(stream_ns, taken_ns + way_ns + extra_ms * MS)
        quick = quick or extra_ms == 0
        assert not quick or abs(found_ns - taken_ns) <= 2 * MS
    assert quick


def test_a_stream_that_begins_anew_is_dated_anew() -> None:
    clock = StreamClock()
    assert clock.at(100 * S, START_NS) == START_NS
    assert clock.at(101 * S, START_NS + S + 40 * MS) == START_NS + S
    again_ns = START_NS + 4 * S
    assert clock.at(0, again_ns) == again_ns


@given(stall_ms=st.integers(100, 5000), drain=st.floats(1.1, 50.0))
def test_what_a_network_held_back_keeps_its_date(stall_ms: int, drain: float) -> None:
    """A stall makes the way longer; it makes no picture younger."""
    clock, way_ns, every_ns = StreamClock(-80 * MS), 80 * MS, 33 * MS
    free_ns = 0
    for number in range(2400):
        taken_ns = START_NS + number * every_ns
        comes_ns = taken_ns + way_ns
        if number >= 90:  # all pictures behind the stall come one after the other
            comes_ns = max(comes_ns, free_ns, START_NS + 90 * every_ns + way_ns + stall_ms * MS)
            free_ns = comes_ns + round(every_ns / drain)
        assert clock.at(taken_ns - START_NS, comes_ns) == taken_ns


def test_pipelines_end_in_the_newest_frame() -> None:
    assert pipelines.csi(1, 1920, 1080, 29.97) == (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1920,height=1080,"
        "framerate=2997/100 ! nvvidconv ! video/x-raw,format=BGRx ! videoconvert"
        " ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    )
    assert pipelines.v4l2("/dev/video2", 640, 480, 30.0) == (
        "v4l2src device=/dev/video2 do-timestamp=false ! video/x-raw,width=640,height=480,"
        "framerate=30/1 ! videoconvert ! video/x-raw,format=BGR"
        " ! appsink drop=true max-buffers=1 sync=false"
    )


def test_cameras_of_gstreamer_are_pipelines() -> None:
    shooting = Shooting((640, 480), 15.0)
    csi, v4l2, own = (
        pipeline_of(name, shooting)
        for name in ("csi:3", "v4l2:/dev/video1", "gst:videotestsrc ! queue")
    )
    assert csi == pipelines.csi(3, 640, 480, 15.0)
    assert v4l2 == pipelines.v4l2("/dev/video1", 640, 480, 15.0)
    assert own == f"videotestsrc ! queue ! videoconvert ! video/x-raw,format=BGR ! {pipelines.SINK}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("csi:", "expected csi:N"),
        ("csi:x", "expected csi:N"),
        ("v4l2:video0", "expected v4l2:/dev/videoN"),
        ("v4l2:/dev/video0 ! filesink location=/tmp/x", "expected v4l2:/dev/videoN"),
    ],
)
def test_a_camera_that_is_none_is_refused(name: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        open_source(name)


@pytest.mark.skipif(has_gstreamer(), reason="this OpenCV has GStreamer")
@pytest.mark.parametrize("name", ["csi:0", "v4l2:/dev/video0", "gst:videotestsrc"])
def test_without_gstreamer_it_says_so(name: str) -> None:
    with pytest.raises(DataError, match=f"{name}: needs GStreamer, which this OpenCV was built"):
        open_source(name)


@pytest.mark.skipif(not has_gstreamer(), reason="this OpenCV was built without GStreamer")
def test_gstreamer_gives_pictures() -> None:
    with closing(open_source("gst:videotestsrc is-live=true")) as source:
        first, second = (frame for frame, _ in zip(source, range(2), strict=False))
        assert first.t_capture_ns < second.t_capture_ns <= time.monotonic_ns()


def test_what_is_live() -> None:
    for name in ("camera:0", "csi:0", "v4l2:/dev/video0", "gst:x", "rtsp://h/p", "stream:/s"):
        assert is_live(name)
    assert not is_live("camera")
    assert not is_live("flight.mp4")


WIDTH, HEIGHT, RATE_HZ, COUNT = 128, 96, 25.0, 100
TS_PACKET, PER_RTP = 188, 7


@pytest.fixture(scope="module")
def transport_stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Pictures that get brighter, as a network camera sends them."""
    path = tmp_path_factory.mktemp("stream") / "camera.ts"
    codec = cv2.VideoWriter.fourcc(*"MPG2")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, RATE_HZ, (WIDTH, HEIGHT))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no transport stream")
    for number in range(COUNT):
        writer.write(np.full((HEIGHT, WIDTH, 3), 20 + 2 * number, np.uint8))
    writer.release()
    return path.read_bytes()


class NetworkCamera:
    """An RTSP server of one client and one stream: MPEG-TS in RTP inside of the connection."""

    def __init__(self, stream: bytes) -> None:
        self._stream = stream
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._listening.getsockname()[1]}/eye"
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._listening.close()
        self._thread.join(5.0)

    def _serve(self) -> None:
        with suppress(OSError):
            connection, _ = self._listening.accept()
            with connection:
                connection.settimeout(10.0)
                while (request := self._request(connection)) is not None:
                    if self._answer(connection, request):
                        self._play(connection)
                        return

    @staticmethod
    def _request(connection: socket.socket) -> str | None:
        text = b""
        while not text.endswith(b"\r\n\r\n"):
            if not (more := connection.recv(1)):
                return None
            text += more
        return text.decode()

    @staticmethod
    def _answer(connection: socket.socket, request: str) -> bool:
        method = request.split()[0]
        number = next(x for x in request.splitlines() if x.lower().startswith("cseq"))
        head, body = ["RTSP/1.0 200 OK", number, "Session: 1;timeout=60"], ""
        if method == "OPTIONS":
            head.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        if method == "DESCRIBE":
            body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=eye\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\n"
            head += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        if method == "SETUP":
            head.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        connection.sendall(("\r\n".join(head) + "\r\n\r\n" + body).encode())
        return method == "PLAY"

    def _play(self, connection: socket.socket) -> None:
        step, start_s = TS_PACKET * PER_RTP, time.monotonic()
        pieces = [self._stream[at : at + step] for at in range(0, len(self._stream), step)]
        for number, piece in enumerate(pieces):
            due_s = number / len(pieces) * COUNT / RATE_HZ
            if self._closed.wait(max(0.0, start_s + due_s - time.monotonic())):
                return
            packet = struct.pack(">BBHII", 0x80, 33, number, round(due_s * 90_000), 1) + piece
            connection.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)


@pytest.fixture
def network_camera(transport_stream: bytes) -> Iterator[NetworkCamera]:
    with closing(NetworkCamera(transport_stream)) as camera:
        yield camera


def test_a_network_camera_is_dated_by_its_stream(network_camera: NetworkCamera) -> None:
    before_ns = time.monotonic_ns()
    with closing(open_source(network_camera.url)) as source:
        assert source.size_px == (WIDTH, HEIGHT)
        frames = []
        with suppress(DataError):
            frames.extend(source)
    assert len(frames) >= 20
    times_ns = [frame.t_capture_ns for frame in frames]
    assert before_ns < times_ns[0]
    assert times_ns[-1] <= time.monotonic_ns()
    assert all(a < b for a, b in pairwise(times_ns))
    number = np.array([(frame.image.mean() - 20.0) / 2.0 for frame in frames])
    settled = slice(len(frames) // 2, -4)  # the quickest way is known, and the end not yet flushed
    off_s = np.array(times_ns[settled]) / S - number[settled] / RATE_HZ
    assert np.abs(off_s - np.median(off_s)).max() < 0.06  # brightness tells a picture's number


def test_a_network_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"rtsp://127\.0\.0\.1:9/eye: no such camera"):
        open_source("rtsp://127.0.0.1:9/eye")
