from __future__ import annotations

import csv
import math
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink import mavutil
from pymavlink.dialects.v20 import common

from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.records import Telemetry

S, MS = 1_000_000_000, 1_000_000


class Autopilot:
    """Messages as they come off the wire."""

    def __init__(self, system: int = 7, component: int = 1) -> None:
        self.mav = common.MAVLink(None, system, component)

    def heard(self, message: Any) -> Any:
        [received] = common.MAVLink(None, 1, 197).parse_buffer(message.pack(self.mav))
        return received

    def heartbeat(self, autopilot: int = common.MAV_AUTOPILOT_ARDUPILOTMEGA) -> Any:
        return self.heard(self.mav.heartbeat_encode(common.MAV_TYPE_QUADROTOR, autopilot, 0, 0, 4))

    def attitude(self, roll_deg: float = 0.0, yaw_deg: float = 0.0) -> Any:
        roll, yaw = math.radians(roll_deg), math.radians(yaw_deg)
        return self.heard(self.mav.attitude_encode(0, roll, 0.05, yaw, 0.0, 0.0, 0.0))

    def position(self, relative_alt: int = 120_000) -> Any:
        return self.heard(
            self.mav.global_position_int_encode(0, 1, 2, 700_000, relative_alt, 850, -320, 10, 0)
        )


def listening(system: int = 7) -> AutopilotTelemetry:
    ours = AutopilotTelemetry(patience_s=0.0)
    ours.feed(Autopilot(system).heartbeat(), 0)
    return ours


def test_attitude_and_position_are_brought_to_the_exposure() -> None:
    ours, theirs = listening(), Autopilot()
    ours.feed(theirs.attitude(10, 350), S)
    ours.feed(theirs.position(), S)
    ours.feed(theirs.attitude(20, 10), S + 100 * MS)
    ours.feed(theirs.position(122_000), S + 200 * MS)
    found = ours.at(S + 50 * MS)
    assert found.t_ns == S + 50 * MS
    assert found.attitude is not None
    assert found.attitude.roll_deg == pytest.approx(15, abs=1e-4)
    assert found.attitude.pitch_deg == pytest.approx(math.degrees(0.05), abs=1e-4)
    assert found.attitude.heading_deg % 360 == pytest.approx(0, abs=1e-4)
    assert found.height_agl_m == pytest.approx(120.5)
    assert (found.alt_amsl_m, found.velocity_north_m_s, found.velocity_east_m_s) == (700, 8.5, -3.2)
    assert found.prior is None


def test_the_time_told_is_that_of_the_stalest_part() -> None:
    ours, theirs = listening(), Autopilot()
    ours.feed(theirs.position(), S)
    ours.feed(theirs.attitude(), 3 * S)
    assert ours.at(3 * S).t_ns == S


def test_nothing_is_interpolated_across_a_silence() -> None:
    ours, theirs = listening(), Autopilot()
    ours.feed(theirs.attitude(0), S)
    ours.feed(theirs.attitude(40), 3 * S)
    found = ours.at(S + 600 * MS)
    assert (found.t_ns, found.attitude) == (S, ours.at(S).attitude)


def test_what_was_not_heard_is_none() -> None:
    assert listening().at(S) == Telemetry(t_ns=S)
    ours = listening()
    ours.feed(Autopilot().position(relative_alt=-200), S)
    assert ours.at(S).height_agl_m is None
    assert ours.at(S).alt_amsl_m == 700.0


def test_only_the_first_autopilot_is_believed() -> None:
    ours = AutopilotTelemetry(patience_s=0.0)
    ours.feed(Autopilot(system=9).attitude(), S)  # before any heartbeat
    ours.feed(Autopilot(system=255, component=190).heartbeat(), S)  # a ground station
    ours.feed(Autopilot(system=3).heartbeat(common.MAV_AUTOPILOT_INVALID), S)
    assert ours.system is None
    ours.feed(Autopilot(system=7).heartbeat(), S)
    ours.feed(Autopilot(system=8).heartbeat(), S)
    assert ours.system == 7
    ours.feed(Autopilot(system=8).attitude(), 2 * S)
    ours.feed(Autopilot(system=7, component=191).attitude(), 2 * S)
    assert ours.at(2 * S).attitude is None
    ours.feed(Autopilot(system=7).attitude(5.0), 2 * S)
    assert ours.at(2 * S).attitude is not None


@given(st.lists(st.floats(width=32), min_size=3, max_size=3))
def test_no_angle_that_is_none_gets_through(angles: list[float]) -> None:
    ours, theirs = listening(), Autopilot()
    ours.feed(theirs.heard(theirs.mav.attitude_encode(0, *angles, 0.0, 0.0, 0.0)), S)
    attitude = ours.at(S).attitude
    if attitude is None:
        assert not all(abs(angle) <= 2 * math.pi for angle in angles)
    else:
        assert all(abs(angle) <= 360 for angle in vars(attitude).values())
        assert math.isclose(attitude.roll_deg, math.degrees(angles[0]), abs_tol=1e-4)


def test_a_few_seconds_are_kept() -> None:
    ours, theirs = listening(), Autopilot()
    for second in range(60):
        ours.feed(theirs.attitude(second), second * S)
    assert ours.at(0).t_ns == 54 * S
    assert ours.at(70 * S) == ours.at(59 * S)
    assert ours.at(59 * S).t_ns == 59 * S


def test_asking_waits_for_the_attitude_after_the_exposure() -> None:
    ours, theirs = AutopilotTelemetry(patience_s=5.0), Autopilot()
    ours.feed(theirs.heartbeat(), 0)
    ours.feed(theirs.attitude(0), S)
    threading.Timer(0.05, lambda: ours.feed(theirs.attitude(10), S + 40 * MS)).start()
    found = ours.at(S + 20 * MS).attitude
    assert found is not None
    assert found.roll_deg == pytest.approx(5, abs=1e-4)


@pytest.mark.real_data
def test_a_real_flight_is_told_as_its_log_has_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAVLINK20", "1")
    monkeypatch.setenv("MAVLINK_DIALECT", "ardupilotmega")
    with (data / "canberra_2018/frame_poses.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["file"].startswith("2018")]
    poses = {round(float(row["unix_time"]) * S): row for row in rows}
    wanted, ours, interpolated = sorted(poses), AutopilotTelemetry(patience_s=0.0), 0
    with closing(mavutil.mavlink_connection(str(data / "canberra_2018/flight.tlog"))) as log:
        while wanted and (message := log.recv_match()) is not None:
            t_ns = round(message._timestamp * S)
            if t_ns > wanted[0] + S:
                found, row = ours.at(wanted[0]), poses[wanted.pop(0)]
                if found.t_ns in poses:  # else the radio was silent for more than half a second
                    interpolated += 1
                    check(found, {name: float(row[name]) for name in list(row)[1:-1]})
            ours.feed(message, t_ns)
    assert not wanted
    assert interpolated >= 10


def check(found: Telemetry, pose: dict[str, float]) -> None:
    assert found.attitude is not None
    assert found.attitude.roll_deg == pytest.approx(pose["roll_deg"], abs=0.5)
    assert found.attitude.pitch_deg == pytest.approx(pose["pitch_deg"], abs=0.5)
    assert found.attitude.heading_deg == pytest.approx(pose["yaw_deg"] % 360, abs=0.5)
    assert found.height_agl_m == pytest.approx(pose["rel_alt_m"], abs=0.5)
    assert found.velocity_north_m_s == pytest.approx(pose["vn"], abs=0.5)
    assert found.velocity_east_m_s == pytest.approx(pose["ve"], abs=0.5)
