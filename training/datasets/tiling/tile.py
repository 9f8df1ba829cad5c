"""`geobridge dataset tile`: maps and flights as UAV-VisLoc has them, to pairs as GTA-UAV has them.

    <raw>/<map>/satellite<map>.tif    a map; georeferenced, or one of UAV-VisLoc
    <raw>/<map>/<map>.csv             filename, lat, lon, height, Phi1 (heading): a picture a line
    <raw>/<map>/drone/<filename>

    <out>/satellite/<map>_<zoom>_<x>_<y>.png    <out>/tiles.json    <out>/drone/images/
    <out>/same-area-drone2sate-{train,test}.json, and cross-area- where maps are kept for testing

A drone picture covers the rectangle that its height, heading and fields of view give; tiles with
an IoU above 0.39 are its positives, those above 0.14 its semi-positives. Of the same area blocks of
land are held out, so that no test picture shows what a training picture shows.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from geobridge.onboard import durable
from geobridge.onboard.errors import DataError

from ..layouts.folders import degrees, expect, number, subfolders
from ..layouts.gta import TILES
from ..layouts.tables import read_table
from ..layouts.task import Floats
from .maps import Map, Tile, open_map, overlap

log = logging.getLogger(__name__)

POSITIVE_IOU, SEMI_IOU = 0.39, 0.14
BLOCK_M, TEST_SHARE = 300.0, 0.2


@dataclass(frozen=True)
class Shot:
    """A drone picture: where it was taken, and the ground that it shows, [4, 2] metres."""

    path: Path
    at: tuple[float, float]
    east_north_m: Floats
    ground_m: Floats


def tile(
    raw: Path,
    out: Path,
    hfov_deg: float = 48.44,
    vfov_deg: float = 33.48,
    zooms: int = 2,
    test: Sequence[str] = (),
) -> dict[str, Any]:
    """Cut the maps and pair the pictures, or go on with it; how many there are of each.

    Args:
        raw: holds a folder for every map.
        out: new, or begun by the same command.
        hfov_deg, vfov_deg: of the camera, across and along the flight.
        zooms: so many levels below the map's own are cut.
        test: maps that cross-area training does not see.

    Raises:
        DataError: names the file that is missing or broken.
    """
    names = [name for name in subfolders(raw) if (raw / name / f"{name}.csv").exists()]
    if not names:
        raise DataError(f"{raw}: expected folders <map> with satellite<map>.tif and <map>.csv")
    for name in (name for name in test if name not in names):
        raise DataError(f"--test {name}: no such map, there are {', '.join(names)}")
    maps = [open_map(name, expect(raw, f"{name}/satellite{name}.tif")) for name in names]
    shots = {area.name: list(_shots(raw, area, hfov_deg, vfov_deg)) for area in maps}
    (out / "satellite").mkdir(parents=True, exist_ok=True)
    (out / "drone" / "images").mkdir(parents=True, exist_ok=True)
    where: dict[str, tuple[float, float]] = {}
    for area in maps:
        where |= _cut(area, out, zooms)
    entries = [_entry(area, shot, zooms) for area in maps for shot in shots[area.name]]
    for some in shots.values():
        for shot in some:
            _place(shot.path, out / "drone" / "images" / shot.path.name)
    durable.write_text(out / TILES, json.dumps(where, indent=1) + "\n")
    held = [_is_held_out(area, shot) for area in maps for shot in shots[area.name]]
    counts = _write(out, "same", entries, held)
    if test:
        kept = [area.name in test for area in maps for _ in shots[area.name]]
        counts |= _write(out, "cross", entries, kept)
    return {"folder": str(out), "maps": len(maps), "tiles": len(where)} | counts


def _shots(raw: Path, area: Map, hfov_deg: float, vfov_deg: float) -> Iterator[Shot]:
    table = raw / area.name / f"{area.name}.csv"
    half_m = [np.tan(np.radians(fov_deg) / 2) for fov_deg in (hfov_deg, vfov_deg)]
    corners = np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)]) * half_m
    for row, told in read_table(table, ("filename", "lat", "lon", "height", "Phi1")):
        lat, lon, height_m, heading_deg = (
            number(row[key], f"{told}: {key}") for key in ("lat", "lon", "height", "Phi1")
        )
        at = degrees(lat, lon, told)
        path = expect(raw, f"{area.name}/drone/{row['filename']}")
        east_north_m = area.frame.to_enu(lat, lon)
        turn = np.radians(heading_deg)
        turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        yield Shot(path, at, east_north_m, east_north_m + height_m * corners @ turned)


def _cut(area: Map, out: Path, zooms: int) -> dict[str, tuple[float, float]]:
    """Write the tiles that are not there; the middle of each."""
    tiles = list(area.tiles(zooms))
    log.info("map %s: %d tiles", area.name, len(tiles))
    middles = {}
    for each in tiles:
        name = area.file_name(each)
        lat, lon = area.corners(each).mean(axis=0)
        middles[name] = float(lat), float(lon)
        path = out / "satellite" / name
        if not path.exists():
            picture = cv2.cvtColor(area.cut(each), cv2.COLOR_RGB2BGR)
            durable.write_bytes(path, cv2.imencode(".png", picture)[1].tobytes())
    return middles


def _entry(area: Map, shot: Shot, zooms: int) -> dict[str, Any]:
    """As the lists of GTA-UAV and UAV-VisLoc have it."""
    found = [
        (area.file_name(each), iou)
        for each in _near(area, shot, zooms)
        if (iou := overlap(shot.ground_m, area.square_m(each))) > SEMI_IOU
    ]
    right = [(name, iou) for name, iou in found if iou > POSITIVE_IOU]
    return {
        "drone_img_dir": "drone/images",
        "drone_img_name": shot.path.name,
        "drone_loc_lat_lon": shot.at,
        "sate_img_dir": "satellite",
        "pair_pos_sate_img_list": [name for name, _ in right],
        "pair_pos_sate_weight_list": [iou for _, iou in right],
        "pair_pos_semipos_sate_img_list": [name for name, _ in found],
        "pair_pos_semipos_sate_weight_list": [iou for _, iou in found],
    }


def _near(area: Map, shot: Shot, zooms: int) -> Iterator[Tile]:
    """Tiles whose bounds meet those of the ground that is shown."""
    low, high = shot.ground_m.min(axis=0), shot.ground_m.max(axis=0)
    for each in area.tiles(zooms):
        square_m = area.square_m(each)
        if (square_m.min(axis=0) < high).all() and (square_m.max(axis=0) > low).all():
            yield each


def _is_held_out(area: Map, shot: Shot) -> bool:
    """By the block of land below."""
    column, row = np.floor(shot.east_north_m / BLOCK_M).astype(int)
    digest = hashlib.sha256(f"{area.name} {column} {row}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < TEST_SHARE


def _write(
    out: Path, area: str, entries: Sequence[dict[str, Any]], is_test: Sequence[bool]
) -> dict[str, int]:
    counts: dict[str, int] = {}
    for split, wanted in (("train", False), ("test", True)):
        some = [entry for entry, test in zip(entries, is_test, strict=True) if test is wanted]
        path = out / f"{area}-area-drone2sate-{split}.json"
        durable.write_text(path, json.dumps(some, indent=1) + "\n")
        paired = sum(bool(entry["pair_pos_sate_img_list"]) for entry in some)
        counts |= {f"{area} area, {split}": len(some), f"{area} area, {split}, paired": paired}
    return counts


def _place(source: Path, target: Path) -> None:
    """A second name of the same file, or a copy where the disk has no second names."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
