"""The flight record: an MCAP file of what was seen, heard, decided and said.

Whoever has something to record leaves it in a queue of limited size and goes on; a thread of its
own makes pictures and files of it. A full or missing disk costs entries, which are counted, and
nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2

from ..errors import DataError
from ..records import Fix, Frame, Image, Rejection, Telemetry
from . import entries
from .quota import make_room
from .record_file import RecordFile

MAX_WAITING, MAX_FRAMES_WAITING = 2000, 6
RETRY_S = 10.0
THUMBNAIL_PX, JPEG_QUALITY, PNG_LEVEL = 320, 80, 1
SUFFIX = ".mcap"
LEVELS = {logging.DEBUG: 1, logging.INFO: 2, logging.WARNING: 3, logging.ERROR: 4}

Frames = Literal["none", "thumbnails", "every"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """`content` gives the JSON when it is its turn."""

    channel: str
    t_ns: int
    content: Callable[[], Mapping[str, Any]]
    holds_frame: bool = False


class Recorder:
    """Records into a new file of a folder; `facts` are texts about the flight.

    Times are monotonic nanoseconds; in the file they are Unix time as it was at the start, so that
    a clock that is set in flight moves nothing.

    Raises:
        DataError: the folder cannot be made or written to.
    """

    def __init__(
        self,
        folder: Path,
        facts: Mapping[str, str],
        *,
        frames: Frames = "none",
        quota_bytes: int | None = None,
    ) -> None:
        self.on_close: Callable[[], None] = lambda: None
        self.lost = 0
        """Entries that found the queue full or the disk unwilling."""
        self._folder, self._facts, self._frames = folder, dict(facts), frames
        self._quota_bytes = quota_bytes
        self._unix_offset_ns = time.time_ns() - time.monotonic_ns()
        self._queue: queue.Queue[_Entry | None] = queue.Queue(MAX_WAITING)
        self._frames_waiting = threading.BoundedSemaphore(MAX_FRAMES_WAITING)
        try:
            self._file: RecordFile | None = self._opened()
        except OSError as error:
            raise DataError(f"record.folder {folder}: {error.strerror}") from None
        self.path = self._file.path
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    def handled(self, frame: Frame, telemetry: Telemetry, outcome: Fix | Rejection) -> None:
        """A frame, what was known beside it, and what became of both."""
        t_ns = frame.t_capture_ns
        unix_ns = t_ns + self._unix_offset_ns
        if self._frames != "none":
            kind = "png" if self._frames == "every" else "jpeg"
            image = frame.image
            self._put(
                entries.FRAME,
                t_ns,
                lambda: entries.image_entry(unix_ns, _encoded(image, kind), kind),
                holds_frame=True,
            )
        self._put(entries.TELEMETRY, t_ns, lambda: entries.telemetry_entry(t_ns, telemetry))
        self._put(entries.OUTCOME, t_ns, lambda: entries.outcome_entry(outcome))
        if isinstance(outcome, Fix):
            self._put(entries.FIX, t_ns, lambda: entries.location_entry(unix_ns, outcome))

    def reset(self, t_capture_ns: int) -> None:
        """The localizer forgot its track before it was shown the frame taken then."""
        self.event(entries.RESET, "", t_capture_ns)

    def event(self, name: str, detail: str, t_ns: int) -> None:
        """Something that happened: a state, a reset, the end."""
        self._put(entries.EVENT, t_ns, lambda: {"t_ns": t_ns, "event": name, "detail": detail})

    def heard(self, message: Any, t_ns: int) -> None:
        """A message of the autopilot, as received, without its signature."""
        self._put(entries.HEARD, t_ns, lambda: _mavlink(message, t_ns))

    def sent(self, message: Any, t_ns: int) -> None:
        """A message to the autopilot."""
        self._put(entries.SENT, t_ns, lambda: _mavlink(message, t_ns))

    def logged(self, record: logging.LogRecord) -> None:
        """A line of the log."""
        t_ns = time.monotonic_ns()
        entry = {
            "timestamp": entries.stamp(t_ns + self._unix_offset_ns),
            "level": LEVELS.get(record.levelno, 0),
            "message": record.getMessage(),
            "name": record.name,
            "file": record.filename,
            "line": record.lineno,
        }
        self._put(entries.LOG, t_ns, lambda: entry)

    def close(self) -> None:
        """Write what waits, and finish the file."""
        self.on_close()
        try:
            self._queue.put(None, timeout=5.0)
        except queue.Full:
            return
        self._thread.join(10.0)

    def _put(
        self,
        channel: str,
        t_ns: int,
        content: Callable[[], Mapping[str, Any]],
        *,
        holds_frame: bool = False,
    ) -> None:
        if holds_frame and not self._frames_waiting.acquire(blocking=False):
            self.lost += 1
            return
        try:
            self._queue.put_nowait(_Entry(channel, t_ns, content, holds_frame))
        except queue.Full:
            self.lost += 1
            if holds_frame:
                self._frames_waiting.release()

    def _run(self) -> None:
        retry_s = 0.0
        while (entry := self._queue.get()) is not None:
            if self._file is None and time.monotonic() >= retry_s:
                retry_s = time.monotonic() + RETRY_S
                self._reopen()
            self._write(entry)
        if self._file is not None:
            self._guarded(self._file.finish)

    def _write(self, entry: _Entry) -> None:
        file = self._file
        if file is None:
            self.lost += 1
        else:
            data = json.dumps(entry.content()).encode()
            unix_ns = entry.t_ns + self._unix_offset_ns
            self._guarded(lambda: file.write(entry.channel, unix_ns, data))
        if entry.holds_frame:
            self._frames_waiting.release()

    def _guarded(self, action: Callable[[], None]) -> None:
        """A file that failed is left as it is: what is on the disk may be read."""
        try:
            action()
        except OSError as error:
            self.lost += 1
            if self._file is not None:
                log.warning("record %s: %s; the flight goes on", self._file.path, error.strerror)
                self._file.abandon()
            self._file = None

    def _reopen(self) -> None:
        try:
            self._file = self._opened()
        except OSError:
            return
        self.path = self._file.path
        log.info("recording again, to %s", self.path)

    def _opened(self) -> RecordFile:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._quota_bytes is not None:
            make_room(self._folder, SUFFIX, self._quota_bytes)
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{os.getpid()}"
        for number in range(1000):
            path = self._folder / f"{name}-{number:03d}{SUFFIX}"
            if not path.exists():
                break
        facts = {**self._facts, "unix_offset_ns": str(self._unix_offset_ns)}
        return RecordFile(path, facts)


def _encoded(image: Image, kind: str) -> bytes:
    if kind == "jpeg":
        scale = THUMBNAIL_PX / image.shape[1]
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        done, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), options)
    else:
        options = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
        done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return data.tobytes() if done else b""


def _mavlink(message: Any, t_ns: int) -> dict[str, Any]:
    frame = bytes(message.get_msgbuf() or b"")
    is_signed = len(frame) > 2 and frame[0] == 0xFD and frame[2] & 1
    if is_signed:
        frame = frame[:-13]  # the signature is nobody's business afterwards
    return {"t_ns": t_ns, "name": message.get_type(), "frame": frame.hex()}
