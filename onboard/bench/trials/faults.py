"""What is put in on the way, by name: each a plan whose fault begins at BEGINS_S."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as wire

from .relay import UdpRelay
from .trial import Plan, Trial

BEGINS_S, SHORT_S, LONG_S, REST_S = 25.0, 8.0, 30.0, 25.0
GARBAGE_BYTES, PIECE_BYTES = 1 << 20, 1024
HOUR_S = 3600
KEY = bytes(range(32))

Injection = Callable[[Trial, float], None]


@dataclass(frozen=True)
class Fault:
    """`lasts_s` is how long it is there; 0 for what happens once."""

    what: str
    lasts_s: float
    at: Injection
    pilot: str = "arducopter"
    gnss_ends_s: float | None = 10.0
    is_signed: bool = False
    max_file_bytes: int | None = None
    rest_s: float = REST_S

    def plan(self, out: Path) -> Plan:
        """A flight long enough to see the fault come and go."""
        out.mkdir(parents=True, exist_ok=True)
        key = out / "key"
        if self.is_signed:
            key.write_text(KEY.hex())
            key.chmod(0o600)
        return Plan(
            pilot=self.pilot,
            places_m=((-300.0, 0.0), (300.0, 0.0)),
            gnss_ends_s=self.gnss_ends_s,
            limit_s=BEGINS_S + self.lasts_s + self.rest_s,
            key=key if self.is_signed else None,
            max_file_bytes=self.max_file_bytes,
            ends_with_mode=False,
            at=self.at,
        )


def _during(lasts_s: float, put: Callable[[Trial, bool], None]) -> Injection:
    def at(trial: Trial, time_s: float) -> None:
        put(trial, BEGINS_S <= time_s < BEGINS_S + lasts_s)

    return at


def _once(put: Callable[[Trial], None], after_s: float = 0.0) -> Injection:
    def at(trial: Trial, time_s: float) -> None:
        if time_s >= BEGINS_S + after_s and trial.once(f"{put.__name__}{after_s}"):
            put(trial)

    return at


def _both(*injections: Injection) -> Injection:
    def at(trial: Trial, time_s: float) -> None:
        for each in injections:
            each(trial, time_s)

    return at


def _wrong(trial: Trial, is_on: bool) -> None:
    trial.offset_m = (0.0, 80.0) if is_on else (0.0, 0.0)


def _dark(trial: Trial, is_on: bool) -> None:
    trial.is_dark = is_on


def _frozen(trial: Trial, is_on: bool) -> None:
    trial.is_frozen = is_on


def _stalled(trial: Trial, is_on: bool) -> None:
    trial.is_stalled = is_on


def _cut(trial: Trial, is_on: bool) -> None:
    _relay(trial).weather.is_cut = is_on


def _garbage(trial: Trial) -> None:
    rng, relay = np.random.default_rng(3), _relay(trial)
    for _ in range(GARBAGE_BYTES // PIECE_BYTES):
        relay.inject(rng.bytes(PIECE_BYTES))


def _strangers(trial: Trial, is_on: bool) -> None:
    """A vehicle of another number, and a forger who has no key; from afar and from next door."""
    relay = _relay(trial)
    if not is_on or relay.daemon is None:
        return
    lie = wire.MAVLink_attitude_message(1, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0)
    place = wire.MAVLink_global_position_int_message(1, 0, 0, 0, 5000, 3000, 3000, 0, 0)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
        for system in (9, 1):
            for message in (lie, place):
                data = bytes(message.pack(wire.MAVLink(None, system, 1)))
                relay.inject(data)
                stranger.sendto(data, relay.daemon)


def _clock(trial: Trial) -> None:
    (trial.out / "wall_ahead_s").write_text(str(HOUR_S))


def _reboot(trial: Trial) -> None:
    trial.reboot_autopilot()


def _kill(trial: Trial) -> None:
    assert trial.process is not None
    os.kill(trial.process.pid, signal.SIGKILL)
    trial.process.wait()


def _restart(trial: Trial) -> None:
    trial.start_daemon()


def _nothing(trial: Trial, time_s: float) -> None:
    """The file's own limit is the fault."""


def _relay(trial: Trial) -> UdpRelay:
    assert isinstance(trial.relay, UdpRelay)
    return trial.relay


_STRANGERS = Fault(
    "a foreign vehicle and a forger without the key", 20.0, _during(20.0, _strangers)
)
FAULTS = {
    "wrong": Fault("frames 80 m wrong for 30 s", LONG_S, _during(LONG_S, _wrong), rest_s=50.0),
    "dark": Fault("8 s of darkness", SHORT_S, _during(SHORT_S, _dark)),
    "frozen": Fault("the camera repeats one picture for 8 s", SHORT_S, _during(SHORT_S, _frozen)),
    "stalled": Fault("no pictures for 8 s", SHORT_S, _during(SHORT_S, _stalled)),
    "cut": Fault("the link is cut for 8 s", SHORT_S, _during(SHORT_S, _cut)),
    "garbage": Fault("1 MiB of garbage on the link", 0.0, _once(_garbage)),
    "strangers": replace(_STRANGERS, is_signed=True),
    "clock": Fault("the wall clock steps by an hour", 0.0, _once(_clock), is_signed=True),
    "reboot": Fault("the autopilot reboots", 0.0, _once(_reboot), gnss_ends_s=None),
    "kill": Fault("SIGKILL, and a restart", 0.0, _both(_once(_kill), _once(_restart, 0.5))),
    "full": Fault("no room for the record", 0.0, _nothing, max_file_bytes=150_000),
    "px4 dark": Fault("8 s of darkness, PX4", SHORT_S, _during(SHORT_S, _dark), pilot="px4"),
}
