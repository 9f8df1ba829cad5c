"""Each pitfall of signing, beside what plain pymavlink does with it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.errors import ConfigError
from geobridge.onboard.mavlink.signing import (
    EPOCH_S,
    FLOOR,
    RESERVE,
    TICKS_PER_S,
    Codec,
    SigningClock,
    read_key,
)

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
S = 1_000_000_000
NOW = (1_800_000_000 - EPOCH_S) * TICKS_PER_S
HEARTBEAT = wire.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3)


def wall_of(timestamp: int) -> Callable[[], int]:
    return lambda: EPOCH_S * S + timestamp * 10_000


def codec(key: bytes | None = KEY, at: int = NOW, **more: Any) -> Codec:
    clock = SigningClock(more.pop("store", None), wall_of(at))
    return Codec(1, 197, key, clock, **more)


def plain(key: bytes = KEY, at: int = NOW, system: int = 1) -> wire.MAVLink:
    """pymavlink as it comes, signing both ways."""
    mavlink = wire.MAVLink(None, system, 1)
    mavlink.robust_parsing = True
    mavlink.signing.secret_key, mavlink.signing.sign_outgoing = key, True
    mavlink.signing.link_id, mavlink.signing.timestamp = 5, at
    return mavlink


def framed(mavlink: wire.MAVLink, message: Any = HEARTBEAT, at: int | None = None) -> bytes:
    if at is not None:
        mavlink.signing.timestamp = at
    return bytes(message.pack(mavlink))


def believed(ours: Codec, data: bytes) -> int:
    return len(ours.decode(data, is_datagram=True)[0])


def believed_by_pymavlink(mavlink: wire.MAVLink, data: bytes) -> int:
    found = mavlink.parse_buffer(data) or []
    return sum(message.get_type() != "BAD_DATA" for message in found)


def test_both_ends_with_one_key_understand_each_other() -> None:
    ours, theirs = codec(), plain()
    assert believed_by_pymavlink(theirs, ours.encode(HEARTBEAT)) == 1
    assert believed(ours, framed(theirs)) == 1
    assert believed(ours, framed(plain(OTHER_KEY))) == 0
    assert believed_by_pymavlink(plain(OTHER_KEY), ours.encode(HEARTBEAT)) == 0


@pytest.mark.fault("L7", "unsigned frames first", "the key stays")
def test_1_the_key_is_not_dropped_by_what_comes_first() -> None:
    code = """
import os, socket, sys
os.environ.pop("MAVLINK20", None)
from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega as wire
them = mavutil.mavlink_connection("udpin:127.0.0.1:0")
them.setup_signing(bytes(range(32)), sign_outgoing=True)
beat = bytes(wire.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3).pack(wire.MAVLink(None, 1, 1)))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(beat, them.port.getsockname())
message = them.recv_match(blocking=True, timeout=3)
print(message is not None, them.mav.signing.secret_key is None)
"""
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert told.stdout.split() == ["True", "True"], told.stderr  # unsigned, believed, key gone
    ours = codec()
    unsigned = bytes(HEARTBEAT.pack(wire.MAVLink(None, 1, 1)))
    assert believed(ours, unsigned) == 0
    assert ours.encode(HEARTBEAT)[2] & 0x01
    assert believed(ours, framed(plain())) == 1


@pytest.mark.fault("L7", "a forged frame from the future", "the autopilot is still heard")
def test_2_a_forged_frame_locks_nobody_out() -> None:
    forger, theirs = plain(OTHER_KEY), plain()
    forged = framed(forger, at=NOW + 10 * TICKS_PER_S)
    victim, ours = plain(), codec()
    for receiver, locked_out in ((victim, True), (ours, False)):
        good = framed(theirs, at=NOW + TICKS_PER_S * (1 + locked_out))
        check: Any = believed_by_pymavlink if receiver is victim else believed
        assert check(receiver, forged) == 0
        assert (check(receiver, good) == 0) == locked_out
    assert ours.refused == 1


@pytest.mark.fault("L7", "unknown message ids", "refused")
def test_3_unknown_messages_do_not_slip_through() -> None:
    unknown = bytes([0xFD, 4, 0, 0, 0, 1, 1, 0x55, 0xEE, 0xEE, 1, 2, 3, 4, 9, 9])
    assert believed_by_pymavlink(plain(), unknown) == 1
    assert believed(codec(), unknown) == 0
    signed = bytes([0xFD, 4, 1, *unknown[3:]]) + bytes(13)
    assert believed(codec(), signed) == 0
    assert believed(codec(None), unknown) == 0


@pytest.mark.fault("L7", "MAVLink 1", "refused")
def test_3_mavlink_1_does_not_slip_through() -> None:
    old = bytes(HEARTBEAT.pack(wire.MAVLink(None, 1, 1), force_mavlink1=True))
    assert old[0] == 0xFE
    assert believed(codec(), old) == 0
    assert believed(codec(None), old) == 1


def test_4_a_recording_is_refused_after_a_restart_without_a_clock(tmp_path: Path) -> None:
    year = 365 * 86_400 * TICKS_PER_S
    recording = framed(plain(at=NOW - year))
    without_a_clock = plain(at=0)  # pymavlink begins with the wall clock, here that of 1970
    assert believed_by_pymavlink(without_a_clock, recording) == 1
    store = tmp_path / "signing"
    before = SigningClock(store, wall_of(NOW))
    before.save()
    assert believed(codec(at=-(10**15), store=store), recording) == 0
    assert believed(codec(at=-(10**15), store=store), framed(plain(at=NOW + RESERVE))) == 1


def test_4_no_timestamp_is_used_twice_over_a_crash(tmp_path: Path) -> None:
    store, used, wall = tmp_path / "signing", [], NOW
    for restart in range(6):
        ours = SigningClock(store, wall_of(wall - restart * 3600 * TICKS_PER_S))  # it goes back
        ours.save()
        used.append(ours.now())
        if restart % 2:  # the power goes while the older of the two files is being replaced
            oldest = min(store.parent.iterdir(), key=lambda path: path.stat().st_mtime_ns)
            oldest.write_text("")
    assert used == sorted(set(used))


def test_5_a_signed_future_is_refused_where_the_clock_is_right() -> None:
    ten_years = NOW + 10 * 365 * 86_400 * TICKS_PER_S
    victim = plain()
    assert believed_by_pymavlink(victim, framed(plain(), at=ten_years)) == 1
    assert victim.signing.timestamp >= ten_years
    ours = codec()
    assert believed(ours, framed(plain(), at=ten_years)) == 0
    assert believed(ours, framed(plain(), at=NOW + 59 * TICKS_PER_S)) == 1
    assert believed(ours, framed(plain(), at=NOW + 61 * TICKS_PER_S)) == 1  # our time has come on


def test_5_without_a_clock_the_autopilot_s_time_is_taken_over() -> None:
    ours = codec(at=-(10**15))
    assert believed(ours, framed(plain(), at=NOW)) == 1
    assert believed_by_pymavlink(plain(at=NOW), ours.encode(HEARTBEAT)) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (KEY, KEY),
        (KEY.hex().encode() + b"\n", KEY),
        (b"passphrase: correct horse\n", None),
        (b"12345", ConfigError),
        (b"ab" * 31, ConfigError),
        (b"passphrase:\n", ConfigError),
        (b"", ConfigError),
        (b"\xff" * 33, ConfigError),
    ],
)
def test_6_a_key_has_32_bytes_or_is_refused(content: bytes, expected: Any, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    if expected is ConfigError:
        with pytest.raises(ConfigError, match="expected 32 bytes, 64 hexadecimal"):
            read_key(path)
    else:
        assert len(read_key(path)) == 32
        assert expected in (None, read_key(path))


def test_6_pymavlink_takes_a_key_of_five_bytes() -> None:
    short = plain(b"12345")
    assert believed_by_pymavlink(plain(b"12345"), framed(short)) == 1


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_key(path)
    with pytest.raises(ConfigError, match="No such file"):
        read_key(tmp_path / "none")


@pytest.mark.fault("L6", "a recorded frame", "refused")
def test_a_replayed_frame_is_refused() -> None:
    ours, frame = codec(), framed(plain())
    assert [believed(ours, frame), believed(ours, frame)] == [1, 0]


def test_timestamps_go_on_while_nothing_is_sent() -> None:
    clock = SigningClock(None, wall_of(0))
    before = clock.now()
    assert before >= FLOOR
    time.sleep(0.02)
    assert clock.now() - before >= 1500  # 15 ms of ticks


@given(st.lists(st.integers(-(10**7), 10**7), max_size=20))
@pytest.mark.fault("T1", "wall clock steps of any size", "signing time never goes back")
def test_timestamps_only_rise_whatever_the_wall_clock_does(steps_s: list[int]) -> None:
    wall = NOW
    clock = SigningClock(None, lambda: wall_of(wall)())
    ours = Codec(1, 197, KEY, clock)
    stamps = []
    for step_s in steps_s:
        wall += step_s * TICKS_PER_S
        stamps.append(int.from_bytes(ours.encode(HEARTBEAT)[-12:-6], "little"))
    assert stamps == sorted(set(stamps))


@given(st.binary(max_size=600))
def test_noise_is_never_believed_and_keeps_little(data: bytes) -> None:
    ours = codec()
    assert ours.decode(data, is_datagram=False)[0] == []
    assert len(ours._mavlink.buf) <= 300
