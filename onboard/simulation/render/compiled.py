"""Functions compiled to machine code on their first call; the result is kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


def compiled(function: F) -> F:
    """Runs on one core and lets others run beside it; it cannot make arrays."""
    made: F = numba.njit(**_OPTIONS)(function)
    return made


def by_rows(kernel: Callable[[int, int], None], rows: int, threads: int | None = None) -> None:
    """Call `kernel(first, last)` for bands of rows, on all cores; compiled code holds no lock."""
    threads = threads or len(os.sched_getaffinity(0))
    if threads == 1:
        return kernel(0, rows)
    edges = [rows * k // (4 * threads) for k in range(4 * threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(kernel, edges[:-1], edges[1:]))
    return None
