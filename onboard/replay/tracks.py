"""The flight for other programs: GeoJSON, KML and GPX."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from xml.sax.saxutils import escape

import numpy as np

from .columns import HOLD_S, KINDS, Columns

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_KML_STYLES = (("truth", "ff00ccff"), ("fixes", "ffff6b0b"))
"""Alpha, blue, green, red."""
KML_FIXES = 5000
"""Fixes that are marked one by one; of more, every so many."""

_FIXED = ("lat_deg", "lon_deg", "horiz_accuracy_m")
_POINT = ("horiz_accuracy_m", "error_m", "score", "height_agl_m")
"""What is told of a point."""

Runs = list[list[tuple[float, float]]]
"""Latitude and longitude in degrees, run after run without a gap."""


def geojson(columns: Columns) -> str:
    """The true track, and every frame whose place is known by its fix or the truth."""
    features = [_lines("truth", true_runs(columns)), _lines("fixes", fixed_runs(columns))]
    features += _points(columns)
    return json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False) + "\n"


def kml(columns: Columns, name: str) -> str:
    """Track, fixes and their accuracy, for Google Earth and its like."""
    styles = "".join(
        f'<Style id="{style}"><LineStyle><color>{colour}</color><width>3</width></LineStyle>'
        f"<IconStyle><color>{colour}</color><scale>0.5</scale></IconStyle></Style>"
        for style, colour in _KML_STYLES
    )
    body = _kml_lines("truth", true_runs(columns)) + _kml_lines("fixes", fixed_runs(columns))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
        f"<name>{escape(name)}</name>{styles}{body}"
        f"<Folder><name>each fix</name>{''.join(_kml_fixes(columns))}</Folder>"
        "</Document></kml>\n"
    )


def gpx(columns: Columns, name: str, unix_offset_ns: int | None) -> str:
    """Two tracks, `truth` and `fixes`, with times where UTC is known."""
    tracks = [("truth", "truth_lat_deg", "truth_lon_deg"), ("fixes", "lat_deg", "lon_deg")]
    body = "".join(
        f"<trk><name>{title}</name>{_gpx_segments(columns, lat, lon, unix_offset_ns)}</trk>"
        for title, lat, lon in tracks
        if np.isfinite(columns[lat]).any()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gpx version="1.1" creator="geobridge" xmlns="http://www.topografix.com/GPX/1/1">'
        f"<metadata><name>{escape(name)}</name></metadata>{body}</gpx>\n"
    )


def true_runs(columns: Columns) -> Runs:
    """Where the vehicle was."""
    return _runs(columns, "truth_lat_deg", "truth_lon_deg")


def fixed_runs(columns: Columns) -> Runs:
    """Where it said it was."""
    return _runs(columns, "lat_deg", "lon_deg")


def _runs(columns: Columns, lat: str, lon: str) -> Runs:
    return [
        list(zip(columns[lat][rows].tolist(), columns[lon][rows].tolist(), strict=True))
        for rows in _unbroken(columns, lat)
    ]


def _unbroken(columns: Columns, name: str) -> Iterator[np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Rows that have a value, parted where it is silent for longer than a fix serves."""
    rows = np.flatnonzero(np.isfinite(columns[name]))
    if len(rows):
        yield from np.split(rows, np.flatnonzero(np.diff(columns.elapsed_s[rows]) > HOLD_S) + 1)


def _lines(name: str, runs: Runs) -> dict[str, object]:
    lines = [[_lon_lat(*point) for point in run] for run in runs if len(run) > 1]
    geometry = {"type": "MultiLineString", "coordinates": lines}
    return {"type": "Feature", "geometry": geometry, "properties": {"name": name}}


def _lon_lat(lat_deg: float, lon_deg: float) -> list[float]:
    return [round(lon_deg, 8), round(lat_deg, 8)]


def _points(columns: Columns) -> Iterator[dict[str, object]]:
    fixed = columns.is_fix
    lat_deg = np.where(fixed, columns["lat_deg"], columns["truth_lat_deg"])
    lon_deg = np.where(fixed, columns["lon_deg"], columns["truth_lon_deg"])
    rows = np.flatnonzero(np.isfinite(lat_deg))
    places = zip(lat_deg[rows].tolist(), lon_deg[rows].tolist(), strict=True)
    shown = np.stack([columns.elapsed_s, *(columns[name] for name in _POINT)], axis=1)[rows]
    said = shown.round(3).tolist()
    for row, place, values in zip(rows.tolist(), places, said, strict=True):
        named = zip(("time_s", *_POINT), values, strict=True)
        yield {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": _lon_lat(*place)},
            "properties": {
                "frame": columns.frames[row],
                "outcome": KINDS[columns.kinds[row]],
                **{name: value for name, value in named if not math.isnan(value)},
            },
        }


def _kml_lines(style: str, runs: Runs) -> str:
    lines = "".join(
        "<LineString><tessellate>1</tessellate><coordinates>"
        + " ".join(f"{lon:.8f},{lat:.8f}" for lat, lon in run)
        + "</coordinates></LineString>"
        for run in runs
        if len(run) > 1
    )
    if not lines:
        return ""
    return (
        f"<Placemark><name>{style}</name><styleUrl>#{style}</styleUrl>"
        f"<MultiGeometry>{lines}</MultiGeometry></Placemark>"
    )


def _kml_fixes(columns: Columns) -> Iterator[str]:
    rows = np.flatnonzero(columns.is_fix)
    rows = rows[:: max(1, -(-len(rows) // KML_FIXES))]
    values = zip(*(columns[name][rows].tolist() for name in _FIXED), strict=True)
    for row, (lat_deg, lon_deg, sigma_m) in zip(rows.tolist(), values, strict=True):
        said = f"{columns.frames[row]}, 1 sigma {sigma_m:.1f} m"
        yield (
            f"<Placemark><description>{escape(said)}</description><styleUrl>#fixes</styleUrl>"
            f"<Point><coordinates>{lon_deg:.8f},{lat_deg:.8f}</coordinates></Point></Placemark>"
        )


def _gpx_segments(columns: Columns, lat: str, lon: str, unix_offset_ns: int | None) -> str:
    segments = []
    for rows in _unbroken(columns, lat):
        values = (each[rows].tolist() for each in (columns[lat], columns[lon], columns.t_ns))
        points = "".join(
            f'<trkpt lat="{lat_deg:.8f}" lon="{lon_deg:.8f}">'
            f"{_gpx_time(t_ns, unix_offset_ns)}</trkpt>"
            for lat_deg, lon_deg, t_ns in zip(*values, strict=True)
        )
        segments.append(f"<trkseg>{points}</trkseg>")
    return "".join(segments)


def _gpx_time(t_ns: int, unix_offset_ns: int | None) -> str:
    if unix_offset_ns is None:
        return ""
    when = _EPOCH + timedelta(microseconds=(t_ns + unix_offset_ns) // 1000)
    return f"<time>{when.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}</time>"
