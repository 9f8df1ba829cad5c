"""What is wrong with a text, in words that can be told to the model that wrote it."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

MAX_TOKENS = 77
"""Of CLIP's text encoder, with the two that begin and end a text."""
MIN_WORDS = 5

VIEWS = (
    r"aerial|birds?.?eye|overhead|top.?down|nadir|drone|uav|satellite|street.?view|panoram\w*|"
    r"image\w*|photo\w*|picture\w*|camera|view\w*|from above|screenshot|perspective|"
    r"foreground|background|horizon"
)
PASSING = (
    r"cars?|vehicles?|trucks?|buses|bus|vans?|motorcycles?|bicycles?|pedestrians?|people|persons?|"
    r"crowds?|cyclists?|parked|traffic jam|shadows?|sky|clouds?|cloudy|sunny|sunlight|overcast|"
    r"rain\w*|snow\w*|fog\w*|haze|weather|daytime|night\w*|morning|evening|summer|winter|autumn|"
    r"spring(?!s)|today|currently|boats?|ships?"
)
REFUSALS = (
    r"i(?:'m| am) (?:sorry|unable)|i can(?:no|')t|as an ai|i do not have|cannot (?:help|assist|see)"
)
CLAIMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "river": (r"rivers?|riverbanks?", ("river", "canal", "stream")),
    "stream": (r"streams?|brooks?|creeks?", ("stream", "river", "canal")),
    "canal": (r"canals?", ("canal", "river")),
    "lake": (r"lakes?|ponds?|reservoirs?", ("lake", "river")),
    "sea": (r"sea|seaside|ocean|beach(?:es)?|coast\w*|harbou?r", ("coast", "lake")),
    "railway": (r"railways?|railroads?|rail lines?|train tracks?|rail tracks?", ("railway",)),
    "motorway": (r"motorways?|freeways?|highways?|expressways?", ("motorway", "road")),
    "roundabout": (r"roundabouts?|traffic circles?", ("roundabout",)),
    "bridge": (r"bridges?|overpass(?:es)?|viaducts?", ("bridge",)),
    "church": (r"church(?:es)?|mosques?|temples?|cathedrals?", ("church",)),
    "forest": (r"forests?|woods|woodlands?", ("forest", "park", "orchard")),
    "cemetery": (r"cemeter(?:y|ies)|graveyards?", ("cemetery",)),
    "stadium": (r"stadiums?|sports fields?|football fields?|tennis courts?", ("pitch",)),
}
"""Words that claim something that a map would have, and the kinds that bear them out."""
_ENGLISH = frozenset({
    "a", "an", "the", "of", "and", "with", "by", "in", "on", "at", "to", "is", "are", "near",
    "beside", "along", "between", "next", "from", "its", "it", "two", "three", "several",
    "around", "through", "surrounded", "crossed", "lined",
})  # fmt: skip


def problems(
    text: str, known: Collection[str] | None = None, min_words: int = MIN_WORDS
) -> list[str]:
    """All that is wrong with a text; `known` are the kinds that the map has there, None without a
    map."""
    found = []
    if re.search(rf"\b(?:{REFUSALS})", text, re.IGNORECASE):
        return ["it is a refusal and no description"]
    words = re.findall(r"[^\W\d_]+", text)
    if len(words) < min_words:
        return [f"it has {len(words)} words, expected at least {min_words}"]
    if (tokens := count_tokens(text)) > MAX_TOKENS:
        found.append(f"it is too long: {tokens} tokens, at most {MAX_TOKENS}")
    if not text.strip().isprintable() or re.search(r"[*#`{}<>|\ufffd]", text):
        found.append("it is not one plain paragraph")
    for told, pattern in (("speaks of the pictures", VIEWS), ("names what will pass", PASSING)):
        if bad := sorted({m.lower() for m in re.findall(rf"\b(?:{pattern})\b", text, re.I)}):
            found.append(f"it {told}: {', '.join(bad)}")
    if not _is_english(text, words):
        found.append("it is not English")
    if known is not None:
        found += [f"the map has no {claim} there" for claim in contradictions(text, known)]
    return found


def contradictions(text: str, known: Collection[str]) -> list[str]:
    """What a text claims and the map does not have; what it denies is no claim."""
    affirmed = re.sub(r"\b(?:no|without|not a|nor)\b[^.,;]*", " ", text, flags=re.IGNORECASE)
    return [
        claim
        for claim, (pattern, kinds) in CLAIMS.items()
        if re.search(rf"\b(?:{pattern})\b", affirmed, re.IGNORECASE)
        and not any(kind in known for kind in kinds)
    ]


def count_tokens(text: str) -> int:
    """As CLIP's text encoder counts them."""
    return len(_tokenizer().encode(text)) + 2


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def _is_english(text: str, words: list[str]) -> bool:
    letters = [c for c in text if c.isalpha()]
    plain = sum(c.isascii() for c in letters)
    common = sum(word.lower() in _ENGLISH for word in words)
    return plain >= 0.95 * len(letters) and common >= min(max(1, len(words) // 12), len(words) // 5)
