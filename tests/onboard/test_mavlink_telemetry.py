from __future__ import annotations

import csv
import math
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega, common

from geobridge.onboard.config import CameraConfig, LinkConfig, RunConfig, SourceConfig
from geobridge.onboard.daemon.run import _assemble
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.mavlink.timesync import Timesync
from geobridge.onboard.records import Prior, Telemetry

S, MS = 1_000_000_000, 1_000_000


class Autopilot:
    """Messages as they come off the wire."""

    def __init__(self, system: int = 7, component: int = 1) -> None:
        self.mav = common.MAVLink(None, system, component)

    def heard(self, message: Any) -> Any:
        [received] = common.MAVLink(None, 1, 197).parse_buffer(message.pack(self.mav))
        return received

    def attitude(self, roll_deg: float = 0.0, yaw_deg: float = 0.0, boot_ms: int = 0) -> Any:
        roll, yaw = math.radians(roll_deg), math.radians(yaw_deg)
        return self.heard(self.mav.attitude_encode(boot_ms, roll, 0.05, yaw, 0.0, 0.0, 0.0))

    def gnss(self, fix_type: int = 3, h_acc: int = 20_000) -> Any:
        """GPS_RAW_INT at 47.4 north, 8.5 east; `h_acc` in millimetres, radial."""
        where = 474_000_000, 85_000_000, 600_000
        accuracies = {"h_acc": h_acc, "v_acc": 1000, "vel_acc": 100, "hdg_acc": 0, "yaw": 0}
        return self.heard(
            self.mav.gps_raw_int_encode(0, fix_type, *where, 80, 120, 0, 0, 12, 0, **accuracies)
        )

    def position(self, relative_alt: int = 120_000) -> Any:
        return self.heard(
            self.mav.global_position_int_encode(0, 1, 2, 700_000, relative_alt, 850, -320, 10, 0)
        )


def listening(has_own_gnss: bool = False) -> AutopilotTelemetry:
    return AutopilotTelemetry(patience_s=0.0, has_own_gnss=has_own_gnss)


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
    assert found.height_above_home_m == pytest.approx(120.5)
    assert found.height_agl_m is None  # home says nothing of the ground here
    assert (found.alt_amsl_m, found.velocity_north_m_s, found.velocity_east_m_s) == (700, 8.5, -3.2)
    assert found.prior is None


def test_the_time_told_is_that_of_the_stalest_part() -> None:
    ours, theirs = listening(), Autopilot()
    ours.feed(theirs.position(), S)
    ours.feed(theirs.attitude(), 3 * S)
    assert ours.at(3 * S).t_ns == S


@pytest.mark.fault("N3", "attitude that stops", "not interpolated, withheld")
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
    assert ours.at(S).height_above_home_m is None
    assert ours.at(S).alt_amsl_m == 700.0


def synchronised(boot_ns: int) -> Timesync:
    """A clock that knows the autopilot's, which began at `boot_ns` of ours."""
    clock = Timesync()
    for n in range(10):
        asked_ns = clock.ask(20 * S + n * 100 * MS)
        assert clock.take(asked_ns + MS - boot_ns, asked_ns, asked_ns + 2 * MS)
    return clock


def test_a_message_is_dated_by_the_autopilot_s_clock_and_not_by_its_arrival() -> None:
    ours = AutopilotTelemetry(patience_s=0.0, clock=synchronised(boot_ns=10 * S))
    theirs = Autopilot()
    for n, delay_ms in enumerate([5, 90, 20, 140, 5]):
        taken_ns = 30 * S + n * 50 * MS
        ours.feed(theirs.attitude(n, boot_ms=(taken_ns - 10 * S) // MS), taken_ns + delay_ms * MS)
    for n in (1, 2, 3):
        found = ours.at(30 * S + n * 50 * MS)
        assert found.attitude is not None
        assert found.attitude.roll_deg == pytest.approx(n, abs=0.01)


@pytest.mark.fault("L6", "a delay of more than a second", "not used")
def test_what_was_over_a_second_on_its_way_is_not_taken_for_new() -> None:
    ours = AutopilotTelemetry(patience_s=0.0, clock=synchronised(boot_ns=10 * S))
    ours.feed(Autopilot().attitude(5.0, boot_ms=20_000), 32 * S)
    assert ours.at(32 * S).attitude is None


@pytest.mark.fault("L5", "the autopilot begins anew", "nothing of before is used")
def test_after_a_reboot_nothing_of_before_is_told() -> None:
    ours = listening()
    ours.feed(Autopilot().attitude(5.0), S)
    ours.forget()
    assert ours.at(S).attitude is None


@pytest.mark.parametrize(("later_ms", "expected"), [(400, 1.25), (600, None)])
def test_the_filter_s_own_test_is_told_while_it_is_fresh(
    later_ms: int, expected: float | None
) -> None:
    ours = listening()
    ours.feed(ardupilotmega.MAVLink_ekf_status_report_message(0, 0.1, 1.25, 0, 0, 0), S)
    assert ours.at(S + later_ms * MS).position_test_ratio == expected


def test_the_pilot_s_word_goes_before_the_receiver_s() -> None:
    ours = listening(has_own_gnss=True)
    ours.pilot_prior = Prior(1.0, 2.0, 50.0)
    assert prior_of(ours, Autopilot().gnss()) == Prior(1.0, 2.0, 50.0)


@given(st.lists(st.floats(width=32), min_size=3, max_size=3))
@pytest.mark.fault("L4", "NaN, infinite and absurd angles", "none reaches the filter")
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
    ours.feed(theirs.attitude(0), S)
    threading.Timer(0.05, lambda: ours.feed(theirs.attitude(10), S + 40 * MS)).start()
    found = ours.at(S + 20 * MS).attitude
    assert found is not None
    assert found.roll_deg == pytest.approx(5, abs=1e-4)


def prior_of(ours: AutopilotTelemetry, *messages: Any, t_ns: int = S) -> Prior | None:
    for message in messages:
        ours.feed(message, S)
    return ours.at(t_ns).prior


def test_the_first_receiver_is_the_prior_with_its_accuracy_per_axis() -> None:
    prior = prior_of(listening(has_own_gnss=True), Autopilot().gnss(h_acc=20_000))
    assert prior is not None
    assert (prior.lat_deg, prior.lon_deg) == (47.4, 8.5)
    assert prior.horiz_accuracy_m == pytest.approx(20.0 / math.sqrt(2.0))


def test_a_receiver_that_may_be_us_is_no_prior() -> None:
    assert prior_of(listening(has_own_gnss=False), Autopilot().gnss()) is None


@pytest.mark.parametrize("fix_type", range(9))
def test_only_a_3d_fix_is_a_prior(fix_type: int) -> None:
    prior = prior_of(listening(has_own_gnss=True), Autopilot().gnss(fix_type))
    assert (prior is not None) == (fix_type >= 3)


@given(st.integers(0, 2**32 - 1))
def test_no_accuracy_no_prior_and_none_is_better_than_10_m(h_acc: int) -> None:
    prior = prior_of(listening(has_own_gnss=True), Autopilot().gnss(h_acc=h_acc))
    stated_m = h_acc / 1000.0 / math.sqrt(2.0)
    if 0.0 < stated_m <= 100.0:
        assert prior is not None
        assert prior.horiz_accuracy_m == pytest.approx(max(10.0, stated_m))
    else:
        assert prior is None


@pytest.mark.parametrize(("later_ms", "stands"), [(0, True), (500, True), (501, False)])
def test_a_prior_is_stale_after_half_a_second(later_ms: int, stands: bool) -> None:
    ours = listening(has_own_gnss=True)
    prior = prior_of(ours, Autopilot().gnss(), t_ns=S + later_ms * MS)
    assert (prior is not None) == stands
    assert ours.at(S).prior is not None


def test_a_fix_that_is_lost_is_no_prior_at_once() -> None:
    ours, theirs = listening(has_own_gnss=True), Autopilot()
    assert prior_of(ours, theirs.gnss()) is not None
    ours.feed(theirs.gnss(fix_type=1), S + 100 * MS)
    assert ours.at(S + 100 * MS).prior is None


@pytest.mark.parametrize(("gps_id", "is_used"), [(0, False), (1, True), (3, True)])
def test_the_daemon_hears_the_first_receiver_only_where_it_is_another(
    gps_id: int, is_used: bool, tmp_path: Path
) -> None:
    for number in range(2):
        picture = np.zeros((48, 64, 3), np.uint8)
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    config = RunConfig(
        bundle="none",
        camera=CameraConfig(hfov_deg=70.0),
        source=SourceConfig(frames=str(tmp_path), rate_hz=1.0),
        link=LinkConfig(address="udpout:127.0.0.1:9", gps_id=gps_id),
    )
    with ExitStack() as opened:
        ours = _assemble(config, opened).radio.conversation.telemetry
        assert (prior_of(ours, Autopilot().gnss()) is not None) == is_used


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
            if message.get_srcComponent() == common.MAV_COMP_ID_AUTOPILOT1:
                ours.feed(message, t_ns)
    assert not wanted
    assert interpolated >= 10


def check(found: Telemetry, pose: dict[str, float]) -> None:
    assert found.attitude is not None
    assert found.attitude.roll_deg == pytest.approx(pose["roll_deg"], abs=0.5)
    assert found.attitude.pitch_deg == pytest.approx(pose["pitch_deg"], abs=0.5)
    assert found.attitude.heading_deg == pytest.approx(pose["yaw_deg"] % 360, abs=0.5)
    assert found.height_above_home_m == pytest.approx(pose["rel_alt_m"], abs=0.5)
    assert found.velocity_north_m_s == pytest.approx(pose["vn"], abs=0.5)
    assert found.velocity_east_m_s == pytest.approx(pose["ve"], abs=0.5)


def test_how_positions_fare_in_the_autopilot_s_test_is_told_while_it_is_new() -> None:
    ours, theirs = listening(), Autopilot()
    assert ours.at(S).position_test_ratio is None
    status = theirs.mav.estimator_status_encode(0, 0, 0.1, 1.5, 0.2, 0.0, 0.0, 0.0, 1.0, 1.0)
    ours.feed(theirs.heard(status), S)
    assert ours.at(S + 400 * MS).position_test_ratio == 1.5
    assert ours.at(S + 600 * MS).position_test_ratio is None
    ours.feed(theirs.heard(status), 2 * S)
    ours.forget()
    assert ours.at(2 * S).position_test_ratio is None
