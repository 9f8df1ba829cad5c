"""Two replays side by side as an HTML file that opens offline."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from ..geodesy import distance_m

TITLES = {
    "availability_over_common_frames": "share with a fix, of the frames that both have",
    "error_median_m": "error, half of fixes, m",
    "error_p95_m": "error, 95 % of fixes, m",
    "error_mean_m_where_both_have_a_fix": "error where both have a fix, mean, m",
    "stated_accuracy_median_m": "stated accuracy, 1 sigma, m",
    "half_nees": "NEES/2, honest is 1",
    "wrong_share": "wrong fixes, share",
}
RINGS = (
    "Rings: the truth yellow and widest, A blue, B magenta and smallest; where places are the"
    " same they lie within each other."
)

Place = tuple[float, float]
"""Latitude and longitude in degrees."""


@dataclass(frozen=True)
class Shown:
    """A frame on which A and B differ: their outcomes, places, the truth, and errors in metres."""

    flight: int
    flight_name: str
    frame: str
    t_ns: int
    a: str
    b: str
    place_a: Place | None
    place_b: Place | None
    truth: Place | None
    error_a_m: float | None
    error_b_m: float | None

    def told(self) -> dict[str, Any]:
        """For programs."""
        names = ("frame", "a", "b", "error_a_m", "error_b_m")
        return {"flight": self.flight_name} | {name: getattr(self, name) for name in names}


def comparison_page(
    tree: Mapping[str, Any], shown: Sequence[Shown], drawn: Mapping[int, bytes]
) -> str:
    """`drawn` are pictures of some of what is shown, as JPEG by its number there."""
    css = (files(__package__) / "page" / "table.css").read_text("utf-8")
    flights = len(tree["flights"])
    head = f"{tree['frames']} frames of {flights} flight{'s' * (flights > 1)} that both have"
    if tree["left_out"]:
        head += f"; {tree['left_out']}"
    parts = [
        f"<h1>{escape(tree['a'])} and {escape(tree['b'])}</h1>",
        f"<p>{escape(head)}. Differences are B less A; the interval holds them with 95 %.</p>",
        _figures(tree["differences"]),
        "<h2>Frames that end otherwise</h2>",
        _changes(tree["outcomes"]),
        f"<h2>Frames that differ most</h2><p>{RINGS if drawn else ''}</p>",
        *(_frame(each, drawn.get(number)) for number, each in enumerate(shown)),
    ]
    if not shown:
        parts.append("<p>None: A and B say the same of every frame.</p>")
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>A and B</title><style>{css}</style>{''.join(parts)}</html>\n"
    )


def _figures(rows: Sequence[Mapping[str, Any]]) -> str:
    names = ("a", "b", "b_less_a", "low", "high")
    titles = ("", "A", "B", "B less A", "from", "to", "")
    body = "".join(
        f"<tr><td>{TITLES[row['figure']]}</td>"
        + "".join(f"<td>{_cell(row[name])}</td>" for name in names)
        + f"<td>{_judged(row)}</td></tr>"
        for row in rows
    )  # fmt: skip
    return _table(titles, body)


def _judged(row: Mapping[str, Any]) -> str:
    if row["is_sure"] is None:
        return "too little to say"
    if row["low"] == row["high"] == 0.0:
        return "the same"
    return "a difference" if row["is_sure"] else "may be chance"


def _changes(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "<p>None.</p>"
    body = "".join(
        f"<tr><td>{escape(_words(row['a']))}</td><td>{escape(_words(row['b']))}</td><td>{row['frames']}</td></tr>"
        for row in rows
    )
    return _table(("A", "B", "frames"), body)


def _frame(each: Shown, picture: bytes | None) -> str:
    said = [each.flight_name, each.frame]
    for name, kind, error_m in (("A", each.a, each.error_a_m), ("B", each.b, each.error_b_m)):
        away = "" if error_m is None else f", {error_m:.2f} m off"
        said.append(f"{name}: {_words(kind)}{away}")
    if each.place_a and each.place_b:
        said.append(f"A and B {distance_m(*each.place_a, *each.place_b):.2f} m apart")
    text = f"<figcaption>{escape('; '.join(said))}</figcaption>"
    if picture is None:
        return f"<figure>{text}</figure>"
    source = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
    return f'<figure><img src="{source}" alt="frame and map">{text}</figure>'


def _table(titles: Sequence[str], body: str) -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _words(kind: str) -> str:
    return kind.replace("_", " ")
