from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.read import read_flight_log
from geobridge.onboard.flightlogs.recorder import Recorder
from geobridge.onboard.records import Attitude, Frame, Reason, Rejection, Telemetry

S = 1_000_000_000
FACTS = {"version": "0.1", "configuration": "{}"}


def packed(message: Any, component: int = 1) -> Any:
    message.pack(wire.MAVLink(None, 1, component))
    return message


def recorded(folder: Path, we_send: bool) -> Path:
    """Three seconds of frames, of an autopilot's receiver, and of our GPS_INPUT or not."""
    recorder = Recorder(folder, FACTS)
    image = np.zeros((8, 8, 3), np.uint8)
    for tenth in range(30):
        t_ns = 50 * S + tenth * S // 10
        telemetry = Telemetry(t_ns, Attitude(1.0, 2.0, 3.0), 80.0)
        rejection = Rejection(t_ns, Reason.LOW_SCORE, "too little")
        recorder.handled(Frame(image, t_ns, str(tenth)), telemetry, rejection)
        heard = wire.MAVLink_gps_raw_int_message(
            *(tenth * 100_000, 3, 470_000_000 + tenth, 80_000_000, 600_000, 80, 100, 1, 1, 11)
        )
        recorder.heard(packed(heard), t_ns)
        if we_send:
            fix = (0, 0, 0, 0, 0, 3, 470_000_000, 80_000_000, 600.0, 1.0, 1.0)
            sent = wire.MAVLink_gps_input_message(*fix, *(0.0, 0.0, 0.0, 0.1, 1.0, 1.0, 10))
            recorder.sent(packed(sent, component=197), t_ns)
    recorder.close()
    return recorder.path


def test_a_record_tells_what_the_localizer_was_told(tmp_path: Path) -> None:
    path = recorded(tmp_path, we_send=False)
    log = read_flight_log(path)
    assert log.kind == "record"
    sample = log.telemetry.at(51 * S)
    assert sample.attitude == Attitude(1.0, 2.0, 3.0)
    assert sample.height_agl_m == 80.0
    assert log.truth is not None
    assert len(log.truth.times_ns) == 30
    assert log.truth.times_ns[0] == pytest.approx(50 * S, abs=S)
    assert read_flight_log(tmp_path).path == path  # the newest of a folder


def test_a_receiver_that_we_fed_is_no_truth(tmp_path: Path) -> None:
    log = read_flight_log(recorded(tmp_path, we_send=True))
    assert log.truth is None
    assert any("GPS_INPUT of 1/197" in line for line in log.oddities)


def test_a_cut_record_gives_what_it_has(tmp_path: Path) -> None:
    path = recorded(tmp_path, we_send=False)
    path.write_bytes(path.read_bytes()[:-40])
    log = read_flight_log(path)
    assert len(log.telemetry.samples) == 30
    assert any("cut off" in line for line in log.oddities)


def test_a_folder_without_a_record_or_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither photos nor a flight record"):
        read_flight_log(tmp_path)
