"""Functions compiled to machine code on their first call; the result is kept on disk.

numba looks at the one file that a function stands in to tell whether what it kept is stale, and not
at the functions that are called. So it is kept under a digest of all of these sources.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "fastmath": True,
    "forceinline": True,  # a scene is a hundred words, and a call would copy them all
    "_nrt": False,  # nothing is allocated, so nothing is counted; twice as fast
}


def _kept_in() -> str:
    here = Path(__file__).parent
    sources = sorted([*here.glob("*.py"), *(here.parent / "land").glob("*.py")])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return str(caches / "geobridge" / f"render-{digest[:16]}")


_KEPT_IN = _kept_in()
if not Path(_KEPT_IN).exists():
    logging.getLogger(__name__).info("compiling the renderer, once on a machine: about a minute")


def compiled(function: F) -> F:
    """Runs on one core and lets others run beside it; it cannot make arrays."""
    settings: Any = numba.config
    usual, settings.CACHE_DIR = settings.CACHE_DIR, _KEPT_IN
    try:
        made: F = numba.njit(**_OPTIONS)(function)
    finally:
        settings.CACHE_DIR = usual
    return made


def by_rows(kernel: Callable[[int, int], None], rows: int, threads: int | None = None) -> None:
    """Call `kernel(first, last)` for bands of rows that begin at even ones, on all cores; compiled
    code holds no lock."""
    threads = threads or len(os.sched_getaffinity(0))
    if threads == 1:
        return kernel(0, rows)
    edges = [rows * k // (8 * threads) * 2 for k in range(4 * threads)] + [rows]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(kernel, edges[:-1], edges[1:]))
    return None
