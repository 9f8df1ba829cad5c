"""Facts as a few plain sentences of limited length."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence

from .fact import Fact, Topic
from .words import listed

MAX_WORDS = 55
_MAX_PIECES = 70
"""Words, hyphens and stops; with the parts of long words CLIP reads no more than 77."""
_PIECE = re.compile(r"\w+|[^\w\s]")
_MOST_FACTS = 8
_PER_SENTENCE = 3


def tell(facts: Sequence[Fact]) -> str:
    """The facts that tell the place apart best: at least one, at most what `MAX_WORDS` hold.

    The form of the sentences varies by a hash of what they say: the same facts read the same.
    """
    ranked = sorted(facts, key=lambda fact: (not fact.anchor, -fact.weight, fact.phrase))
    told = ranked[:_MOST_FACTS]
    while len(told) > 1 and _is_long(_text(told)):
        told.pop()
    return _text(told)


def _is_long(text: str) -> bool:
    return len(text.split()) > MAX_WORDS or len(_PIECE.findall(text)) > _MAX_PIECES


def _text(facts: Sequence[Fact]) -> str:
    turn = zlib.crc32("; ".join(sorted(fact.phrase for fact in facts)).encode())
    sentences: list[str] = []
    for topic in Topic:
        about = sorted((f for f in facts if f.topic is topic), key=lambda f: -f.weight)
        for first in range(0, len(about), _PER_SENTENCE):
            form = _FORMS[(turn >> (4 * len(sentences))) % len(_FORMS)]
            sentence = form(about[first : first + _PER_SENTENCE])
            sentences.append(sentence[0].upper() + sentence[1:] + ".")
    return " ".join(sentences)


def _plain(facts: Sequence[Fact]) -> str:
    return listed([fact.phrase for fact in facts])


def _there(facts: Sequence[Fact]) -> str:
    return f"there {'are' if facts[0].plural else 'is'} {_plain(facts)}"


def _with_rest(facts: Sequence[Fact]) -> str:
    first, rest = facts[0], facts[1:]
    if not (first.motion or first.where):
        return _there(facts)
    return first.clause + (f", with {_plain(rest)}" if rest else "")


def _fronted(facts: Sequence[Fact]) -> str:
    if any(fact.motion or not fact.where for fact in facts):
        return _with_rest(facts)
    first, rest = facts[0], facts[1:]
    verb = "are" if first.plural else "is"
    return listed([f"{first.where} {verb} {first.thing}", *(f"{f.where} {f.thing}" for f in rest)])


_FORMS: tuple[Callable[[Sequence[Fact]], str], ...] = (_plain, _there, _with_rest, _fronted)
