"""`geobridge fly`: a simulated flight along a route, onto disk or live to a daemon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.simulation.flying.aircraft import Airframe
from geobridge.onboard.simulation.flying.faults import parse_faults, require_reach
from geobridge.onboard.simulation.flying.read_route import HEIGHT_AGL_M
from geobridge.onboard.simulation.flying.recording import Log, Pictures
from geobridge.onboard.simulation.flying.simulate import Steering
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.flying.wind import Weather
from geobridge.onboard.simulation.render.optics import Optics
from geobridge.onboard.simulation.render.scenery import on_day

from .disk import record
from .land import land_of, route_over
from .live import fly_to_daemon
from .mission import Mission
from .moments import MOMENTS
from .options import camera_of, day_of, errors_of, shutter_of, within
from .wires import Wires, announced, wires_of


def fly(
    route: str,
    out: Path | None = None,
    seed: int = 0,
    number: int = 0,
    size_km: float | None = None,
    raster: Path | None = None,
    dsm: Path | None = None,
    airframe: str = "multirotor",
    speed_m_s: float | None = None,
    height_agl_m: float = HEIGHT_AGL_M,
    day: str = "summer_noon",
    wind_m_s: float = 4.0,
    wind_from_deg: float = 250.0,
    gust_m_s: float = 1.0,
    camera_px: str = "640x480",
    hfov_deg: float = 70.0,
    pitch_deg: float = -90.0,
    rate_hz: float = 5.0,
    exposure_ms: float = 3.0,
    vibration_deg: float = 0.0,
    gnss: Sequence[str] = (),
    sensors: Sequence[str] = (),
    dropped_share: float = 0.0,
    late_share: float = 0.0,
    clock_offset_s: float = 0.0,
    steer_by: str = "truth",
    kept_log: str = "tlog",
    frames: bool = False,
    live: str | None = None,
    camera_socket: Path | None = None,
    autopilot: str = "arducopter",
    parameters: Sequence[str] = (),
    wait_s: float = 60.0,
) -> dict[str, Any]:
    """Fly a route; the paths written, and figures.

    Args:
        route: a .plan, a .waypoints, a file of coordinates, `lat,lon:lat,lon`, or metres east and
            north of the middle of the land as `m:-200,0:150,80`.
        out: new or empty folder of the flight; live, of its moments.
        seed: of the world, and of what happens on the way.
        number: of the flight: another one has other gusts, errors and noise.
        size_km: side of the world made from the seed.
        raster: a map instead of a world.
        dsm: heights for the map.
        airframe: multirotor or fixed_wing.
        speed_m_s: at the start, in place of a plan's own.
        height_agl_m: of coordinates that come without one.
        day: one of `options.DAYS`.
        wind_m_s, wind_from_deg, gust_m_s: the weather.
        camera_px, hfov_deg, pitch_deg: the camera; -90 looks straight down.
        rate_hz, exposure_ms: its shutter.
        vibration_deg: 1-sigma shake of the camera.
        gnss: faults as `outage@60`, `drift@60:0.5,45` or `jump@80-95:120,270`.
        sensors: errors as `attitude_bias_deg=1.5`, see `options.errors_of`.
        dropped_share: of the pictures, never to be seen; live, or in a folder of pictures.
        late_share: of the pictures, held up on their way; live only.
        clock_offset_s: how far the camera's clock is ahead.
        steer_by: truth, or belief: what the autopilot makes of its readings; live it is belief.
        kept_log: tlog or bin.
        frames: a folder of pictures instead of a video.
        live: MAVLink address of the autopilot: fly in real time.
        camera_socket: where the camera of a live flight listens.
        autopilot: arducopter or px4.
        parameters: of the autopilot, as `GPS2_DELAY_MS=20`.
        wait_s: how long a live flight waits for somebody to look through its camera.

    Raises:
        DataError: an option, a route or a map that cannot be used; a folder that holds something.
        ConfigError, LinkError: an autopilot that cannot be as asked, or not be reached.
        KeyboardInterrupt: a live flight was ended; its moments are in `out`.
    """
    wires = wires_of(live, camera_socket, autopilot, parameters, wait_s)
    _check_output(out, wires)
    is_live = wires is not None
    shutter = shutter_of(rate_hz, clock_offset_s, dropped_share, late_share, is_live, frames)
    within("--height-agl-m", height_agl_m)
    if speed_m_s is not None:
        within("--speed-m-s", speed_m_s)
    wind_m_s, gust_m_s = within("--wind-m-s", wind_m_s), within("--gust-m-s", gust_m_s)
    weather = Weather(wind_m_s, wind_from_deg, gust_m_s)
    exposure_s = within("--exposure-ms", exposure_ms) / 1000.0
    optics = Optics(exposure_s, vibration_deg=within("--vibration-deg", vibration_deg))
    camera, light = camera_of(camera_px, hfov_deg, pitch_deg), day_of(day)
    faults = parse_faults(gnss)
    errors, receiver = errors_of(sensors)
    place = land_of(seed, size_km, raster, dsm)
    terrain = Terrain.of(place)
    mission = Mission(
        setting=on_day(place, light),
        terrain=terrain,
        route=route_over(terrain, route, speed_m_s, height_agl_m),
        camera=camera,
        shutter=shutter,
        airframe=Airframe(airframe),
        weather=weather,
        optics=optics,
        errors=errors,
        gnss=receiver,
        faults=faults,
        seed=int(np.random.default_rng([seed, number]).integers(2**31)),
    )
    require_reach(faults, mission.limit_s)
    if wires is not None:
        return _fly_live(mission, wires, out)
    assert out is not None
    pictures = Pictures.FOLDER if frames else Pictures.VIDEO
    return record(mission, out, pictures, Log(kept_log), Steering(steer_by))


def _check_output(out: Path | None, wires: Wires | None) -> None:
    """Before the land is made, which takes a while."""
    if out is None and wires is None:
        raise DataError("expected -o FOLDER for a flight on disk, or --live ADDRESS")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: expected a new or an empty folder")


def _fly_live(mission: Mission, wires: Wires, out: Path | None) -> dict[str, Any]:
    flight = fly_to_daemon(mission, wires, announced(wires), out)
    told = {} if out is None else {"moments": str(out / MOMENTS)}
    return told | {
        "ending": flight.ending.value,
        "mode": flight.mode,
        "duration_s": flight.duration_s,
        "route_m": mission.route.length_m,
        "pictures": flight.pictures,
    }
