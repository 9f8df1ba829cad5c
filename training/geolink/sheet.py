"""Clouds as a person looks at them: beside the place's satellite picture, from above and from the
south, coloured by height.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

import cv2
import numpy as np

from geobridge.onboard.records import Image

from .clouds import Floats
from .store import Cloud, PointStore

SAMPLES, ACROSS = 12, 2
SIDE_PX, _LABEL_PX, _MARGIN_PX = 220, 22, 8
_BACK, _INK = (250, 250, 250), (60, 60, 60)


def sheet(
    store: PointStore, names: Collection[str], picture: Callable[[str], Image] | None = None
) -> bytes:
    """A JPEG of some places' clouds, always the same ones of the same places.

    Args:
        names: of places that have a cloud and, with `picture`, a satellite picture.
        picture: gives it.
    """
    chosen = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())[:SAMPLES]
    tiles = [_tile(store, name, picture) for name in sorted(chosen)]
    while len(tiles) % min(ACROSS, len(chosen)):
        tiles.append(np.full_like(tiles[0], 255))
    across = min(ACROSS, len(chosen))
    lines = [np.concatenate(tiles[n : n + across], axis=1) for n in range(0, len(tiles), across)]
    page = cv2.cvtColor(np.concatenate(lines), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())


def _tile(store: PointStore, name: str, picture: Callable[[str], Image] | None) -> Image:
    cloud = store.read(name, np.random.default_rng(0))
    assert cloud is not None
    east, north, up = cloud.points_m.astype(float).T
    wide_m = float(np.abs(cloud.points_m[:, :2]).max()) or 1.0
    above = _seen(east, north, up, wide_m, wide_m)
    side = _seen(east, up - wide_m / 2.0, up, wide_m, wide_m, order=-north)
    pictures = np.concatenate([above, side], axis=1)
    if picture is not None:
        size = SIDE_PX - 2 * _MARGIN_PX, SIDE_PX - 2 * _MARGIN_PX
        small = cv2.resize(picture(name), size, interpolation=cv2.INTER_AREA)
        edge = (_MARGIN_PX,) * 4
        framed = cv2.copyMakeBorder(small, *edge, cv2.BORDER_CONSTANT, value=_BACK)
        pictures = np.concatenate([framed, pictures], axis=1)
    label = np.full((_LABEL_PX, pictures.shape[1], 3), _BACK, np.uint8)
    told = f"{name[:28]}  {2 * wide_m:.0f} m, {np.percentile(up, 98):.0f} m high{_north(cloud)}"
    cv2.putText(label, told, (6, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return np.concatenate([label, pictures])


def _north(cloud: Cloud) -> str:
    return "" if cloud.has_north else ", north unknown"


def _seen(
    right: Floats,
    away: Floats,
    up: Floats,
    half_right_m: float,
    half_away_m: float,
    order: Floats | None = None,
) -> Image:
    """Points as dots, those nearest to the eye last."""
    picture = np.full((SIDE_PX, SIDE_PX, 3), _BACK, np.uint8)
    half_px = SIDE_PX / 2.0 - _MARGIN_PX
    low, high = np.percentile(up, [2.0, 98.0])
    shade = np.clip((up - low) / max(high - low, 3.0), 0.0, 1.0)
    colours = cv2.applyColorMap((shade * 255).astype(np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)
    at = np.stack([right / half_right_m, -away / half_away_m], axis=1) * half_px + SIDE_PX / 2.0
    for number in np.argsort(up if order is None else order, kind="stable"):
        blue, green, red = (int(value) for value in colours[number, 0])
        spot = round(at[number, 0]), round(at[number, 1])
        cv2.circle(picture, spot, 1, (red, green, blue), -1, cv2.LINE_AA)
    return picture
