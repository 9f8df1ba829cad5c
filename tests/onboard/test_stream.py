"""Pictures over a real socket, from a capture program that the test plays."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.errors import DataError
from geobridge.onboard.frames import stream
from geobridge.onboard.frames.newest import Newest
from geobridge.onboard.frames.source import open_source
from geobridge.onboard.frames.stream import HEADER, MAGIC, StreamSource, pack_frame
from geobridge.onboard.records import Frame, Image

S, MS = 1_000_000_000, 1_000_000


def picture(number: int, height: int = 6, width: int = 8) -> Image:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3)).astype(np.uint8)


class Program:
    """Listens, and sends to the one who connects what it was given before."""

    def __init__(self, path: Path) -> None:
        self.name = f"stream:{path}"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self.viewer: socket.socket | None = None

    def open(self, *first: bytes) -> StreamSource:
        """The source at the other end, after `first` was sent."""
        thread = threading.Thread(target=self._accept, args=first)
        thread.start()
        try:
            return StreamSource(self.name)
        finally:
            thread.join()

    def send(self, data: bytes) -> None:
        assert self.viewer is not None
        self.viewer.sendall(data)

    def hang_up(self) -> None:
        if self.viewer is not None:
            self.viewer.close()

    def close(self) -> None:
        self.hang_up()
        self._listener.close()

    def _accept(self, *first: bytes) -> None:
        self.viewer, _ = self._listener.accept()
        for data in first:
            self.viewer.sendall(data)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with closing(Program(tmp_path / "camera")) as program:
        yield program


def test_pictures_come_as_they_were_sent_with_their_times(program: Program) -> None:
    with closing(program.open(pack_frame(picture(0), 17 * S + 3))) as source:
        assert source.size_px == (8, 6)
        for number, frame in enumerate(islice(source, 5)):
            assert np.array_equal(frame.image, picture(number))
            assert frame.t_capture_ns == 17 * S + 3 + number * MS
            program.send(pack_frame(picture(number + 1), 17 * S + 3 + (number + 1) * MS))


def test_a_source_is_opened_by_its_name(program: Program) -> None:
    threading.Thread(target=program._accept, args=(pack_frame(picture(3), S),)).start()
    with closing(open_source(program.name)) as source:
        assert isinstance(source, StreamSource)
        assert next(iter(source)).t_capture_ns == S


@given(st.integers(1, 5), st.integers(1, 7), st.integers(-(2**63), 2**63 - 1), st.integers(1, 200))
def test_a_picture_survives_however_it_is_cut_into_packets(
    height: int, width: int, t_ns: int, packet: int
) -> None:
    ours, theirs = socket.socketpair()
    data = pack_frame(picture(1, height, width), t_ns)
    with ours, theirs:
        source = StreamSource.__new__(StreamSource)
        source._name, source._socket = "stream:pair", ours
        for start in range(0, len(data), packet):
            theirs.send(data[start : start + packet])
        frame = source._receive()
    assert frame is not None
    assert frame.t_capture_ns == t_ns
    assert np.array_equal(frame.image, picture(1, height, width))


def test_who_takes_slowly_gets_the_newest(program: Program) -> None:
    with closing(program.open(pack_frame(picture(0), 0))) as source:
        frames = iter(source)
        assert next(frames).t_capture_ns == 0
        program.send(b"".join(pack_frame(picture(n), n) for n in range(1, 41)))
        for _ in range(200):
            if newest_of(source) == 40:
                break
            time.sleep(0.01)
        assert next(frames).t_capture_ns == 40


def newest_of(source: StreamSource) -> int:
    frame = source._newest._frame
    return -1 if frame is None else frame.t_capture_ns


def test_what_is_put_takes_the_place_of_what_was_there() -> None:
    newest = Newest()
    for t_ns in range(3):
        newest.put(Frame(picture(t_ns), t_ns))
    newest.end()
    last = newest.take()
    assert last is not None
    assert last.t_capture_ns == 2
    assert newest.take() is None


def test_taking_waits_for_a_frame() -> None:
    newest = Newest()
    threading.Timer(0.05, newest.put, [Frame(picture(0), 5)]).start()
    start_s = time.monotonic()
    taken = newest.take()
    assert time.monotonic() - start_s >= 0.04
    assert taken is not None
    assert taken.t_capture_ns == 5


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (b"JPEG" + bytes(HEADER.size), "expected pictures, found other bytes"),
        (HEADER.pack(MAGIC, 0, 6, 0), "expected pictures, found other bytes"),
        (HEADER.pack(MAGIC, 8, 2**20, 0), "expected pictures, found other bytes"),
        (pack_frame(picture(0, 6, 9), S), "a picture of 9x6 px among those of 8x6 px"),
        (pack_frame(picture(0, 8, 6), S), "a picture of 6x8 px among those of 8x6 px"),
    ],
)
def test_what_does_not_belong_ends_the_stream_by_name(
    sent: bytes, line: str, program: Program
) -> None:
    opened = closing(program.open(pack_frame(picture(0), 0), sent))
    with opened as source, pytest.raises(DataError) as complaint:
        list(source)
    assert str(complaint.value) == f"{program.name}: {line}"


def test_something_else_from_the_start_is_refused(program: Program) -> None:
    with pytest.raises(DataError) as complaint:
        program.open(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n")
    assert str(complaint.value) == f"{program.name}: expected pictures, found other bytes"


@pytest.mark.parametrize("kept", [1, HEADER.size + 5, len(pack_frame(picture(0), 0))])
def test_a_sender_that_is_gone_ends_the_stream_by_name(kept: int, program: Program) -> None:
    whole = pack_frame(picture(0), 7)
    opened = closing(program.open(whole, whole[:kept]))
    program.hang_up()
    with opened as source, pytest.raises(DataError) as complaint:
        list(source)
    assert str(complaint.value) == f"{program.name}: stopped giving pictures"


def test_closing_from_another_thread_ends_a_wait_without_complaint(program: Program) -> None:
    source = program.open(pack_frame(picture(0), 0))
    frames = iter(source)
    assert next(frames).t_capture_ns == 0
    start_s = time.monotonic()
    threading.Timer(0.1, source.close).start()
    assert list(frames) == []
    assert 0.05 < time.monotonic() - start_s < 1.5
    assert program.viewer is not None
    assert program.viewer.recv(1) == b""  # hung up


def test_closing_after_the_sender_is_no_mistake(program: Program) -> None:
    source = program.open(pack_frame(picture(0), 0))
    program.hang_up()
    source.close()
    source.close()


@pytest.mark.parametrize("sent", [b"", pack_frame(picture(0), 0)[:30]])
def test_no_picture_in_time_is_refused(
    sent: bytes, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "CONNECT_S", 0.2)
    with pytest.raises(DataError, match="no picture came in"):
        program.open(sent)


def test_a_picture_that_trickles_in_does_not_hold_the_program(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "CONNECT_S", 0.2)

    def trickle() -> None:
        program._accept()
        with suppress(BrokenPipeError, ConnectionResetError):
            for byte in pack_frame(picture(0), 0):
                program.send(bytes([byte]))
                time.sleep(0.05)

    sender = threading.Thread(target=trickle)
    sender.start()
    start_s = time.monotonic()
    with pytest.raises(DataError, match="no picture came in"):
        StreamSource(program.name)
    assert time.monotonic() - start_s < 2.0
    sender.join()


def test_who_hangs_up_before_the_first_picture_is_refused(program: Program) -> None:
    def hang_up() -> None:
        program._accept()
        program.hang_up()

    accept = threading.Thread(target=hang_up)
    accept.start()
    start_s = time.monotonic()
    with pytest.raises(DataError, match=r"camera: no picture came"):
        StreamSource(program.name)
    accept.join()
    assert time.monotonic() - start_s < 2.0


def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    left, plain, nothing = tmp_path / "left", tmp_path / "plain", tmp_path / "nothing"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.bind(str(left))  # its file stays
    plain.touch()
    for path, why in (
        (left, "Connection refused"),
        (plain, "Connection refused"),
        (nothing, "No such file or directory"),
        (tmp_path / ("x" * 120), "AF_UNIX path too long"),
    ):
        with pytest.raises(DataError) as complaint:
            StreamSource(f"stream:{path}")
        expected = f"stream:{path}: {why}; expected the socket of a capture program"
        assert str(complaint.value) == expected
