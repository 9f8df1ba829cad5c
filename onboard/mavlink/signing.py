"""MAVLink 2 signing that holds where pymavlink's own does not.

With a key every frame that comes must be signed with it, whatever its kind: no MAVLink 1, no
unknown message, no heartbeat passes without. A forged frame changes nothing. Timestamps are written
down ahead of their use, so that none is used twice, and a recording of last year is refused by a
computer that has lost its clock.
"""

from __future__ import annotations

import hashlib
import logging
import stat
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as wire

from .. import durable
from ..errors import ConfigError

Message = Any
"""A decoded message of pymavlink's `ardupilotmega` dialect, which has no types."""

KEY_BYTES = 32
TICKS_PER_S, NS_PER_TICK = 100_000, 10_000
EPOCH_S = 1_420_070_400
"""Timestamps count 10 microseconds since 2015-01-01."""
FLOOR = (1_767_225_600 - EPOCH_S) * TICKS_PER_S
"""2026-01-01: a clock that is behind this software has lost its battery."""
MAX_AHEAD, RESERVE = 60 * TICKS_PER_S, 120 * TICKS_PER_S
SIGNED_FLAG, SIGNATURE_BYTES, MAVLINK_1 = 0x01, 13, 0xFE

# it would tell of every forged frame; we count them
logging.getLogger(wire.__name__).setLevel(logging.WARNING)


def read_key(path: Path) -> bytes:
    """A key of 32 bytes: as such, as 64 hexadecimal digits, or hashed from `passphrase: WORDS`.

    The last is what QGroundControl, Mission Planner and MAVProxy make of the words typed there.

    Raises:
        ConfigError: none of these, or others than the owner may read or write the file.
    """
    try:
        mode, data = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise ConfigError(f"link.signing_key {path}: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"link.signing_key {path}: others may read it; chmod 600 {path}")
    key = data if len(data) == KEY_BYTES else _key_of(data)
    if key is None or len(key) != KEY_BYTES:
        raise ConfigError(
            f"link.signing_key {path}: expected 32 bytes, 64 hexadecimal digits,"
            " or a line `passphrase: WORDS`"
        )
    return key


def _key_of(data: bytes) -> bytes | None:
    try:
        text = data.decode().strip()
        word, colon, phrase = text.partition(":")
        if colon and word == "passphrase":
            return hashlib.sha256(phrase.strip().encode()).digest() if phrase.strip() else None
        return bytes.fromhex(text)
    except ValueError:
        return None


class SigningClock:
    """Timestamps that only rise, over restarts too, and whatever becomes of the wall clock.

    What may be used is written down before it is, two minutes ahead, in two files in turn: a power
    cut leaves one of them whole. `wall_ns` is the Unix time in nanoseconds.
    """

    def __init__(self, store: Path | None, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._wall_ns = wall_ns
        self._slots = [store.with_name(f"{store.name}.{n}") for n in (0, 1)] if store else []
        stored = [_stored(slot) for slot in self._slots]
        self._reserved = max(stored, default=0)
        self._turn = stored.index(min(stored)) if stored else 0
        self._last = max(self._reserved, FLOOR)
        self._since_ns = time.monotonic_ns()

    @property
    def is_set(self) -> bool:
        """Whether the wall clock can be right."""
        return self._wall() >= FLOOR

    def now(self) -> int:
        """The next timestamp at the earliest."""
        now_ns = time.monotonic_ns()
        self._last += max(0, now_ns - self._since_ns) // NS_PER_TICK
        self._since_ns = now_ns
        if self.is_set:
            self._last = max(self._last, self._wall())
        return self._last

    def advance(self, timestamp: int) -> None:
        """Somebody with the key is that far."""
        self._last = max(self._last, timestamp)

    def save(self) -> None:
        """Write down what will be used next, once half of what was written is used up.

        Raises:
            OSError: it cannot be written.
        """
        ahead = self.now() + RESERVE
        if self._slots and ahead - self._reserved >= RESERVE // 2:
            text = f"{ahead} {zlib.crc32(str(ahead).encode())}\n"
            durable.write_text(self._slots[self._turn], text)
            self._turn, self._reserved = 1 - self._turn, ahead

    def _wall(self) -> int:
        return self._wall_ns() // NS_PER_TICK - EPOCH_S * TICKS_PER_S


def _stored(slot: Path) -> int:
    """What a slot holds; 0 where it is missing or damaged."""
    try:
        timestamp, check = slot.read_text().split()
        return int(timestamp) if int(check) == zlib.crc32(timestamp.encode()) else 0
    except (OSError, ValueError):
        return 0


class Codec:
    """Messages to bytes and back, signed both ways where there is a key; for several threads."""

    def __init__(
        self,
        system: int,
        component: int,
        key: bytes | None = None,
        clock: SigningClock | None = None,
        link_id: int = 1,
    ) -> None:
        self._lock = threading.Lock()
        self._mavlink = _Mavlink(system, component, key, clock or SigningClock(None), link_id)

    @property
    def refused(self) -> int:
        """Frames whose signature was missing or wrong."""
        return self._mavlink.refused

    def encode(self, message: Message) -> bytes:
        """A frame, to be sent in the order of encoding."""
        with self._lock:
            return self._mavlink.encoded(message)

    def decode(self, data: bytes, *, is_datagram: bool) -> tuple[list[Message], int]:
        """The messages that `data` ends, and how many pieces of it were none.

        A datagram stands alone: what it leaves unfinished is forgotten. Of a stream no more is kept
        than one unfinished frame.
        """
        with self._lock:
            found = self._mavlink.parse_buffer(data) or []
            self._mavlink.forget(all_of_it=is_datagram)
        good = [message for message in found if message.get_msgId() >= 0]
        return good, len(found) - len(good)


class _Mavlink(wire.MAVLink):  # type: ignore[misc]  # pymavlink has no types
    seq: int
    buf_index: int

    def __init__(
        self, system: int, component: int, key: bytes | None, clock: SigningClock, link_id: int
    ) -> None:
        super().__init__(None, system, component)
        self.robust_parsing = True  # damaged bytes come back as a message to pass over
        self.refused = 0
        self._clock = clock
        self.signing.secret_key, self.signing.sign_outgoing = key, key is not None
        self.signing.link_id, self.signing.timestamp = link_id, clock.now()

    def encoded(self, message: Message) -> bytes:
        self.signing.timestamp = max(self.signing.timestamp, self._clock.now())
        data = bytes(message.pack(self))
        self._clock.advance(self.signing.timestamp)
        self.seq = (self.seq + 1) % 256
        return data

    def forget(self, *, all_of_it: bool) -> None:
        del self.buf[: len(self.buf) if all_of_it else self.buf_index]
        self.buf_index = 0

    def decode(self, msgbuf: bytearray) -> Message:
        """Refuses, where there is a key, all that pymavlink would let through unseen."""
        if self.signing.secret_key is not None and not _is_signed(msgbuf):
            self.refused += 1
            raise wire.MAVError("not signed")
        message = super().decode(msgbuf)
        if message.get_type().startswith("UNKNOWN"):  # neither checksum nor signature was looked at
            raise wire.MAVError("unknown message")
        return message

    def check_signature(self, msgbuf: bytearray, srcSystem: int, srcComponent: int) -> bool:  # noqa: N803  # overrides
        """Leaves no trace of a frame that is not ours, and believes no time far ahead."""
        low, high = self.mav_sign_unpacker.unpack(msgbuf[-12:-6])
        timestamp = low + (high << 32)
        stream = (msgbuf[-SIGNATURE_BYTES], srcSystem, srcComponent)
        before = self.signing.stream_timestamps.get(stream)
        self.signing.timestamp = max(self.signing.timestamp, self._clock.now())
        is_far_ahead = self._clock.is_set and timestamp > self._clock.now() + MAX_AHEAD
        if not is_far_ahead and super().check_signature(msgbuf, srcSystem, srcComponent):
            self._clock.advance(timestamp)
            return True
        self.refused += 1
        if before is None:
            self.signing.stream_timestamps.pop(stream, None)
        else:
            self.signing.stream_timestamps[stream] = before
        return False


def _is_signed(frame: bytearray) -> bool:
    return frame[0] != MAVLINK_1 and bool(frame[2] & SIGNED_FLAG)
