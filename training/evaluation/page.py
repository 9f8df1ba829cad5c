"""Pages that are one file and need nothing else: their look, tables and pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2733; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem }
img { width: 100%; border: 1px solid #ccd3da }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #dfe4e9; text-align: right }
th:first-child, td:first-child { text-align: left }
tfoot { color: #5c6773; font-style: italic }
pre { background: #f4f6f8; padding: .8rem 1rem; overflow-x: auto; font-size: 14px }
p.worth { background: #fff7e0; padding: .6rem 1rem; border-left: 4px solid #e0a800 }
"""


def document(title: str, body: str) -> str:
    """A whole page."""
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>\n{body}\n</html>\n"
    )


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], foot: Sequence[Sequence[str]] = ()
) -> str:
    """A table; what stands in its foot is no row like the others."""
    lines = [_line("th", head), *(_line("td", row) for row in rows)]
    if foot:
        lines += ["<tfoot>", *(_line("td", row) for row in foot), "</tfoot>"]
    return "\n".join(["<table>", *lines, "</table>"])


def picture(data: bytes, kind: str, told: str) -> str:
    """A "png" or "jpeg" inside the page; `told` says what it shows to who cannot see it."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img src="{source}" alt="{escape(told)}">'


def _line(kind: str, texts: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{kind}>{escape(text)}</{kind}>" for text in texts) + "</tr>"
