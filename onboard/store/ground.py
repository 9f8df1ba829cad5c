"""Is the vehicle disarmed and on the ground? Whoever cannot say so is taken to be in the air.

While the daemon runs it holds the store's flight lock unless its autopilot says so. While it does
not run, the autopilot is asked, over the link that the daemon would use.
"""

from __future__ import annotations

import time
from contextlib import closing

from ..config import LinkConfig
from ..errors import LinkError
from ..mavlink.autopilot import Autopilot
from ..mavlink.conversation import Conversation
from ..mavlink.link import Link
from ..mavlink.silence import silence
from ..mavlink.telemetry import AutopilotTelemetry
from ..mavlink.timesync import Timesync
from ..mavlink.voice import Voice
from .store import DAEMON, FLIGHT, Store

HEARD_S, LANDED_S = 8.0, 2.0
STANDBY = 3


def why_not_on_the_ground(store: Store, link: LinkConfig) -> str | None:
    """What speaks against a change now; None where nothing does."""
    if store.is_held(DAEMON):
        if store.is_held(FLIGHT):
            return "the daemon runs, and the vehicle is armed, in the air, or not heard"
        return None
    try:
        return _asked(link)
    except LinkError as error:
        return f"the daemon does not run, and the autopilot does not say: {error}"


def judged(autopilot: Autopilot, now_ns: int) -> str | None:
    """What an autopilot's own words say against it."""
    if not autopilot.is_heard(now_ns) or autopilot.kind is None:
        return "the autopilot is not heard"
    if autopilot.is_armed:
        return "the vehicle is armed"
    return "the vehicle is in the air" if autopilot.is_landed is False else None


def _asked(config: LinkConfig) -> str | None:
    with closing(Link(config)) as link:
        conversation, voice = Conversation(config, AutopilotTelemetry(), Timesync()), Voice()
        until_s, beat_s = time.monotonic() + HEARD_S, 0.0
        heard_s: float | None = None
        while (now_s := time.monotonic()) < until_s:
            if now_s >= beat_s:  # whoever routes must learn that we are here
                beat_s = now_s + 1.0
                link.send(voice.heartbeat(STANDBY))
            for question in conversation.due(time.monotonic_ns()):
                link.say(question)
            for message in link.receive(0.05):
                conversation.feed(message, time.monotonic_ns())
            autopilot = conversation.autopilot
            if autopilot.kind is not None:
                heard_s = heard_s or now_s
                if autopilot.is_landed is not None or now_s - heard_s > LANDED_S:
                    return judged(autopilot, time.monotonic_ns())
        raise LinkError(silence(link, config))
