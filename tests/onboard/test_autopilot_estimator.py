"""The filter below both stand-in autopilots, and the correction of foreign times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.simulation.autopilot.estimator import POSITION, VELOCITY, Estimator, Noise
from geobridge.onboard.simulation.autopilot.jitter import JitterCorrection


@given(st.lists(st.floats(0.0, 0.4), min_size=2, max_size=300), st.floats(-1e9, 1e9))
def test_corrected_times_are_never_late_and_never_before_the_quickest(
    delays_s: list[float], clocks_s: float
) -> None:
    jitter = JitterCorrection()
    for k, delay_s in enumerate(delays_s):
        sent_s = 0.2 * k
        corrected_s = jitter.correct(sent_s + clocks_s, sent_s + delay_s)
        assert corrected_s <= sent_s + delay_s + 1e-6
        assert corrected_s >= sent_s + min(delays_s) - 1e-6


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 10)), min_size=1, max_size=40))
def test_fusing_never_raises_the_variance_and_keeps_it_a_covariance(
    measured: list[tuple[float, float]],
) -> None:
    estimator = Estimator(2, Noise(0.35, 0.02), 1.0)
    for k, (value, sigma) in enumerate(measured):
        estimator.predict([0.3, -0.2], 0.1 * k)
        before = np.diag(estimator.covariance).copy()
        row = VELOCITY if k % 3 == 0 else POSITION
        estimator.fuse(estimator.innovation(row, [value, -value], sigma**2, 0.1 * k))
        assert np.all(np.diag(estimator.covariance) <= before + 1e-9)
        assert np.min(np.linalg.eigvalsh(estimator.covariance)) > -1e-9


def test_a_late_measurement_is_compared_with_the_state_of_its_time() -> None:
    estimator = Estimator(1, Noise(0.35, 0.02), 1.0)
    estimator.state[VELOCITY] = 10.0
    for k in range(101):
        estimator.predict([0.0], 0.01 * k)
    innovation = estimator.innovation(POSITION, [5.0], 1.0, 0.5)
    assert abs(innovation.residual[0]) < 1e-6
    estimator.reset(estimator.innovation(POSITION, [7.0], 1.0, 0.5))
    assert estimator.state[POSITION, 0] == pytest.approx(12.0)
    assert estimator.at(0.5)[POSITION, 0] == pytest.approx(7.0)
