"""Cameras: a V4L2 device, a GStreamer pipeline, an RTSP stream; always the newest frame.

camera:N             the Nth V4L2 device, in whatever format OpenCV makes pictures of
v4l2:/dev/videoN     the same through GStreamer, of a size and rate
csi:N                the Nth camera on a Jetson's CSI port, of a size and rate
gst:PIPELINE         anything GStreamer can read, as far as raw pictures
rtsp://...           a network camera, by FFmpeg over TCP
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import cv2

from ..errors import DataError
from ..records import Frame
from . import pipelines
from .clock import KernelClock, StreamClock
from .newest import LiveSource
from .picture import rgb_from_bgr, size_of

CAMERA_PREFIX = "camera:"
PREFIXES = (CAMERA_PREFIX, "v4l2:", "csi:", "gst:", "rtsp://", "rtsps://")
NS_PER_MS = 1_000_000
RTSP_TIMEOUT_MS = 5000
_OPTIONS_NAME = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_RTSP_OPTIONS = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"


@dataclass(frozen=True)
class Shooting:
    """How a camera is asked for pictures, and when they were taken.

    `offset_ns` is added to the time that the source gives, or else to the arrival, to be
    mid-exposure. Size and rate are for `v4l2:` and `csi:`.
    """

    size_px: tuple[int, int] = (1280, 720)
    rate_hz: float = 30.0
    offset_ns: int = 0


class Clock(Protocol):
    """From the time that a source gives to mid-exposure."""

    def at(self, stamp_ns: int, arrival_ns: int) -> int:
        """Monotonic nanoseconds."""


def open_camera(name: str, shooting: Shooting | None = None) -> CameraSource:
    """Open any of the cameras above.

    Raises:
        DataError: no such camera, one that gives no picture, or an OpenCV without what it needs.
    """
    shooting = shooting or Shooting()
    kind, _, rest = name.partition(":")
    if kind == "camera":
        number = _number(name, rest)
        capture = cv2.VideoCapture(number, cv2.CAP_V4L2)
        return CameraSource(name, capture, KernelClock(shooting.offset_ns))
    clock = StreamClock(shooting.offset_ns)
    if kind in ("rtsp", "rtsps"):
        return CameraSource(name, _rtsp(name), clock)
    return CameraSource(name, _gstreamer(name, pipeline_of(name, shooting)), clock)


class CameraSource(LiveSource):
    """Frames of an open capture, dated by `clock` from the capture's own times.

    Raises:
        DataError: the capture gives no picture; while iterating, it has stopped giving them.
    """

    def __init__(self, name: str, capture: cv2.VideoCapture, clock: Clock | None = None) -> None:
        found, picture = capture.read()
        if not found:
            capture.release()
            raise DataError(f"{name}: no such camera, or it gives no picture")
        super().__init__(name, size_of(picture), _grabbed(capture, clock or KernelClock()))


def _grabbed(capture: cv2.VideoCapture, clock: Clock) -> Generator[Frame, None, None]:
    """Every picture of a capture, which is let go of at the end."""
    try:
        while capture.grab():
            arrival_ns = time.monotonic_ns()
            stamp_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * NS_PER_MS)
            t_capture_ns = clock.at(stamp_ns, arrival_ns)
            found, picture = capture.retrieve()
            if not found:
                return
            yield Frame(rgb_from_bgr(picture), t_capture_ns)
    finally:
        capture.release()


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text):
        kind = name.partition(":")[0]
        raise DataError(f"{name}: expected {kind}:N with the number of a camera")
    return int(text)


def pipeline_of(name: str, shooting: Shooting) -> str:
    """What GStreamer is given for `gst:`, `csi:` and `v4l2:`.

    Raises:
        DataError: not the name of such a camera.
    """
    kind, _, rest = name.partition(":")
    if kind == "gst":
        return pipelines.own(rest)
    if kind == "csi":
        return pipelines.csi(_number(name, rest), *shooting.size_px, shooting.rate_hz)
    if not re.fullmatch(r"/dev/[A-Za-z0-9_/.:-]+", rest):
        raise DataError(f"{name}: expected v4l2:/dev/videoN")
    return pipelines.v4l2(rest, *shooting.size_px, shooting.rate_hz)


def _gstreamer(name: str, pipeline: str) -> cv2.VideoCapture:
    if not has_gstreamer():
        raise DataError(f"{name}: needs GStreamer, which this OpenCV was built without")
    return cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)


def has_gstreamer() -> bool:
    """Whether OpenCV was built with GStreamer; the wheels of PyPI are not, that of JetPack is."""
    return bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))


def _rtsp(url: str) -> cv2.VideoCapture:
    waits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
    limits = [value for wait in waits for value in (wait, RTSP_TIMEOUT_MS)]
    before = os.environ.get(_OPTIONS_NAME)
    os.environ[_OPTIONS_NAME] = _RTSP_OPTIONS if before is None else before
    try:  # OpenCV takes them nowhere else, and files must not be opened with them
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    finally:
        if before is None:
            del os.environ[_OPTIONS_NAME]
