"""What the autopilot must have set, told and compared before a flight."""

from __future__ import annotations

import sys
import time
from contextlib import closing

from ..config import LinkConfig
from ..errors import LinkError
from ..mavlink.autopilot import Autopilot, Kind
from ..mavlink.conversation import Conversation
from ..mavlink.link import Link
from ..mavlink.outputs.choose import choose, named
from ..mavlink.outputs.publisher import Output
from ..mavlink.parameters import ParameterCheck
from ..mavlink.silence import silence
from ..mavlink.telemetry import AutopilotTelemetry
from ..mavlink.timesync import Timesync
from ..mavlink.voice import Voice

HEARD_S, VERSION_S, READ_S = 10.0, 6.0, 8.0
STANDBY = 3
DIFFERS = 3
"""Exit code of a comparison that differs."""


def listed(config: LinkConfig) -> str:
    """A table of parameters for the configured output; of every first choice where it is `auto`."""
    return "\n".join(_table(output) for output in _possible(config))


def compared(config: LinkConfig) -> str:
    """A line for each parameter of the autopilot that is not as wanted.

    Raises:
        LinkError: no autopilot is heard, or it does not answer.
        ConfigError: it lacks the configured message.
        SystemExit: with 3, after printing, where something differs.
    """
    with closing(Link(config)) as link:
        conversation = Conversation(config, AutopilotTelemetry(), Timesync())
        _listen_for(conversation, link, config)
        output = choose(config, conversation.autopilot, lambda t_ns: None)
        target = config.autopilot_system, config.autopilot_component
        check = ParameterCheck(output.wanted, target)
        until_s = time.monotonic() + READ_S
        while not check.is_done and time.monotonic() < until_s:
            for question in check.due(time.monotonic_ns()):
                link.say(question)
            for message in link.receive(0.05):
                check.feed(message, conversation.autopilot.kind)
    if not check.was_heard:
        raise LinkError(f"link.address {config.address}: the autopilot gives no parameters")
    found = check.differences()
    if found:
        print("\n".join(found), flush=True)
        sys.exit(DIFFERS)
    return f"{output.name}: all {len(output.wanted)} parameters are as wanted"


def _listen_for(conversation: Conversation, link: Link, config: LinkConfig) -> None:
    """Until the autopilot is heard and has told its version, or has had the time to."""
    autopilot, voice = conversation.autopilot, Voice()
    start_s, beat_s = time.monotonic(), 0.0
    heard_s: float | None = None
    while True:
        now_s = time.monotonic()
        if now_s >= beat_s:  # whoever routes must learn that we are here
            beat_s = now_s + 1.0
            link.send(voice.heartbeat(STANDBY))
        for question in conversation.due(time.monotonic_ns()):
            link.say(question)
        for message in link.receive(0.05):
            conversation.feed(message, time.monotonic_ns())
        if autopilot.kind is not None:
            heard_s = now_s if heard_s is None else heard_s
            if autopilot.version or now_s - heard_s > VERSION_S:
                return
        elif now_s - start_s > HEARD_S:
            raise LinkError(silence(link, config))


def _possible(config: LinkConfig) -> list[Output]:
    if config.output != "auto":
        both = config.output in ("odometry", "vision_position_estimate")
        return [_of_kind(config.output, config, kind) for kind in list(Kind)[: 1 + both]]
    return [named(name, config, Autopilot()) for name in ("gps_input", "global_position_sensor")]


def _of_kind(name: str, config: LinkConfig, kind: Kind) -> Output:
    autopilot = Autopilot()
    autopilot.kind = kind
    return named(name, config, autopilot)


def _table(output: Output) -> str:
    rows = [f"{each.name:18} {each.value:24} {each.why}" for each in output.wanted]
    return "\n".join([f"# {output.name}", *(rows or ["nothing to set"])])
