"""A page of what every gate just kept and just threw away, for a person to move a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

from geobridge.onboard.durable import write_text
from geobridge.onboard.records import Image

from ..evaluation.page import document, picture, table
from .pictures import read_view
from .stage import Line

SHOWN, TILE_PX = 8, 150
_TITLES = {"bh": "BH: blur", "c": "C: contrast", "un": "UN: uniformity"}


def write_page(
    path: Path,
    lines: Sequence[Line],
    limits: Mapping[str, Mapping[str, float]],
    pictures: Path,
) -> None:
    """`lines` have `id`, `sha256` and `gates`; `limits` by view and gate."""
    body = ["<h1>What the gates kept and threw away</h1>"]
    body += [table(["view and gate", "threshold", "thrown away", "of"], _counts(lines, limits))]
    for view, of_view in limits.items():
        for gate, limit in of_view.items():
            body += _strips(lines, view, gate, limit, pictures)
    write_text(path, document("Gates", "\n".join(body)))


def _counts(lines: Sequence[Line], limits: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    rows = []
    for view, of_view in limits.items():
        for gate, limit in of_view.items():
            values = [line["gates"][view][gate] for line in lines if view in line["gates"]]
            below = sum(value < limit for value in values)
            rows.append([f"{view} {gate}", f"{limit:.3g}", str(below), str(len(values))])
    return rows


def _strips(lines: Sequence[Line], view: str, gate: str, limit: float, pictures: Path) -> list[str]:
    ranked = sorted(
        ((line["gates"][view][gate], line) for line in lines if view in line["gates"]),
        key=lambda each: (each[0], str(each[1]["id"])),
    )
    thrown = [each for each in ranked if each[0] < limit][-SHOWN:]
    kept = [each for each in ranked if each[0] >= limit][:SHOWN]
    body = [f"<h2>{escape(view)}, {_TITLES[gate]}, threshold {limit:.3g}</h2>"]
    for title, some in (("just thrown away", thrown), ("just kept", kept)):
        body.append(f"<p>{title}: {', '.join(f'{value:.3g}' for value, _ in some) or 'none'}</p>")
        if some:
            body.append(picture(_strip([line for _, line in some], view, pictures), "jpeg", title))
    return body


def _strip(lines: Sequence[Line], view: str, pictures: Path) -> bytes:
    tiles = [_tile(read_view(pictures, view, line)) for line in lines]
    blank = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    tiles += [blank] * (SHOWN - len(tiles))
    done, data = cv2.imencode(".jpg", np.concatenate(tiles, axis=1)[..., ::-1])
    assert done
    return bytes(data.tobytes())


def _tile(image: Image) -> Image:
    """The middle square of a picture, with a white edge."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    inner = cv2.resize(square, (TILE_PX - 6, TILE_PX - 6), interpolation=cv2.INTER_AREA)
    return np.asarray(np.pad(inner, ((3, 3), (3, 3), (0, 0)), constant_values=255), np.uint8)
