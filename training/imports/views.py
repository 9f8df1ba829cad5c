"""Which tower of a foreign checkpoint is of which view: by words of its prefix, or as told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from geobridge.onboard.errors import ConfigError, DataError
from geobridge.onboard.views import View

from .names import Tower

TEXT = "text"
WORDS = {
    View.DRONE: frozenset({"drone", "uav", "d"}),
    View.SATELLITE: frozenset({"satellite", "sat", "s"}),
    View.STREET: frozenset({"street", "ground", "panorama", "pano", "p"}),
}


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """`drone=model_1` and the like, as view (or text) to prefix.

    Raises:
        ConfigError: not of this form, or a side named twice.
    """
    sides = [*(view.value for view in View), TEXT]
    told: dict[str, str] = {}
    for pair in pairs:
        side, equals, prefix = pair.partition("=")
        if not equals or side not in sides:
            raise ConfigError(f"--map {pair}: expected {', '.join(sides)}, then =PREFIX")
        if side in told:
            raise ConfigError(f"--map {pair}: {side} is {told[side]} already")
        told[side] = prefix.removesuffix(".")
    return told


def towers_by_view(
    towers: Sequence[Tower], told: Mapping[str, str], wanted: Sequence[View], all_views: bool
) -> dict[View, Tower]:
    """The tower of every wanted view; of those that can be told apart, if none is wanted.

    Raises:
        DataError: in doubt; lists what was found.
    """
    if all_views:
        if len(towers) != 1 or told:
            raise _doubt("--all-views takes one image tower and no --map", towers)
        return dict.fromkeys(wanted or list(View), towers[0])
    chosen = {View(side): _told(side, told[side], towers) for side in told if side != TEXT}
    for tower in towers if not chosen else ():
        view = view_of(tower.prefix)
        if view is None:
            advice = "; say --all-views if all views share it" if len(towers) == 1 else ""
            raise _doubt(f"which view is {tower.title}? Say --map VIEW=PREFIX{advice}", towers)
        if view in chosen:
            raise _doubt(
                f"{chosen[view].title} and {tower.title} are both {view}; say --map", towers
            )
        chosen[view] = tower
    missing = [view.value for view in wanted if view not in chosen]
    if missing:
        raise _doubt(f"no {', '.join(missing)} tower", towers)
    return {view: chosen[view] for view in View if view in (wanted or chosen)}


def text_tower(towers: Sequence[Tower], told: Mapping[str, str]) -> Tower | None:
    """The text tower, if there is one.

    Raises:
        DataError: there are several that differ, and none was named.
    """
    if TEXT in told:
        return _told(TEXT, told[TEXT], towers)
    if not towers:
        return None
    if not all(tower.same(towers[0]) for tower in towers[1:]):
        raise _doubt("which text tower? Say --map text=PREFIX", towers)
    return towers[0]


def view_of(prefix: str) -> View | None:
    """The one view of which a word stands in a prefix, `module.encoder_d.` or `uavEncoder.`"""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", prefix)
    words = set(re.findall(r"[a-z]+", apart.lower()))
    views = [view for view, names in WORDS.items() if words & names]
    return views[0] if len(views) == 1 else None


def _told(side: str, prefix: str, towers: Sequence[Tower]) -> Tower:
    matching = [t for t in towers if f"{t.prefix}".startswith(f"{prefix}." if prefix else "")]
    if len(matching) != 1:
        raise _doubt(f"--map {side}={prefix}: {len(matching)} towers begin so", towers)
    return matching[0]


def _doubt(problem: str, towers: Sequence[Tower]) -> DataError:
    found = ", ".join(f"{tower.title} ({tower.kind})" for tower in towers[:12]) or "nothing"
    more = f" and {len(towers) - 12} more" if len(towers) > 12 else ""
    return DataError(f"{problem}; found: {found}{more}")
