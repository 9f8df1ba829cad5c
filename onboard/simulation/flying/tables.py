"""The tables of a flight on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...geodesy import LocalFrame
from ..state import State
from .logged import placed
from .sampling import state_at
from .simulate import Flight
from .terrain import Terrain


def telemetry_table(
    flight: Flight, times_s: Sequence[float], labels: Sequence[float], names: Sequence[str] | None
) -> str:
    """What was believed at autopilot times, under the times and names of the pictures.

    A height above ground that is not above 0 is as low as can be told, 1 cm: the vehicle flies.
    """
    header = (
        "roll_deg pitch_deg heading_deg height_agl_m alt_amsl_m velocity_north_m_s"
        " velocity_east_m_s"
    )
    rows = []
    for time_s in times_s:
        state = state_at(flight.believed, time_s)
        east, north, _ = state.velocity_enu_m_s
        height_m = max(flight.height_agl_m(time_s), 0.01)
        rows.append([*_angles(state), height_m, state.alt_amsl_m, north, east])
    return _table(header.split(), labels, names, rows, 6)


def truth_table(
    states: Sequence[State], labels: Sequence[float], names: Sequence[str] | None, frame: LocalFrame
) -> str:
    """Latitudes and longitudes; by name alone where pictures have names."""
    rows = [[at.lat_deg, at.lon_deg] for at in placed(states, frame)]
    return _table(["lat_deg", "lon_deg"], None if names else labels, names, rows, 9)


def pose_table(
    states: Sequence[State], labels: Sequence[float], names: Sequence[str] | None, terrain: Terrain
) -> str:
    """Places, heights above sea and ground, attitudes."""
    header = "lat_deg lon_deg alt_amsl_m height_agl_m roll_deg pitch_deg heading_deg"
    rows = []
    for at in placed(states, terrain.frame):
        state = at.state
        height_m = state.alt_amsl_m - terrain.ground_at(state.east_m, state.north_m)
        rows.append([at.lat_deg, at.lon_deg, state.alt_amsl_m, height_m, *_angles(state)])
    return _table(header.split(), labels, names, rows, 9)


def _angles(state: State) -> tuple[float, float, float]:
    attitude = state.attitude
    return attitude.roll_deg, attitude.pitch_deg, attitude.heading_deg


def _table(
    header: Sequence[str],
    labels: Sequence[float] | None,
    names: Sequence[str] | None,
    rows: Iterable[Sequence[float]],
    decimals: int,
) -> str:
    """A column of times, one of names, both or either, and then the numbers."""
    first = [
        *(["time_s"] if labels is not None else []),
        *(["file"] if names is not None else []),
    ]
    lines = [",".join([*first, *header])]
    for number, row in enumerate(rows):
        cells = [] if labels is None else [f"{labels[number]:.6f}"]
        cells += [] if names is None else [names[number]]
        lines.append(",".join([*cells, *(f"{value:.{decimals}f}" for value in row)]))
    return "\n".join(lines) + "\n"
