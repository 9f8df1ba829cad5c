"""Whatever a message holds: nothing breaks, and no number that is none gets on."""

from __future__ import annotations

import math
import random
import struct
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as wire
from pymavlink.generator.mavcrc import x25crc

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.config import LinkConfig, PrepareConfig
from geobridge.onboard.localization.told import height, trusted, turned
from geobridge.onboard.mavlink.conversation import Conversation
from geobridge.onboard.mavlink.pilot import Pilot
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.mavlink.timesync import Timesync
from geobridge.onboard.records import Prior

S, MS = 1_000_000_000, 1_000_000
KINDS = (
    *("HEARTBEAT", "ATTITUDE", "GLOBAL_POSITION_INT", "GPS_RAW_INT", "SYSTEM_TIME", "TIMESYNC"),
    *("DISTANCE_SENSOR", "TERRAIN_REPORT", "GIMBAL_DEVICE_ATTITUDE_STATUS", "MOUNT_ORIENTATION"),
    *("EKF_STATUS_REPORT", "ESTIMATOR_STATUS", "AUTOPILOT_VERSION", "GPS_GLOBAL_ORIGIN"),
    *("COMMAND_ACK", "COMMAND_LONG", "COMMAND_INT", "PARAM_VALUE", "STATUSTEXT"),
)
CLASSES = [each for each in wire.mavlink_map.values() if each.msgname in KINDS]
WILD = [math.nan, math.inf, -math.inf, 3e38, -3e38, 0.0, -0.0, 1.0, 1e-40]


def of(kind: Any, seed: int) -> Any:
    """A message with anything in its fields, as it comes off the wire."""
    rng, layout = random.Random(seed), kind.unpacker
    values = [
        rng.choice(WILD) if isinstance(value, float) and rng.random() < 0.5 else value
        for value in layout.unpack(rng.randbytes(layout.size))
    ]
    payload = layout.pack(*values)
    head = struct.pack("<BBBBBB", len(payload), 0, 0, 0, 1, rng.choice([1, 154]))
    framed = head + kind.id.to_bytes(3, "little") + payload
    crc = x25crc(framed + bytes([kind.crc_extra])).crc
    [received] = wire.MAVLink(None).parse_buffer(b"\xfd" + framed + struct.pack("<H", crc))
    assert received.get_type() == kind.msgname
    return received


class Nobody:
    def publish(self, *, is_on: bool) -> None: ...

    def look_at(self, prior: Prior) -> None:
        assert abs(prior.lat_deg) <= 90.0
        assert abs(prior.lon_deg) <= 180.0
        assert 0.0 < prior.horiz_accuracy_m <= 5000.0

    def reset(self) -> None: ...


def test_every_kind_that_is_read_is_tried() -> None:
    assert {each.msgname for each in CLASSES} == set(KINDS)


@pytest.mark.parametrize("gimbal_component", [None, 154])
@given(
    st.lists(st.tuples(st.sampled_from(CLASSES), st.integers(0, 2**32)), min_size=1, max_size=40)
)
def test_anything_is_taken_in_and_only_numbers_get_on(
    gimbal_component: int | None, kinds: list[tuple[Any, int]]
) -> None:
    telemetry, clock = AutopilotTelemetry(patience_s=0.0, has_own_gnss=True), Timesync()
    config = LinkConfig(gimbal_component=gimbal_component)
    ours = Conversation(config, telemetry, clock, has_gimbal=True)
    pilot = Pilot(1, 197, Nobody())
    camera = Camera.from_hfov(64, 48, 70.0, Mount(gimbal=True))
    for n, (kind, seed) in enumerate(kinds):
        now_ns, message = S + n * 50 * MS, of(kind, seed)
        pilot.answer(message)
        ours.feed(message, now_ns)
        for question in ours.due(now_ns):
            assert question.pack(wire.MAVLink(None, 1, 197))
        told = trusted(telemetry.at(now_ns - 25 * MS))
        assert all(math.isfinite(each) for each in _numbers(asdict(told)))
        turned(told, camera, PrepareConfig())
        height(told, PrepareConfig(), None)


def _numbers(told: dict[str, Any]) -> list[float]:
    """All but the autopilot's own test, which may be without bound."""
    found: list[float] = []
    for name, value in told.items():
        if isinstance(value, dict):
            found += _numbers(value)
        elif value is not None and name != "position_test_ratio":
            found.append(value)
    return found
