"""The data card: what a set holds, whence, under which licences, and how it was made."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from geobridge.onboard.durable import write_text

from ...datasets.render_blocks import SPLITS
from ...evaluation.page import document, picture, table
from ..stage import Line

CARD = "card.html"
_COLOURS = {"train": "#0b6cff", "val": "#8d99a6", "test": "#c2410c"}
_VIEWS = ("drone", "satellite", "street")


def write_card(folder: Path, name: str, places: Sequence[Line], facts: Mapping[str, Any]) -> None:
    """`facts`: what else is to be told, by its name."""
    counts = Counter(place["split"] for place in places)
    body = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{len(places)} places, each from drone, satellite and street; "
        f"{sum(bool(p['text']) for p in places)} with a text.</p>",
        table(["split", "places"], [[split, str(counts[split])] for split in SPLITS]),
        "<h2>Sources</h2>",
        table(["view", "source", "licence", "attribution", "dates", "places"], _sources(places)),
        "<h2>How it was made</h2>",
        table(["", ""], [[key, str(value)] for key, value in facts.items()]),
        "<h2>Where it lies</h2>",
        picture(_map(places), "png", "all places"),
        "<h2>What it holds</h2>",
        picture(_histograms(places), "png", "histograms of scale, country, terrain and dates"),
    ]
    write_text(folder / CARD, document(name, "\n".join(body)))


def _sources(places: Sequence[Line]) -> list[list[str]]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for place in places:
        for view in _VIEWS:
            told = place["views"][view]
            source = told.get("mosaic") or told["source"]
            key = (view, source, told["licence"], told["attribution"])
            groups.setdefault(key, []).append(told["captured"][:10])
    return [
        [*(part or "not said" for part in key), _span(dates), str(len(dates))]
        for key, dates in sorted(groups.items())
    ]


def _span(dates: Sequence[str]) -> str:
    known = sorted(each for each in dates if each)
    if not known:
        return "not said"
    return known[0] if known[0] == known[-1] else f"{known[0]} to {known[-1]}"


def _map(places: Sequence[Line]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5))
    axes = figure.add_subplot()
    for split in SPLITS:
        some = [place for place in places if place["split"] == split]
        if some:
            lon, lat = [p["lon_deg"] for p in some], [p["lat_deg"] for p in some]
            axes.scatter(lon, lat, s=8, color=_COLOURS[split], label=split)
    axes.set_xlabel("longitude")
    axes.set_ylabel("latitude")
    axes.ticklabel_format(useOffset=False)
    axes.legend()
    return _png(figure)


def _histograms(places: Sequence[Line]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6))
    told = {
        "scale, m": [f"{place['footprint_m']:g}" for place in places],
        "country": [place["country"] or "not said" for place in places],
        "terrain": [place["terrain"] for place in places],
        "year of the drone picture": [
            place["views"]["drone"]["captured"][:4] or "not said" for place in places
        ],
    }
    for number, (title, values) in enumerate(told.items(), start=1):
        axes = figure.add_subplot(2, 2, number)
        by_number = title == "scale, m"
        names = sorted(set(values), key=lambda v: (float(v) if by_number else 0.0, v))
        bottom = [0] * len(names)
        for split in SPLITS:
            counts = Counter(
                value
                for place, value in zip(places, values, strict=True)
                if place["split"] == split
            )
            heights = [counts[each] for each in names]
            axes.bar(range(len(names)), heights, bottom=bottom, color=_COLOURS[split], label=split)
            bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
        axes.set_xticks(range(len(names)), names)
        axes.set_title(title)
        axes.tick_params(axis="x", rotation=30)
    figure.tight_layout()
    return _png(figure)


def _png(figure: Any) -> bytes:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=90)
    return held.getvalue()
