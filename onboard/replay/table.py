"""Many flights side by side: rows for people and programs, and a page that leads to each report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from .conclude import REPORT
from .fleet import Told

Row = dict[str, Any]
COLUMNS = {
    "flight": "flight",
    "variant": "bundle, settings",
    "frames": "frames",
    "duration_s": "s",
    "availability": "with a fix",
    "error_median_m": "error, half, m",
    "error_p95_m": "error, 95 %, m",
    "error_max_m": "largest, m",
    "wrong": "wrong",
    "longest_silence_s": "longest silence, s",
    "flown_with": "paths",
    "problem": "",
}
"""Names of a row's values, and what stands over them on the page."""


def row_of(told: Told) -> Row:
    """One flight with one variant; None where nothing is known."""
    summary = told.summary or {}
    accuracy, continuity = summary.get("accuracy") or {}, summary.get("continuity") or {}
    return {
        "flight": told.job.name,
        "variant": told.job.variant.name,
        "frames": summary.get("frames"),
        "duration_s": continuity.get("duration_s"),
        "availability": summary.get("availability"),
        "error_median_m": accuracy.get("error_median_m"),
        "error_p95_m": accuracy.get("error_p95_m"),
        "error_max_m": accuracy.get("error_max_m"),
        "wrong": accuracy.get("wrong_fixes"),
        "longest_silence_s": continuity.get("longest_silence_s"),
        "flown_with": told.job.variant.paths,
        "problem": told.problem,
    }


def page_of(told: Sequence[Told], out: Path) -> str:
    """HTML that opens offline, its links relative to `out`."""
    css = (files(__package__) / "page" / "table.css").read_text(encoding="utf-8")
    head = "".join(f"<th>{escape(title)}</th>" for title in COLUMNS.values())
    body = "".join(_row(each, out) for each in told)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Replayed flights</title><style>{css}</style>"
        f"<h1>{len(told)} replayed flights</h1>"
        f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></html>\n"
    )


def _row(told: Told, out: Path) -> str:
    row = row_of(told)
    cells = [escape(_cell(name, row[name])) for name in COLUMNS]
    if told.summary is not None:
        link = escape(os.path.relpath(told.job.out / REPORT, out), quote=True)
        cells[0] = f'<a href="{link}">{cells[0]}</a>'
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "availability":
        return f"{value:.1%}"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
