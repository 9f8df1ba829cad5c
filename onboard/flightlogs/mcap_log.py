"""A flight record of ours as a flight log: what the localizer was told, and the truth that the
autopilot told beside it, as far as we did not tell it first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as wire

from ..errors import DataError
from . import entries
from .flight_log import MAX_GAP_NS, Clock, FlightLog
from .flight_record import FlightRecord, newest_record
from .gnss import best, known, track
from .mavlink.channels import KINDS, channels_of
from .mavlink.messages import Heard, decoded
from .telemetry_csv import TelemetryLog

_SIGNED, _SIGNATURE_BYTES = 0x01, 13


def read_mcap(path: Path) -> FlightLog:
    """A record, or the newest one of a folder; times are the monotonic ones of its frames.

    Raises:
        DataError: not a flight record, or one without a frame.
    """
    record = FlightRecord(newest_record(path))
    samples = record.samples()
    if not samples:
        raise DataError(f"{record.path}: no frame was localized in it")
    heard, sent = _messages(record, entries.HEARD), _messages(record, entries.SENT)
    channels = channels_of([*heard, *sent], _system_of(heard))
    findings = channels.findings
    if not record.is_whole:
        findings.append("ends without its end: cut off; what is there is used")
    receivers = [known(each, findings) for each in channels.receivers]
    provenance = {
        "clock": "monotonic, of the computer that flew",
        "attitude": "as the localizer was told it",
    }
    receiver = best(receivers)
    truth = None
    if receiver is not None:
        truth = track(receiver.times_ns, receiver.lat_deg, receiver.lon_deg, MAX_GAP_NS)
        provenance["truth"] = f"{receiver.receiver.name}, as the autopilot told it"
    else:
        findings.append("nothing in it may be called truth")
    return FlightLog(
        record.path,
        "record",
        Clock.BOOT,
        TelemetryLog(samples, max_gap_ns=MAX_GAP_NS),
        truth,
        provenance,
        tuple(dict.fromkeys(findings)),
        tuple(channels.camera_events),
        tuple(each.receiver for each in receivers),
    )


def _messages(record: FlightRecord, topic: str) -> list[Heard]:
    parser = wire.MAVLink(None)
    found = []
    with record.as_written():
        for name, entry in record.entries():
            if name == topic and entry["name"] in KINDS:
                message = decoded(parser, _whole(bytes.fromhex(entry["frame"])))
                if message is not None:
                    found.append(Heard(entry["t_ns"], message))
    return found


def _whole(frame: bytes) -> bytes:
    """A signed frame is recorded without its signature; its length counts on one."""
    is_signed = frame[:1] == b"\xfd" and frame[2] & _SIGNED
    return frame + bytes(_SIGNATURE_BYTES) if is_signed else frame


def _system_of(heard: list[Heard]) -> int:
    systems = [each.message.get_srcSystem() for each in heard]
    return int(np.bincount(systems).argmax()) if systems else 0
