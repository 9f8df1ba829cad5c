"""A text from what the map says, without any model."""

from __future__ import annotations

from collections.abc import Sequence

from .features import Near

GROUND = {
    "houses": "a residential area",
    "industry": "an industrial area",
    "shops": "a commercial area",
    "forest": "woodland",
    "farmland": "farmland",
    "orchard": "orchards",
    "grass": "grassland",
    "park": "a park",
    "lake": "open water",
    "cemetery": "a cemetery",
}
"""What a place can be as a whole, if it covers enough of it."""
CROSSING = {
    "motorway": "a motorway",
    "railway": "a railway line",
    "river": "a river",
    "canal": "a canal",
    "stream": "a stream",
    "coast": "a shore",
    "road": "a road",
}
_ONE = {
    "roundabout": "a roundabout",
    "bridge": "a bridge",
    "church": "a church",
    "school": "a school",
    "pitch": "a sports field",
    "parking": "a parking lot",
    "tower": "a tower",
    "solar": "solar panels",
}
_MANY = {
    "bridge": "bridges",
    "pitch": "sports fields",
    "parking": "parking lots",
    "road": "several roads",
    "railway": "railway lines",
    "stream": "streams",
    "building": "buildings",
    "houses": "houses",
    "path": "footpaths",
}
MOST_THINGS, DENSE = 6, 0.25


def text_of(near: Sequence[Near], variant: int = 0) -> str:
    """One or two sentences; empty where the map knows nothing.

    `variant` 1 says the same in another order.
    """
    grounds = [GROUND[each.kind] for each in near if each.kind in GROUND and each.share >= 0.15]
    crossing = [_named(each, CROSSING) for each in near if each.kind in CROSSING]
    things = [_named(each, _ONE) for each in near if each.kind in _ONE]
    built = _built(near) if not grounds or "a residential area" not in grounds else ""
    if not (grounds or crossing or things or built):
        return ""
    ground = _joined(grounds[:2]) or built or "open ground"
    rest = things[: MOST_THINGS - len(crossing[:3])]
    if variant == 0:
        first = f"{ground} crossed by {_joined(crossing[:3])}" if crossing else ground
        second = f"with {_joined(rest)}" if rest else ""
        return _sentence(f"{first}, {second}" if second else first)
    parts = [*rest, *crossing[:3]]
    return _sentence(f"{_joined(parts)} in {ground}" if parts else ground)


def _named(near: Near, one: dict[str, str]) -> str:
    return _MANY[near.kind] if near.count > 1 and near.kind in _MANY else one[near.kind]


def _built(near: Sequence[Near]) -> str:
    share = sum(each.share for each in near if each.kind in ("building", "houses"))
    count = sum(each.count for each in near if each.kind in ("building", "houses"))
    if not count:
        return ""
    if share >= DENSE:
        return "densely built blocks"
    return "scattered buildings" if count > 3 else "a few buildings" if count > 1 else "a building"


def _joined(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
