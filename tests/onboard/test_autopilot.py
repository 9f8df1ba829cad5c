"""What was measured on ArduCopter 4.7.0-dev and PX4 main in the loop, asked of the stand-in.

The feed is the same: fixes of the truth, 0.2 s old, 1.5 m of white noise per axis, stated 2 m. The
clock is simulated; the vehicle stands for a minute, then flies east at 8 m/s whatever happens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Attitude
from geobridge.onboard.simulation.autopilot.arducopter import MODES, ArduCopter
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.autopilot.vehicle import ACCEPTED, Command
from geobridge.onboard.simulation.state import Readings

FRAME = LocalFrame(47.4, 8.5)
STEP_S, START_S, SPEED_M_S = 0.04, 60.0, 8.0
AGE_S, NOISE_M, STATED_M = 0.2, 1.5, 2.0
NO_VELOCITY = 8 | 16 | 32
ARM = Command(wire.MAV_CMD_COMPONENT_ARM_DISARM, (1.0, 0.0, 0.0, 0.0), 0, 0, 0.0)

AS_GPS = {"GPS1_TYPE": 14, "GPS1_DELAY_MS": 200, "EK3_SRC1_VELXY": 0, "EK3_SRC1_VELZ": 0}
AS_VISION = {"GPS1_TYPE": 0, "VISO_TYPE": 1, "VISO_DELAY_MS": 200, "EK3_SRC1_POSXY": 6}
AS_AGP = {"EKF2_AGP0_ID": 1, "EKF2_AGP0_CTRL": 1}
AS_EV = {"EKF2_EV_CTRL": 1}


def truth(t_s: float) -> tuple[np.ndarray, float]:
    """[2] east and north, and the acceleration eastwards."""
    since_s = max(0.0, t_s - START_S)
    ramp_s, push = min(since_s, 4.0), SPEED_M_S / 4.0
    east_m = 0.5 * push * ramp_s**2 + SPEED_M_S * (since_s - ramp_s)
    return np.array([east_m, 0.0]), push if 0.0 < since_s < 4.0 else 0.0


class Flight:
    """An autopilot fed with sensors and fixes; texts in `spoken`, metres in `errors`, by time."""

    def __init__(self, pilot: ArduCopter | Px4, seed: int = 1) -> None:
        self.pilot = pilot
        self.t_s = 0.0
        self.spoken: list[tuple[float, str]] = []
        self.errors: list[tuple[float, float]] = []
        self._rng = np.random.default_rng(seed)
        self._bias = self._rng.normal(0.0, 0.08, 3)

    def fly(
        self, until_s: float, fix: Callable[[], Any] | None = None, rate_hz: float = 5.0
    ) -> Flight:
        due_s = self.t_s
        while self.t_s < until_s:
            self.step()
            if fix is not None and self.t_s >= due_s - 1e-9:
                due_s += 1.0 / rate_hz
                self.pilot.receive(fix(), self.t_s)
        return self

    def step(self) -> None:
        place_m, push = truth(self.t_s)
        felt = np.array([push, 0.0, 0.0]) + self._bias + self._rng.normal(0.0, 0.15, 3)
        baro_m = 500.0 + float(self._rng.normal(0.0, 0.3))
        attitude = Attitude(0.0, 0.0, 90.0)
        readings = Readings(self.t_s, attitude, tuple(felt.tolist()), baro_m)
        self.pilot.step(readings, self.t_s)
        estimate = self.pilot.estimate
        error_m = math.dist((estimate.east_m, estimate.north_m), place_m.tolist())
        self.errors.append((self.t_s, error_m))
        self.spoken += [(self.t_s, text.text) for text in self.pilot.voice.drain()]
        self.t_s = round(self.t_s + STEP_S, 6)

    def arms(self) -> bool:
        is_armed = self.pilot.command(ARM, self.t_s) == ACCEPTED
        self.spoken += [(self.t_s, text.text) for text in self.pilot.voice.drain()]
        return is_armed

    def said(self, text: str) -> list[float]:
        return [t_s for t_s, said in self.spoken if text in said]

    def error_m(self, since_s: float, quantile: float = 1.0) -> float:
        return float(np.quantile([e for t_s, e in self.errors if t_s >= since_s], quantile))

    def reaches_m(self, error_m: float, since_s: float) -> float:
        return next((t_s for t_s, e in self.errors if t_s >= since_s and e > error_m), math.inf)

    def place(self, noise_m: float, offset_m: float) -> np.ndarray:
        noise = self._rng.normal(0.0, noise_m, 2)
        return np.asarray(truth(self.t_s - AGE_S)[0] + noise + [offset_m, 0.0])

    def gps_input(self, noise_m: float = NOISE_M, offset_m: float = 0.0, **fields: float) -> Any:
        lat_deg, lon_deg = FRAME.to_geodetic(self.place(noise_m, offset_m))
        usual = {
            "time_usec": 0, "gps_id": 0, "ignore_flags": NO_VELOCITY, "time_week_ms": 0,
            "time_week": 0, "fix_type": 3, "alt": 500.0, "hdop": 1.0, "vdop": 1.0, "vn": 0.0,
            "ve": 0.0, "vd": 0.0, "speed_accuracy": 0.0, "horiz_accuracy": STATED_M,
            "vert_accuracy": STATED_M, "satellites_visible": 10,
        }  # fmt: skip
        place = {"lat": round(float(lat_deg) * 1e7), "lon": round(float(lon_deg) * 1e7)}
        return wire.MAVLink_gps_input_message(**{**usual, **place, **fields})

    def sensor(self, noise_m: float = NOISE_M, offset_m: float = 0.0, **fields: float) -> Any:
        lat_deg, lon_deg = FRAME.to_geodetic(self.place(noise_m, offset_m))
        usual = {
            "target_system": 1, "target_component": 0, "id": 1, "processing_time": 200_000,
            "source": 2, "flags": 0, "alt_ellipsoid": math.nan, "alt": math.nan, "eph": STATED_M,
            "epv": math.nan, "time_usec": round(self.t_s * 1e6),
        }  # fmt: skip
        place = {"lat": round(float(lat_deg) * 1e7), "lon": round(float(lon_deg) * 1e7)}
        return wire.MAVLink_global_position_sensor_message(**{**usual, **place, **fields})

    def odometry(self, frame_id: int, offset_m: float = 0.0, **fields: Any) -> Any:
        east_m, north_m = self.place(NOISE_M, offset_m)
        covariance = [0.0] * 21
        covariance[0] = covariance[6] = covariance[11] = STATED_M**2
        usual = {
            "frame_id": frame_id, "child_frame_id": wire.MAV_FRAME_BODY_FRD, "z": 0.0,
            "q": [math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)], "vx": 0.0, "vy": 0.0, "vz": 0.0,
            "rollspeed": 0.0, "pitchspeed": 0.0, "yawspeed": 0.0, "pose_covariance": covariance,
            "velocity_covariance": [math.nan] * 21, "reset_counter": 0, "estimator_type": 2,
            "quality": 100, "time_usec": round(self.t_s * 1e6), "x": north_m, "y": east_m,
        }  # fmt: skip
        return wire.MAVLink_odometry_message(**{**usual, **fields})


def arducopter(seed: int = 1, **values: float) -> Flight:
    pilot = ArduCopter(FRAME, {**AS_GPS, **values})
    pilot.set_mode(MODES["GUIDED"])
    return Flight(pilot, seed)


def with_origin(pilot: ArduCopter | Px4) -> Flight:
    flight = Flight(pilot)
    pilot.set_mode(MODES["GUIDED"] if isinstance(pilot, ArduCopter) else -1)
    flight.fly(5.0)
    assert pilot.set_origin(flight.pilot.ekf.inertial.here())
    return flight


def airborne(flight: Flight, fix: Callable[[], Any], rate_hz: float = 5.0) -> Flight:
    """Armed on the ground, then at speed; at 80 s."""
    flight.fly(50.0, fix, rate_hz)
    assert flight.arms()
    return flight.fly(80.0, fix, rate_hz)


def test_arducopter_flies_on_gps_input_alone() -> None:
    flight = arducopter()
    airborne(flight, flight.gps_input)
    assert flight.said("GPS 1: detected MAV")
    assert flight.said("origin set") == [pytest.approx(10.0, abs=1.0)]
    assert flight.said("EKF3 IMU0 is using GPS") == [pytest.approx(37.0, abs=2.0)]
    assert flight.error_m(START_S, 0.5) < 1.2
    assert flight.error_m(START_S, 0.95) < 3.0
    assert not flight.said("EKF variance")


def test_arducopter_refuses_a_jump_of_6_s_and_follows_one_of_30_s() -> None:
    flight = arducopter()
    airborne(flight, flight.gps_input)
    flight.fly(86.0, lambda: flight.gps_input(offset_m=80.0))
    assert flight.said("GPS Glitch or Compass error")
    assert flight.error_m(80.0) < 3.0
    flight.fly(110.0, flight.gps_input)
    flight.fly(140.0, lambda: flight.gps_input(offset_m=80.0))
    assert 5.0 <= flight.reaches_m(40.0, 110.0) - 110.0 <= 10.0
    assert flight.error_m(130.0, 0.0) > 70.0


def test_arducopter_lands_after_8_s_of_silence_and_recovers() -> None:
    flight = arducopter()
    airborne(flight, flight.gps_input)
    flight.fly(90.0)
    assert flight.said("EKF variance") == [pytest.approx(88.0, abs=1.0)]
    assert flight.pilot.mode == "LAND"
    flight.fly(110.0, flight.gps_input)
    assert flight.said("EKF Failsafe Cleared")
    assert flight.pilot.estimate.is_valid
    assert flight.error_m(105.0) < 4.0


def test_arducopter_fuses_a_velocity_that_was_not_given_as_zero() -> None:
    flight = arducopter(EK3_SRC1_VELXY=3, EK3_SRC1_VELZ=3)
    airborne(flight, flight.gps_input)
    [failed_s] = flight.said("EKF variance")
    assert START_S < failed_s < 70.0
    assert 5.0 < max(e for t_s, e in flight.errors if t_s < failed_s + 1.0) < 40.0


def test_arducopter_fuses_4_hz_but_does_not_arm() -> None:
    flight = arducopter()
    flight.fly(50.0, flight.gps_input, rate_hz=4.0)
    assert flight.pilot.estimate.is_valid
    assert not flight.arms()
    assert flight.said("GPS 1: not healthy")


@pytest.mark.parametrize(
    "fields",
    [{"horiz_accuracy": 8.0}, {"vert_accuracy": 8.0}, {"hdop": 3.0}, {"satellites_visible": 0}],
)
def test_arducopter_never_uses_what_its_checks_refuse(fields: dict[str, float]) -> None:
    flight = arducopter()
    flight.fly(55.0, lambda: flight.gps_input(**fields))
    assert not flight.said("is using GPS")
    assert not flight.arms()


@pytest.mark.parametrize("values", [{"EK3_CHECK_SCALE": 200}, {"EK3_GPS_CHECK": 31 & ~8}])
def test_arducopter_can_be_told_to_take_8_m(values: dict[str, float]) -> None:
    flight = arducopter(**values)
    airborne(flight, lambda: flight.gps_input(horiz_accuracy=8.0))
    assert flight.error_m(START_S, 0.5) < 3.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_arducopter_does_not_arm_on_understated_accuracy(seed: int) -> None:
    flight = arducopter(seed)
    flight.fly(55.0, lambda: flight.gps_input(noise_m=6.0, horiz_accuracy=1.0))
    assert flight.said("is using GPS")
    assert not flight.arms()
    assert flight.said("GPS glitching") or flight.said("GPS and AHRS differ")


def test_arducopter_takes_odometry_in_frd_alone() -> None:
    flight = with_origin(ArduCopter(FRAME, AS_VISION))
    frd = wire.MAV_FRAME_LOCAL_FRD
    airborne(flight, lambda: flight.odometry(frd))
    assert flight.said("is using external nav data") == [pytest.approx(6.3, abs=0.5)]
    assert flight.error_m(START_S, 0.5) < 1.6
    assert flight.error_m(START_S, 0.95) < 4.0

    deaf = with_origin(ArduCopter(FRAME, AS_VISION))
    deaf.fly(50.0, lambda: deaf.odometry(wire.MAV_FRAME_LOCAL_NED))
    assert not deaf.arms()
    assert deaf.said("VisOdom: not healthy")


def test_arducopter_jumps_when_the_reset_counter_changes() -> None:
    flight = with_origin(ArduCopter(FRAME, AS_VISION))
    frd = wire.MAV_FRAME_LOCAL_FRD
    airborne(flight, lambda: flight.odometry(frd))
    flight.fly(80.5, lambda: flight.odometry(frd, offset_m=80.0, reset_counter=1))
    assert flight.error_m(80.3) > 70.0


def test_px4_flies_on_global_position_sensor_at_5_hz_and_at_1_hz() -> None:
    for rate_hz in (5.0, 1.0):
        flight = Flight(Px4(FRAME, AS_AGP))
        flight.fly(2.0, flight.sensor, rate_hz)
        assert flight.pilot.estimate.is_valid
        flight.fly(50.0, flight.sensor, rate_hz)
        assert flight.arms()
        flight.fly(80.0, flight.sensor, rate_hz)
        assert flight.error_m(START_S, 0.5) < 1.5
        assert flight.error_m(START_S) < 4.5
        assert not flight.said("Failsafe")


def test_px4_refuses_a_jump_of_6_s_and_follows_one_of_15_s() -> None:
    flight = Flight(Px4(FRAME, AS_AGP))
    airborne(flight, flight.sensor)
    flight.fly(86.0, lambda: flight.sensor(offset_m=80.0))
    assert flight.said("Failsafe activated") == [pytest.approx(85.0, abs=0.3)]
    assert flight.pilot.mode == "LAND"
    assert flight.error_m(80.0) < 11.0
    flight.fly(110.0, flight.sensor)
    assert flight.pilot.mode == "HOLD"
    flight.fly(125.0, lambda: flight.sensor(offset_m=80.0))
    assert flight.reaches_m(40.0, 110.0) - 110.0 == pytest.approx(7.0, abs=0.6)


def test_px4_fails_after_5_s_of_silence_and_recovers() -> None:
    flight = Flight(Px4(FRAME, AS_AGP))
    airborne(flight, flight.sensor)
    flight.fly(88.0)
    assert flight.said("Aux global position data stopped")
    assert flight.said("Failsafe activated") == [pytest.approx(85.0, abs=0.3)]
    flight.fly(105.0, flight.sensor)
    assert flight.pilot.estimate.is_valid
    assert flight.error_m(100.0) < 4.0


def test_px4_jumps_onto_odometry_after_1_s_without_a_word() -> None:
    flight = with_origin(Px4(FRAME, AS_EV))
    ned = wire.MAV_FRAME_LOCAL_NED
    airborne(flight, lambda: flight.odometry(ned), rate_hz=10.0)
    assert flight.error_m(START_S, 0.5) < 2.5
    spoken = len(flight.spoken)
    flight.fly(85.0, lambda: flight.odometry(ned, offset_m=80.0), rate_hz=10.0)
    assert flight.reaches_m(40.0, 80.0) - 80.0 == pytest.approx(1.1, abs=0.3)
    assert len(flight.spoken) == spoken


def test_px4_never_begins_with_odometry_at_4_hz() -> None:
    flight = with_origin(Px4(FRAME, AS_EV))
    flight.fly(15.0, lambda: flight.odometry(wire.MAV_FRAME_LOCAL_NED), rate_hz=4.0)
    assert not flight.pilot.estimate.is_valid


def test_px4_does_not_arm_on_understated_accuracy() -> None:
    flight = Flight(Px4(FRAME, AS_AGP))
    flight.fly(55.0, lambda: flight.sensor(noise_m=6.0, eph=1.0))
    assert not flight.arms()
    assert flight.said("horizontal position unstable")


def test_px4_has_no_ear_for_gps_input() -> None:
    flight = Flight(Px4(FRAME, AS_AGP))
    flight.fly(55.0, flight.gps_input)
    assert not flight.pilot.estimate.is_valid
    assert not flight.arms()
