"""What a pilot is told: the stretches of a route, and the whole in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

import numpy as np

from geobridge.onboard.records import Reason

from . import posterior
from .bound import upper_bound
from .flown import FIX, Flown
from .localizability import Localizability, wrong_of

WORTH = (
    "What this is worth: the flights were simulated and every view was rendered. Rendered views are"
    " kinder than the sky: real light, seasons, growth, building sites, lenses and sensors differ"
    " in more ways than are drawn here. Silence foretold here is to be expected; a fix foretold"
    " here is a hope, and the absence of wrong fixes no proof."
)
STEADY_FROM, SILENT_BELOW = 0.8, 0.5
WHY = {
    Reason.BAD_IMAGE: "the picture shows too little contrast",
    Reason.WRONG_SIZE: "the picture is of another size than the camera's",
    Reason.BLACK: "the picture is black",
    Reason.OVEREXPOSED: "the picture is overexposed",
    Reason.BLURRED: "the picture is blurred",
    Reason.TORN: "the picture is torn",
    Reason.FROZEN: "the picture stands still",
    Reason.NO_ATTITUDE: "no attitude",
    Reason.NO_HEIGHT: "no height above ground",
    Reason.STALE_TELEMETRY: "telemetry too old",
    Reason.OUT_OF_ORDER: "frames out of order",
    Reason.TILTED: "the camera is tilted too far",
    Reason.TOO_LITTLE_GROUND: "the camera sees too little ground",
    Reason.BAD_DESCRIPTOR: "the encoder fails",
    Reason.OUT_OF_AREA: "no references there",
    Reason.LOW_SCORE: "the ground looks like no reference",
    Reason.NOT_VERIFIED: "the picture does not fit the map well enough",
    Reason.SCATTERED: "the parts of the picture do not agree about the place",
    Reason.AMBIGUOUS: "other places look the same",
    Reason.IMPLAUSIBLE: "the map contradicts heading or height",
    Reason.INCONSISTENT: "what is seen contradicts the motion",
    Reason.DOUBTFUL: "too long on weak evidence",
    Reason.UNCONFIRMED: "found, but not yet confirmed",
}
"""The most frequent reason for silence, in words for a pilot."""


class Say(str, Enum):
    """What to expect of a stretch or a cell."""

    STEADY = "steady"
    PATCHY = "patchy"
    SILENCE = "silence"
    UNKNOWN = "unknown"


def say(availability: float) -> Say:
    """By the expected share of frames with a fix; NaN is unknown."""
    if availability >= STEADY_FROM:
        return Say.STEADY
    if availability >= SILENT_BELOW:
        return Say.PATCHY
    return Say.SILENCE if availability >= 0.0 else Say.UNKNOWN


@dataclass(frozen=True)
class Stretch:
    """A part of a route with one verdict; figures are means over its length, None if unknown.

    `lat_deg`, `lon_deg`: its line. `reason`: the most frequent one for silence.
    """

    begin_m: float
    end_m: float
    say: Say
    availability: float | None
    availability_low: float | None
    availability_high: float | None
    error_m: float | None
    wrong: float | None
    reason: str
    lat_deg: tuple[float, ...]
    lon_deg: tuple[float, ...]


def stretches(
    found: Localizability,
    along_m: posterior.Floats,
    lat_deg: posterior.Floats,
    lon_deg: posterior.Floats,
) -> list[Stretch]:
    """A route, given by [S] places along it, by what the cells below say.

    What is shorter than half a cell is below what the map can tell, and joins the stretch before.
    """
    cells = found.grid.cells(lat_deg, lon_deg)
    shares = np.where(cells >= 0, found.availability.ravel()[cells], np.nan)
    says = without_crumbs([say(share) for share in shares.tolist()], along_m, found.grid.cell_m / 2)
    parts = [list(part) for _, part in groupby(range(len(says)), key=says.__getitem__)]
    ends = [part[0] for part in parts[1:]] + [len(says) - 1]
    result = []
    for part, end in zip(parts, ends, strict=True):
        line = slice(part[0], max(end, part[0]) + 1)
        crossed = cells[part] if says[part[0]] is not Say.UNKNOWN else cells[:0]
        result.append(
            Stretch(
                begin_m=float(along_m[part[0]]),
                end_m=float(along_m[end]),
                say=says[part[0]],
                availability=_mean(found.availability.ravel()[crossed]),
                availability_low=_mean(found.availability_low.ravel()[crossed]),
                availability_high=_mean(found.availability_high.ravel()[crossed]),
                error_m=_mean(found.error_m.ravel()[crossed]),
                wrong=_mean(found.wrong.ravel()[crossed]),
                reason=_usual_reason(found.reason.ravel()[crossed].tolist()),
                lat_deg=tuple(lat_deg[line].tolist()),
                lon_deg=tuple(lon_deg[line].tolist()),
            )
        )
    return result


def without_crumbs(says: list[Say], along_m: posterior.Floats, least_m: float) -> list[Say]:
    """What is said of [S] places along a way, where pieces too short say what the one before says.

    A short first piece keeps what it says.
    """
    whole: list[Say] = []
    for kind, group in groupby(range(len(says)), key=says.__getitem__):
        part = list(group)
        length_m = along_m[min(part[-1] + 1, len(says) - 1)] - along_m[part[0]]
        whole += [whole[-1] if whole and length_m < least_m else kind] * len(part)
    return whole


def totals(flights: Sequence[Flown]) -> dict[str, float | int | None]:
    """Figures over all flights; times in seconds, shares of frames."""
    frames = sum(len(flown.said) for flown in flights)
    fixes = sum(flown.said.count(FIX) for flown in flights)
    wrong = [int(wrong_of(flown).sum()) for flown in flights]
    bad = sum(count > 0 for count in wrong)
    gaps_s = np.array([longest_silence_s(flown) for flown in flights])
    errors = [
        e for f in flights for e, w in zip(f.error_m, wrong_of(f), strict=True) if e and not w
    ]
    judged = sum(FIX in flown.said for flown in flights)
    return {
        "flights": len(flights),
        "flights_arrived": sum(flown.ending == "arrived" for flown in flights),
        "frames": frames,
        "fixes": fixes,
        "availability": fixes / frames if frames else 0.0,
        "error_mean_m": float(np.mean(errors)) if errors else None,
        "wrong_fixes": sum(wrong),
        "flights_with_wrong_fixes": bad,
        "flights_with_fixes": judged,
        "flights_with_wrong_fixes_at_most": upper_bound(bad, judged),
        "longest_silence_median_s": float(np.median(gaps_s)),
        "longest_silence_worst_s": float(gaps_s.max()),
    }


def longest_silence_s(flown: Flown) -> float:
    """The longest time of a flight without a fix, beginning and end included."""
    if not flown.time_s:
        return 0.0
    fixes = [t for t, said in zip(flown.time_s, flown.said, strict=True) if said == FIX]
    times = [flown.time_s[0], *fixes, flown.time_s[-1]]
    return float(np.max(np.diff(times)))


def tell(name: str, figures: dict[str, float | int | None], parts: Sequence[Stretch]) -> str:
    """The verdict as lines of text; without stretches it is that of an area."""
    flights, frames = figures["flights"], figures["frames"]
    lines = [
        f"{name}: {flights} simulated flights, {frames} frames;"
        f" a fix for {figures['availability']:.0%} of them."
    ]
    if parts:
        lines += _route_lines(parts)
    lines.append(
        f"Longest time without a fix: {figures['longest_silence_median_s']:.0f} s in the median"
        f" flight, {figures['longest_silence_worst_s']:.0f} s in the worst."
    )
    lines.append(_wrong_line(figures))
    if figures["error_mean_m"] is not None:
        lines.append(f"Expected error of a right fix: {figures['error_mean_m']:.1f} m.")
    if figures["flights_arrived"] != flights:
        lost = int(flights or 0) - int(figures["flights_arrived"] or 0)
        lines.append(f"{lost} of the flights did not arrive; see the endings in rehearsal.json.")
    return "\n".join([*lines, WORTH])


def _route_lines(parts: Sequence[Stretch]) -> list[str]:
    whole_m = parts[-1].end_m
    lines = []
    for kind, words in (
        (Say.STEADY, "steady fixes"),
        (Say.PATCHY, "patchy fixes"),
        (Say.SILENCE, "expect silence"),
        (Say.UNKNOWN, "unknown"),
    ):
        of_kind = [part for part in parts if part.say is kind]
        length_m = sum(part.end_m - part.begin_m for part in of_kind)
        if of_kind:
            lines.append(f"{words}: {length_m:.0f} m of {whole_m:.0f} m")
        if kind in (Say.SILENCE, Say.UNKNOWN):
            lines += [f"  {_stretch_line(part)}" for part in of_kind]
    return lines


def _stretch_line(part: Stretch) -> str:
    length_m = part.end_m - part.begin_m
    text = f"from {part.begin_m:.0f} m to {part.end_m:.0f} m ({length_m:.0f} m)"
    if part.availability is None:
        return f"{text}: no frame was judged there"
    text += f": a fix for {part.availability:.0%} of frames"
    text += f" ({part.availability_low:.0%} to {part.availability_high:.0%})"
    return f"{text}; {WHY[Reason(part.reason)]}" if part.reason else text


def _wrong_line(figures: dict[str, float | int | None]) -> str:
    judged, most = figures["flights_with_fixes"], figures["flights_with_wrong_fixes_at_most"]
    if most is None:
        return "Wrong fixes: none, for there was no fix."
    return (
        f"Wrong fixes: {figures['wrong_fixes']} of {figures['fixes']}, in"
        f" {figures['flights_with_wrong_fixes']} of {judged} flights with fixes; with 95 %"
        f" confidence in no more than {most:.0%} of flights like these."
    )


def _mean(values: posterior.Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _usual_reason(reasons: list[str]) -> str:
    named = Counter(reason for reason in reasons if reason)
    return named.most_common(1)[0][0] if named else ""
