"""The stages of a build, one method each; they take and give lines, and keep them in a cache."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from geobridge.onboard.errors import DataError

from . import leakage, near
from .captioning import captions_of
from .config import BuildConfig
from .crops import CropWork, FitWork, choose_scales, cut, find_fits, mosaic_candidates
from .gates import GATES, failed, thresholds
from .pictures import read_view
from .published.recipe import read_recipe
from .rates import Rates
from .satellite import SatelliteWork, align, prefetch
from .seeds import SeedWork, find_seeds
from .sources.mosaics import MosaicFile, mosaics_of
from .sources.streets import Seed, settings_of, units_of
from .splits import deal, split_of
from .spread import Spread
from .squares import without_overlaps
from .stage import Line, Stage, chunks, digest
from .terrain import Countries, terrain_of

log = logging.getLogger(__name__)

UNIT = 64
"""Places between two points where a stopped stage goes on."""
CELL_DEG = 0.05
"""Places of one unit of the satellite stage lie no farther apart."""


class Build:
    """A configuration, its mosaics, and what its stages have in common.

    Raises:
        DataError: mosaics cannot be had, or a recipe is none.
    """

    def __init__(self, told: BuildConfig, spread: Spread) -> None:
        self.told, self.rates = told, Rates()
        self.pictures = told.work / "pictures"
        self._spread = spread
        self._mosaics = {each.name: each for each in mosaics_of(told.drone, told.work)}
        self._recipe = read_recipe(told.recipe) if told.recipe else None

    def seeds(self) -> list[Line]:
        """Windows of the mosaics that show something."""
        rule = self.told.seeds
        stage = self._stage("1-seeds", {"seeds": rule.model_dump(), "mosaics": self._prints()})
        units = {name: SeedWork(mosaic, rule) for name, mosaic in self._mosaics.items()}
        with self.rates.of("seeds", len(units)):
            found = stage.run(units, find_seeds, self._spread)
        if not found:
            raise DataError("no mosaic has a window that shows enough; see seeds.min_valid")
        return found

    def streets(self, seeds: Sequence[Line]) -> list[Line]:
        """Street pictures within the seeds' windows, each once."""
        windows = [Seed(s["lat_deg"], s["lon_deg"], *s["half_deg"]) for s in seeds]
        found: dict[str, Line] = {}
        for number, source in enumerate(self.told.street):
            settings = {"source": settings_of(source), "seeds": digest(list(seeds))}
            stage = self._stage(f"2-street-{number}", settings)
            units = units_of(number, source, windows, self.told.work / "streets")
            with self.rates.of(f"street {number}", len(units)):
                lines = stage.run(units, _call, self._spread)
            found = {line["id"]: line for line in lines} | found
        listed = sorted(found.values(), key=lambda each: str(each["id"]))
        kept = [
            line for line, inside in zip(listed, near.inside(listed, seeds), strict=True) if inside
        ]
        if self._recipe is not None:
            kept = [line for line in kept if line["id"] in self._recipe]
        if not kept:
            raise DataError(
                f"none of {len(listed)} street pictures lies within {len(seeds)} windows of the"
                " mosaics"
            )
        return kept

    def squares(self, seeds: Sequence[Line], streets: Sequence[Line]) -> list[Line]:
        """Street pictures with a mosaic and a scale that fits there."""
        rule = self.told.crops
        settings = {"crops": rule.model_dump(exclude={"overlap", "size_px"})}
        stage = self._stage("3-fits", settings | {"mosaics": self._prints()})
        lines: dict[str, Line] = {}
        with self.rates.of("fits", len(streets)):
            for name, places in mosaic_candidates(streets, seeds, self._mosaics).items():
                slim = [{key: p[key] for key in ("id", "lat_deg", "lon_deg")} for p in places]
                units = {
                    f"{name}-{unit}": FitWork(self._mosaics[name], rule, part)
                    for unit, part in chunks(slim, UNIT).items()
                }
                for fit in stage.run(units, find_fits, self._spread):
                    lines.setdefault(fit["id"], fit)
        if not lines:
            raise DataError(
                f"none of {len(streets)} street pictures has a square that a mosaic shows whole;"
                " see crops.scales_m and crops.min_valid"
            )
        if self._recipe is not None:
            scales = {name: float(self._recipe[name]["side_m"]) for name in lines}
        else:
            scales = choose_scales(list(lines.values()), rule, self.told.seed)
        return [
            place | {"mosaic": lines[place["id"]]["mosaic"], "side_m": scales[place["id"]]}
            for place in streets
            if place["id"] in lines
        ]

    def without_overlaps(self, squares: Sequence[Line]) -> list[Line]:
        """No two share more than the configured part of the smaller one."""
        if self._recipe is not None:
            return list(squares)
        listed = [(s["id"], s["lat_deg"], s["lon_deg"], s["side_m"]) for s in squares]
        with self.rates.of("overlaps", len(listed)):
            kept = set(without_overlaps(listed, self.told.crops.overlap))
        return [square for square in squares if square["id"] in kept]

    def crops(self, squares: Sequence[Line]) -> list[Line]:
        """Drone and street pictures written, and what the gates measure of them."""
        rule = self.told.crops
        settings = {"crops": rule.model_dump(exclude={"overlap"}), "mosaics": self._prints()}
        stage = self._stage("4-crops", settings)
        keys = ("id", "lat_deg", "lon_deg", "path", "mosaic", "side_m")
        slim = [{key: square[key] for key in keys} for square in squares]
        units = {
            unit: CropWork(
                self._mosaics[part[0]["mosaic"]], part[0]["side_m"], rule, part, self.pictures
            )
            for unit, part in chunks(slim, UNIT, "mosaic", "side_m").items()
        }
        with self.rates.of("crops", len(squares)):
            lines = {line["id"]: line for line in stage.run(units, cut, self._spread)}
        whole = [square for square in squares if "refused" not in lines[square["id"]]]
        if not whole:
            raise DataError(f"all {len(squares)} squares have black corners; see crops.min_valid")
        return [
            square
            | {
                "captured": self._mosaics[square["mosaic"]].captured,
                "valid": lines[square["id"]]["valid"],
                "gates": lines[square["id"]]["gates"],
            }
            for square in whole
        ]

    def aligned(self, places: Sequence[Line]) -> list[Line]:
        """Satellite pictures of the same footprints, and how far they lie beside."""
        rule, size_px = self.told.alignment, self.told.crops.size_px
        sources = self.told.satellite
        settings = {
            "alignment": rule.model_dump(),
            "size_px": size_px,
            "sources": [source.model_dump(mode="json") for source in sources],
        }
        stage = self._stage("5-satellite", settings)
        keys = ("id", "lat_deg", "lon_deg", "side_m", "captured")
        slim = [{key: p[key] for key in keys} | {"cell": _cell(p)} for p in places]
        prefetch(sources, slim, size_px, 2.0 * rule.search_m)
        units = {
            unit: SatelliteWork(sources, part[0]["side_m"], size_px, rule, part, self.pictures)
            for unit, part in chunks(slim, UNIT, "side_m", "cell").items()
        }
        with self.rates.of("satellite", len(places)):
            lines = {line["id"]: line for line in stage.run(units, align, self._spread)}
        refused = Counter(line["refused"] for line in lines.values() if "refused" in line)
        for why, count in sorted(refused.items()):
            log.info("%d places: %s", count, why)
        whole = [place for place in places if "refused" not in lines[place["id"]]]
        if not whole:
            raise DataError(f"no place has satellite imagery: {dict(refused)}")
        return [
            place
            | {
                "satellite": lines[place["id"]],
                "gates": place["gates"] | lines[place["id"]]["gates"],
            }
            for place in whole
        ]

    def limits(self, places: Sequence[Line]) -> dict[str, dict[str, float]]:
        """Thresholds by view and gate; of a recipe's places none is thrown away."""
        if self._recipe is not None:
            return {view: dict.fromkeys(GATES, 0.0) for view in _VIEWS}
        rules = self.told.cleaning
        return {view: thresholds(places, view, getattr(rules, view)) for view in _VIEWS}

    def cleaned(
        self, places: Sequence[Line], limits: dict[str, dict[str, float]]
    ) -> tuple[list[Line], Counter[str]]:
        """Places that pass every gate, and how many each gate threw away."""
        reasons = [failed(place, limits) for place in places]
        clean = [place for place, why in zip(places, reasons, strict=True) if not why]
        return clean, Counter(chain.from_iterable(reasons))

    def captioned(self, places: Sequence[Line], dry_run: bool) -> list[Line]:
        """Places with `texts` and `origin`; both empty where no text was right."""
        if self._recipe is not None and self.told.captions.kind == "none":
            told = {name: line["texts"] for name, line in self._recipe.items()}
            origin = [{"kind": "recipe", "model": "", "asked": 0, "tokens": 0}]
            return [
                place | {"texts": told[place["id"]], "origin": origin * len(told[place["id"]])}
                for place in places
            ]
        with self.rates.of("captions", len(places)):
            lines = captions_of(self.told, places, self.pictures, dry_run)
        return [place | lines[place["id"]] for place in places]

    def split(self, places: Sequence[Line]) -> tuple[list[Line], dict[str, Any]]:
        """Places with `split`, `country`, `terrain` and `views`, and the proof that none leaks."""
        known = [self._named(place) for place in places]
        rule = self.told.splits
        if self._recipe is not None:
            split = [p | {"split": self._recipe[p["id"]]["split"]} for p in known]
        else:
            dealt = deal(known, rule, self.told.seed)
            found = [(place, split_of(place, dealt, rule)) for place in known]
            split = [place | {"split": name} for place, name in found if name is not None]
            near_others = set(leakage.too_near(split, rule.margin_m))
            split = [place for place in split if place["id"] not in near_others]
        with self.rates.of("leakage", len(split)):
            return self._proven(split, len(known) - len(split))

    def _proven(self, places: list[Line], at_edges: int) -> tuple[list[Line], dict[str, Any]]:
        names = [place["id"] for place in places]
        prints = {view: leakage.printed(self.pictures, view, names) for view in _VIEWS}
        rule = self.told.splits
        alike, _ = leakage.most_alike(places, prints, rule.max_similarity)
        splits = {place["id"]: place["split"] for place in places}
        dropped = set() if self._recipe else set(leakage.to_drop(alike, splits))
        rows = [at for at, name in enumerate(names) if name not in dropped]
        kept = [places[at] for at in rows]
        left, largest = leakage.most_alike(
            kept, {view: of_view[rows] for view, of_view in prints.items()}, rule.max_similarity
        )
        gap_m = leakage.nearest_m(kept)
        if self._recipe is None and (left or gap_m < rule.margin_m):
            raise DataError(f"splits leak: {len(left)} pairs alike, {gap_m:.1f} m between squares")
        return kept, {
            "left out at edges of blocks": at_edges,
            "left out as alike across splits": len(dropped),
            "smallest gap between splits, m": round(gap_m, 1) if gap_m < 1e12 else "one split",
            "largest likeness across splits": round(largest, 3),
        }

    def _named(self, place: Line) -> Line:
        mosaic: MosaicFile = self._mosaics[place["mosaic"]]
        country = mosaic.country
        if self.told.splits.countries is not None:
            country = self._countries().of(place["lat_deg"], place["lon_deg"]) or country
        satellite = {
            key: value for key, value in place["satellite"].items() if key not in _NOT_TOLD
        }
        views = {
            "drone": {
                "mosaic": mosaic.name,
                "captured": mosaic.captured,
                "licence": mosaic.licence,
                "attribution": mosaic.attribution,
                "valid": place["valid"],
                "gsd_m": place["side_m"] / self.told.crops.size_px,
            },
            "satellite": satellite,
            "street": {
                key: place[key]
                for key in ("source", "key", "heading_deg", "licence", "attribution")
            }
            | {"captured": place["taken"]},
        }
        terrain = terrain_of(read_view(self.pictures, "satellite", place["id"]))
        return place | {"country": country, "terrain": terrain, "views": views}

    def _countries(self) -> Countries:
        if not hasattr(self, "_opened"):
            assert self.told.splits.countries is not None
            self._opened = Countries(self.told.splits.countries)
        return self._opened

    def _stage(self, name: str, settings: dict[str, Any]) -> Stage:
        return Stage(self.told.work, name, settings)

    def _prints(self) -> list[list[Any]]:
        """What tells the mosaics from others."""
        return [
            [name, str(each.path), each.bytes, each.path.stat().st_mtime_ns]
            for name, each in self._mosaics.items()
        ]


def _call(work: Callable[[], list[Line]]) -> list[Line]:
    return work()


def _cell(place: Line) -> str:
    return f"{int(place['lat_deg'] // CELL_DEG)} {int(place['lon_deg'] // CELL_DEG)}"


_VIEWS = ("drone", "satellite", "street")
_NOT_TOLD = ("id", "gates", "source_number")
