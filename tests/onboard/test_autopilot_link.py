"""The stand-in on loopback: with a ground station of pymavlink, and with our own flight code."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.config import FilterConfig, LinkConfig
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.mavlink.link import Link
from geobridge.onboard.mavlink.outputs.gps_input import GpsInput
from geobridge.onboard.mavlink.outputs.publisher import Publisher
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.records import Attitude, Fix
from geobridge.onboard.simulation.autopilot import parameters
from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.link import AutopilotLink
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.autopilot.vehicle import Firmware
from geobridge.onboard.simulation.state import Readings

FRAME = LocalFrame(47.4, 8.5)
LOOPBACK = "127.0.0.1"
HERE_M = (30.0, -20.0)


def free_port() -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        udp.bind((LOOPBACK, 0))
        return int(udp.getsockname()[1])


@contextmanager
def flying(firmware: Firmware, address: str) -> Iterator[Autopilot]:
    """An autopilot that stands still in real time, in a thread, 80 m above its home."""
    autopilot = Autopilot(firmware, FRAME)
    stopped = threading.Event()

    def readings() -> Iterator[Readings]:
        for k in itertools.takewhile(lambda _: not stopped.is_set(), itertools.count()):
            yield Readings(k * 0.02, Attitude(2.0, 1.0, 45.0), (0.0, 0.0, 0.0), 580.0, 80.0)

    with closing(AutopilotLink(autopilot, address)) as link:
        thread = threading.Thread(target=link.run, args=(readings(),))
        thread.start()
        try:
            yield autopilot
        finally:
            stopped.set()
            thread.join(5.0)


def wait_for(condition: Callable[[], bool], limit_s: float = 5.0) -> bool:
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        if condition():
            return True
        time.sleep(0.01)
    return False


def fix_here() -> Fix:
    lat_deg, lon_deg = (float(degrees) for degrees in FRAME.to_geodetic(HERE_M))
    now_ns = time.monotonic_ns()
    return Fix(now_ns, lat_deg, lon_deg, 2.0, 580.0, 0.0, 0.0, score=0.9, correlation=0.5, place=1)


def test_our_own_link_is_heard_as_a_gps_and_hears_the_telemetry() -> None:
    config = LinkConfig(address=f"udpin:{LOOPBACK}:{free_port()}")
    values = {"GPS1_TYPE": 14, "GPS1_DELAY_MS": 10, "SR0_POSITION": 10, "SR0_EXTRA1": 20}
    firmware = ArduCopter(FRAME, {**values, "EK3_SRC1_VELZ": 0}, in_flight=True)
    telemetry = AutopilotTelemetry()
    publisher = Publisher(2.0, FilterConfig(), unix_offset_ns=time.time_ns())
    publisher.output = GpsInput(gps_id=0, rate_hz=8.0)
    with closing(Link(config)) as link, flying(firmware, config.address.replace("in", "out")):

        def meets() -> bool:
            for message in link.receive(0.1):
                telemetry.feed(message, time.monotonic_ns())
            publisher.offer(fix_here())
            for message in publisher.tick(time.monotonic_ns()):
                link.send(message)
            seen = telemetry.at(time.monotonic_ns() - 200_000_000)
            return firmware.estimate.is_valid and seen.height_above_home_m is not None

        assert wait_for(meets)
        seen = telemetry.at(time.monotonic_ns())
    assert seen.attitude is not None
    assert seen.attitude.heading_deg == pytest.approx(45.0, abs=0.1)
    assert seen.height_above_home_m == pytest.approx(80.0, abs=0.5)
    estimate = firmware.estimate
    assert (estimate.east_m, estimate.north_m) == pytest.approx(HERE_M, abs=1.0)


def await_message(station: Any, kind: str, limit_s: float = 3.0) -> Any:
    message = station.recv_match(type=kind, blocking=True, timeout=limit_s)
    assert message is not None, kind
    return message


@pytest.mark.parametrize("kind", [ArduCopter, Px4])
def test_a_ground_station_of_pymavlink_is_served(kind: type[ArduCopter | Px4]) -> None:
    port = free_port()
    firmware = kind(FRAME)
    with (
        closing(
            mavutil.mavlink_connection(f"udpin:{LOOPBACK}:{port}", dialect="ardupilotmega")
        ) as (station),
        flying(firmware, f"udpout:{LOOPBACK}:{port}"),
    ):
        beat = station.wait_heartbeat(timeout=3.0)
        assert beat.autopilot == firmware.identity
        station.param_fetch_all()
        table = parameters.ARDUCOPTER if kind is ArduCopter else parameters.PX4
        received = {await_message(station, "PARAM_VALUE").param_id for _ in table}
        assert received == set(table)

        number = wire.MAVLINK_MSG_ID_SYSTEM_TIME
        station.mav.command_long_send(
            1, 1, wire.MAV_CMD_SET_MESSAGE_INTERVAL, 0, number, 50_000, 0, 0, 0, 0, 0
        )
        assert await_message(station, "COMMAND_ACK").result == wire.MAV_RESULT_ACCEPTED
        first, second = (await_message(station, "SYSTEM_TIME") for _ in range(2))
        assert second.time_boot_ms > first.time_boot_ms

        asked_ns = time.monotonic_ns()
        station.mav.timesync_send(0, asked_ns)
        while (answer := await_message(station, "TIMESYNC")).tc1 == 0:
            pass  # one of PX4's own requests
        assert answer.ts1 == asked_ns
        assert 0 < answer.tc1 < 60 * 10**9
