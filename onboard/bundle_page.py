"""A bundle on one page that opens offline: what it covers, where it looks alike, whose it is."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from typing import Any

from .bundle_maps import aliasing_map, coverage_map, png
from .records import Image
from .retrieval.imagery import ReferenceImagery
from .retrieval.index import Index

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; margin: 2rem auto; max-width: 72rem;
       padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
figure { margin: 0 } figcaption { color: #5a6773; margin-top: .4rem }
.maps { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1.5rem;
        margin-bottom: 1.5rem }
.maps img { width: 100%; border: 1px solid #d5dbe1 }
table { border-collapse: collapse } td { padding: .2rem 1rem .2rem 0; vertical-align: top }
td:first-child { color: #5a6773; white-space: nowrap }
"""
_COVERAGE = (
    "What it covers: squares of satellite imagery blue, of earlier flights orange, street pictures"
    " green, with a stroke where their heading is known; featureless squares and water are crossed"
    " out. North is up."
)
_ALIKE = (
    "Where the map looks alike: green where no place farther off resembles the square, red where"
    " one resembles it as much as its own neighbours do; there a first fix needs a clearer match."
)


def page_of(facts: Mapping[str, Any], index: Index, imagery: ReferenceImagery | None) -> str:
    """The page, with the facts that `verify` tells."""
    figures = [_figure(coverage_map(index, imagery), _COVERAGE)]
    alike = aliasing_map(index, imagery)
    if alike is not None:
        figures.append(_figure(alike, _ALIKE))
    plain = {name: value for name, value in facts.items() if not isinstance(value, Mapping)}
    tables = [_table(plain)]
    for name, value in facts.items():
        if isinstance(value, Mapping):
            tables.append(f"<h2>{html.escape(name.capitalize())}</h2>{_table(value)}")
    title = html.escape(str(facts["bundle"]).partition(",")[0])
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
        f"<div class=maps>{''.join(figures)}</div>{''.join(tables)}</html>\n"
    )


def _figure(image: Image, caption: str) -> str:
    data = base64.b64encode(png(image)).decode()
    said = html.escape(caption)
    picture = f"<img alt='' src='data:image/png;base64,{data}'>"
    return f"<figure>{picture}<figcaption>{said}</figcaption></figure>"


def _table(rows: Mapping[str, Any]) -> str:
    cells = (
        f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{''.join(cells)}</table>"
