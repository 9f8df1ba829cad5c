"""Flights for `evaluate_integrity`: campaigns over worlds, a file for each flight.

Several processes may share a folder: whoever holds the lock of a flight flies it, and the lock of a
process that is gone is free.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from integrity_worlds import CAMERA, HEIGHTS_M, RATE_HZ, WorldSource, locked, survey_of

from geobridge.export.rehearsal.campaign import Task, rig_of
from geobridge.export.rehearsal.conditions import draw
from geobridge.export.rehearsal.flight import fly
from geobridge.export.rehearsal.flown import FIX, Flown
from geobridge.export.rehearsal.sources import BundleSource, PlaceSource
from geobridge.export.rehearsal.survey import task_of
from geobridge.onboard.config import ReplayConfig, load
from geobridge.onboard.errors import DataError

VIEWS = {"nadir": (), "oblique": ("camera.mount.pitch_deg=-65.0",)}
HOME, FOREIGN = "home", "foreign"
KEPT = "kind", "world", "view", "heights"


@dataclass(frozen=True)
class Campaign:
    """Flights of one kind. `foreign` ones see another land than the bundle shows."""

    task: Task
    kind: str
    world: str
    view: str
    heights: str

    @property
    def folder(self) -> str:
        mark = sha256(self.task.fingerprint.encode()).hexdigest()[:10]
        return f"{self.kind}-{self.world}-{self.view}-{self.heights}-{mark}".replace(" ", "_")


def campaigns(
    worlds: Sequence[tuple[WorldSource, Path]],
    maps: Sequence[Path],
    heights: Sequence[str],
    overrides: Sequence[str] = (),
) -> list[Campaign]:
    """Every world and map in both views and all heights, and land that no bundle knows."""
    places: list[tuple[PlaceSource, str, Path]] = [(w, w.name, b) for w, b in worlds]
    for path in maps:
        source = BundleSource(path)
        places.append((source, f"map {source.name[:8]}", path))
    made = [
        _campaign(place, HOME, name, bundle, view, band, overrides)
        for place, name, bundle in places
        for view in VIEWS
        for band in heights
    ]
    for (source, _), (_, bundle) in zip(worlds, [*worlds[1:], *worlds[:1]], strict=True):
        if len(worlds) > 1:
            seen = source
            made.append(_campaign(seen, FOREIGN, seen.name, bundle, "nadir", heights[0], overrides))
    return made


def _campaign(
    place: PlaceSource,
    kind: str,
    name: str,
    bundle: Path,
    view: str,
    band: str,
    overrides: Sequence[str],
) -> Campaign:
    settings = load(ReplayConfig, None, [*CAMERA, *VIEWS[view], *overrides])
    survey = survey_of(f"{kind}{name}{view}{band}", HEIGHTS_M[band])
    return Campaign(task_of(place, name, bundle, survey, settings), kind, name, view, band)


def fly_for(hours: float, todo: Sequence[Campaign], folder: Path) -> None:
    """Round after round a flight of every campaign, until all together are so long.

    Campaigns begin at different numbers, for the season goes by it.
    """
    past = 0
    while hours_of(flights(folder)) < hours:
        for number, campaign in enumerate(todo, past):
            path = folder / campaign.folder / f"{number:05d}.json"
            with locked(path.with_suffix(".lock")) as mine:
                if mine and not path.exists():
                    _fly(campaign, number, path)
            if hours_of(flights(folder)) >= hours:
                return
        past += 1


def _fly(campaign: Campaign, number: int, path: Path) -> None:
    rig, task = rig_of(campaign.task), campaign.task
    conditions = draw(task.ranges, rig.place.frame.origin_lat_deg, task.rules.seed, number)
    route = task.route(number, rig.terrain, conditions.height_agl_m)
    flown = fly(rig, route, conditions, number)
    about = {key: getattr(campaign, key) for key in KEPT}
    flown = replace(flown, conditions=flown.conditions | about)
    flown.write(path)
    share = flown.said.count(FIX) / max(len(flown.said), 1)
    logging.info("%s: %.0f%% of %d frames", path, 100.0 * share, len(flown.said))


def flights(folder: Path) -> list[Flown]:
    """All that were flown in a folder."""
    return [Flown.read(path) for path in sorted(folder.glob("*/[0-9]*.json"))]


def hours_of(flown: Sequence[Flown]) -> float:
    """Time flown, all together."""
    return sum(len(each.time_s) for each in flown) / RATE_HZ / 3600.0


def replayed(folder: Path) -> Flown:
    """A recorded flight that `geobridge replay` left in a folder, with a truth.

    Raises:
        DataError: there is none.
    """
    path = folder / "fixes.jsonl"
    if not path.is_file():
        raise DataError(f"{path}: not there; expected the folder of a replay")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    said, errors_m, accuracies_m = [], [], []
    for row in rows:
        fix: dict[str, Any] | None = row.get("fix")
        known = fix is not None and row["error_m"] is not None
        said.append((FIX if known else "fix_without_truth") if fix else row["rejection"]["reason"])
        errors_m.append(row["error_m"] if known else None)
        accuracies_m.append(fix["horiz_accuracy_m"] if fix and known else None)
    about = {"kind": HOME, "world": f"recorded {folder.name}", "view": "as flown"}
    return Flown(
        number=0,
        ending="recorded",
        conditions=about | {"heights": "as flown"},
        time_s=[(row["t_capture_ns"] - rows[0]["t_capture_ns"]) * 1e-9 for row in rows],
        lat_deg=[math.nan] * len(rows),
        lon_deg=[math.nan] * len(rows),
        said=said,
        error_m=errors_m,
        accuracy_m=accuracies_m,
    )
