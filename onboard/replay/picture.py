"""The picture of a replayed flight: where it was, where it said it was, where it said nothing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..flightlogs.truth_csv import Track
from ..localization.localizer import Localizer
from ..records import Image
from .columns import Columns

MARGIN_M = 150.0
MAX_PICTURE_PX = 4000
FIX, TRUTH, WITHHELD, INK = "#0b6cff", "#ffcc00", "#e4002b", "#1d2733"

Points = npt.NDArray[np.float64]


def require_matplotlib() -> None:
    """Before a long replay, not after it.

    Raises:
        DataError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise DataError('the map needs matplotlib: pip install "geobridge-uav[replay]"')


def draw_map(path: Path, columns: Columns, track: Track | None, localizer: Localizer) -> None:
    """Write a PNG: fixes with their stated accuracy and the truth over the reference imagery."""
    from matplotlib.figure import Figure

    fixed = columns.is_fix
    fixes = _places(columns, "lat_deg", "lon_deg", fixed, localizer)
    sigmas_m = columns["horiz_accuracy_m"][fixed]
    truth = _truth(track, localizer)
    shown = np.concatenate(
        [points for points in (fixes, truth) if len(points)] or [_corners(localizer)]
    )
    figure = Figure(figsize=(11, 9), dpi=150, layout="constrained")
    axes, times = figure.subplots(2, 1, height_ratios=[5, 1])
    _draw_imagery(axes, localizer, shown)
    if len(truth):
        axes.plot(*truth.T, color="black", linewidth=4, alpha=0.6)
        axes.plot(*truth.T, color=TRUTH, linewidth=2, label="truth")
    if len(fixes):
        _draw_accuracy(axes, fixes, sigmas_m)
        axes.plot(*fixes.T, ".", color=FIX, markersize=4, label=f"{len(fixes)} fixes")
    lost = _places(columns, "truth_lat_deg", "truth_lon_deg", ~fixed, localizer)
    if len(lost):
        axes.plot(*lost.T, "x", color=WITHHELD, markersize=5, label="withheld")
    axes.set_xlabel("east of the map's origin, m")
    axes.set_ylabel("north, m")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper right", framealpha=0.9)
    axes.set_title(_title(columns), loc="left", color=INK, fontsize=11)
    _draw_errors(times, columns)
    figure.savefig(path, format="png")


def _title(columns: Columns) -> str:
    return f"{len(columns)} frames, a fix for {columns.is_fix.mean():.1%} of them"


def _draw_imagery(axes: Any, localizer: Localizer, shown: Points) -> None:
    low, high = np.nanmin(shown, axis=0) - MARGIN_M, np.nanmax(shown, axis=0) + MARGIN_M
    middle = (low + high) / 2
    side_px = min(MAX_PICTURE_PX, int((high - low).max() / localizer.gsd_m))
    image, valid, (east_m, north_m) = localizer.imagery.read(
        float(middle[0]), float(middle[1]), side_px
    )
    half_m = side_px * localizer.gsd_m / 2
    extent = (east_m - half_m, east_m + half_m, north_m - half_m, north_m + half_m)
    axes.imshow(_faded(image, valid), extent=extent, interpolation="bilinear")
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")


def _faded(image: Image, valid: npt.NDArray[np.uint8]) -> Image:
    """A little lighter, so that what is drawn on it stands out; white where there is nothing."""
    light = 255 - 0.75 * (255 - image.astype(np.float32))
    return np.where(valid[..., None] > 0, light, 255).astype(np.uint8)


def _draw_accuracy(axes: Any, fixes: Points, sigmas_m: Points) -> None:
    from matplotlib.patches import Circle

    for centre, sigma_m in list(zip(fixes, sigmas_m, strict=True))[:: max(1, len(fixes) // 40)]:
        # 2.45 sigma per axis hold 95 % of a circular error in the plane
        axes.add_patch(Circle(tuple(centre), 2.45 * sigma_m, fill=False, color=FIX, alpha=0.35))


def _draw_errors(axes: Any, columns: Columns) -> None:
    seconds, errors_m, fixed = columns.elapsed_s, columns["error_m"], columns.is_fix
    known, silent = np.isfinite(errors_m), seconds[~fixed]
    if known.any():
        axes.plot(seconds[known], errors_m[known], color=FIX, linewidth=1.2, label="error")
    if fixed.any():
        stated_m = 2.45 * columns["horiz_accuracy_m"][fixed]
        axes.plot(seconds[fixed], stated_m, ".", color=INK, markersize=2, label="stated 95 %")
    if len(silent):
        axes.plot(silent, np.zeros(len(silent)), "|", color=WITHHELD, label="withheld")
    axes.set_xlabel("time, s")
    axes.set_ylim(bottom=0)
    if fixed.any():
        axes.set_ylabel("error, m")
    else:
        axes.set_yticks([])  # nothing to have an error
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", ncols=3, fontsize=8, framealpha=0.85, edgecolor="none")


def _places(
    columns: Columns, lat: str, lon: str, which: npt.NDArray[np.bool_], localizer: Localizer
) -> Points:
    rows = which & np.isfinite(columns[lat])
    return localizer.local.to_enu(columns[lat][rows], columns[lon][rows]).reshape(-1, 2)


def _truth(track: Track | None, localizer: Localizer) -> Points:
    if track is None:
        return np.empty((0, 2))
    places_m = localizer.local.to_enu(track.lat_deg, track.lon_deg)
    ends = [row + 1 for row in sorted(track.silent_after)]
    return np.insert(places_m, ends, np.nan, axis=0)  # where nobody knows, there is no line


def _corners(localizer: Localizer) -> Points:
    coverage = localizer.coverage
    return np.array([[coverage.west_m, coverage.south_m], [coverage.east_m, coverage.north_m]])
