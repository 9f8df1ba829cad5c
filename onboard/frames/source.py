"""Frames, RGB as the camera saw them, each with its capture time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from ..records import Frame
from .device import PREFIXES, Shooting, open_camera
from .folder import FolderSource
from .stream import STREAM_PREFIX, StreamSource
from .video import VideoSource


class FrameSource(Protocol):
    """Frames of one size in the order they were taken; one pass, ended early by `close`."""

    def __iter__(self) -> Iterator[Frame]: ...

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of every frame."""

    def close(self) -> None:
        """End the iteration, from any thread, and let go of the file or device."""


def is_live(frames: str) -> bool:
    """Whether pictures come as they are taken, and not from a recording."""
    return frames.startswith((*PREFIXES, STREAM_PREFIX))


def open_source(
    frames: str,
    *,
    rate_hz: float | None = None,
    times_ns: Mapping[str, int] | None = None,
    shooting: Shooting | None = None,
) -> FrameSource:
    """Open a video file, a folder of pictures, a camera (`frames.device`), or `stream:SOCKET`.

    Args:
        frames: the path, the camera, or the socket of a capture program.
        rate_hz: pictures per second of a folder without `times_ns`.
        times_ns: when each picture of a folder was taken, by file name.
        shooting: what is asked of a camera.

    Raises:
        DataError: names what cannot be opened, and why.
    """
    if frames.startswith(PREFIXES):
        return open_camera(frames, shooting)
    if frames.startswith(STREAM_PREFIX):
        return StreamSource(frames)
    path = Path(frames)
    if path.is_dir():
        return FolderSource(path, rate_hz=rate_hz, times_ns=times_ns)
    return VideoSource(path)
