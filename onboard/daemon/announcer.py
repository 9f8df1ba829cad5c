"""What the pilot is told: a heartbeat, the state when it changes, three numbers every second."""

from __future__ import annotations

from pymavlink.dialects.v20 import ardupilotmega as wire

from ..mavlink.link import Link
from ..mavlink.outputs.moved import Moved
from ..mavlink.voice import ERROR, NOTICE, WARNING, Voice
from .states import State

NS_PER_S = 1_000_000_000
PAUSE_NS = 2 * NS_PER_S
"""Between two texts about the state, which may flicker."""
REPEAT_NS = 30 * NS_PER_S
"""A ground station that came later should hear of what is wrong, too."""
LAST_S = 0.5

STATUS = {
    State.BOOT: wire.MAV_STATE_BOOT,
    State.SELFTEST: wire.MAV_STATE_CALIBRATING,
    State.ACQUIRE: wire.MAV_STATE_STANDBY,
    State.TRACK: wire.MAV_STATE_ACTIVE,
    State.DEGRADED: wire.MAV_STATE_ACTIVE,
    State.NO_FIX: wire.MAV_STATE_CRITICAL,
    State.FAULT: wire.MAV_STATE_EMERGENCY,
}
_SEVERITY = {State.FAULT: ERROR, State.NO_FIX: WARNING, State.DEGRADED: WARNING}
_NUMBERS = tuple(State)


class Announcer:
    """Texts and numbers yield to positions on a slow line; the heartbeat does not."""

    def __init__(self, voice: Voice, link: Link) -> None:
        self._voice, self._link = voice, link
        self._second_ns, self._text_ns = 0, -PAUSE_NS
        self._told: State | None = None

    def announce(self, state: tuple[State, str], moved: Moved | None, now_ns: int) -> None:
        """At every beat; says what is due."""
        if now_ns >= self._second_ns:
            self._second_ns = now_ns + NS_PER_S
            self._link.send(self._voice.heartbeat(STATUS[state[0]]))
            for name, value in (
                ("gb_state", float(_NUMBERS.index(state[0]))),
                ("gb_acc_m", moved.radial_m if moved else None),
                ("gb_age_s", moved.age_s if moved else None),
            ):
                self._link.say(self._voice.number(name, value, now_ns))
        since_ns = now_ns - self._text_ns
        is_old = since_ns > REPEAT_NS and state[0] is not State.TRACK
        if (state[0] is not self._told and since_ns > PAUSE_NS) or is_old:
            self._told, self._text_ns = state[0], now_ns
            self._text(*state)

    def warn(self, words: str) -> None:
        """Something that the pilot should know at once."""
        for message in self._voice.text(WARNING, f"GeoBridge: {words}"):
            self._link.say(message)

    def last(self, state: State, words: str) -> None:
        """Before the end, which waits a moment for it."""
        self._link.send(self._voice.heartbeat(wire.MAV_STATE_POWEROFF))
        self._text(state, words)
        self._link.flush(LAST_S)

    def _text(self, state: State, reason: str) -> None:
        words = f"GeoBridge {state}" + (f": {reason}" if reason else "")
        for message in self._voice.text(_SEVERITY.get(state, NOTICE), words):
            self._link.say(message)
