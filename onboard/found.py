"""What a search for a picture or for words leaves behind: candidates, a heat map, a prior."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import durable
from .bundle_maps import canvas_of, draw_scale, paint, png
from .errors import ConfigError
from .geodesy import Floats, LocalFrame
from .records import Prior
from .retrieval.imagery import ReferenceImagery
from .retrieval.index import Index

BELIEF = 0.9
"""Share of the belief that the saved area holds."""
_COLD, _HOT = np.array([30.0, 60.0, 120.0]), np.array([255.0, 60.0, 0.0])


SHARPNESS = 3.0
"""Exponent of the belief for each standard deviation of how far places stand out: of a thousand
even ones, the best of which stands out by 3.2, no few may hold most of the belief."""


@dataclass(frozen=True)
class Heat:
    """[N] rows of places, and the [N] belief that each of them is the one; it sums to 1."""

    rows: npt.NDArray[np.int64]
    belief: Floats

    @classmethod
    def of(cls, rows: npt.NDArray[np.int64], standing: npt.NDArray[np.float32]) -> Heat:
        """By how far each place stands out."""
        if not len(rows):
            return cls(rows, np.empty(0))
        spread = float(standing.std()) or 1.0
        weight = np.exp(SHARPNESS * (standing.astype(np.float64) - float(standing.max())) / spread)
        return cls(rows, weight / weight.sum())


def heat_map(heat: Heat, index: Index, imagery: ReferenceImagery | None) -> bytes:
    """PNG of the belief over the imagery, north up."""
    canvas = canvas_of(index, imagery)
    strength = heat.belief / heat.belief.max()
    order = np.argsort(strength)  # the best on top
    rows = heat.rows[order]
    colours = _COLD + strength[order, None] * (_HOT - _COLD)
    paint(canvas, index.centres_m[rows], _side_m(index), colours)
    draw_scale(canvas)
    return png(canvas.image)


def save_heat_map(path: Path, heat: Heat, index: Index, imagery: ReferenceImagery | None) -> Path:
    """Write it."""
    return durable.write_bytes(path, heat_map(heat, index, imagery))


def prior_of(heat: Heat, index: Index, frame: LocalFrame) -> dict[str, float]:
    """The belief as a position and a 1-sigma accuracy per axis, as telemetry's prior columns."""
    weight = heat.belief[:, None]
    centres_m = index.centres_m[heat.rows]
    mean = (weight * centres_m).sum(axis=0)
    variance = float((weight * (centres_m - mean) ** 2).sum(axis=0).max())
    lat_deg, lon_deg = frame.to_geodetic(mean)
    return {
        "lat_deg": round(float(lat_deg), 7),
        "lon_deg": round(float(lon_deg), 7),
        "horiz_accuracy_m": round(math.sqrt(variance + _side_m(index) ** 2 / 12.0), 1),
    }


def save_prior(path: Path, heat: Heat, index: Index, frame: LocalFrame) -> Path:
    """The prior and the squares that hold most of the belief, as GeoJSON."""
    prior = prior_of(heat, index, frame)
    order = np.argsort(-heat.belief)
    count = int(np.searchsorted(np.cumsum(heat.belief[order]), BELIEF)) + 1
    half_m = _side_m(index) / 2.0
    squares = []
    for row in heat.rows[order[:count]]:
        east_m, north_m = index.centres_m[row]
        corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
        ring = [(east_m + half_m * x, north_m + half_m * y) for x, y in corners]
        lat_deg, lon_deg = frame.to_geodetic(ring)
        points = zip(lon_deg.tolist(), lat_deg.tolist(), strict=True)
        squares.append([[[round(lon, 7), round(lat, 7)] for lon, lat in points]])
    feature = {
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "coordinates": squares},
        "properties": {"prior": prior, "belief": BELIEF},
    }
    return durable.write_text(path, json.dumps(feature, allow_nan=False) + "\n")


def _side_m(index: Index) -> float:
    """Of what stands for a place: the distance of its neighbours."""
    return max(layer.entry.spacing_m or layer.entry.footprint_m / 2.0 for layer in index.layers)


def read_prior(path: Path) -> Prior:
    """The prior of an area that `save_prior` wrote.

    Raises:
        ConfigError: it is none.
    """
    try:
        told = json.loads(path.read_bytes())["properties"]["prior"]
        values = [float(told[name]) for name in ("lat_deg", "lon_deg", "horiz_accuracy_m")]
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(f"{path}: not an area that locate saved") from None
    prior = Prior(*values)
    if not (abs(prior.lat_deg) <= 90.0 and abs(prior.lon_deg) <= 180.0):
        raise ConfigError(f"{path}: latitude {prior.lat_deg}, longitude {prior.lon_deg}")
    if not 0.0 < prior.horiz_accuracy_m < math.inf:
        raise ConfigError(f"{path}: an accuracy of {prior.horiz_accuracy_m} m")
    return prior
