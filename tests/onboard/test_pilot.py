"""Commands, texts and questions: the rest of what passes over the link."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.config import LinkConfig
from geobridge.onboard.mavlink.autopilot import Kind
from geobridge.onboard.mavlink.conversation import Conversation
from geobridge.onboard.mavlink.outputs.wanted import exactly
from geobridge.onboard.mavlink.parameters import ParameterCheck
from geobridge.onboard.mavlink.pilot import Pilot
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.mavlink.timesync import Timesync
from geobridge.onboard.mavlink.voice import Voice
from geobridge.onboard.records import Prior

S, MS = 1_000_000_000, 1_000_000


class Orders:
    def __init__(self) -> None:
        self.given: list[Any] = []

    def publish(self, *, is_on: bool) -> None:
        self.given.append(is_on)

    def look_at(self, prior: Prior) -> None:
        self.given.append(prior)

    def reset(self) -> None:
        self.given.append("reset")


def heard(message: Any, system: int = 255, component: int = 190) -> Any:
    [received] = wire.MAVLink(None).parse_buffer(
        message.pack(wire.MAVLink(None, system, component))
    )
    return received


def command(number: int, *params: float, target: tuple[int, int] = (1, 197)) -> Any:
    padded = [*params, *(0.0,) * (7 - len(params))]
    return heard(wire.MAVLink_command_long_message(*target, number, 0, *padded))


def place(lat: int, lon: int, accuracy_m: float = 30.0) -> Any:
    return heard(
        wire.MAVLink_command_int_message(
            1, 197, 0, 43003, 0, 0, 1.0, 0.0, accuracy_m, 0.0, lat, lon, math.nan
        )
    )


@pytest.mark.parametrize(
    ("message", "result", "given"),
    [
        (command(31010, 1), wire.MAV_RESULT_ACCEPTED, [True]),
        (command(31010, 0), wire.MAV_RESULT_ACCEPTED, [False]),
        (command(31010, 2), wire.MAV_RESULT_DENIED, []),
        (command(31010, math.nan), wire.MAV_RESULT_DENIED, []),
        (command(31011), wire.MAV_RESULT_ACCEPTED, ["reset"]),
        (command(400, 1), wire.MAV_RESULT_UNSUPPORTED, []),
        (place(474_000_000, 85_000_000), wire.MAV_RESULT_ACCEPTED, [Prior(47.4, 8.5, 30.0)]),
        (place(474_000_000, 85_000_000, math.nan), 0, [Prior(47.4, 8.5, 100.0)]),
        (place(2**31 - 1, 0), wire.MAV_RESULT_DENIED, []),
        (place(0, 0, 9000.0), wire.MAV_RESULT_DENIED, []),
        (place(910_000_000, 0), wire.MAV_RESULT_DENIED, []),
    ],
)
def test_a_command_is_carried_out_and_answered(message: Any, result: int, given: list[Any]) -> None:
    orders = Orders()
    ack = Pilot(1, 197, orders).answer(message)
    assert ack is not None
    assert (ack.command, ack.result) == (message.command, result)
    assert (ack.target_system, ack.target_component) == (255, 190)
    assert orders.given == given


@pytest.mark.parametrize("target", [(1, 1), (0, 0), (1, 0), (2, 197)])
def test_commands_to_others_are_not_ours(target: tuple[int, int]) -> None:
    orders = Orders()
    assert Pilot(1, 197, orders).answer(command(31011, target=target)) is None
    assert orders.given == []


@given(st.lists(st.floats(width=32), min_size=7, max_size=7), st.integers(0, 65_535))
def test_no_command_breaks_it(params: list[float], number: int) -> None:
    orders = Orders()
    Pilot(1, 197, orders).answer(command(number, *params))
    for given_order in orders.given:
        if isinstance(given_order, Prior):
            assert all(math.isfinite(value) for value in vars(given_order).values())


@given(st.text(max_size=300))
def test_a_long_text_comes_whole_in_numbered_pieces(words: str) -> None:
    pieces = [heard(message) for message in Voice().text(4, words)]
    whole = "".join(piece.text for piece in pieces).encode(errors="surrogateescape")
    if "\0" not in words and len(words.encode()) <= 200 and words.isascii():
        assert whole.decode() == words
    assert [piece.chunk_seq for piece in pieces] == list(range(len(pieces)))
    assert len({piece.id for piece in pieces}) <= 1
    assert len(pieces) <= 4


def talking(**config: Any) -> Conversation:
    clock = Timesync()
    return Conversation(LinkConfig(**config), AutopilotTelemetry(0.0, clock=clock), clock)


def beat(autopilot: int = 3) -> Any:
    return heard(wire.MAVLink_heartbeat_message(2, autopilot, 0x80, 0, 4, 3), 1, 1)


def test_nothing_is_asked_of_nobody() -> None:
    assert talking().due(10 * S) == []


def test_an_autopilot_is_asked_for_its_version_its_streams_and_the_time() -> None:
    ours = talking()
    ours.feed(beat(), 10 * S)
    asked = ours.due(10 * S)
    assert [m.ts1 for m in asked if m.get_type() == "TIMESYNC"] == [10 * S]
    numbers = [(m.command, m.param1) for m in asked if m.get_type() == "COMMAND_LONG"]
    assert {(512, 148.0), (512, 49.0), (511, 30.0), (511, 33.0), (511, 193.0)} <= set(numbers)
    assert ours.due(10 * S + 50 * MS) == []


def test_a_slow_line_is_asked_for_less() -> None:
    per_second = []
    for link in ({"address": "/dev/ttyTHS1", "baud": 57_600}, {}):
        ours = talking(**link)
        ours.feed(beat(), 10 * S)
        streams = [m for m in ours.due(10 * S) if getattr(m, "command", 0) == 511]
        per_second.append(sum(1e6 / m.param2 for m in streams))
    slow, fast = per_second
    assert slow * 45 < 57_600 / 10 / 3  # messages of at most 45 bytes
    assert slow < fast / 2


def test_its_timesync_is_answered_at_once_in_our_time() -> None:
    ours = talking()
    [answer] = ours.feed(heard(wire.MAVLink_timesync_message(0, 123), 1, 1), 77 * S)
    assert (answer.tc1, answer.ts1) == (77 * S, 123)


@pytest.mark.fault("L5", "the autopilot begins anew", "version and streams are asked for again")
def test_a_reboot_makes_everything_be_asked_anew() -> None:
    rebooted: list[bool] = []
    clock = Timesync()
    ours = Conversation(
        LinkConfig(), AutopilotTelemetry(0.0, clock=clock), clock, lambda: rebooted.append(True)
    )

    def attitude(boot_ms: int) -> Any:
        return heard(wire.MAVLink_attitude_message(boot_ms, 0.1, 0, 0, 0, 0, 0), 1, 1)

    ours.feed(beat(), 10 * S)
    ours.autopilot.version = (4, 7)
    for n in range(5):
        ours.feed(attitude(600_000 + n), 10 * S + n * MS)
    assert not rebooted
    for n in range(5):
        ours.feed(attitude(900 + n), 20 * S + n * MS)
    assert rebooted == [True]
    assert ours.autopilot.version is None
    ours.feed(beat(), 21 * S)
    assert any(getattr(m, "param1", 0) == 148.0 for m in ours.due(21 * S))


@pytest.mark.parametrize("kind", list(Kind))
def test_parameters_are_read_until_they_are_there(kind: Kind) -> None:
    wanted = [exactly("GPS1_TYPE GPS_TYPE", 14, "us"), exactly("EK3_SRC1_VELZ", 0, "zero")]
    check = ParameterCheck(wanted, (1, 1))
    assert [m.param_id for m in check.due(S)] == ["GPS1_TYPE", "GPS_TYPE", "EK3_SRC1_VELZ"]
    assert check.due(S + MS) == []
    whole = 14.0 if kind is Kind.ARDUPILOT else struct.unpack("<f", struct.pack("<i", 14))[0]
    check.feed(heard(wire.MAVLink_param_value_message(b"GPS_TYPE", whole, 2, 9, 3)), kind)
    assert [m.param_id for m in check.due(3 * S)] == ["EK3_SRC1_VELZ"]
    for second in range(4, 9):
        check.due(second * S)
    assert check.is_done
    assert check.differences() == ["EK3_SRC1_VELZ: not there; expected 0: zero"]
