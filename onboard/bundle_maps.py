"""Maps of a bundle: its places over its imagery."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .bundle import FEATURELESS
from .records import Image
from .retrieval.imagery import ReferenceImagery
from .retrieval.index import Index
from .retrieval.layer import Layer
from .views import View

LONGEST_PX = 1000
_COLOURS = {View.SATELLITE: (11, 108, 255), View.DRONE: (255, 140, 0), View.STREET: (0, 160, 80)}
_DISTINCT, _ALIKE = np.array([40.0, 160.0, 80.0]), np.array([228.0, 0.0, 43.0])
_PAPER, _INK = 245, (29, 39, 51)
_SOUTH_EAST = np.array([1.0, -1.0])
_VEIL = 0.55
"""How much of what is drawn covers what lies below."""


@dataclass(frozen=True)
class Canvas:
    """Pixels over a box of the local plane, north up."""

    image: Image
    west_m: float
    north_m: float
    px_per_m: float

    def at(self, centres_m: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """[N, 2] columns and rows of [N, 2] metres."""
        off = (centres_m - [self.west_m, self.north_m]) * [self.px_per_m, -self.px_per_m]
        return np.asarray(np.rint(off), np.int64)


def coverage_map(index: Index, imagery: ReferenceImagery | None) -> Image:
    """[H, W, 3] every place in the colour of its view."""
    canvas = canvas_of(index, imagery)
    for layer in index.layers:
        if layer.view is View.STREET:
            _draw_streets(canvas, index, layer)
        else:
            _fill(canvas, index, layer, np.tile(_COLOURS[layer.view], (layer.entry.count, 1)))
            _cross_out(canvas, index, layer)
    draw_scale(canvas)
    return canvas.image


def aliasing_map(index: Index, imagery: ReferenceImagery | None) -> Image | None:
    """[H, W, 3] every square by how much another one looks like it; None where none is far."""
    layers = [layer for layer in index.layers if layer.view is not View.STREET]
    if not layers:
        return None
    layer = max(layers, key=lambda each: each.entry.count)
    similar = index.places["aliasing"][layer.rows()].astype(float)
    if not (similar > -1.0).any():
        return None
    scores = layer.entry.scores
    middle = float(np.median(similar))
    full = scores.alike if scores is not None else float(similar.max())
    share = np.clip((similar - middle) / max(full - middle, 1e-6), 0.0, 1.0)[:, None]
    canvas = canvas_of(index, imagery)
    _fill(canvas, index, layer, _DISTINCT + share * (_ALIKE - _DISTINCT))
    draw_scale(canvas)
    return canvas.image


def png(image: Image) -> bytes:
    """Encoded."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def canvas_of(index: Index, imagery: ReferenceImagery | None) -> Canvas:
    """The imagery in grey, around all places."""
    reach_m = index.places["footprint_m"].astype(float)[:, None] / 2.0
    west, south = (index.centres_m - reach_m).min(axis=0)
    east, north = (index.centres_m + reach_m).max(axis=0)
    px_per_m = LONGEST_PX / max(east - west, north - south)
    width, height = (max(1, math.ceil(side * px_per_m)) for side in (east - west, north - south))
    image = np.full((height, width, 3), _PAPER, np.uint8)
    canvas = Canvas(image, float(west), float(north), px_per_m)
    if imagery is not None:
        _draw_imagery(canvas, imagery)
    return canvas


def _draw_imagery(canvas: Canvas, imagery: ReferenceImagery) -> None:
    entry, side_m = imagery.entry, imagery.entry.tile_px * imagery.entry.gsd_m
    for row in range(entry.rows):
        for column in range(entry.columns):
            corner = np.array([entry.west_m + column * side_m, entry.north_m - row * side_m])
            (left, top), (right, bottom) = canvas.at(
                np.stack([corner, corner + side_m * _SOUTH_EAST])
            )
            tile, _ = imagery.rgba(
                float(corner[0] + side_m / 2), float(corner[1] - side_m / 2), entry.tile_px
            )
            if tile[..., 3].any() and right > left and bottom > top:
                small = cv2.resize(
                    tile, (int(right - left), int(bottom - top)), interpolation=cv2.INTER_AREA
                )
                _paste(canvas.image, np.asarray(small, np.uint8), int(left), int(top))


def _paste(image: Image, tile: Image, left: int, top: int) -> None:
    height, width = image.shape[:2]
    rows = slice(max(0, top), min(height, top + tile.shape[0]))
    columns = slice(max(0, left), min(width, left + tile.shape[1]))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    part = tile[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    grey = cv2.cvtColor(part[..., :3], cv2.COLOR_RGB2GRAY)[..., None]
    image[rows, columns] = np.where(part[..., 3:] > 127, grey, image[rows, columns])


def _fill(canvas: Canvas, index: Index, layer: Layer, colours: npt.NDArray[np.float64]) -> None:
    """A square as wide as the spacing around every place, the ground left to shine through."""
    paint(canvas, index.centres_m[layer.rows()], layer.entry.spacing_m or 10.0, colours)


def paint(
    canvas: Canvas,
    centres_m: npt.NDArray[np.float64],
    side_m: float,
    colours: npt.NDArray[np.float64],
) -> None:
    """A square of [N, 3] a colour around each of [N, 2] points, the ground shining through."""
    half = max(1, round(side_m * canvas.px_per_m / 2.0 - 0.5))
    veil = canvas.image.copy()
    places = canvas.at(centres_m).tolist()
    for (column, row), colour in zip(places, colours.tolist(), strict=True):
        cv2.rectangle(
            veil, (column - half, row - half), (column + half, row + half), colour, cv2.FILLED
        )
    cv2.addWeighted(veil, _VEIL, canvas.image, 1.0 - _VEIL, 0.0, dst=canvas.image)


def _cross_out(canvas: Canvas, index: Index, layer: Layer) -> None:
    rows = layer.rows()
    empty = rows[(index.places["flags"][rows] & FEATURELESS) > 0]
    half = max(2, round((layer.entry.spacing_m or 10.0) * canvas.px_per_m / 3.0))
    for column, row in canvas.at(index.centres_m[empty]).tolist():
        cv2.line(canvas.image, (column - half, row - half), (column + half, row + half), _INK)
        cv2.line(canvas.image, (column - half, row + half), (column + half, row - half), _INK)


def _draw_streets(canvas: Canvas, index: Index, layer: Layer) -> None:
    rows = layer.rows()
    colour = _COLOURS[View.STREET]
    headings = index.places["heading_deg"][rows].tolist()
    places = canvas.at(index.centres_m[rows]).tolist()
    for (column, row), heading_deg in zip(places, headings, strict=True):
        cv2.circle(canvas.image, (column, row), 4, colour, cv2.FILLED, cv2.LINE_AA)
        if not math.isnan(heading_deg):
            turn = math.radians(heading_deg)
            end = round(column + 12 * math.sin(turn)), round(row - 12 * math.cos(turn))
            cv2.line(canvas.image, (column, row), end, colour, 2, cv2.LINE_AA)


def draw_scale(canvas: Canvas) -> None:
    """A bar of a round length in the lower left corner."""
    longest_m = canvas.image.shape[1] / canvas.px_per_m / 4.0
    power = 10.0 ** math.floor(math.log10(longest_m))
    length_m = max(step * power for step in (1.0, 2.0, 5.0) if step * power <= longest_m)
    end, low = round(12 + length_m * canvas.px_per_m), canvas.image.shape[0] - 14
    cv2.rectangle(canvas.image, (8, low - 26), (end + 8, low + 10), (255, 255, 255), cv2.FILLED)
    cv2.line(canvas.image, (12, low), (end, low), _INK, 3)
    text = f"{length_m:g} m" if length_m < 1000.0 else f"{length_m / 1000.0:g} km"
    cv2.putText(
        canvas.image, text, (12, low - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA
    )
