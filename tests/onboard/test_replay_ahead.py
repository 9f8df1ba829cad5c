from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.replay.ahead import DEPTH, Ahead


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
def test_the_same_items_in_the_same_order(items: list[int], depth: int) -> None:
    with closing(Ahead(items, depth)) as ahead:
        assert list(ahead) == items


def test_what_is_raised_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("of the file")

    with closing(Ahead(items())) as ahead:
        reading = iter(ahead)
        assert [next(reading), next(reading)] == [1, 2]
        with pytest.raises(ValueError, match="of the file"):
            next(reading)


def test_it_reads_a_few_ahead_and_stops_when_it_is_closed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    before = threading.active_count()
    ahead = Ahead(items())
    first = next(iter(ahead))
    time.sleep(0.2)
    ahead.close()
    assert first == 0
    assert len(taken) <= DEPTH + 3
    assert threading.active_count() == before
