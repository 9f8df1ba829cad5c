"""Figures of benchmarks as text for people, CSV, LaTeX, and an HTML page's tables."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from ..protocols.known import PROTOCOLS
from ..protocols.published import MARK, Published, beside

Row = dict[str, Any]
"""One task of one protocol by one model: `dataset`, `protocol`, `task`, `model`, `dims`, `search`,
`queries`, `gallery`, and the figures by name, shares of 1 and metres."""

KEYS = ("dataset", "protocol", "task", "model", "dims", "search", "queries", "gallery")
_BESIDES = ("r1_percent_layumi", "r1_percent_floor")
_LABELS = {
    "r1_percent": "R@1%",
    "r1_percent_layumi": "R@1% round",
    "r1_percent_floor": "R@1% floor",
    "ap": "AP",
    "hit_code": "hit code",
    "hit_paper": "hit paper",
    "median_m": "median m",
    "ef": "ef",
}
_PATTERNS = (
    (r"r(\d+)", r"R@\1"),
    (r"sdm(\d+)", r"SDM@\1"),
    (r"dis(\d+)_m", r"Dis@\1 m"),
    (r"l(\d+)m", r"L@\1m"),
    (r"ma(\d+)m", r"MA@\1m"),
)


class Told(tuple[Row, ...]):
    """Rows, which as text are tables beside what others published."""

    def __str__(self) -> str:
        return "\n\n".join(map(as_text, groups(self)))


def groups(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of every protocol and task."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["protocol"], row["task"]), []).append(row)
    return list(found.values())


def label(name: str) -> str:
    """A figure as papers write it."""
    for pattern, written in _PATTERNS:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, written, name)
    return _LABELS.get(name, name)


def written(name: str, value: float | None) -> str:
    """Metres and counts as they are, shares in percent, both with two digits."""
    if value is None:
        return ""
    return f"{value:.2f}" if name.endswith("_m") else _count_or_percent(name, value)


def columns(rows: Sequence[Row]) -> list[str]:
    """The figures that any of the rows has, in order."""
    return list(dict.fromkeys(name for row in rows for name in row if name not in KEYS))


def cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]], list[str]]:
    """A table of one task: its head, its lines with those of others below, and remarks."""
    first = rows[0]
    figures = [name for name in columns(rows) if name not in _BESIDES]
    lines = [[who(row), *(written(name, row.get(name)) for name in figures)] for row in rows]
    remarks = []
    for other in beside(PROTOCOLS[first["protocol"]].layout, first["task"]):
        mark = MARK if other.impossible else ""
        shown = [_percent(other, name) + (mark if name == "ap" else "") for name in figures]
        lines.append([f"{other.method}{_same(other, first['protocol'])}", *shown])
        if other.impossible:
            remarks.append(f"{mark} {other.method}: {other.impossible}")
    if len(lines) > len(rows):
        remarks += _sources(first)
    return ["", *map(label, figures)], lines, remarks


def title(row: Row) -> str:
    """The task, and what was searched."""
    return (
        f"{row['task']}, {row['queries']} queries, {row['gallery']} references ({row['protocol']})"
    )


def as_text(rows: Sequence[Row]) -> str:
    """A table of one task for a terminal."""
    head, lines, remarks = cells(rows)
    table = [head, *lines]
    widths = [max(len(line[at]) for line in table) for at in range(len(head))]
    told = [
        "  ".join(
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
    return "\n".join([title(rows[0]), *told, *remarks])


def as_csv(rows: Sequence[Row]) -> str:
    """All rows and figures, unrounded."""
    names = [*KEYS, *columns(rows)]
    file = io.StringIO()
    table = csv.DictWriter(file, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return file.getvalue()


def as_latex(rows: Sequence[Row]) -> str:
    """For every protocol and model a row with the figures that papers print, task by task."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["protocol"], who(row)), []).append(row)
    lines = []
    for (protocol, name), some in found.items():
        wanted = PROTOCOLS[protocol].row
        heads = [f"{row['task']}: {', '.join(map(label, wanted))}" for row in some]
        figures = [written(key, row.get(key)) for row in some for key in wanted]
        lines += [f"% {protocol}: {'; '.join(heads)}".replace("\n", " ")]
        lines += [" & ".join([_escaped(name), *figures]) + r" \\"]
    return "\n".join(lines) + "\n"


def who(row: Row) -> str:
    """The model, and how it was searched where that is not the usual way."""
    search = "" if row["search"] == "exact" else f", {row['search']}"
    return f"{row['model']}, {row['dims']}{search}"


def _same(other: Published, protocol: str) -> str:
    """Whether a published figure was counted by the same rules."""
    if not other.reading:
        return ""
    return " =" if other.reading == protocol else f" [{other.reading}]"


def _sources(row: Row) -> list[str]:
    others = beside(PROTOCOLS[row["protocol"]].layout, row["task"])
    by_source: dict[str, list[str]] = {}
    for other in others:
        by_source.setdefault(other.source, []).append(other.method)
    told = [f"{', '.join(names)}: {source}" for source, names in by_source.items()]
    rules = (
        "= counted by this protocol; [name] by that one; without either, the source does not say"
    )
    notes = [f"{other.method}: {other.note}" for other in others if other.note]
    return [rules, *told, *notes]


def _percent(other: Published, name: str) -> str:
    return f"{other.figures[name]:.2f}" if name in other.figures else ""


def _count_or_percent(name: str, value: float) -> str:
    return f"{value:.0f}" if name == "ef" else f"{100 * value:.2f}"


def _escaped(text: str) -> str:
    return re.sub(r"([&%$#_{}])", r"\\\1", text)
