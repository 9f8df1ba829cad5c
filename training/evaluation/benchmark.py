"""A data set, its protocols and some networks: every figure, and what to look at.

<out>/report.json      rules, rows and what others published
<out>/figures.csv      rows, unrounded
<out>/table.tex        rows as papers print them
<out>/index.html       the tables and pictures
<out>/ranks/*.jsonl    of every query the references found, by protocol and task
<out>/pictures/*.jpg   best, worst and most confident mistakes, by task
<out>/descriptors/     what was described, so that a stopped run goes on
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import torch

from geobridge.onboard import durable
from geobridge.onboard.errors import DataError

from ..datasets.layouts.recognise import opened
from ..datasets.layouts.task import Items, Task, shown
from ..protocols.known import chosen
from ..protocols.protocol import Protocol, Scored
from ..protocols.published import beside
from ..protocols.score import score
from .approximate import approximate
from .benchmark_page import page
from .described import Described, describe_side
from .describer import Describer, check_dims, shortened
from .mistakes import looked_at, rank_lists, sheet
from .standing import Descriptors
from .tables import Row, Told, as_csv, as_latex

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What is measured of the networks.

    Args:
        protocols: by name; all of the data set's where none is named.
        variant: of the data set.
        dims: lengths of descriptors besides the whole.
        searches: "exact", and "hnsw" as on board.
        flips: over what the protocol says; None for that.
    """

    protocols: tuple[str, ...] = ()
    variant: str = ""
    dims: tuple[int, ...] = ()
    searches: tuple[str, ...] = ("exact",)
    flips: bool | None = None


def benchmark(
    describers: Sequence[Describer], folder: Path, asked: Asked, out: Path | None = None
) -> Told:
    """The rows of every protocol, task, network, length and search; the first network's are shown.

    Raises:
        DataError: the data set or its protocol cannot be used, the networks have no towers for
            what it shows, or descriptors are shorter than asked for.
    """
    name, layout = opened(folder, asked.variant)
    protocols = chosen(name, asked.protocols)
    for describer in describers:
        check_dims(describer, asked.dims)
    everything = layout.tasks()
    work = [
        (protocol, task)
        for protocol in protocols
        for task in _possible(protocol, everything, describers)
    ]
    if not work:
        raise DataError(f"{folder}: nothing that {describers[0].name} has two towers for")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows: list[Row] = []
    for describer in describers:
        sides = _describe(describer, work, asked, out)
        for protocol, task in work:
            flips = protocol.flips if asked.flips is None else asked.flips
            pair = sides[flips, task.queries.side], sides[flips, task.gallery.side]
            a, b = (each.of(items) for each, items in zip(pair, _sides(task), strict=True))
            found = score(protocol, task, a, b, device)
            head = {"dataset": name, "protocol": protocol.name, "task": task.name}
            head |= {"model": describer.name}
            rows += _rows(head, protocol, task, (a, b), found, asked, device)
            if out and describer is describers[0]:
                _show(out, protocol, found)
    told = Told(rows)
    if out:
        _write(out, folder, protocols, told)
    return told


def _possible(
    protocol: Protocol, tasks: Sequence[Task], describers: Sequence[Describer]
) -> Iterator[Task]:
    """Those that every network has both towers for."""
    for task in protocol.tasks(tasks):
        lacking = {
            side
            for describer in describers
            for side in (task.queries.side, task.gallery.side)
            if side not in describer.sides
        }
        if lacking:
            log.warning("%s: left out, no tower for %s", task.name, " and ".join(sorted(lacking)))
        else:
            yield task


def _describe(
    describer: Describer, work: Sequence[tuple[Protocol, Task]], asked: Asked, out: Path | None
) -> dict[tuple[bool, str], Described]:
    """By flips and side, all that is shown."""
    found = {}
    for flips in (False, True):
        tasks = [
            task
            for protocol, task in work
            if (protocol.flips if asked.flips is None else asked.flips) is flips
        ]
        for side, pictures in shown(tasks).items():
            log.info("%s: describing %d of %s", describer.name, len(pictures), side)
            keep = out / "descriptors" if out else None
            found[flips, side] = describe_side(describer, side, pictures, flips, keep)
    return found


def _rows(
    head: Row,
    protocol: Protocol,
    task: Task,
    pair: tuple[Descriptors, Descriptors],
    found: Scored,
    asked: Asked,
    device: torch.device,
) -> list[Row]:
    whole = pair[0].shape[1]
    size = {"queries": len(task.queries), "gallery": len(task.gallery)}
    rows = []
    for dims in (whole, *(each for each in asked.dims if each != whole)):
        a, b = (shortened(each, dims) for each in pair)
        for search in asked.searches:
            row = head | {"dims": dims, "search": search} | size
            if search == "hnsw":
                figures = {} if task.maps is not None else approximate(task, a, b)
            else:
                scored = found if dims == whole else score(protocol, task, a, b, device)
                figures = scored.figures
            rows.append(row | figures)
    return rows


def _show(out: Path, protocol: Protocol, found: Scored) -> None:
    """Rank lists, and pictures."""
    name = f"{protocol.name}-{_file_name(found.task.name)}"
    lines = "".join(json.dumps(line) + "\n" for line in rank_lists(found))
    (out / "ranks").mkdir(parents=True, exist_ok=True)
    (out / "pictures").mkdir(exist_ok=True)
    durable.write_text(out / "ranks" / f"{name}.jsonl", lines)
    for looked in looked_at(found):
        path = out / "pictures" / f"{name}-{looked.kind}.jpg"
        path.unlink(missing_ok=True)
        if len(looked.queries):
            picture = cv2.cvtColor(sheet(found, looked), cv2.COLOR_RGB2BGR)
            durable.write_bytes(path, cv2.imencode(".jpg", picture)[1].tobytes())


def _write(out: Path, folder: Path, protocols: Sequence[Protocol], rows: Told) -> None:
    layout = protocols[0].layout
    tasks = dict.fromkeys(row["task"] for row in rows)
    report = {
        "data": str(folder),
        "rules": [protocol.rules() for protocol in protocols],
        "rows": list(rows),
        "published": [
            asdict(each) | {"impossible": each.impossible}
            for task in tasks
            for each in beside(layout, task)
        ],
    }
    out.mkdir(parents=True, exist_ok=True)
    durable.write_text(out / "report.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    durable.write_text(out / "figures.csv", as_csv(rows))
    durable.write_text(out / "table.tex", as_latex(rows))
    durable.write_text(out / "index.html", page(out, protocols, rows))
    log.info("see %s", out / "index.html")


def _sides(task: Task) -> tuple[Items, Items]:
    return task.queries, task.gallery


def _file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
