"""What is said before take-off, each in one line with its remedy, by the commands themselves."""

from __future__ import annotations

import itertools
import os
import pty
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard import cli
from geobridge.onboard.daemon import preflight
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Attitude
from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.link import AutopilotLink
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.state import Readings

FRAME = LocalFrame(47.4, 8.5)
GOOD = {
    "GPS2_TYPE": 14,
    "GPS2_DELAY_MS": 10,
    "EK3_SRC1_VELXY": 0,
    "EK3_SRC1_VELZ": 0,
}


@pytest.fixture
def port() -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        udp.bind(("127.0.0.1", 0))
        return int(udp.getsockname()[1])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "onboard.toml"
    path.write_text(
        'bundle = "none"\n[camera]\nhfov_deg = 70.0\n[source]\nframes = "camera:0"\n'
        "[link]\ngps_id = 1\n"
    )
    return path


@contextmanager
def on_the_ground(firmware: Any, port: int) -> Iterator[None]:
    stopped = threading.Event()

    def readings() -> Iterator[Readings]:
        for k in itertools.takewhile(lambda _: not stopped.is_set(), itertools.count()):
            yield Readings(k * 0.02, Attitude(0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 500.0, 0.0)

    with closing(AutopilotLink(Autopilot(firmware, FRAME), f"udpin:127.0.0.1:{port}")) as link:
        thread = threading.Thread(target=link.run, args=(readings(),))
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join(5.0)


def check(config: Path, port: int, *more: str) -> int:
    address = f"link.address=udpout:127.0.0.1:{port}"
    try:
        return cli.main(["run", str(config), "--check-params", address, *more])
    except SystemExit as end:
        return int(end.code or 0)


def test_parameters_as_wanted_are_told(
    config: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with on_the_ground(ArduCopter(FRAME, GOOD), port):
        assert check(config, port) == 0
    assert capsys.readouterr().out == "gps_input: all 7 parameters are as wanted\n"


def test_each_difference_is_a_line_and_the_exit_code_says_so(
    config: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with on_the_ground(ArduCopter(FRAME), port):
        assert check(config, port) == 3
    lines = capsys.readouterr().out.splitlines()
    assert "EK3_SRC1_VELZ is 3, expected 0: we send none, and zero is fused" in lines
    assert "GPS2_TYPE is 0, expected 14: the receiver of type MAV is us" in lines
    assert len(lines) == 4


def test_the_set_of_sources_that_is_ours_is_looked_at(
    config: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first set is for the receiver on board, velocity and all; the second one for us."""
    values = {**GOOD, "EK3_SRC1_VELXY": 3, "EK3_SRC1_VELZ": 3}
    second = {"EK3_SRC2_POSXY": 3, "EK3_SRC2_VELXY": 0, "EK3_SRC2_VELZ": 0, "EK3_SRC2_POSZ": 1}
    with on_the_ground(ArduCopter(FRAME, {**values, **second}), port):
        assert check(config, port, "link.source_set=2") == 0
        assert check(config, port) == 3
    assert "EK3_SRC1_VELXY is 3, expected 0" in capsys.readouterr().out


def test_px4_s_integers_are_read_as_it_lays_them(
    config: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with on_the_ground(Px4(FRAME, {"EKF2_AGP0_ID": 7, "EKF2_AGP0_CTRL": 3}), port):
        assert check(config, port) == 3
        assert check(config, port, "link.sensor_id=7") == 0
    out = capsys.readouterr().out
    assert "EKF2_AGP0_ID is 7, expected 1: the sensor of link.sensor_id is us" in out
    assert "global_position_sensor: all 4 parameters are as wanted" in out


def test_a_message_that_it_lacks_is_refused(
    config: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with on_the_ground(Px4(FRAME), port):
        assert check(config, port, "link.output=gps_input") == 2
    assert capsys.readouterr().err == (
        "geobridge run: link.output gps_input: PX4 does not read GPS_INPUT;"
        " set link.output to auto\n"
    )


def speaking(port: int, data: bytes) -> threading.Event:
    """Answers whoever speaks to a port, for a while, with something else than an autopilot."""
    ended = threading.Event()

    def speak() -> None:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
            udp.bind(("127.0.0.1", port))
            udp.settimeout(0.2)
            while not ended.is_set():
                try:
                    _, peer = udp.recvfrom(1000)
                except TimeoutError:
                    continue
                udp.sendto(data, peer)

    threading.Thread(target=speak, daemon=True).start()
    return ended


@pytest.mark.parametrize(
    ("data", "more", "expected"),
    [
        (bytes(np.random.default_rng(1).bytes(200)), [], "bytes, but no message; is link.baud"),
        ("heartbeat of 9", [], "not system 1 component 1; set link.autopilot_system"),
        ("heartbeat of 1", ["key"], "frames without a right signature; link.signing_key must"),
        (b"", [], "no autopilot is heard; is it connected"),
    ],
)
def test_silence_is_told_with_what_to_look_at(
    data: Any,
    more: list[str],
    expected: str,
    config: Path,
    port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(preflight, "HEARD_S", 2.5)
    if isinstance(data, str):
        beat = wire.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3)
        data = bytes(beat.pack(wire.MAVLink(None, int(data[-1]), 1)))
    words = []
    if more:
        (tmp_path / "key").write_bytes(bytes(32))
        (tmp_path / "key").chmod(0o600)
        words = [f"link.signing_key={tmp_path}/key", f"link.signing_state={tmp_path}/state"]
    ended = speaking(port, data)
    assert check(config, port, *words) == 2
    ended.set()
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1


def test_a_baud_rate_that_yields_garbage_is_told(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "HEARD_S", 2.0)
    master, slave = pty.openpty()
    line = os.ttyname(slave)
    ended = threading.Event()

    def babble() -> None:
        rng = np.random.default_rng(2)
        while not ended.is_set():
            os.write(master, rng.bytes(64))
            time.sleep(0.02)

    thread = threading.Thread(target=babble)
    thread.start()
    words = ["run", str(config), "--check-params", f"link.address={line}", "link.baud=57600"]
    assert cli.main(words) == 2
    ended.set()
    thread.join()
    os.close(master)
    os.close(slave)
    assert "bytes, but no message; is link.baud 57600 the autopilot's?" in capsys.readouterr().err


def test_the_list_names_every_parameter_with_its_reason(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", str(config), "--params"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# gps_input\nGPS2_TYPE ")
    assert "# global_position_sensor\nEKF2_AGP0_ID" in out
    assert cli.main(["run", str(config), "--params", "link.output=odometry"]) == 0
    out = capsys.readouterr().out
    assert out.count("# odometry") == 2
    assert "VISO_TYPE" in out
    assert "EKF2_EV_CTRL" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["link.adress=x"], "link.adress: unknown key"),
        (
            ["link.address=/dev/ttyNOTHERE"],
            "link.address /dev/ttyNOTHERE: cannot be opened: No such",
        ),
        (["link.output=gps"], "link.output: Input should be"),
        (["link.source_component=1"], "source_component must differ from the autopilot's"),
        (["link.address=udpin:0.0.0.0:14550"], "set link.allow_remote=true and link.signing_key"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    words: list[str], expected: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", str(config), *words]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1
