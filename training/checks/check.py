"""`geobridge dataset check`: what a folder holds, and whether it is whole.

<out>/check.html    counts, findings, a map, and pairs to look at
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from geobridge.onboard import durable
from geobridge.onboard.errors import DataError

from ..datasets.layouts.layout import Layout
from ..datasets.layouts.recognise import LAYOUTS, opened
from ..datasets.layouts.task import Task
from ..evaluation.page import document, picture, table
from ..protocols.known import chosen
from .findings import Finding, all_of
from .parts import Parts, parts_of
from .sheets import pairs, where

log = logging.getLogger(__name__)

PAGE = "check.html"


def check(
    folder: Path, out: Path | None = None, variant: str = "", near_m: float = 50.0
) -> dict[str, Any]:
    """What was found of a data set; every picture of it is read.

    Args:
        folder: of the data set.
        out: folder of the page; none for no page.
        variant: of the data set.
        near_m: a query nearer than this to a training picture is told.

    Raises:
        DataError: no data set that is known, or figures on it could not be trusted: pictures are
            missing or broken, or positions are wrong. The log tells all of it.
    """
    name, layout = opened(folder, variant)
    parts = parts_of(layout)
    found = all_of(layout, parts, near_m)
    told = _told(name, parts, found)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        durable.write_text(out / PAGE, _page(folder, name, layout, parts, found))
        log.info("see %s", out / PAGE)
    for each in found:
        log.warning("%s", each.told)
    if wrong := [each for each in found if each.wrong]:
        raise DataError(f"{folder}: {'; '.join(each.told for each in wrong)}")
    return told


def _told(name: str, parts: Parts, found: Sequence[Finding]) -> dict[str, Any]:
    return {
        "data set": LAYOUTS[name].title,
        "protocols": ", ".join(protocol.name for protocol in chosen(name, ())),
        **parts.sizes(),
        **{
            task.name: f"{len(task.queries)} queries, {len(task.gallery)} references"
            for task in parts.tasks
        },
        **{f"note {at}": each.told for at, each in enumerate(found, start=1)},
    }


def _page(folder: Path, name: str, layout: Layout, parts: Parts, found: Sequence[Finding]) -> str:
    expected, counts = layout.expected, layout.counts()
    lines = [[part, str(count), str(expected.get(part, ""))] for part, count in counts.items()]
    tasks = [
        [task.name, str(len(task.queries)), str(len(task.gallery)), f"{_mean(task):.1f}"]
        for task in parts.tasks
    ]
    body = [
        f"<h1>{escape(LAYOUTS[name].title)}</h1>",
        f"<p>{escape(str(folder))}</p>",
        *(f'<p class="worth">{escape(each.told)}</p>' for each in found),
        table(["part", "pictures", "as published"], lines),
        table(["task", "queries", "references", "right ones per query"], tasks),
    ]
    if drawn := where(parts):
        body += ["<h2>Where it lies</h2>", picture(drawn, "png", "all positions")]
    readable = not any(each.wrong for each in found)
    body += ["<h2>Pairs that belong together</h2>"] if readable else []
    for task in parts.tasks if readable else ():
        body += [f"<h3>{escape(task.name)}</h3>", picture(pairs(task), "jpeg", task.name)]
    return document(f"{LAYOUTS[name].title}: check", "\n".join(body))


def _mean(task: Task) -> float:
    return len(task.positive.items) / max(1, len(task.queries))
