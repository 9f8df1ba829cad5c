"""From the channels of a log to what replay needs: telemetry, truth, and where both come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..records import Attitude, Prior, Telemetry
from . import gnss
from .flight_log import MAX_GAP_NS, CameraEvent, Clock, FlightLog
from .series import Floats, Series, Times, half_turn, in_order
from .telemetry_csv import TelemetryLog
from .truth_csv import Track

POSITION_ACCURACY_M = 3.0
"""1-sigma per axis that an autopilot's own position is taken to have where the log does not say."""
FINEST_STEP_NS = 20_000_000
"""Telemetry is kept at 50 Hz at most: between two rows it is interpolated all the same."""


@dataclass
class Channels:
    """What a reader found. Angles degrees, headings from true north; rows as `Series` says.

    attitude and gimbal: roll, pitch, heading; gimbal as in `Telemetry`
    position: latitude, longitude, 1-sigma per axis; the autopilot's own belief
    velocity: north, east; altitude: above mean sea level
    height: above ground, and its 1-sigma where that is known; home_height: above home
    simulated: latitude, longitude
    """

    attitude: Series | None = None
    gimbal: Series | None = None
    position: Series | None = None
    velocity: Series | None = None
    height: Series | None = None
    home_height: Series | None = None
    altitude: Series | None = None
    test_ratio: Series | None = None
    simulated: Series | None = None
    receivers: list[gnss.Solutions] = field(default_factory=list)
    max_gap_ns: int = MAX_GAP_NS
    """Of receivers and truth; a camera that writes once a second is silent for longer."""
    belief: str = "the log holds no position of the autopilot's own"
    """What a receiver's position stands for where there is no `position`."""
    camera_events: list[CameraEvent] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    is_simulated: bool = False


def assemble(
    path: Path, kind: str, clock: Clock, clock_source: str, channels: Channels
) -> FlightLog:
    """One log.

    Raises:
        DataError: there is neither attitude nor position nor height in it.
    """
    findings = channels.findings
    receivers = [gnss.known(each, findings) for each in channels.receivers]
    if channels.position is None:
        channels.position = _position_of(gnss.best(receivers), channels)
        if channels.altitude is None:
            channels.altitude = _altitude_of(gnss.best(receivers), channels)
    samples = _samples(channels)
    if not samples:
        raise DataError(f"{path}: holds neither attitude nor position nor height")
    provenance = {"clock": clock_source} | _sources(channels)
    truth, source = _truth(channels, receivers)
    if truth is not None:
        provenance["truth"] = source
        _tell_reach(truth, findings)
    elif channels.position is not None:
        findings.append("nothing in it may be called truth")
    findings += _absent(channels)
    return FlightLog(
        path,
        kind,
        clock,
        TelemetryLog(samples, max_gap_ns=_slowest_gap_ns(channels)),
        truth,
        provenance,
        tuple(dict.fromkeys(findings)),
        tuple(sorted(channels.camera_events, key=lambda event: event.t_ns)),
        tuple(each.receiver for each in receivers),
        channels.is_simulated,
    )


def _all(channels: Channels) -> dict[str, Series | None]:
    """By the names of the groups of `Telemetry`."""
    return {
        "attitude": channels.attitude,
        "height_agl_m": channels.height,
        "height_above_home_m": channels.home_height,
        "alt_amsl_m": channels.altitude,
        "velocity": channels.velocity,
        "prior": channels.position,
        "gimbal": channels.gimbal,
    }


def _sources(channels: Channels) -> dict[str, str]:
    return {name: each.source for name, each in _all(channels).items() if each is not None}


def _absent(channels: Channels) -> list[str]:
    there = {
        "attitude": channels.attitude,
        "height above ground": channels.height or channels.home_height,
        "position": channels.position,
    }
    return [f"no {what} in it" for what, found in there.items() if found is None]


def _slowest_gap_ns(channels: Channels) -> int:
    return max(
        (each.max_gap_ns for each in _all(channels).values() if each is not None),
        default=MAX_GAP_NS,
    )


def _position_of(receiver: gnss.Known | None, channels: Channels) -> Series | None:
    """A receiver's, where the autopilot's own is not logged."""
    if receiver is None:
        return None
    accuracy_m = np.where(
        np.isfinite(receiver.horiz_accuracy_m), receiver.horiz_accuracy_m, POSITION_ACCURACY_M
    )
    values = np.column_stack([receiver.lat_deg, receiver.lon_deg, np.maximum(accuracy_m, 0.1)])
    source = f"{receiver.receiver.name}; {channels.belief}"
    return Series(receiver.times_ns, values, source, channels.max_gap_ns)


def _altitude_of(receiver: gnss.Known | None, channels: Channels) -> Series | None:
    if receiver is None or not np.isfinite(receiver.alt_amsl_m).all():
        return None
    source = f"{receiver.receiver.name}, above its geoid"
    return Series(receiver.times_ns, receiver.alt_amsl_m[:, None], source, channels.max_gap_ns)


def _truth(channels: Channels, receivers: Sequence[gnss.Known]) -> tuple[Track | None, str]:
    simulated = channels.simulated
    if simulated is not None:
        lat_deg, lon_deg = simulated.values.T
        track = gnss.track(simulated.times_ns, lat_deg, lon_deg, MAX_GAP_NS)
        return track, f"{simulated.source}, the simulator's own word"
    receiver = gnss.best(receivers)
    if receiver is None:
        return None, ""
    track = gnss.track(receiver.times_ns, receiver.lat_deg, receiver.lon_deg, channels.max_gap_ns)
    return track, receiver.receiver.name


def _tell_reach(truth: Track, findings: list[str]) -> None:
    reach_m = gnss.reach_m(truth)
    if reach_m < gnss.STATIONARY_M:
        findings.append(f"stationary: all positions within {reach_m:.1f} m; no track")


def _samples(channels: Channels) -> tuple[Telemetry, ...]:
    times_ns = _times_ns(channels)
    columns = {
        name: None if each is None else each.at(times_ns, name in ("attitude", "gimbal"))
        for name, each in _all(channels).items()
    }
    position = columns["prior"]
    if position is not None:
        position[:, 1] = half_turn(position[:, 1])
    ratio = None if channels.test_ratio is None else channels.test_ratio.at(times_ns)
    return tuple(_sample(t_ns, row, columns, ratio) for row, t_ns in enumerate(times_ns.tolist()))


def _times_ns(channels: Channels) -> Times:
    """Those of the attitude, and in its silences those of whatever else speaks."""
    times_ns = np.empty(0, np.int64)
    heights = channels.height, channels.home_height, channels.altitude
    for each in (channels.attitude, channels.position, *heights):
        if each is None:
            continue
        fresh = _thinned(each.times_ns)
        if len(times_ns):
            near = np.searchsorted(times_ns, fresh)
            after = times_ns[np.minimum(near, len(times_ns) - 1)]
            before = times_ns[np.maximum(near - 1, 0)]
            away_ns = np.minimum(np.abs(after - fresh), np.abs(fresh - before))
            fresh = fresh[away_ns > MAX_GAP_NS // 2]
        times_ns = np.union1d(times_ns, fresh)
    if not len(times_ns):
        return times_ns
    return times_ns[in_order(times_ns, "all of it", channels.findings)]


def _thinned(times_ns: Times) -> Times:
    """One of each 20 ms."""
    _, first = np.unique((times_ns - times_ns[0]) // FINEST_STEP_NS, return_index=True)
    return np.asarray(times_ns[first], np.int64)


def _sample(
    t_ns: int, row: int, columns: dict[str, Floats | None], ratio: Floats | None
) -> Telemetry:
    def cells(name: str) -> list[float] | None:
        column = columns[name]
        if column is None or np.isnan(column[row]).any():
            return None
        return [float(value) for value in column[row]]

    def angles(name: str) -> Attitude | None:
        found = cells(name)
        return None if found is None else Attitude(found[0], found[1], found[2] % 360.0)

    def cell(name: str, place: int = 0) -> float | None:
        found = cells(name)
        return None if found is None else found[place]

    position = cells("prior")
    return Telemetry(
        t_ns,
        angles("attitude"),
        cell("height_agl_m"),
        cell("alt_amsl_m"),
        cell("velocity", 0),
        cell("velocity", 1),
        None if position is None else Prior(*position),
        angles("gimbal"),
        height_accuracy_m=cell("height_agl_m", 1) if _is_stated(columns["height_agl_m"]) else None,
        height_above_home_m=cell("height_above_home_m"),
        position_test_ratio=None
        if ratio is None or np.isnan(ratio[row, 0])
        else float(ratio[row, 0]),
    )


def _is_stated(height: Floats | None) -> bool:
    """Whether its accuracy is known."""
    return height is not None and height.shape[1] == 2
