"""Photos whose clock is off the log's: by how much, the turns of the vehicle tell."""

from __future__ import annotations

from dataclasses import replace

from ..camera import Camera
from ..errors import DataError
from ..flightlogs.lag import estimate_lag
from ..flightlogs.telemetry_csv import TelemetryLog
from ..frames.folder import FolderSource
from .flight import NS_PER_S, Flight


def without_lag(flight: Flight, camera: Camera) -> Flight:
    """The flight with its pictures on the log's clock, where the lag is sure; it says either way.

    Raises:
        DataError: pictures that are no photos beside a log, or that tell nothing.
    """
    taken, log = flight.taken, flight.telemetry
    if taken is None or not isinstance(log, TelemetryLog):
        raise DataError("--estimate-lag: expected a folder of photos beside the log of a flight")
    lag = estimate_lag(taken.folder, taken.times_ns, log, camera)
    found = f"lag {lag.lag_s:+.2f} s, 1 sigma {lag.sigma_s:.2f} s, by {lag.pairs} pairs"
    if not lag.is_confident:
        remark = f"{found}, not used: {lag.why_not}"
        return replace(flight, remarks=(*flight.remarks, remark))
    moved_ns = round(lag.lag_s * NS_PER_S)
    times_ns = {name: t_ns + moved_ns for name, t_ns in taken.times_ns.items()}
    flight.frames.close()
    return replace(
        flight,
        frames=FolderSource(taken.folder, times_ns=times_ns, only_timed=True),
        provenance=flight.provenance | {"lag of pictures": found},
    )
