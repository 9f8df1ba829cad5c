"""A frame beside the map with the places that two replays found for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..bundle import Bundle
from ..errors import GeobridgeError
from ..geodesy import LocalFrame
from ..records import Frame, Image
from ..retrieval.imagery import ReferenceImagery
from .compare_page import Place, Shown
from .flight import Flight, Source, open_flight

HEIGHT_PX, MAP_M, JPEG_QUALITY = 300, 160.0, 75
A, B, TRUTH = (11, 108, 255), (228, 0, 110), (255, 204, 0)
RADIUS_PX = {TRUTH: 12, A: 8, B: 4}
"""Unlike, so that rings around the same place show as three."""
_GAP_PX = 8

log = logging.getLogger(__name__)


def draw_pairs(folders: Sequence[tuple[Path, Path]], shown: Sequence[Shown]) -> dict[int, bytes]:
    """JPEGs by their number in what is shown, of flights whose pictures are still there."""
    drawn: dict[int, bytes] = {}
    for flight, (folder, _) in enumerate(folders):
        wanted = {each.t_ns: number for number, each in enumerate(shown) if each.flight == flight}
        if not wanted:
            continue
        try:
            opened, imagery, local = _opened(folder)
            for frame in opened.frames:
                number = wanted.get(frame.t_capture_ns)
                if number is not None:
                    drawn[number] = _beside(frame, shown[number], imagery, local)
                if len(drawn) == len(shown):
                    break
            opened.frames.close()
        except (GeobridgeError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("%s: its pictures cannot be shown: %s", folder, error)
    return drawn


def _opened(folder: Path) -> tuple[Flight, ReferenceImagery, LocalFrame]:
    told = json.loads((folder / "timing.json").read_text(encoding="utf-8"))["paths"]
    bundle = Bundle.open(Path(told["bundle"]))
    imagery = ReferenceImagery.open(bundle)
    return open_flight(source_of(told)), imagery, bundle.manifest.coverage.frame


def source_of(told: Mapping[str, Any]) -> Source:
    """What `paths_of` was made from."""
    telemetry, truth = (Path(told[name]) if told[name] else None for name in ("telemetry", "truth"))
    return Source(
        told["log"], told["frames"], telemetry, truth, told["rate_hz"], told["video_at_s"]
    )


def paths_of(source: Source, bundle: Path) -> dict[str, Any]:
    """Where a flight and its bundle lay when it was replayed."""

    def absolute(path: str | Path | None) -> str | None:
        return None if path is None else str(Path(path).resolve())

    names = ("log", "frames", "telemetry", "truth")
    paths: dict[str, Any] = {name: absolute(getattr(source, name)) for name in names}
    return paths | {
        "bundle": absolute(bundle),
        "rate_hz": source.rate_hz,
        "video_at_s": source.video_at_s,
    }


def _beside(frame: Frame, shown: Shown, imagery: ReferenceImagery, local: LocalFrame) -> bytes:
    height, width = frame.image.shape[:2]
    size = max(1, round(width * HEIGHT_PX / height)), HEIGHT_PX
    left = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
    gap = np.full((HEIGHT_PX, _GAP_PX, 3), 255, np.uint8)
    both = np.concatenate([left, gap, _map(shown, imagery, local)], axis=1)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(both, cv2.COLOR_RGB2BGR), options)
    return data.tobytes()


def _map(shown: Shown, imagery: ReferenceImagery, local: LocalFrame) -> Image:
    """The map around all places that are known, each with a ring in its colour."""
    marked: list[tuple[Place | None, tuple[int, int, int]]] = [
        (shown.truth, TRUTH),
        (shown.place_a, A),
        (shown.place_b, B),
    ]
    known = [(local.to_enu(*place), colour) for place, colour in marked if place is not None]
    if not known:
        return np.full((HEIGHT_PX, HEIGHT_PX, 3), 128, np.uint8)
    places_m = np.stack([place for place, _ in known])
    middle_m = (places_m.min(axis=0) + places_m.max(axis=0)) / 2.0
    side_m = max(MAP_M, 1.4 * float(np.ptp(places_m, axis=0).max()))
    side_px = max(8, round(side_m / imagery.entry.gsd_m))
    square, _, centre_m = imagery.read(float(middle_m[0]), float(middle_m[1]), side_px)
    picture = cv2.resize(square, (HEIGHT_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    px_per_m = HEIGHT_PX / (side_px * imagery.entry.gsd_m)
    for place_m, colour in known:
        off = (place_m - centre_m) * px_per_m * [1.0, -1.0] + HEIGHT_PX / 2.0
        at = round(float(off[0])), round(float(off[1]))
        radius = RADIUS_PX[colour]
        for wider, ink in ((1, (0, 0, 0)), (0, colour), (-1, colour)):
            cv2.circle(picture, at, radius + wider, ink, 1, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)
