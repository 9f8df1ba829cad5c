from __future__ import annotations

from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.daemon.announcer import Announcer
from geobridge.onboard.daemon.states import State
from geobridge.onboard.mavlink.voice import Voice

S, MS = 1_000_000_000, 1_000_000


class Ear:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any) -> bool:
        self.sent.append(message)
        return True

    def say(self, message: Any) -> None:
        self.sent.append(message)

    def texts(self) -> list[str]:
        found = [m.text for m in self.sent if m.get_type() == "STATUSTEXT"]
        return [text.decode() if isinstance(text, bytes) else text for text in found]


def announced(states: list[tuple[float, State, str]]) -> Ear:
    """Beats ten times a second, each with the state that began last."""
    ear = Ear()
    ours = Announcer(Voice(), ear)
    end_s = states[-1][0]
    for beat in range(round(end_s * 10)):
        state = [each for each in states if each[0] <= beat / 10][-1]
        ours.announce(state[1:], None, beat * 100 * MS + 5 * S)
    return ear


def test_a_state_is_told_when_it_changes_and_what_is_wrong_again_and_again() -> None:
    ear = announced(
        [
            (0.0, State.ACQUIRE, "low_score"),
            (10.0, State.TRACK, ""),
            (50.0, State.NO_FIX, "frozen"),
            (115.0, State.NO_FIX, ""),
        ]
    )
    assert ear.texts() == [
        "GeoBridge ACQUIRE: low_score",
        "GeoBridge TRACK",
        *["GeoBridge NO_FIX: frozen"] * 3,
    ]


def test_a_state_that_flickers_does_not_flood_the_line() -> None:
    flicker = [(n / 10, State.TRACK if n % 2 else State.NO_FIX, "x") for n in range(100)]
    assert len(announced(flicker).texts()) <= 6


def test_heartbeats_tell_the_state_every_second() -> None:
    beats = [
        m.system_status
        for m in announced(
            [(0.0, State.ACQUIRE, ""), (3.0, State.FAULT, "x"), (6.0, State.FAULT, "")]
        ).sent
        if m.get_type() == "HEARTBEAT"
    ]
    assert beats == [wire.MAV_STATE_STANDBY] * 3 + [wire.MAV_STATE_EMERGENCY] * 3
