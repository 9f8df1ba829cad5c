"""Exact search over float16 rows where they lie, memory-mapped or not: nothing is copied.

faiss's scalar quantizer reads IEEE halves as its own codes, by AVX or NEON; a search of a few
contiguous slices costs what reading them costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Descriptor = npt.NDArray[np.float32]
Span = tuple[int, int]
"""First row, and the one after the last."""


def rows_of(spans: Sequence[Span], wanted: Flags | None = None) -> Rows:
    """All rows of some spans, or of those the wanted ones."""
    rows = np.concatenate([np.arange(*span) for span in spans] or [np.empty(0, np.int64)])
    return rows if wanted is None else rows[wanted]


class Halves:
    """[N, D] float16 rows, which must stay as they are while this lives. One search at a time."""

    def __init__(self, rows: npt.NDArray[np.float16]) -> None:
        if rows.dtype != np.dtype("<f2") or rows.ndim != 2 or not rows.flags.c_contiguous:
            raise ValueError(f"expected contiguous [N, D] float16, got {rows.shape} {rows.dtype}")
        self._rows = rows
        self._ids = np.arange(len(rows))
        self._bits = np.zeros(len(rows) // 8 + 1, np.uint8)
        self._chosen = faiss.IDSelectorBitmap(self._bits)
        self._quantizer = faiss.ScalarQuantizer(rows.shape[1], faiss.ScalarQuantizer.QT_fp16)
        # made once: faiss's Python never frees one
        self._of_all, self._of_chosen = (
            self._quantizer.select_InvertedListScanner(
                faiss.METRIC_INNER_PRODUCT, None, False, selector, False
            )
            for selector in (None, self._chosen)
        )

    def best(
        self, query: Descriptor, spans: Sequence[Span], count: int, wanted: Flags | None = None
    ) -> Rows:
        """The up to `count` rows of the spans with the largest products with [D], in no order.

        `wanted` says for each row of the spans, one span after the other, whether it counts; no
        row may lie in two spans.
        """
        if count <= 0:
            return np.empty(0, np.int64)
        there = sum(stop - first for first, stop in spans)
        if count >= (there if wanted is None else np.count_nonzero(wanted)):
            return rows_of(spans, wanted)
        if wanted is None:
            return self._scan(self._of_all, query, spans, count)
        self._choose(spans, wanted)
        found = self._scan(self._of_chosen, query, spans, count)
        for first, stop in spans:
            self._bits[first // 8 : (stop + 7) // 8] = 0
        return found

    def _choose(self, spans: Sequence[Span], wanted: Flags) -> None:
        at = 0
        for first, stop in spans:
            before = first % 8
            flags = np.zeros(before + stop - first, np.bool_)
            flags[before:] = wanted[at : at + stop - first]
            packed = np.packbits(flags, bitorder="little")
            self._bits[first // 8 : first // 8 + len(packed)] |= packed
            at += stop - first

    def _scan(self, scanner: object, query: Descriptor, spans: Sequence[Span], count: int) -> Rows:
        query = np.ascontiguousarray(query, np.float32)
        found, scores = np.full(count, -1, np.int64), np.full(count, -np.inf, np.float32)
        scanner.set_query(faiss.swig_ptr(query))  # type: ignore[attr-defined]
        for first, stop in spans:
            scanner.scan_codes(  # type: ignore[attr-defined]
                stop - first,
                faiss.cast_integer_to_uint8_ptr(self._rows[first:stop].ctypes.data),
                faiss.swig_ptr(self._ids[first:stop]),
                faiss.swig_ptr(scores),
                faiss.swig_ptr(found),
                count,
            )
        return found[found >= 0]
