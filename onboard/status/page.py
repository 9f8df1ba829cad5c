"""The page's three files, which lie beside this one."""

from __future__ import annotations

from pathlib import Path

PAGE = {
    name: (Path(__file__).parent / name).read_text(encoding="utf-8")
    for name in ("page.html", "page.css", "page.js")
}
