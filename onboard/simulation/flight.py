"""A flight over a rendered world: the path, and the files that a real flight would leave.

Positions are metres east and north of the middle of the map; the vehicle is where its camera is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..camera import Camera
from ..durable import write_file, write_text
from ..errors import DataError
from ..geodesy import LocalFrame
from ..records import Attitude, Image
from .exposure import Optics, look, sense, smear
from .land.geometry import dense, length_m, walk
from .land.raster import Floats
from .world import World

_GRAVITY_M_S2 = 9.81
_MAX_BANK_DEG = 25.0


@dataclass(frozen=True)
class Pose:
    """The true state of the vehicle at one exposure."""

    time_s: float
    east_m: float
    north_m: float
    height_agl_m: float
    attitude: Attitude
    velocity_east_m_s: float
    velocity_north_m_s: float


@dataclass(frozen=True)
class SensorErrors:
    """1-sigma errors of the telemetry: a bias is drawn once per flight, noise for every row."""

    attitude_bias_deg: float = 0.7
    attitude_noise_deg: float = 0.4
    heading_bias_deg: float = 2.0
    heading_noise_deg: float = 0.4
    height_scale: float = 0.02
    height_noise_m: float = 0.3
    alt_bias_m: float = 2.0
    velocity_bias_m_s: float = 0.5
    velocity_noise_m_s: float = 0.2


@dataclass(frozen=True)
class FlightFiles:
    """What `write_flight` wrote: one telemetry row and one truth row for every frame."""

    video: Path
    telemetry: Path
    truth: Path


def fly(
    world: World,
    route_enu_m: npt.ArrayLike,
    *,
    speed_m_s: float,
    height_agl_m: float,
    rate_hz: float,
    seed: int,
) -> list[Pose]:
    """Poses at `rate_hz` along a route [K, 2], corners rounded, banking in turns, shaken by gusts.

    Raises:
        DataError: the route leaves the map, has no length, or a number is not positive.
    """
    route = _checked_route(world, route_enu_m)
    for name, value in (
        ("speed_m_s", speed_m_s),
        ("height_agl_m", height_agl_m),
        ("rate_hz", rate_hz),
    ):
        if not (math.isfinite(value) and value > 0.0):
            raise DataError(f"{name} {value}: expected a positive number")
    turn_radius_m = speed_m_s**2 / (_GRAVITY_M_S2 * math.tan(math.radians(_MAX_BANK_DEG)))
    path = _round_corners(route, 1.5 * turn_radius_m)
    stations = np.arange(0.0, length_m(path), speed_m_s / rate_hz)
    if len(stations) < 2:
        raise DataError(f"route of {length_m(path):.1f} m: too short for two frames")
    points, track = walk(path, stations)

    rng = np.random.default_rng([seed, 10])
    gusts = [_gust(rng, len(stations), 0.8 * rate_hz) for _ in range(4)]
    track = _calm(np.unwrap(track), 0.5 * rate_hz)
    turn_rad_s = -np.gradient(track) * rate_hz
    bank = np.degrees(np.arctan(speed_m_s * turn_rad_s / _GRAVITY_M_S2))
    roll_deg = np.clip(bank, -_MAX_BANK_DEG, _MAX_BANK_DEG) + 0.9 * gusts[0]
    heading_deg = (90.0 - np.degrees(track) + 0.8 * gusts[2]) % 360.0
    return [
        Pose(
            time_s=k / rate_hz,
            east_m=float(points[k, 0]),
            north_m=float(points[k, 1]),
            height_agl_m=float(height_agl_m * (1.0 + 0.004 * gusts[3][k])),
            attitude=Attitude(float(roll_deg[k]), float(gusts[1][k]), float(heading_deg[k])),
            velocity_east_m_s=float(speed_m_s * math.cos(track[k])),
            velocity_north_m_s=float(speed_m_s * math.sin(track[k])),
        )
        for k in range(len(stations))
    ]


def render_frame(
    orthophoto: Image, world: World, camera: Camera, pose: Pose, optics: Optics | None = None
) -> Image:
    """[H, W, 3] RGB: what the camera sees of the orthophoto of a world, as the camera delivers it.

    Raises:
        DataError: the orthophoto does not have the size of the world.
    """
    size_px = world.grid.size_px
    if orthophoto.shape != (size_px, size_px, 3):
        raise DataError(
            f"orthophoto of {orthophoto.shape}: expected ({size_px}, {size_px}, 3) as the world has"
        )
    optics = optics or Optics()
    here = np.array([[1.0, 0.0, pose.east_m], [0.0, 1.0, pose.north_m], [0.0, 0.0, 1.0]])
    seen = look(
        orthophoto, world.grid.pixel_from_enu @ here, camera, pose.attitude, pose.height_agl_m
    )
    seen = smear(seen, _shift_px(camera, pose, optics.exposure_s))
    rng = np.random.default_rng([round(pose.time_s * 1e6), 11])
    return sense(seen, camera, optics, rng)


def write_flight(
    folder: Path,
    orthophoto: Image,
    world: World,
    camera: Camera,
    poses: Sequence[Pose],
    frame: LocalFrame,
    *,
    ground_alt_amsl_m: float = 120.0,
    errors: SensorErrors | None = None,
    optics: Optics | None = None,
    seed: int = 0,
) -> FlightFiles:
    """Write `flight.mp4`, `telemetry.csv` and `truth.csv`; the middle of the map is at the origin.

    Raises:
        DataError: fewer than two poses, or the video cannot be written and read back.
    """
    if len(poses) < 2:
        raise DataError(f"{len(poses)} poses: a flight needs at least two")
    files = FlightFiles(folder / "flight.mp4", folder / "telemetry.csv", folder / "truth.csv")
    rate_hz = (len(poses) - 1) / (poses[-1].time_s - poses[0].time_s)
    size = (camera.width_px, camera.height_px)
    pictures = (render_frame(orthophoto, world, camera, pose, optics) for pose in poses)
    write_file(files.video, lambda path: _write_video(path, pictures, rate_hz, size, len(poses)))
    measured = _measure(poses, errors or SensorErrors(), ground_alt_amsl_m, seed)
    write_text(files.telemetry, _csv(measured, 6))
    lat_deg, lon_deg = frame.to_geodetic([(pose.east_m, pose.north_m) for pose in poses])
    truth = {"time_s": measured["time_s"], "lat_deg": lat_deg, "lon_deg": lon_deg}
    write_text(files.truth, _csv(truth, 9))
    return files


def _write_video(
    path: Path, pictures: Iterable[Image], rate_hz: float, size: tuple[int, int], count: int
) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, size)
    try:
        for picture in pictures:
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
    reader = cv2.VideoCapture(str(path))
    readable = sum(1 for _ in iter(reader.grab, False))
    reader.release()
    if readable != count:
        raise DataError(
            f"{path.parent}: {readable} of {count} frames of the mp4v video are readable"
        )


def _measure(
    poses: Sequence[Pose], errors: SensorErrors, ground_alt_amsl_m: float, seed: int
) -> dict[str, Floats]:
    """The telemetry's columns, with the errors of its sensors."""
    rng = np.random.default_rng([seed, 12])

    def sensed(values: Iterable[float], bias: float, noise: float) -> Floats:
        true = np.fromiter(values, float)
        return true + bias * rng.standard_normal() + noise * rng.standard_normal(len(true))

    tilt = errors.attitude_bias_deg, errors.attitude_noise_deg
    turn = errors.heading_bias_deg, errors.heading_noise_deg
    drift = errors.velocity_bias_m_s, errors.velocity_noise_m_s
    scale = 1.0 + errors.height_scale * rng.standard_normal()
    height = [pose.height_agl_m for pose in poses]
    return {
        "time_s": np.array([pose.time_s for pose in poses]),
        "roll_deg": sensed((pose.attitude.roll_deg for pose in poses), *tilt),
        "pitch_deg": sensed((pose.attitude.pitch_deg for pose in poses), *tilt),
        "heading_deg": sensed((pose.attitude.heading_deg for pose in poses), *turn) % 360.0,
        "height_agl_m": scale * sensed(height, 0.0, errors.height_noise_m),
        "alt_amsl_m": ground_alt_amsl_m + sensed(height, errors.alt_bias_m, errors.height_noise_m),
        "velocity_north_m_s": sensed((pose.velocity_north_m_s for pose in poses), *drift),
        "velocity_east_m_s": sensed((pose.velocity_east_m_s for pose in poses), *drift),
    }


def _csv(columns: dict[str, Floats], decimals: int) -> str:
    rows = zip(*columns.values(), strict=True)
    lines = [
        ",".join(columns),
        *(",".join(f"{value:.{decimals}f}" for value in row) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _checked_route(world: World, route_enu_m: npt.ArrayLike) -> Floats:
    route = np.asarray(route_enu_m, float)
    if route.ndim != 2 or route.shape[1:] != (2,) or len(route) < 2:
        raise DataError(f"route of shape {route.shape}: expected [K, 2] with two points or more")
    for index, point in enumerate(route):
        if not world.grid.contains(point):
            raise DataError(
                f"route point {index} at east {point[0]:.1f} m, north {point[1]:.1f} m: outside the"
                f" map, which reaches {world.size_m / 2.0:.1f} m from its middle"
            )
    steps = np.hypot(*np.diff(route, axis=0).T)
    return np.concatenate([route[:1], route[1:][steps > 0.0]])


def _round_corners(route: Floats, lead_m: float) -> Floats:
    """A point every few metres; from `lead_m` before to `lead_m` after a corner, a parabola."""
    path = [route[0]]
    for before, corner, after in zip(route, route[1:], route[2:], strict=False):
        enter = corner + _towards(corner, before, lead_m)
        leave = corner + _towards(corner, after, lead_m)
        share = np.linspace(0.0, 1.0, 17)[:, None]
        path += list((1 - share) ** 2 * enter + 2 * share * (1 - share) * corner + share**2 * leave)
    return dense(np.array([*path, route[-1]]))


def _towards(start: Floats, end: Floats, reach_m: float) -> Floats:
    """At most `reach_m`, and not past the middle."""
    distance_m = math.dist(start, end)
    return (end - start) * min(reach_m / distance_m, 0.5)


def _gust(rng: np.random.Generator, count: int, scale: float) -> Floats:
    """[count] smooth noise of unit variance that changes over `scale` samples."""
    kernel = _bell(scale)
    white = rng.standard_normal(count + len(kernel) - 1)
    return np.convolve(white, kernel / np.linalg.norm(kernel), "valid")


def _calm(values: Floats, scale: float) -> Floats:
    """[count] the same values without what changes faster than `scale` samples."""
    kernel = _bell(scale)
    padded = np.pad(values, len(kernel) // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid")


def _bell(scale: float) -> Floats:
    reach = math.ceil(3.0 * scale)
    return np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(scale, 1e-3)) ** 2)


def _shift_px(camera: Camera, pose: Pose, exposure_s: float) -> Floats:
    """[2] how far the middle of the picture moves during an exposure."""
    ground = camera.pixel_from_ground(pose.attitude, pose.height_agl_m)
    middle = np.array([(camera.width_px - 1) / 2.0, (camera.height_px - 1) / 2.0, 1.0])
    start = np.linalg.solve(ground, middle)
    if start[2] <= 0.0:
        return np.zeros(2)
    motion = np.array([pose.velocity_east_m_s, pose.velocity_north_m_s, 0.0]) * exposure_s
    end = ground @ (start / start[2] - motion)
    return np.asarray(end[:2] / end[2] - middle[:2])
