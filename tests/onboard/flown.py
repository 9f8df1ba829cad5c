"""Made up replays: lines of fixes.jsonl over a land of fields and paths."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from geobridge.onboard.geodesy import LocalFrame, distance_m
from geobridge.onboard.manifest_entries import CoverageEntry, ImageryEntry
from geobridge.onboard.records import Image, Mask

FRAME = LocalFrame(47.4, 8.5)
COVERAGE = CoverageEntry(
    origin_lat_deg=47.4,
    origin_lon_deg=8.5,
    west_m=-1500.0,
    south_m=-1500.0,
    east_m=1500.0,
    north_m=1500.0,
    footprint_m=160.0,
    spacing_m=40.0,
    sources=(),
)
IMAGERY = ImageryEntry(west_m=-1500.0, north_m=1500.0, gsd_m=1.0, tile_px=500, rows=6, columns=6)


class Fields:
    """Imagery that is drawn when it is looked at."""

    def read(
        self, east_m: float, north_m: float, size_px: int
    ) -> tuple[Image, Mask, tuple[float, float]]:
        step = np.arange(size_px) - size_px / 2 + 0.5
        east, north = np.meshgrid(east_m + step, north_m - step)
        image = np.stack(
            [
                110 + 40 * np.sin(east / 37.0),
                130 + 50 * np.sin(north / 53.0) * np.cos(east / 91.0),
                90 + 20 * np.sin((east + north) / 29.0),
            ],
            axis=-1,
        )
        valid = (np.abs(east) < 1500) & (np.abs(north) < 1500)
        return image.astype(np.uint8), valid.astype(np.uint8), (east_m, north_m)


def flown(**others: Any) -> Any:
    """What `localize` gives, as far as reports look at it."""
    localizer = SimpleNamespace(local=FRAME, coverage=COVERAGE, imagery=Fields(), gsd_m=1.0)
    flight = SimpleNamespace(unix_offset_ns=None, truth=None)
    return SimpleNamespace(localizer=localizer, flight=flight, pictured=[], **others)


def write_lines(
    path: Path,
    count: int,
    seed: int = 0,
    error_m: float = 2.0,
    name: str = "flight.mp4#{}",
    reason: str = "ambiguous",
) -> Path:
    """Frames at 2 Hz along a spiral, with a silence in every hundred."""
    rng = np.random.default_rng(seed)
    turn = np.arange(count) / 60.0
    reach_m = 200.0 + 1000.0 * np.arange(count) / count
    true_m = np.stack([reach_m * np.cos(turn), reach_m * np.sin(turn)], axis=1)
    found_m = true_m + rng.normal(0.0, error_m, (count, 2))
    places = [np.stack(FRAME.to_geodetic(points), axis=1).tolist() for points in (true_m, found_m)]
    speeds = rng.uniform(8.0, 14.0, count).round(2).tolist()
    with path.open("w", encoding="utf-8") as file:
        for number, (true, found) in enumerate(zip(*places, strict=True)):
            line: dict[str, Any] = {
                "t_capture_ns": number * 500_000_000,
                "frame": name.format(number),
            }
            if number < 4 or number % 100 > 93:
                why = "unconfirmed" if number % 100 > 97 or number < 4 else reason
                line["rejection"] = {"reason": why, "detail": f"peak ratio {number % 7}"}
            else:
                line["fix"] = {
                    "lat_deg": found[0],
                    "lon_deg": found[1],
                    "horiz_accuracy_m": 2.0,
                    "alt_amsl_m": None,
                    "velocity_north_m_s": None,
                    "velocity_east_m_s": None,
                    "score": 0.8,
                    "correlation": 0.4,
                    "place": 3,
                }
                line["error_m"] = distance_m(*found, *true)
            line["truth"] = true
            line["told"] = {
                "height_agl_m": 100.0 + 30.0 * float(np.sin(turn[number])),
                "heading_deg": 10.0,
                "speed_m_s": speeds[number],
                "has_prior": number < count // 2,
            }
            line["evidence"] = {
                "score": 0.7 + 0.2 * float(np.cos(number / 9.0)),
                "correlation": 0.4,
                "peak_ratio": 1.4,
                "agreeing": 0.9,
                "innovation_sigmas": 0.5,
                "tracking": True,
            }
            file.write(json.dumps(line) + "\n")
    return path
