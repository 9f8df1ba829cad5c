"""Follows a route from an estimated position: where the estimate errs, the vehicle goes astray."""

from __future__ import annotations

import math

import numpy as np

from ...geodesy import Floats
from ..state import Vector
from .route import Route

ARRIVED_WITHIN_M = 1.0
_ALTITUDE_S = 2.0
_BRAKES_M_S2, _BENDS_M_S2, _CREEPS_M_S = 1.5, 3.0, 0.3
"""What may hover slows down by the first, bends its way by the second, stops from the third."""
_LOOKS = 33
_SHARP_COS = -0.2
"""Round a sharper corner the point ahead would come back to the vehicle and hold it there."""


class Guidance:
    """Demands a velocity towards the point of the path that lies `lookahead_s` ahead.

    What may hover slows down where the path bends and comes to rest at its end; anything else
    keeps the speed of the leg and flies on along the last one.
    """

    def __init__(self, route: Route, *, lookahead_s: float, may_hover: bool) -> None:
        self._route = route
        self._lookahead_s = lookahead_s
        self._may_hover = may_hover
        self._speeds_m_s = np.array([w.speed_m_s for w in route.waypoints[1:]])
        self._bends_m_s = _bends(route, lookahead_s)
        self._sharp_m = _sharp_corners(route) if may_hover else np.empty(0)
        self.station_m = 0.0
        """How much of the route's length is done; never less than before."""

    @property
    def has_arrived(self) -> bool:
        """Whether the estimated position has come to the end of the route."""
        return self.station_m >= self._route.length_m - ARRIVED_WITHIN_M

    def steer(self, east_m: float, north_m: float, alt_amsl_m: float) -> Vector:
        """Velocity to fly with, m/s east, north, up, for a vehicle that believes to be here."""
        speed_m_s = self._speed_m_s()
        reach_m = speed_m_s * self._lookahead_s
        self._advance(east_m, north_m, reach_m)
        aim = self._point(min(self.station_m + reach_m, self._next_stop_m()))
        east, north = float(aim[0]) - east_m, float(aim[1]) - north_m
        distance_m = max(math.hypot(east, north), 1e-6)
        if self._may_hover:
            speed_m_s = min(speed_m_s, self._braked_m_s(), distance_m / self._lookahead_s)
        scale = speed_m_s / distance_m
        return east * scale, north * scale, self._climb(alt_amsl_m, float(aim[2]))

    def _next_stop_m(self) -> float:
        """The station of the next sharp corner not yet reached."""
        after = np.searchsorted(self._sharp_m, self.station_m + ARRIVED_WITHIN_M)
        return float(np.min(self._sharp_m[after:], initial=np.inf))

    def _braked_m_s(self) -> float:
        """As fast as it may be here to round every bend ahead, and to stop at the end."""
        to_go_m = self._route.stations_m[1:] - self.station_m
        allowed = np.sqrt(self._bends_m_s**2 + 2.0 * _BRAKES_M_S2 * np.maximum(to_go_m, 0.0))
        return float(np.min(allowed[to_go_m > -ARRIVED_WITHIN_M], initial=np.inf)) + _CREEPS_M_S

    def _climb(self, alt_amsl_m: float, aim_m: float) -> float:
        """Along the slope of the path, and back to it."""
        here_m = float(self._point(self.station_m)[2])
        slope_m_s = (aim_m - here_m) / self._lookahead_s
        return slope_m_s + (here_m - alt_amsl_m) / _ALTITUDE_S

    def _speed_m_s(self) -> float:
        leg = int(np.searchsorted(self._route.stations_m, self.station_m, side="right")) - 1
        return float(self._speeds_m_s[min(leg, len(self._speeds_m_s) - 1)])

    def _advance(self, east_m: float, north_m: float, reach_m: float) -> None:
        """To the nearest place of the path, not far ahead: it may cross or double itself."""
        end_m = min(self.station_m + reach_m, self._route.length_m)
        looks = np.linspace(self.station_m, end_m, _LOOKS)
        points = [self._interpolated(looks, axis) for axis in (0, 1)]
        nearest = np.argmin((points[0] - east_m) ** 2 + (points[1] - north_m) ** 2)
        self.station_m = float(looks[nearest])

    def _point(self, station_m: float) -> Floats:
        """[3] place at a station; beyond the end, the end, or what lies straight ahead of it."""
        stations = np.array([station_m])
        point = np.array([self._interpolated(stations, axis)[0] for axis in range(3)])
        beyond_m = station_m - self._route.length_m
        if beyond_m > 0.0 and not self._may_hover:
            last = self._route.points[-1] - self._route.points[-2]
            point[:2] += last[:2] * beyond_m / np.hypot(*last[:2])
        return point

    def _interpolated(self, stations: Floats, axis: int) -> Floats:
        return np.interp(stations, self._route.stations_m, self._route.points[:, axis])


def _bends(route: Route, lookahead_s: float) -> Floats:
    """[K - 1] speeds at which the course can change within a lookahead at the waypoints after the
    first; 0 at the last."""
    half_rad = np.arccos(np.clip(_turns(route), -1.0, 1.0)) / 2.0
    within = _BENDS_M_S2 * lookahead_s / np.maximum(2.0 * np.sin(half_rad), 1e-3)
    return np.append(within, 0.0)


def _sharp_corners(route: Route) -> Floats:
    """[C] stations of the corners where the path turns back."""
    return np.asarray(route.stations_m[1:-1][_turns(route) < _SHARP_COS])


def _turns(route: Route) -> Floats:
    """[K - 2] cosine of the turn at every waypoint between the first and the last."""
    legs = np.diff(route.points[:, :2], axis=0)
    legs /= np.linalg.norm(legs, axis=1, keepdims=True)
    return np.asarray(np.sum(legs[:-1] * legs[1:], axis=1))
