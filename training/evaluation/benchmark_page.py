"""The page of a benchmark: how it was counted, the tables beside those of others, the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..protocols.protocol import Protocol
from .page import document, picture, table
from .tables import Row, cells, groups, title

_SHOWN = {
    "best": "right, and by the widest margin",
    "worst": "the right reference comes last",
    "confident": "wrong, and by the widest margin",
}


def page(out: Path, protocols: Sequence[Protocol], rows: Sequence[Row]) -> str:
    """All in one file; pictures are those that lie in `out`."""
    body = [f"<h1>{escape(protocols[0].layout)}</h1>"]
    by_protocol = {protocol.name: protocol for protocol in protocols}
    before = ""
    for some in groups(rows):
        name = some[0]["protocol"]
        if name != before:
            body.append(_rules(by_protocol[name]))
            before = name
        head, lines, remarks = cells(some)
        body += [f"<h3>{escape(title(some[0]))}</h3>", table(head, lines)]
        body += [f"<p><small>{escape(remark)}</small></p>" for remark in remarks]
    for path in sorted((out / "pictures").glob("*.jpg")):
        told = f"{path.stem}: {_SHOWN.get(path.stem.rpartition('-')[2], '')}"
        body += [f"<h3>{escape(told)}</h3>", picture(path.read_bytes(), "jpeg", told)]
    return document(f"geobridge evaluate: {protocols[0].layout}", "\n".join(body))


def _rules(protocol: Protocol) -> str:
    told = protocol.rules()
    lines = [[key.replace("_percent", "%").replace("r1", "R@1"), told[key]] for key in told]
    return f"<h2>{escape(protocol.name)}</h2>\n" + table(["", ""], lines[1:])
