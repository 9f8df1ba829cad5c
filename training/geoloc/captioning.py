"""The captions stage: who writes, what it will cost, what is there already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geobridge.onboard.bundle import sha256

from .captions.answers import Answers
from .captions.budget import Budget
from .captions.endpoint import Endpoint
from .captions.features import Features
from .captions.write import Model, Template, Writer, write_all
from .config import BuildConfig
from .stage import Line, Stage, chunks

log = logging.getLogger(__name__)

UNIT = 32
_COSTS = frozenset({"budget", "budget_tokens", "rate_per_min", "at_once", "timeout_s", "retries"})
_COSTS |= {"input_price", "output_price", "expected_input_tokens", "key_env", "base_url"}
"""Keys that change no text."""
_KEYS = ("id", "lat_deg", "lon_deg", "side_m", "sha256")
_NOTHING: Line = {"texts": [], "origin": []}


@dataclass(frozen=True)
class CaptionWork:
    """Places, and all that their texts depend on besides."""

    rule: dict[str, Any]
    features_sha256: str | None
    places: Sequence[Line]


def captions_of(
    told: BuildConfig,
    features: Features | None,
    places: Sequence[Line],
    stage: Stage,
    pictures: Path,
    dry_run: bool,
) -> dict[str, Line]:
    """`texts` and `origin` by the id of a place.

    Raises:
        ConfigError: a model that cannot be asked.
        DataError: the budget is too small, or the endpoint refuses; what was written is kept.
    """
    rule = told.captions
    if rule.kind == "none":
        return {place["id"]: _NOTHING for place in places}
    slim = [{key: place[key] for key in _KEYS} for place in places]
    map_sha256 = sha256(told.features) if told.features else None
    kept = rule.model_dump(exclude=set(_COSTS))
    works = [CaptionWork(kept, map_sha256, part) for part in chunks(slim, UNIT)]
    if rule.kind == "template":
        assert features is not None
        return _run(stage, works, Template(rule, features), 1)
    answers = Answers(told.work / "answers")
    budget = Budget(rule, *answers.spent())
    left = sum(len(work.places) for work in works if not stage.has(work))
    budget.announce(left * rule.per_place)
    if dry_run:
        return {place["id"]: _NOTHING for place in places}
    endpoint = Endpoint(rule)
    try:
        model = Model(rule, endpoint, answers, budget, pictures, features)
        return _run(stage, works, model, rule.at_once)
    finally:
        endpoint.close()
        log.info(
            "captions: %d answers now; all so far: %.2f in money", budget.answers, budget.money
        )


def _run(
    stage: Stage, works: Sequence[CaptionWork], writer: Writer, at_once: int
) -> dict[str, Line]:
    lines = stage.run(works, lambda work: write_all(writer, at_once, work.places), _in_turn)
    refused = [line for line in lines if "refused" in line]
    for line in refused[:3]:
        log.warning("%s stays without a text: %s", line["id"], "; ".join(line["refused"]))
    if refused:
        log.warning("%d of %d places stay without a text", len(refused), len(lines))
    return {
        line["id"]: {"texts": line["texts"], "origin": line.get("origin", [])} for line in lines
    }


def _in_turn(do: Callable[[Any], Any], payloads: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """One unit after the other here: the endpoint and the budget are one for all."""
    for at, payload in enumerate(payloads):
        yield at, do(payload)
