"""Places to splits: what is told of each, which split it goes to, and the proof that none leaks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geobridge.onboard.errors import DataError

from . import leakage
from .config import Splits
from .pictures import read_view
from .sources.mosaics import MosaicFile
from .splits import deal, split_of
from .stage import Line
from .terrain import Countries, terrain_of

VIEWS = ("drone", "satellite", "street")
_NOT_TOLD = ("id", "gates", "source_number", "sha256")


def told_of(
    place: Line, mosaic: MosaicFile, size_px: int, countries: Countries | None, pictures: Path
) -> Line:
    """A place with its `country`, its `terrain`, and where each of its `views` comes from."""
    country = countries.of(place["lat_deg"], place["lon_deg"]) if countries else ""
    satellite = {key: value for key, value in place["satellite"].items() if key not in _NOT_TOLD}
    street = {key: place[key] for key in ("source", "key", "heading_deg", "licence", "attribution")}
    drone = {
        "mosaic": mosaic.name,
        "captured": mosaic.captured,
        "licence": mosaic.licence,
        "attribution": mosaic.attribution,
        "valid": place["valid"],
        "gsd_m": place["side_m"] / size_px,
    }
    return place | {
        "country": country or mosaic.country,
        "terrain": terrain_of(read_view(pictures, "satellite", place)),
        "views": {
            "drone": drone,
            "satellite": satellite,
            "street": street | {"captured": place["taken"]},
        },
    }


def dealt(places: Sequence[Line], rule: Splits, seed: int) -> list[Line]:
    """Places with `split`, without those that come too near to another one.

    Raises:
        DataError: too few blocks of land.
    """
    blocks = deal(places, rule, seed)
    found = [(place, split_of(place, blocks, rule)) for place in places]
    split = [place | {"split": name} for place, name in found if name is not None]
    near_others = set(leakage.too_near(split, rule.margin_m))
    return [place for place in split if place["id"] not in near_others]


def proven(
    places: Sequence[Line], rule: Splits, pictures: Path, as_told: bool
) -> tuple[list[Line], dict[str, Any]]:
    """Places without those that are like one of another split, and what is left of likeness and
    nearness.

    Args:
        as_told: the splits are those of a recipe: measured, and not touched.

    Raises:
        DataError: they leak.
    """
    prints = {view: leakage.printed(pictures, view, places) for view in VIEWS}
    alike, largest = leakage.most_alike(places, prints, rule.max_similarity)
    splits = {place["id"]: place["split"] for place in places}
    dropped = set() if as_told else set(leakage.to_drop(alike, splits))
    rows = [at for at, place in enumerate(places) if place["id"] not in dropped]
    kept = [places[at] for at in rows]
    if dropped:
        left = {view: of_view[rows] for view, of_view in prints.items()}
        alike, largest = leakage.most_alike(kept, left, rule.max_similarity)
    gap_m = leakage.nearest_m(kept)
    if not as_told and (alike or gap_m < rule.margin_m):
        raise DataError(f"splits leak: {len(alike)} pairs alike, {gap_m:.1f} m between squares")
    return kept, {"left out as alike across splits": len(dropped), **_measured(gap_m, largest)}


def _measured(gap_m: float, largest: float) -> dict[str, Any]:
    one = gap_m == float("inf")
    return {
        "smallest gap between splits, m": "one split" if one else round(gap_m, 1),
        "largest likeness across splits": "one split" if one else round(largest, 3),
    }
