"""One rehearsed flight: simulated, rendered frame by frame, localized by what flies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.camera import Camera
from geobridge.onboard.config import LocalizerConfig, TrustConfig
from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import distance_m
from geobridge.onboard.localization.localizer import Localizer
from geobridge.onboard.localization.matchers import open_matcher
from geobridge.onboard.manifest_entries import CoverageEntry
from geobridge.onboard.records import Fix, Frame, Rejection, Telemetry
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.index import Index
from geobridge.onboard.simulation.flying.exposures import Shutter, exposures
from geobridge.onboard.simulation.flying.faults import Fault, FaultKind
from geobridge.onboard.simulation.flying.route import Route
from geobridge.onboard.simulation.flying.sampling import state_at
from geobridge.onboard.simulation.flying.simulate import Flight, simulate
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.render.optics import Optics
from geobridge.onboard.simulation.render.scenery import Place, on_day
from geobridge.onboard.simulation.render.views import drone
from geobridge.onboard.trust import Trust
from geobridge.onboard.views import View

from .conditions import Conditions
from .flown import FIX, Flown

NO_GNSS = (Fault(FaultKind.OUTAGE, 0.0),)
OPTICS = Optics(vibration_deg=0.02)
_NS = 1e9
_BOOTED_NS = 10**9
"""Times of frames are positive."""


@dataclass(frozen=True)
class Rules:
    """How every flight of a rehearsal is flown and looked at."""

    camera: Camera
    localizer: LocalizerConfig
    rate_hz: float
    seed: int
    trusted_keys: tuple[Path, ...] | None = None
    trust: TrustConfig | None = None

    def trust_here(self) -> Trust | None:
        """Keys are read where a flight is flown: they do not travel between processes."""
        return Trust.of_device(self.trusted_keys, self.trust or TrustConfig())


@dataclass(frozen=True)
class Seen:
    """What the localizer said to a frame, and where the vehicle truly was, WGS84."""

    result: Fix | Rejection
    lat_deg: float
    lon_deg: float

    @property
    def error_m(self) -> float | None:
        """Horizontal distance of a fix from the truth; None without one."""
        if isinstance(self.result, Rejection):
            return None
        there = self.result.lat_deg, self.result.lon_deg
        return distance_m(*there, self.lat_deg, self.lon_deg)


class Rig:
    """A place and an opened bundle: everything that flights have in common.

    Raises:
        BundleError, EngineError: the bundle cannot be flown here.
        DataError: it covers other land than the place.
    """

    def __init__(self, place: Place, bundle: Path, rules: Rules) -> None:
        self.place, self.rules = place, rules
        opened = Bundle.open(bundle, rules.trust_here() or ())
        config = rules.localizer.retrieve
        self.manifest = opened.manifest
        if not _overlap(self.manifest.coverage, place):
            raise DataError(f"{bundle}: covers other land than the map")
        self._encoder = Encoder.open(
            opened, View.DRONE, config.engine, config.precision, config.engine_settings
        )
        self._index, self.imagery = Index.open(opened), ReferenceImagery.open(opened)
        self.terrain = Terrain.of(place)
        self._match = open_matcher(rules.localizer.verify, config.threads)

    def localizer(self) -> Localizer:
        """One that has seen nothing yet."""
        rules = self.rules
        parts = self._encoder, self._index, self.imagery, rules.camera, rules.localizer
        return Localizer(self.manifest, *parts, match=self._match)


def _overlap(coverage: CoverageEntry, place: Place) -> bool:
    west, south, east, north = place.bounds_m
    corners = place.frame.to_geodetic([(west, south), (east, south), (east, north), (west, north)])
    enu_m = coverage.frame.to_enu(*corners)
    (west, south), (east, north) = enu_m.min(axis=0), enu_m.max(axis=0)
    beside = west > coverage.east_m or east < coverage.west_m
    return not (beside or south > coverage.north_m or north < coverage.south_m)


def fly(rig: Rig, route: Route, conditions: Conditions, number: int) -> Flown:
    """Fly a route once, without GNSS and without knowing where.

    The first frames, too few for the localizer to say anything wherever they are taken, are left
    out: they tell of the beginning of a flight, not of the ground.
    """
    seed = flight_seed(rig.rules.seed, number)
    flight = simulate(route, rig.terrain, weather=conditions.weather, faults=NO_GNSS, seed=seed)
    seen = list(look(rig, flight, conditions, seed))
    seen = seen[rig.rules.localizer.filter.confirmations - 1 :]
    results = [each.result for each in seen]
    return Flown(
        number=number,
        ending=flight.ending.value,
        conditions=_plain(conditions),
        time_s=[(result.t_capture_ns - _BOOTED_NS) / _NS for result in results],
        lat_deg=[each.lat_deg for each in seen],
        lon_deg=[each.lon_deg for each in seen],
        said=[FIX if isinstance(r, Fix) else r.reason.value for r in results],
        error_m=[each.error_m for each in seen],
        accuracy_m=[r.horiz_accuracy_m if isinstance(r, Fix) else None for r in results],
    )


@dataclass(frozen=True)
class Taken:
    """A rendered frame, what the autopilot said, and where the vehicle truly was, WGS84."""

    frame: Frame
    telemetry: Telemetry
    lat_deg: float
    lon_deg: float


def look(rig: Rig, flight: Flight, conditions: Conditions, seed: int) -> Iterator[Seen]:
    """What the localizer says to every frame of a flight, beside the truth."""
    localizer = rig.localizer()
    for taken in frames_of(rig, flight, conditions, seed):
        result = localizer.handle(taken.frame, taken.telemetry)
        yield Seen(result, taken.lat_deg, taken.lon_deg)


def frames_of(rig: Rig, flight: Flight, conditions: Conditions, seed: int) -> Iterator[Taken]:
    """Every frame of a flight."""
    setting, camera = on_day(rig.place, conditions.day), rig.rules.camera
    for shot in exposures(Shutter(rig.rules.rate_hz), 0.0, flight.truth[-1].time_s, seed):
        state = state_at(flight.truth, shot.time_s)
        picture = drone(setting, camera, state, OPTICS, seed + shot.number, threads=1).image
        t_ns = _BOOTED_NS + round(shot.stamp_s * _NS)
        lat_deg, lon_deg = rig.place.frame.to_geodetic([state.east_m, state.north_m])
        yield Taken(
            Frame(picture, t_ns, f"{shot.number:06d}"),
            _telemetry(flight, shot.time_s, t_ns),
            float(lat_deg),
            float(lon_deg),
        )


def flight_seed(seed: int, number: int) -> int:
    """Of a flight's sensors, gusts and noise."""
    return int(np.random.default_rng([seed, number]).integers(2**31))


def _telemetry(flight: Flight, time_s: float, t_ns: int) -> Telemetry:
    """What the autopilot says, as `mavlink.telemetry` has it: no position, the rest as believed."""
    believed = state_at(flight.believed, time_s)
    return Telemetry(
        t_ns=t_ns,
        attitude=believed.attitude,
        height_agl_m=flight.height_agl_m(time_s),
        alt_amsl_m=believed.alt_amsl_m,
        velocity_north_m_s=believed.velocity_enu_m_s[1],
        velocity_east_m_s=believed.velocity_enu_m_s[0],
    )


def _plain(conditions: Conditions) -> dict[str, Any]:
    def told(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value.value if isinstance(value, Enum) else value for key, value in pairs}

    return asdict(conditions, dict_factory=told)
