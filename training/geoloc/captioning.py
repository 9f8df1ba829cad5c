"""The captions stage: who writes, what it will cost, what is there already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
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


def captions_of(
    told: BuildConfig, places: Sequence[Line], pictures: Path, dry_run: bool
) -> dict[str, Line]:
    """`texts` and `origin` by the id of a place.

    Raises:
        ConfigError: a model that cannot be asked.
        DataError: the budget is too small, or the endpoint refuses; what was written is kept.
    """
    rule = told.captions
    nothing: Line = {"texts": [], "origin": []}
    if rule.kind == "none":
        return {place["id"]: nothing for place in places}
    settings: dict[str, Any] = {"captions": rule.model_dump(exclude=set(_COSTS))}
    settings["features"] = sha256(told.features) if told.features else None
    stage = Stage(told.work, "6-captions", settings)
    keys = ("id", "lat_deg", "lon_deg", "side_m")
    units = chunks([{key: place[key] for key in keys} for place in places], UNIT)
    features = Features(told.features) if told.features else None
    if rule.kind == "template":
        assert features is not None
        return _by_id(_run(stage, units, Template(rule, features), 1))
    answers = Answers(told.work / "answers")
    budget = Budget(rule, *answers.spent())
    left = sum(len(part) for name, part in units.items() if not stage.has(name))
    budget.announce(left * rule.per_place)
    if dry_run:
        return {place["id"]: nothing for place in places}
    endpoint = Endpoint(rule)
    try:
        model = Model(rule, endpoint, answers, budget, pictures, features)
        lines = _run(stage, units, model, rule.at_once)
    finally:
        endpoint.close()
        log.info(
            "captions: %d answers now; all so far: %.2f in money", budget.answers, budget.money
        )
    return _by_id(lines)


def _run(stage: Stage, units: dict[str, list[Line]], writer: Writer, at_once: int) -> list[Line]:
    return stage.run(units, partial(write_all, writer, at_once), _in_turn)


def _in_turn(do: Callable[[Any], Any], payloads: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """One unit after the other here: the endpoint and the budget are one for all."""
    for at, payload in enumerate(payloads):
        yield at, do(payload)


def _by_id(lines: Sequence[Line]) -> dict[str, Line]:
    refused = [line for line in lines if "refused" in line]
    for line in refused[:3]:
        log.warning("%s stays without a text: %s", line["id"], "; ".join(line["refused"]))
    if refused:
        log.warning("%d of %d places stay without a text", len(refused), len(lines))
    return {
        line["id"]: {"texts": line["texts"], "origin": line.get("origin", [])} for line in lines
    }
