from __future__ import annotations

from pathlib import Path

import pytest

from geobridge.onboard.bench.trials.figures import pace, silence
from geobridge.onboard.bench.trials.trial import Flown
from geobridge.onboard.bench.trials.witness import Said

S = 1_000_000_000


def flown(tmp_path: Path, *spans_s: tuple[float, float], words_s: tuple[float, ...] = ()) -> Flown:
    """Positions eight times a second in each span, and words that there is none."""
    said = [
        Said(round((begin_s + n / 8.0) * S), 1.0, 2.0)
        for begin_s, end_s in spans_s
        for n in range(round((end_s - begin_s) * 8.0))
    ]
    said += [Said(round(at_s * S), None, None) for at_s in words_s]
    said.sort(key=lambda each: each.t_ns)
    return Flown(0, said, [], 1.0, True, "GUIDED", 1.0, "", tmp_path)


@pytest.mark.parametrize(
    ("spans_s", "words_s", "expected"),
    [
        ([(0.0, 60.0)], (), (None, 0.0, 0)),
        ([(0.0, 25.0), (29.0, 60.0)], (), (None, 4.0, 0)),  # killed, and said nothing
        ([(0.0, 24.9), (25.01, 25.1), (29.0, 60.0)], (), (None, 4.0, 0)),  # one was on its way
        ([(0.0, 25.0)], (), (None, None, 0)),
        ([(0.0, 27.0), (34.0, 60.0)], (27.0,), (2.0, 9.0, 1)),
        ([(0.0, 27.0)], (27.0, 27.5), (2.0, None, 2)),
    ],
)
def test_the_silence_around_a_fault(
    tmp_path: Path,
    spans_s: list[tuple[float, float]],
    words_s: tuple[float, ...],
    expected: tuple[float | None, float | None, int],
) -> None:
    lost_s, back_s, words = silence(flown(tmp_path, *spans_s, words_s=words_s), 25.0, 25.0)
    assert (lost_s is None) == (expected[0] is None)
    assert (back_s is None) == (expected[1] is None)
    assert (lost_s or 0.0, back_s or 0.0) == pytest.approx(
        (expected[0] or 0.0, expected[1] or 0.0), abs=0.01
    )
    assert words == expected[2]


def test_the_pace_is_that_of_positions_without_their_silences(tmp_path: Path) -> None:
    found = pace(flown(tmp_path, (0.0, 25.0), (29.0, 60.0)))
    assert found.rate_hz == pytest.approx(8.0)
    assert found.jitter_ms == pytest.approx(0.0, abs=0.01)
    assert (found.count, found.wrong) == (448, 0)
