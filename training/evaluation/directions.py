"""GeoBridge's table: from every view to every other one, and from text to every view.

Each place is the one right answer to its own query, over the places of a split that have both
sides; any other is wrong, be it the next one along the road. Near-duplicates in a split (places
that overlap, or look alike) therefore cost accuracy that no model can earn: figures compare on one
split, not across splits. AP is University-1652's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from geobridge.onboard.metrics import guessing

from ..config_model import ModelConfig
from ..datasets.triples import TriplesSource
from ..model import GeoBridge
from . import ranking
from .describe import Side, describe

Table = list[dict[str, Any]]


def six_directions(
    model: GeoBridge, config: ModelConfig, source: TriplesSource, max_places: int | None = None
) -> Table:
    """One row for every direction that at least one place can be asked in.

    A row has `direction`, `queries` (which are also the references), `r1`, `r5`, `r10`,
    `r1_percent` and `ap`, and in `chance` what guessing gives for each of these figures. Memory
    holds 4 D bytes for a place and side, and pieces of all else.

    Args:
        model: encodes on its device and in the caller's autocast; its mode is left as it was.
        config: of that model.
        source: of the split.
        max_places: at most so many of its places, always the same ones (`chosen`).
    """
    sides = describe(model, config, source, chosen(source.names, max_places))
    device = next(model.parameters()).device
    offered = {view.value for view in source.pictures}
    rows = [
        _row(query, sides[query], reference, sides[reference], device)
        for query in sides
        for reference in sides
        if query != reference and reference in offered
    ]
    return [row for row in rows if row["queries"]]


def mean_r1(table: Table) -> float:
    """R@1, averaged over the directions."""
    return float(np.mean([row["r1"] for row in table]))


def with_guesses(table: Table) -> list[dict[str, Any]]:
    """The rows, their `chance` as rows of its own: one for every number of places searched."""
    rows = [{key: value for key, value in row.items() if key != "chance"} for row in table]
    chances = {row["queries"]: row["chance"] for row in table}
    return rows + [
        {"direction": f"guessing among {count}", "queries": None} | chances[count]
        for count in sorted(chances, reverse=True)
    ]


def chosen(places: Sequence[str], count: int | None) -> list[str]:
    """At most `count` of the places, in order: those whose hashed names come first.

    So the choice needs no seed, follows no pattern in the names, and changes little as a data set
    grows.
    """
    first = sorted(places, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
    return sorted(first[:count])


def _row(
    query: str, asked: Side, reference: str, offered: Side, device: torch.device
) -> dict[str, Any]:
    common, of_asked, of_offered = np.intersect1d(
        asked.places, offered.places, assume_unique=True, return_indices=True
    )
    row: dict[str, Any] = {"direction": f"{query} to {reference}", "queries": len(common)}
    if not len(common):
        return row
    found = ranking.ranks(asked.descriptors[of_asked], offered.descriptors[of_offered], device)
    return row | ranking.figures(found) | {"chance": guessing(len(common))}
