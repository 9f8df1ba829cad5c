"""A state between two of a flight's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from ...flightlogs.interpolation import turn
from ...records import Attitude
from ..state import State


def state_at(states: Sequence[State], time_s: float) -> State:
    """Linear between the states around a time; the first or the last one outside of them."""
    following = bisect_right(states, time_s, key=lambda state: state.time_s)
    if following == 0 or following == len(states):
        return states[min(following, len(states) - 1)]
    before, after = states[following - 1], states[following]
    weight = (time_s - before.time_s) / (after.time_s - before.time_s)

    def line(a: float, b: float) -> float:
        return a + weight * (b - a)

    a, b = before.attitude, after.attitude
    velocity = tuple(map(line, before.velocity_enu_m_s, after.velocity_enu_m_s))
    return State(
        time_s,
        line(before.east_m, after.east_m),
        line(before.north_m, after.north_m),
        line(before.alt_amsl_m, after.alt_amsl_m),
        Attitude(
            turn(a.roll_deg, b.roll_deg, weight),
            turn(a.pitch_deg, b.pitch_deg, weight),
            turn(a.heading_deg, b.heading_deg, weight) % 360.0,
        ),
        (velocity[0], velocity[1], velocity[2]),
    )
