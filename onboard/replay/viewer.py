"""The flight as an MCAP file, to scroll through in Foxglove and other viewers.

/fix, /truth        foxglove.LocationFix, on a map panel
/frame              foxglove.CompressedImage, of the moments that the report shows
/log                foxglove.Log, whenever there is another reason for silence
/figures            error, accuracy, score and so on, on a plot
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mcap.writer import CompressionType, Writer

from ..flightlogs import entries
from .album import Pictured
from .columns import KINDS, Columns

TRUTH, FIGURES = "/truth", "/figures"
PLOTTED = ("error_m", "horiz_accuracy_m", "score", "correlation", "height_agl_m", "speed_m_s")
LIBRARY = "geobridge replay"
_INFO, _WARNING = 2, 3
_SCHEMAS = {
    entries.FIX: entries.SCHEMAS[entries.FIX],
    TRUTH: entries.SCHEMAS[entries.FIX],
    entries.FRAME: entries.SCHEMAS[entries.FRAME],
    entries.LOG: entries.SCHEMAS[entries.LOG],
    FIGURES: json.dumps(
        {
            "title": "geobridge.Figures",
            "type": "object",
            "properties": {name: {"type": "number"} for name in PLOTTED},
        }
    ),
}


def write_mcap(
    path: Path, columns: Columns, pictured: Sequence[Pictured], unix_offset_ns: int | None
) -> None:
    """Stamped in UTC where that is known, else from 1970 on."""
    offset_ns = -int(columns.t_ns[0]) if unix_offset_ns is None else unix_offset_ns
    pictures = {each.number: each.frame for each in pictured}
    with path.open("wb") as stream:
        writer: Any = Writer(stream, compression=CompressionType.ZSTD)
        writer.start(profile="", library=LIBRARY)
        channels = {topic: _channel(writer, topic) for topic in _SCHEMAS}
        before = None
        for row in range(len(columns)):
            unix_ns = int(columns.t_ns[row]) + offset_ns

            def put(topic: str, entry: Mapping[str, Any], unix_ns: int = unix_ns) -> None:
                data = json.dumps(entry, allow_nan=False).encode()
                writer.add_message(channels[topic], unix_ns, data, unix_ns)

            _put_places(put, columns, row, unix_ns)
            if row in pictures:
                put(entries.FRAME, entries.image_entry(unix_ns, pictures[row], "jpeg"))
            if columns.kinds[row] != before:
                before = columns.kinds[row]
                put(entries.LOG, _log_entry(KINDS[before], unix_ns))
            figures = {name: float(columns[name][row]) for name in PLOTTED}
            put(FIGURES, {name: value for name, value in figures.items() if np.isfinite(value)})
        writer.finish()


def _put_places(put: Any, columns: Columns, row: int, unix_ns: int) -> None:
    for topic, lat, lon, sigma in (
        (entries.FIX, "lat_deg", "lon_deg", float(columns["horiz_accuracy_m"][row])),
        (TRUTH, "truth_lat_deg", "truth_lon_deg", 0.0),
    ):
        place = float(columns[lat][row]), float(columns[lon][row])
        if np.isfinite(place).all():
            put(topic, _location(place, sigma, unix_ns))


def _location(place: tuple[float, float], sigma_m: float, unix_ns: int) -> dict[str, Any]:
    variance = sigma_m**2
    return {
        "timestamp": entries.stamp(unix_ns),
        "frame_id": "vehicle",
        "latitude": place[0],
        "longitude": place[1],
        "altitude": 0.0,
        "position_covariance": [variance, 0, 0, 0, variance, 0, 0, 0, 0],
        "position_covariance_type": entries.APPROXIMATED,
    }


def _log_entry(kind: str, unix_ns: int) -> dict[str, Any]:
    return {
        "timestamp": entries.stamp(unix_ns),
        "level": _INFO if kind == KINDS[0] else _WARNING,
        "message": "a fix" if kind == KINDS[0] else f"withheld: {kind}",
        "name": "replay",
        "file": "",
        "line": 0,
    }


def _channel(writer: Any, topic: str) -> int:
    schema = _SCHEMAS[topic]
    number = writer.register_schema(json.loads(schema)["title"], "jsonschema", schema.encode())
    return int(writer.register_channel(topic, "json", number))
