"""Messages of a `.tlog`, by pymavlink: each stands behind the microseconds since 1970 at which the
ground station received it, big-endian; the lowest two bits tell the link."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as wire

from ...errors import DataError

STAMP_BYTES = 8
_MAGICS = {0xFE: 8, 0xFD: 12}
"""First byte of a frame of MAVLink 1 and 2, and its bytes beside payload and signature."""
_SIGNED, _SIGNATURE_BYTES = 0x01, 13
_FIRST_US, _LAST_US = 946_684_800_000_000, 4_102_444_800_000_000
"""2000 and 2100: what is no time between them is no stamp."""


@dataclass(frozen=True)
class Heard:
    """A message, and when it was received."""

    t_ns: int
    message: Any


@dataclass
class Damage:
    """What could not be read."""

    places: int = 0
    is_cut: bool = False


def looks_like_tlog(head: bytes) -> bool:
    """Whether a stamp and a whole frame stand in the first bytes, and another behind them."""
    return any(
        _begins(head, at)
        and (length := _frame_bytes(head, at + STAMP_BYTES)) > 0
        and at + STAMP_BYTES + length <= len(head)
        and _begins(head, at + STAMP_BYTES + length)
        for at in range(max(0, len(head) - STAMP_BYTES))
    )


def messages(path: Path, kinds: frozenset[str], damage: Damage) -> Iterator[Heard]:
    """Messages of some kinds whose checksums are right, in the order of the file.

    `damage` is filled on the way.

    Raises:
        DataError: unreadable.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    wanted = {number for number, kind in wire.mavlink_map.items() if kind.msgname in kinds}
    parser = wire.MAVLink(None)
    at, was_sound = 0, True
    while at + STAMP_BYTES < len(data):
        start, length = at + STAMP_BYTES, _frame_bytes(data, at + STAMP_BYTES)
        stamp_us, following = _stamp_us(data, at), start + length
        message = None
        is_sound = stamp_us is not None and 0 < length <= len(data) - start
        if is_sound and _number(data, start) in wanted:
            message = decoded(parser, data[start:following])
            is_sound = message is not None
        elif is_sound:
            is_sound = following == len(data) or _begins(data, following)
        if message is not None and stamp_us is not None:
            yield Heard(stamp_us * 1000, message)
        damage.places += was_sound and not is_sound
        was_sound = is_sound
        at = following if is_sound else at + 1
    if not was_sound or at < len(data):
        damage.is_cut = True
        damage.places -= not was_sound


def decoded(parser: Any, frame: bytes) -> Any:
    """The message of a whole frame, None where its checksum is wrong.

    A signature is not looked at: for whom the message was meant has judged it.
    """
    try:
        return parser.decode(bytearray(frame))
    except wire.MAVError:
        return None


def _begins(data: bytes, at: int) -> bool:
    """Whether a stamp and the first byte of a frame stand there, as far as the file goes."""
    if at + STAMP_BYTES >= len(data):
        return True
    return data[at + STAMP_BYTES] in _MAGICS and _stamp_us(data, at) is not None


def _stamp_us(data: bytes, at: int) -> int | None:
    (stamp_us,) = struct.unpack_from(">Q", data, at)
    stamp_us &= ~3
    return stamp_us if _FIRST_US <= stamp_us < _LAST_US else None


def _frame_bytes(data: bytes, at: int) -> int:
    """Of the frame that begins there, 0 where none does."""
    if at + 10 > len(data) or data[at] not in _MAGICS:
        return 0
    is_signed = data[at] == 0xFD and data[at + 2] & _SIGNED
    return _MAGICS[data[at]] + data[at + 1] + (_SIGNATURE_BYTES if is_signed else 0)


def _number(data: bytes, at: int) -> int:
    """Which message a frame holds."""
    if data[at] == 0xFE:
        return data[at + 5]
    return int.from_bytes(data[at + 7 : at + 10], "little")
