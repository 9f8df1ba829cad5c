"""Texts for places: asked for or made from the map, checked, asked for again, with provenance.

A line: `id`, `texts`, and for each text `kind`, `model`, `asked` (how often), `tokens`; `refused`
with the last complaints where no text passed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol

from geobridge.onboard.records import Image

from ..config_captions import Captions
from ..pictures import read_view
from ..stage import Line
from .answers import Answers
from .ask import question
from .budget import Budget
from .checks import problems
from .endpoint import Answer, Endpoint
from .features import Features
from .template import text_of

VIEWS = ("drone", "satellite", "street")


class Writer(Protocol):
    """Makes the line of a place with `id`, `lat_deg`, `lon_deg`, `side_m`, `sha256`."""

    def __call__(self, place: Line) -> Line:
        """Its texts."""


class Template:
    """From the map alone."""

    def __init__(self, rule: Captions, features: Features) -> None:
        self._rule, self._features = rule, features

    def __call__(self, place: Line) -> Line:
        """As `Writer`."""
        reach_m = place["side_m"] / 2.0
        near = self._features.near(place["lat_deg"], place["lon_deg"], reach_m)
        texts = [text_of(near, variant) for variant in range(self._rule.per_place)]
        wrong = [problem for text in texts for problem in problems(text, min_words=1)]
        if wrong:
            return {"id": place["id"], "texts": [], "refused": wrong}
        origin = {"kind": "template", "model": "", "asked": 0, "tokens": 0}
        return {"id": place["id"], "texts": texts, "origin": [origin] * len(texts)}


class Model:
    """From an endpoint; answers are kept by what was asked, so nothing is paid for twice."""

    def __init__(
        self,
        rule: Captions,
        endpoint: Endpoint,
        answers: Answers,
        budget: Budget,
        pictures: Path,
        features: Features | None,
    ) -> None:
        self._rule, self._endpoint, self._answers = rule, endpoint, answers
        self._budget, self._pictures, self._features = budget, pictures, features

    def __call__(self, place: Line) -> Line:
        """As `Writer`."""
        pictures = {view: read_view(self._pictures, view, place) for view in VIEWS}
        known = self._known(place)
        texts: list[str] = []
        origins: list[Line] = []
        for variant in range(self._rule.per_place):
            text, origin, wrong = self._one(pictures, known, variant)
            if wrong:
                return {"id": place["id"], "texts": texts, "origin": origins, "refused": wrong}
            texts.append(text)
            origins.append(origin)
        return {"id": place["id"], "texts": texts, "origin": origins}

    def _one(
        self, pictures: dict[str, Image], known: Collection[str] | None, variant: int
    ) -> tuple[str, Line, list[str]]:
        """A text, where it comes from, and what is wrong with the last one if none was right."""
        wrong: list[tuple[str, list[str]]] = []
        tokens = 0
        for asked in range(1, self._rule.asks + 1):
            answer = self._asked(pictures, known, variant, wrong)
            tokens += answer.input_tokens + answer.output_tokens
            complaints = problems(answer.text, known)
            if not complaints:
                origin = {"kind": "model", "model": answer.model or self._rule.model}
                return answer.text, origin | {"asked": asked, "tokens": tokens}, []
            wrong.append((answer.text, complaints))
        return "", {}, wrong[-1][1]

    def _asked(
        self,
        pictures: dict[str, Image],
        known: Collection[str] | None,
        variant: int,
        wrong: Sequence[tuple[str, list[str]]],
    ) -> Answer:
        listed = None if known is None else sorted(known)
        rule = self._rule
        asked_of = f"{rule.model} {rule.temperature} {rule.max_tokens}"
        asked = question(pictures, rule.picture_px, variant, listed, wrong, asked_of)
        if (kept := self._answers.get(asked.key)) is not None:
            return kept
        self._budget.require_left()
        answer = self._endpoint.ask(asked.messages)
        self._budget.spend(answer.input_tokens, answer.output_tokens)
        self._answers.keep(asked.key, answer)
        return answer

    def _known(self, place: Line) -> set[str] | None:
        if self._features is None:
            return None
        reach_m = place["side_m"] / 2.0 * self._rule.map_reach
        near = self._features.near(place["lat_deg"], place["lon_deg"], reach_m)
        return {each.kind for each in near}


def write_all(writer: Writer, at_once: int, places: Sequence[Line]) -> list[Line]:
    """The lines of places, a few at a time; the first error stops what has not begun.

    Raises:
        DataError: as the writer does.
    """
    pool = ThreadPoolExecutor(at_once)
    try:
        return list(pool.map(partial(_call, writer), places))
    finally:
        pool.shutdown(cancel_futures=True)


def _call(writer: Writer, place: Line) -> Line:
    return writer(place)
