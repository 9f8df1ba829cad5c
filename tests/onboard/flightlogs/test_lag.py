from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from geobridge.onboard.camera import Camera
from geobridge.onboard.cli import main
from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.lag import estimate_lag
from geobridge.onboard.flightlogs.telemetry_csv import TelemetryLog, read_telemetry
from geobridge.onboard.records import Attitude, Telemetry

S = 1_000_000_000
HEIGHT_M, SPEED_M_S, GROUND_M_PER_PX = 80.0, 8.0, 0.25
CAMERA = Camera.from_hfov(320, 240, 65.0)
Motion = Callable[[float], Attitude]


def weaving(t: float) -> Attitude:
    """As a small aircraft in gusts."""
    return Attitude(
        6.0 * math.sin(1.7 * t), 4.0 * math.sin(1.1 * t + 1.0), 30.0 + 9.0 * math.sin(0.8 * t)
    )


def steady(_t: float) -> Attitude:
    return Attitude(1.0, -2.0, 30.0)


@pytest.fixture(scope="module")
def ground() -> np.ndarray:
    """Fields of many sizes of grain, dark as the recorded pictures are."""
    dice = np.random.default_rng(1)
    picture = np.zeros((1400, 1400))
    for step in (2, 5, 17, 60):
        noise = dice.normal(size=(1400 // step + 1, 1400 // step + 1))
        picture += cv2.resize(noise, (1400, 1400), interpolation=cv2.INTER_CUBIC)
    return np.clip(60 + 14 * picture, 0, 255).astype(np.uint8)


def shoot(folder: Path, ground: np.ndarray, motion: Motion, times_s: list[float]) -> dict[str, int]:
    """Pictures of a flight north over level ground, and when they were really taken."""
    taken = {}
    for number, t in enumerate(times_s):
        north_m = SPEED_M_S * t
        middle = len(ground) / 2.0
        ground_from_metres = np.array(
            [
                [1.0 / GROUND_M_PER_PX, 0.0, middle],
                [0.0, -1.0 / GROUND_M_PER_PX, middle + (60.0 - north_m) / GROUND_M_PER_PX],
                [0.0, 0.0, 1.0],
            ]
        )
        pixel_from_metres = CAMERA.pixel_from_ground(motion(t), HEIGHT_M)
        warp = pixel_from_metres @ np.linalg.inv(ground_from_metres)
        picture = cv2.warpPerspective(ground, warp, (CAMERA.width_px, CAMERA.height_px))
        name = f"{number:03}.png"
        cv2.imwrite(str(folder / name), picture)
        taken[name] = round(t * S)
    return taken


def logged(motion: Motion, seconds: float) -> TelemetryLog:
    steps = range(round(seconds * 20))
    return TelemetryLog(tuple(Telemetry(n * S // 20, motion(n / 20.0)) for n in steps))


@pytest.mark.parametrize("lag_s", [-0.4, 0.0, 0.7])
def test_the_lag_of_a_camera_is_found(tmp_path: Path, ground: np.ndarray, lag_s: float) -> None:
    taken = shoot(tmp_path, ground, weaving, [4.0 + 0.8 * n for n in range(7)])
    told = {name: t_ns - round(lag_s * S) for name, t_ns in taken.items()}
    found = estimate_lag(tmp_path, told, logged(weaving, 16.0), CAMERA)
    assert found.is_confident, found
    assert found.lag_s == pytest.approx(lag_s, abs=0.04)
    assert found.sigma_s < 0.05
    assert found.pairs == 6
    assert found.contrast > 4.0


def test_a_flight_without_turns_tells_no_lag(tmp_path: Path, ground: np.ndarray) -> None:
    taken = shoot(tmp_path, ground, steady, [4.0 + 0.8 * n for n in range(7)])
    found = estimate_lag(tmp_path, taken, logged(steady, 16.0), CAMERA)
    assert not found.is_confident
    assert found.why_not


def test_attitude_of_another_flight_tells_no_lag(tmp_path: Path, ground: np.ndarray) -> None:
    taken = shoot(tmp_path, ground, weaving, [4.0 + 0.8 * n for n in range(7)])

    def other(t: float) -> Attitude:
        return Attitude(8.0 * math.sin(2.3 * t + 2.0), 6.0 * math.cos(1.9 * t), 20.0 * t % 360.0)

    assert not estimate_lag(tmp_path, taken, logged(other, 16.0), CAMERA).is_confident


def test_the_command_tells_the_lag_and_takes_it_off(
    tmp_path: Path,
    ground: np.ndarray,
    dataflash: Any,
    save: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The camera answers 0.4 s after it was triggered, which the log notes."""
    photos = tmp_path / "photos"
    photos.mkdir()
    taken = shoot(photos, ground, weaving, [4.0 + 0.8 * n for n in range(7)])
    dataflash.kind("ATT", "Qfff", "TimeUS,Roll,Pitch,Yaw")
    dataflash.kind("CAM", "QBH", "TimeUS,I,Img")
    for step in range(320):
        attitude = weaving(step / 20.0)
        angles = attitude.roll_deg, attitude.pitch_deg, attitude.heading_deg
        dataflash.row("ATT", step * 50_000, *angles)
    for number, t_ns in enumerate(taken.values()):
        dataflash.row("CAM", t_ns // 1000 - 400_000, 0, number)
    camera = save("camera.toml", b"[camera]\nhfov_deg = 65.0\n")
    table = tmp_path / "telemetry.csv"
    asked = ["log", str(save("flight.bin", dataflash.binary)), "--pictures", str(photos)]
    asked += ["--shift-s", "0.4", "--config", str(camera), "--telemetry", str(table), "--json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)["pictures"]
    assert told["by"] == "CAM of the log"
    assert told["lag"]["lag_s"] == pytest.approx(0.0, abs=0.04)
    assert told["lag"]["verdict"].startswith("to be believed")
    times_ns = read_telemetry(table).times_by_file()
    assert times_ns is not None
    assert times_ns == pytest.approx(taken, abs=1000)


def test_pictures_of_nothing_are_refused(tmp_path: Path) -> None:
    taken = shoot(tmp_path, np.zeros((1400, 1400), np.uint8), weaving, [4.0, 5.0, 6.0])
    with pytest.raises(DataError, match="no lag to be found"):
        estimate_lag(tmp_path, taken, logged(weaving, 16.0), CAMERA)
