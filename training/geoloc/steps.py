"""The stages of a build, one method each; they take and give lines, and keep them in a cache."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

from geobridge.onboard.errors import DataError

from . import near, splitting
from .captioning import captions_of
from .captions.features import Features
from .config import BuildConfig
from .crops import CropWork, FitWork, choose_scales, cut, find_fits, mosaic_candidates
from .gates import GATES, failed, thresholds
from .published.recipe import read_recipe
from .rates import Rates
from .satellite import SatelliteWork, align, prefetch, stamps_of
from .seeds import SeedWork, find_seeds
from .sources.mosaics import mosaics_of
from .sources.streets import Seed, asker, works_of
from .splitting import VIEWS
from .spread import Spread, local
from .squares import without_overlaps
from .stage import Line, Stage, chunks
from .terrain import Countries

log = logging.getLogger(__name__)

UNIT = 64
"""Places between two points where a stopped stage goes on."""
CELL_DEG = 0.05
"""Places of one unit of the satellite stage lie no farther apart."""


class Build:
    """A configuration, its mosaics, and what its stages have in common.

    Raises:
        ConfigError: the key of a service is not there.
        DataError: mosaics or satellite imagery cannot be had, or a recipe, a map or countries are
            none.
    """

    def __init__(self, told: BuildConfig, spread: Spread) -> None:
        self.told, self.rates = told, Rates(told.work / "rates.json")
        self.pictures = told.work / "pictures"
        self._spread = spread
        self._askers = [asker(source, told.work / "streets") for source in told.street]
        self._recipe = read_recipe(told.recipe) if told.recipe else None
        self._features = Features(told.features) if told.features else None
        rule = told.splits
        self._countries = Countries(rule.countries) if rule.countries else None
        self._stamps = stamps_of(told.satellite)
        self._mosaics = {each.name: each for each in mosaics_of(told.drone, told.work)}

    def seeds(self) -> list[Line]:
        """Windows of the mosaics that show something."""
        works = [SeedWork(mosaic, self.told.seeds) for mosaic in self._mosaics.values()]
        found = self._stage("1-seeds").run(works, find_seeds, self._spread)
        if not found:
            raise DataError("no mosaic has a window that shows enough; see seeds.min_valid")
        return found

    def streets(self, seeds: Sequence[Line]) -> list[Line]:
        """Street pictures within the seeds' windows, each once."""
        windows = [Seed(s["lat_deg"], s["lon_deg"], *s["half_deg"]) for s in seeds]
        found: dict[str, Line] = {}
        for source, ask in zip(self.told.street, self._askers, strict=True):
            # a service is asked from here alone, no faster than it allows
            lines = self._stage("2-street").run(works_of(source, windows), ask, local)
            found = {line["id"]: line for line in lines} | found
        listed = sorted(found.values(), key=lambda each: str(each["id"]))
        kept = [
            line for line, inside in zip(listed, near.inside(listed, seeds), strict=True) if inside
        ]
        if self._recipe is not None:
            kept = [line for line in kept if line["id"] in self._recipe]
            log.info("%d of the recipe's %d places are here", len(kept), len(self._recipe))
        if not kept:
            raise DataError(
                f"none of {len(listed)} street pictures lies within {len(seeds)} windows of the"
                " mosaics" + (" and in the recipe" if self._recipe else "")
            )
        return kept

    def squares(self, seeds: Sequence[Line], streets: Sequence[Line]) -> list[Line]:
        """Street pictures with a mosaic and a scale that fits there."""
        rule = self.told.crops
        works = [
            FitWork(self._mosaics[name], rule.scales_m, part)
            for name, places in mosaic_candidates(streets, seeds, self._mosaics).items()
            for part in chunks(_slim(places, "id", "lat_deg", "lon_deg"), UNIT)
        ]
        fits: dict[str, Line] = {}
        for fit in self._stage("3-fits").run(works, find_fits, self._spread):
            if max(fit["valid"].values()) >= rule.min_valid:
                fits.setdefault(fit["id"], fit)
        if not fits:
            raise DataError(
                f"none of {len(streets)} street pictures has a square that a mosaic shows whole;"
                " see crops.scales_m and crops.min_valid"
            )
        if self._recipe is not None:
            scales = {name: float(self._recipe[name]["side_m"]) for name in fits}
        else:
            scales = choose_scales(list(fits.values()), rule, self.told.seed)
        return [
            place | {"mosaic": fits[place["id"]]["mosaic"], "side_m": scales[place["id"]]}
            for place in streets
            if place["id"] in fits
        ]

    def without_overlaps(self, squares: Sequence[Line]) -> list[Line]:
        """No two share more than the configured part of the smaller one."""
        if self._recipe is not None:
            return list(squares)
        listed = [(s["id"], s["lat_deg"], s["lon_deg"], s["side_m"]) for s in squares]
        kept = set(without_overlaps(listed, self.told.crops.overlap))
        return [square for square in squares if square["id"] in kept]

    def crops(self, squares: Sequence[Line]) -> list[Line]:
        """Drone and street pictures written, and what the gates measure of them."""
        rule = self.told.crops
        slim = _slim(squares, "id", "lat_deg", "lon_deg", "path", "stamp", "mosaic", "side_m")
        works = [
            CropWork(
                self._mosaics[part[0]["mosaic"]],
                part[0]["side_m"],
                rule.size_px,
                rule.min_valid,
                part,
                self.pictures,
            )
            for part in chunks(slim, UNIT, "mosaic", "side_m")
        ]
        lines = self._stage("4-crops").run(works, cut, self._spread)
        return [
            square | line | {"captured": self._mosaics[square["mosaic"]].captured}
            for square, line in _not_refused(squares, lines)
        ]

    def aligned(self, places: Sequence[Line]) -> list[Line]:
        """Satellite pictures of the same footprints, and how far they lie beside."""
        rule, size_px = self.told.alignment, self.told.crops.size_px
        sources, stamps = self.told.satellite, self._stamps
        slim = _slim(places, "id", "lat_deg", "lon_deg", "side_m", "captured", "sha256")
        prefetch(sources, slim, size_px, 2.0 * rule.search_m)
        works = [
            SatelliteWork(sources, stamps, part[0]["side_m"], size_px, rule, part, self.pictures)
            for part in chunks([p | {"cell": _cell(p)} for p in slim], UNIT, "side_m", "cell")
        ]
        lines = self._stage("5-satellite").run(works, align, self._spread)
        return [
            place
            | {"satellite": line}
            | {key: place[key] | line[key] for key in ("gates", "sha256")}
            for place, line in _not_refused(places, lines)
        ]

    def limits(self, places: Sequence[Line]) -> dict[str, dict[str, float]]:
        """Thresholds by view and gate; of a recipe's places none is thrown away."""
        if self._recipe is not None:
            return {view: dict.fromkeys(GATES, 0.0) for view in VIEWS}
        rules = self.told.cleaning
        return {view: thresholds(places, view, getattr(rules, view)) for view in VIEWS}

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
            texts = {name: line["texts"] for name, line in self._recipe.items()}
            origin = [{"kind": "recipe", "model": "", "asked": 0, "tokens": 0}]
            return [
                place | {"texts": texts[place["id"]], "origin": origin * len(texts[place["id"]])}
                for place in places
            ]
        stage = self._stage("6-captions")
        lines = captions_of(self.told, self._features, places, stage, self.pictures, dry_run)
        return [place | lines[place["id"]] for place in places]

    def split(self, places: Sequence[Line]) -> tuple[list[Line], dict[str, Any]]:
        """Places with `split`, `country`, `terrain` and `views`, and the proof that none leaks."""
        size_px, countries = self.told.crops.size_px, self._countries
        known = [
            splitting.told_of(p, self._mosaics[p["mosaic"]], size_px, countries, self.pictures)
            for p in places
        ]
        rule, recipe = self.told.splits, self._recipe
        if recipe is not None:
            split = [place | {"split": recipe[place["id"]]["split"]} for place in known]
        else:
            split = splitting.dealt(known, rule, self.told.seed)
        with self.rates.of("leakage", len(split)):
            kept, left = splitting.proven(split, rule, self.pictures, recipe is not None)
        return kept, {"left out at edges of blocks": len(known) - len(split)} | left

    def _stage(self, name: str) -> Stage:
        return Stage(self.told.work, name, self.rates)


def _slim(places: Sequence[Line], *keys: str) -> list[Line]:
    """Nothing but what the lines of a unit depend on."""
    return [{key: place[key] for key in keys} for place in places]


def _not_refused(places: Sequence[Line], lines: Sequence[Line]) -> list[tuple[Line, Line]]:
    """Places with the line that a stage gives of each; says which were refused and why.

    Raises:
        DataError: all were.
    """
    of = {line["id"]: line for line in lines}
    refused = [line for line in lines if "refused" in line]
    counts = Counter(line["refused"] for line in refused)
    told = ", ".join(f"{why} ({count})" for why, count in sorted(counts.items()))
    if len(refused) == len(places):
        raise DataError(f"none of {len(places)} places is left: {told}")
    if refused:
        log.info("left out of %d places: %s", len(places), told)
    for line in refused:
        if "told" in line:
            log.warning("left out: %s", line["told"])
    return [(p, of[p["id"]]) for p in places if "refused" not in of[p["id"]]]


def _cell(place: Line) -> str:
    return f"{int(place['lat_deg'] // CELL_DEG)} {int(place['lon_deg'] // CELL_DEG)}"
