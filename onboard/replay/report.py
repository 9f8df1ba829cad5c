"""The report: one HTML file that opens offline, and holds all it shows.

Numbers are columns in base64, so that a hundred thousand frames are a few megabytes; pictures are
those of the album and the ground below. Whatever comes from files reaches the page as text only.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .. import durable
from ..geodesy import MAX_RADIUS_M, LocalFrame, distance_m
from ..localization.alignment import Imagery
from ..localization.localizer import Localizer
from ..manifest_entries import ImageryEntry
from ..records import Image
from .album import Pictured
from .columns import KINDS, Columns
from .localize import Flown
from .outcome import details
from .reasons import EXPLAINED, FAMILIES, STATE_FAMILIES
from .summary import WRONG_LIMIT_M

SCRIPTS = ("data.js", "map.js", "lanes.js", "moment.js", "diagrams.js", "tables.js", "start.js")
MARGIN_M, LEAST_SIDE_M = 40.0, 200.0
GROUND_PX, PIECE_PX, GROUND_QUALITY = 1800, 200, 75
NOTHING = 128
"""Grey level where the map has nothing."""
MOST_DETAILS = 5000
"""Of a longer flight, only the moments with pictures tell the figures of their reason."""
_FLOATS = {
    "error_m": "error_m",
    "accuracy_m": "horiz_accuracy_m",
    "height_m": "height_agl_m",
    "speed_m_s": "speed_m_s",
    "score": "score",
    "correlation": "correlation",
    "peak_ratio": "peak_ratio",
    "agreeing": "agreeing",
    "innovation_sigmas": "innovation_sigmas",
}
"""The page's names of columns, and ours."""


def write_report(
    path: Path,
    columns: Columns,
    flown: Flown,
    imagery: ImageryEntry,
    summary: dict[str, Any],
    timing: dict[str, Any],
) -> None:
    """Write it, whole or not at all. `imagery` says where the map's pictures lie."""
    title = " · ".join(filter(None, (summary["flight"], summary["bundle"]["name"])))
    localizer = flown.localizer
    local = _plane(columns, localizer.local)
    places = _places(columns, local)
    shown = _shown(places, localizer)
    data = {
        "title": title,
        "count": len(columns),
        "kinds": KINDS,
        "states": [state.value for state in STATE_FAMILIES],
        "state_colours": list(STATE_FAMILIES.values()),
        "families": FAMILIES,
        "family": {reason.value: family for reason, (family, _) in EXPLAINED.items()},
        "explained": {reason.value: sentence for reason, (_, sentence) in EXPLAINED.items()},
        "frames": _names(columns.frames),
        **_columns(columns, places),
        "details": details(path.parent / "fixes.jsonl", MOST_DETAILS),
        "moments": [_moment(each) for each in flown.pictured],
        "shown": shown,
        "ground": _ground(shown, localizer.imagery, imagery) if local == localizer.local else None,
        "wrong_limit_m": WRONG_LIMIT_M,
        "summary": summary,
        "timing": timing,
    }
    durable.write_text(path, page(title, data))


def page(title: str, data: dict[str, Any]) -> str:
    """The file. A script element ends where its text has a tag, so the text has none."""
    folder = files(__package__) / "page"
    texts = {name: (folder / name).read_text("utf-8") for name in (*SCRIPTS, "page.css")}
    plain = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return Template((folder / "page.html").read_text("utf-8")).substitute(
        title=escape(title),
        style=texts["page.css"],
        data=plain,
        script="\n".join(texts[name] for name in SCRIPTS),
    )


def _plane(columns: Columns, local: LocalFrame) -> LocalFrame:
    """The map's own, or one around the flight where that was elsewhere on earth."""
    for lat, lon in (("lat_deg", "lon_deg"), ("truth_lat_deg", "truth_lon_deg")):
        rows = np.flatnonzero(np.isfinite(columns[lat] + columns[lon]))
        if len(rows):
            first = float(columns[lat][rows[0]]), float(columns[lon][rows[0]])
            origin = local.origin_lat_deg, local.origin_lon_deg
            return local if distance_m(*origin, *first) <= MAX_RADIUS_M else LocalFrame(*first)
    return local


def _places(columns: Columns, local: LocalFrame) -> dict[str, npt.NDArray[np.float64]]:
    """[N] metres east and north of the map's origin, of fixes and of the truth."""
    found = {}
    for kind, lat, lon in (("", "lat_deg", "lon_deg"), ("true_", "truth_lat_deg", "truth_lon_deg")):
        points = local.to_enu(columns[lat], columns[lon])
        found[f"{kind}east_m"], found[f"{kind}north_m"] = points[..., 0], points[..., 1]
    return found


def _columns(columns: Columns, places: dict[str, npt.NDArray[np.float64]]) -> dict[str, Any]:
    floats = {"time_s": columns.elapsed_s, **places}
    floats |= {name: columns[ours] for name, ours in _FLOATS.items()}
    states = {state: number for number, state in enumerate(STATE_FAMILIES)}
    numbered = np.array([states[state] for state in columns.states], np.uint8)
    return {
        "floats": {name: _base64(values.astype("<f4")) for name, values in floats.items()},
        "bytes": {"kind": _base64(columns.kinds), "state": _base64(numbered)},
        "present": [name for name, values in floats.items() if np.isfinite(values).any()],
    }


def _base64(values: npt.NDArray[Any] | bytes) -> str:
    data = values if isinstance(values, bytes) else values.tobytes()
    return base64.b64encode(data).decode()


def _names(frames: Sequence[str]) -> dict[str, Any]:
    """A prefix and a count, where names are no more than that."""
    prefix, first = re.fullmatch(r"(.*?)(\d*)", frames[0], re.DOTALL).groups()  # type: ignore[union-attr]
    if first and all(name == f"{prefix}{int(first) + k}" for k, name in enumerate(frames)):
        return {"prefix": prefix, "first": int(first), "names": None}
    return {"prefix": "", "first": 0, "names": list(frames)}


def _moment(each: Pictured) -> dict[str, Any]:
    return {
        "number": each.number,
        "facts": each.facts,
        "frame": _base64(each.frame),
        "patch": _base64(each.patch) if each.patch else None,
        "reference": _base64(each.reference) if each.reference else None,
        "candidates": [_base64(candidate) for candidate in each.candidates],
    }


def _shown(places: dict[str, npt.NDArray[np.float64]], localizer: Localizer) -> dict[str, float]:
    """The box around all that is known of where it was, else around the map."""
    coverage = localizer.coverage
    map_box = coverage.west_m, coverage.south_m, coverage.east_m, coverage.north_m
    east = np.concatenate([places["east_m"], places["true_east_m"]])
    north = np.concatenate([places["north_m"], places["true_north_m"]])
    if not np.isfinite(east).any():
        return dict(zip(("west_m", "south_m", "east_m", "north_m"), map_box, strict=True))
    low = np.array([np.nanmin(east), np.nanmin(north)]) - MARGIN_M
    high = np.array([np.nanmax(east), np.nanmax(north)]) + MARGIN_M
    room = np.maximum(0.0, LEAST_SIDE_M - (high - low)) / 2.0
    (west, south), (right, top) = (low - room).tolist(), (high + room).tolist()
    return {"west_m": west, "south_m": south, "east_m": right, "north_m": top}


def _ground(
    shown: dict[str, float], imagery: Imagery, entry: ImageryEntry
) -> dict[str, Any] | None:
    """The reference imagery in the box, and as far around as a wide screen shows."""
    west_m, south_m, east_m, north_m = shown.values()
    reach_m = 0.4 * max(east_m - west_m, north_m - south_m)
    side_m = entry.tile_px * entry.gsd_m
    west_m, north_m = max(west_m - reach_m, entry.west_m), min(north_m + reach_m, entry.north_m)
    east_m = min(east_m + reach_m, entry.west_m + entry.columns * side_m)
    south_m = max(south_m - reach_m, entry.north_m - entry.rows * side_m)
    if not (east_m > west_m and north_m > south_m):
        return None
    picture, px_m = picture_of(imagery, (west_m, south_m, east_m, north_m), entry.gsd_m)
    options = [cv2.IMWRITE_JPEG_QUALITY, GROUND_QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    height_px, width_px = picture.shape[:2]
    return {
        "picture": _base64(data.tobytes()),
        "west_m": west_m,
        "north_m": north_m,
        "width_m": width_px * px_m,
        "height_m": height_px * px_m,
        "m_per_px": px_m,
    }


def picture_of(
    imagery: Imagery, box_m: tuple[float, float, float, float], gsd_m: float
) -> tuple[Image, float]:
    """[H, W, 3] the imagery of a box of west, south, east and north, and metres in its pixels.

    It is put together from pieces, so that the whole is never there at full resolution.
    """
    west_m, south_m, east_m, north_m = box_m
    px_m = max(gsd_m, max(east_m - west_m, north_m - south_m) / GROUND_PX)
    width, height = (
        max(1, math.ceil(side / px_m)) for side in (east_m - west_m, north_m - south_m)
    )
    picture = np.full((height, width, 3), NOTHING, np.uint8)
    for top in range(0, height, PIECE_PX):
        for left in range(0, width, PIECE_PX):
            middle = left + PIECE_PX / 2, top + PIECE_PX / 2
            image, valid, _ = imagery.read(
                west_m + middle[0] * px_m,
                north_m - middle[1] * px_m,
                round(PIECE_PX * px_m / gsd_m),
            )
            image[valid == 0] = NOTHING
            piece = cv2.resize(image, (PIECE_PX, PIECE_PX), interpolation=cv2.INTER_AREA)
            bottom, right = min(height, top + PIECE_PX), min(width, left + PIECE_PX)
            picture[top:bottom, left:right] = piece[: bottom - top, : right - left]
    return picture, px_m
