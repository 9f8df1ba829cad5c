"""Words for directions in a description, when what is described is turned or mirrored.

The points of the compass follow every turn: "a road in the north" of a place that was turned a
quarter anticlockwise is "a road in the west". Left and right change places in a mirror; in a turned
place they cannot be put right, for what is left in a picture is no longer left, while what is left
of a road still is, and words do not tell which is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

_RING = ("north", "west", "south", "east")
"""As a quarter turn anticlockwise leads from one to the next."""
_MIRRORED = {"east": "west", "west": "east"}
_INITIALS = {name[0].upper(): name for name in _RING}

_POINT = re.compile(
    r"\b(?:(?P<first>north|south)(?P<link>[- ]?)(?P<second>east|west)"
    r"|(?P<single>north|south|east|west))"
    r"(?P<ending>ern(?:most|ly)?|erly|wards?|bound|most|side)?\b",
    re.IGNORECASE,
)
_INITIAL = re.compile(  # NE, SSW, N-S, "the N"; a letter alone may be a name
    r"\b(?:[NSEW]?[NS][EW]|[NSEW](?=[-\u2013/][NSEW]\b)|(?<=\b[NSEW][-\u2013/])[NSEW]"
    r"|(?<=\bthe )[NSEW](?!-))\b"
)
_WIND = r"(?:north|south)[- ]?(?:east|west)|north|south|east|west"
_ARTICLE = re.compile(rf"\b(a)n?(?=\s+(?:{_WIND})|\s+[NSEW]{{1,3}}\b)", re.IGNORECASE)
_RUNS = r"(?:runs?|running|aligned|oriented|stretch(?:es|ing)?|extend(?:s|ing)?)(?: from)?"
_PAIRS = (  # either order says the same, but only one of them is usual
    (
        rf"(?P<lead>\b{_RUNS} )(?P<a>{_WIND})(?P<link> to )(?P<b>{_WIND})(?![-\w])",
        {"east": "west", "northeast": "southwest", "south": "north", "southeast": "northwest"},
    ),
    (
        rf"(?P<lead>\b)(?P<a>{_WIND})(?P<link> and )(?P<b>{_WIND})(?![-\w])",
        {"south": "north", "west": "east", "southwest": "northeast", "northwest": "southeast"},
    ),
    (
        rf"(?P<lead>\b)(?P<a>{_WIND})(?P<link>[-\u2013])(?P<b>{_WIND})(?![-\w])",
        {"south": "north", "west": "east", "southwest": "northeast", "southeast": "northwest"},
    ),
)
_USUAL = [(re.compile(pattern, re.IGNORECASE), turned) for pattern, turned in _PAIRS]

_SIDE = re.compile(  # not what is left over, at a right angle, or right next to something
    r"(?P<before>\b(?:the|its|their|upper|lower|top|bottom|far|near|to|from|on|and|or)[ -])?"
    r"\b(?P<word>left|right)(?P<ending>wards?|most)?\b(?![- ](?:angle|of[- ]way))"
    r"(?(before)|(?(ending)|(?![- ](?:next|beside|beneath|under|above|behind|in|at|by|along"
    r"|through|up|down|on|off|across|against|into|near|outside|inside|now|after|before|adjacent"
    r"|over|open|bare|vacant|empty|fallow|wild|to|as|un\w+)\b)))",
    re.IGNORECASE,
)
_AROUND = re.compile(r"\b(anti-?|counter-?)?(clockwise)\b", re.IGNORECASE)
_OTHER_SIDES = {"left": "right", "right": "left"}
_UPRIGHT = re.compile(
    r"\b(?:top|bottom|upper|lower)[- ](?:left|right|half|edge|corner|part|portion|third|side"
    r"|cent(?:er|re)|of the (?:image|picture|photo|view|frame|scene|map))\b",
    re.IGNORECASE,
)
_LOOSE = re.compile(
    r"\b(?:left|right)[- ]?hand(?:ed)?\b|\bo['\u2019]?clock\b|\b(?:vertical|horizontal)(?:ly)?\b"
    r"|\b[NSEW] (?:to|and) [NSEW]\b",
    re.IGNORECASE,
)


def has_points(text: str) -> bool:
    """Whether it names a point of the compass."""
    return bool(_POINT.search(text) or _INITIAL.search(text))


def has_sides(text: str) -> bool:
    """Whether it says left, right, or up and down in a picture."""
    return bool(_SIDE.search(text) or _UPRIGHT.search(text))


def has_hand(text: str) -> bool:
    """Whether it tells a thing from its mirror image by other words: clockwise or not."""
    return bool(_AROUND.search(text))


def is_loose(text: str) -> bool:
    """Whether it tells directions in words that no rule here rewrites."""
    return bool(_LOOSE.search(text))


def rewrite(text: str, quarters: int, mirrored: bool) -> str:
    """The text of a place turned by quarters anticlockwise and then, perhaps, mirrored east to
    west. Points of the compass follow both, left and right the mirror alone."""
    to = {name: _RING[(at + quarters) % 4] for at, name in enumerate(_RING)}
    if mirrored:
        to = {name: _MIRRORED.get(turned, turned) for name, turned in to.items()}
        text = _AROUND.sub(_other_way_round, _SIDE.sub(_other_side, text))
    if quarters % 4 == 0 and not mirrored:
        return text
    text = _INITIAL.sub(partial(_initials, to), _POINT.sub(partial(_point, to), text))
    for pattern, usual in _USUAL:
        text = pattern.sub(partial(_usual, usual), text)
    return _ARTICLE.sub(_article, text)


def _point(to: Mapping[str, str], match: re.Match[str]) -> str:
    found = match.groupdict()
    if found["single"]:
        words = [_like(found["single"], to[found["single"].lower()])]
    else:
        # north and south come first, whichever of the two they were made of
        names = [to[found["first"].lower()], to[found["second"].lower()]]
        names.sort(key=lambda name: name in _MIRRORED)
        words = list(map(_like, (found["first"], found["second"]), names))
    return (found["link"] or "").join(words) + (found["ending"] or "")


def _article(match: re.Match[str]) -> str:
    """By how the next word is spoken: an east, an S, an N; a west, a W."""
    following = match.string[match.end() :].lstrip()
    spoken = following[:1] in ("e", "E") or re.match(r"[NS][NSEW]{0,2}\b", following)
    return match[1] + ("n" if spoken else "")


def _initials(to: Mapping[str, str], match: re.Match[str]) -> str:
    turned = [to[_INITIALS[letter]][0].upper() for letter in match[0]]
    turned[-2:] = sorted(turned[-2:], key=lambda letter: letter in "EW")
    return "".join(turned)


def _usual(turned: Mapping[str, str], match: re.Match[str]) -> str:
    first, second = (re.sub("[- ]", "", match[part].lower()) for part in ("a", "b"))
    if turned.get(first) != second:
        return match[0]
    last, link = match["a"].lower(), match["link"]
    return match["lead"] + _like(match["a"], match["b"].lower()) + link + last


def _other_side(match: re.Match[str]) -> str:
    word = _like(match["word"], _OTHER_SIDES[match["word"].lower()])
    return (match["before"] or "") + word + (match["ending"] or "")


def _other_way_round(match: re.Match[str]) -> str:
    if match[1]:
        return _like(match[1], match[2].lower())
    return _like(match[2], "anticlockwise")


def _like(pattern: str, word: str) -> str:
    """The word in the case of another."""
    if len(pattern) > 1 and pattern.isupper():
        return word.upper()
    return word.capitalize() if pattern[0].isupper() else word
