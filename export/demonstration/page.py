"""The demo's page: one file that needs nothing else, for an engineer who has five minutes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from geobridge.onboard.durable import write_text
from geobridge.onboard.metrics import guessing
from geobridge.training.evaluation.page import document, picture, table

_HEAD = ("from, to", "queries", "R@1", "R@5", "R@10", "AP")


def write_page(
    path: Path,
    summary: dict[str, Any],
    directions: Sequence[dict[str, Any]],
    flight: Path,
    triples: Path,
    wrote: dict[str, str],
) -> None:
    """Write the page with both pictures in it; `wrote` names what lies beside it."""
    write_text(
        path,
        document(
            "GeoBridge-UAV demo",
            f"""<h1>GNSS was cut. {_headline(summary)}</h1>
<p>{_paragraph(summary)}</p>
{_embedded(flight, "Map of the flight, errors over time")}
<p class="worth">Everything here is rendered: the land, the pictures, the vehicle and its autopilot
(a stand-in that follows ArduCopter's measured rules). The daemon, the encoders, the bundle and the
MAVLink messages are the real ones. Rendered views are kinder than the sky: this shows that the
whole path works together, not how well it will do over your land.</p>
<h2>The flight</h2>
{table(["", "median", "95 %", "worst"], _errors(summary))}
<h2>The encoders</h2>
<p>Three image towers and a text tower, trained here on rendered triples for a few minutes. Every
query is a place in a block of land that training never saw, looked for among as many places as
there are queries: how often the right one is first, among the first five or ten, and the mean
average precision. Small towers on little data: figures to compare with guessing, and directions
with each other, no more.</p>
{table(_HEAD, [_direction(row) for row in directions], _guesses(directions))}
<h2>What they learn from</h2>
{_embedded(triples, "Places from satellite, drone and street")}
<h2>What lies beside this page</h2>
{table(["", "where"], sorted(wrote.items()))}""",
        ),
    )


def _headline(summary: dict[str, Any]) -> str:
    if summary["arrived"]:
        return "The vehicle completed its route on its camera."
    return f"The vehicle did not complete its route ({escape(summary['ending'])})."


def _paragraph(summary: dict[str, Any]) -> str:
    withheld = ", ".join(f"{count} {escape(why)}" for why, count in summary["withheld"].items())
    alone = summary["unaided"]
    return (
        f"{summary['flight_s']:.0f} s in the air, of these {summary['without_gnss_s']:.0f} s and"
        f" {summary['without_gnss_m']:.0f} m without GNSS. {summary['frames']} frames gave"
        f" {summary['fixes']} fixes, {summary['wrong_fixes']} of them wrong;"
        f" withheld: {withheld or 'none'}. The fixes stated"
        f" {_metres(summary['stated_accuracy_m'])} (1-sigma per axis; the circles on the map hold"
        f" 95 %). Without the daemon the same autopilot gave up"
        f" {alone['gave_up_after_s']:.0f} s after the cut, {alone['error_m']:.0f} m off."
    )


def _metres(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.1f} m"


def _errors(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    named = (
        ("error of a fix, m", summary["fix_error_m"]),
        ("error of the autopilot after the cut, m", summary["autopilot_error_m"]),
    )
    return [
        (name, *(f"{spread[key]:.1f}" for key in ("median", "p95", "max")))
        for name, spread in named
        if spread
    ]


def _direction(row: dict[str, Any]) -> tuple[str, ...]:
    shares = (f"{100 * row[key]:.1f} %" for key in ("r1", "r5", "r10", "ap"))
    return row["direction"], str(row["queries"]), *shares


def _guesses(directions: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """A line for every number of places that was searched."""
    counts = sorted({row["queries"] for row in directions}, reverse=True)
    rows = [{"direction": f"guessing among {n}", "queries": ""} | guessing(n) for n in counts]
    return [_direction(row) for row in rows]


def _embedded(path: Path, told: str) -> str:
    return picture(path.read_bytes(), "jpeg" if path.suffix == ".jpg" else "png", told)
