"""By how much the clock of pictures is off, where every picture and message may be a pair.

A message is met while a picture, moved by a shift, is near to it and nearer than to any other
message: over a span of shifts for each pair. How many messages are met at a shift is how many spans
have begun there, less those that have ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .series import Times

NEAR_NS = 400_000_000
"""A picture and a camera message this near to each other are one."""
_PAIRS = 200_000
"""About as many are held in memory at once."""


@dataclass(frozen=True)
class _Spans:
    """[M] messages and [N] pictures in order; `low` to `high` is where a picture meets a message.

    `before` is the picture before each: where that one meets a message, a later one adds nothing.
    """

    stamps: Times
    low: Times
    high: Times
    taken: Times
    before: Times


def most_met(taken: Times, stamps: Times) -> tuple[int, Times]:
    """How many messages are met at most, and in order all shifts between a picture and a message
    at which so many are.

    Args:
        taken: [N] nanoseconds, of pictures, in any order.
        stamps: [M] nanoseconds, of messages, in order.
    """
    spans = _spans(np.sort(taken), stamps)
    bounded = [(_most(spans, *block), *block) for block in _blocks(spans)]
    best, good = 0, [np.zeros(0, np.int64)]
    for bound, start_ns, end_ns in sorted(bounded, reverse=True):  # where most could be met first
        if bound < best:
            break
        shifts, met = _met(spans, start_ns, end_ns)
        most = int(met.max(initial=0))
        if most > best:
            best, good = most, []
        if most == best:
            good.append(shifts[met == best])
    return best, np.unique(np.concatenate(good))


def _spans(taken: Times, stamps: Times) -> _Spans:
    """In the middle between two messages the earlier one is met."""
    middles = stamps[:-1] + np.diff(stamps) // 2
    low, high = stamps - NEAR_NS, stamps + NEAR_NS
    low[1:] = np.maximum(low[1:], middles + 1)
    high[:-1] = np.minimum(high[:-1], middles)
    before = np.concatenate([taken[:1] - 4 * NEAR_NS, taken[:-1]])
    return _Spans(stamps, low, high, taken, before)


def _blocks(spans: _Spans) -> Iterator[tuple[int, int]]:
    """All shifts in parts with about as many pairs each, by a sample of both."""
    each = 1 + int(np.sqrt(len(spans.stamps) * len(spans.taken) / _PAIRS))
    sample = np.sort((spans.stamps[::each, None] - spans.taken[None, ::each]).ravel())
    step = max(1, _PAIRS // each**2)
    edges = [
        int(spans.stamps[0] - spans.taken[-1]),
        *sample[step::step].tolist(),
        int(spans.stamps[-1] - spans.taken[0]) + 1,
    ]
    yield from pairwise(edges)


def _most(spans: _Spans, start_ns: int, end_ns: int) -> int:
    """No more messages can be met than lie beside pictures, or pictures beside messages."""
    taken, stamps = spans.taken, spans.stamps
    edges = [taken[0] + start_ns - NEAR_NS, taken[-1] + end_ns + NEAR_NS]
    messages = np.diff(np.searchsorted(stamps, edges))
    edges = [stamps[0] - end_ns - NEAR_NS, stamps[-1] - start_ns + NEAR_NS + 1]
    pictures = np.diff(np.searchsorted(taken, edges))
    return int(min(messages[0], pictures[0]))


def _met(spans: _Spans, start_ns: int, end_ns: int) -> tuple[Times, Times]:
    """Shifts from one to before another, and the number of messages met at each."""
    first = np.searchsorted(spans.taken, spans.stamps - end_ns - NEAR_NS)
    last = np.searchsorted(spans.taken, spans.stamps - start_ns + NEAR_NS, "right")
    counts = last - first
    message = np.repeat(np.arange(len(counts)), counts)
    picture = np.arange(len(message)) + np.repeat(last - np.cumsum(counts), counts)
    taken, before = spans.taken[picture], spans.before[picture]
    low = spans.low[message]
    begun = np.sort(low - taken)
    ended = np.sort(np.minimum(spans.high[message] - taken, low - before - 1))
    shifts = spans.stamps[message] - taken
    shifts = np.sort(shifts[(start_ns <= shifts) & (shifts < end_ns)])
    return shifts, np.searchsorted(begun, shifts, "right") - np.searchsorted(ended, shifts)
