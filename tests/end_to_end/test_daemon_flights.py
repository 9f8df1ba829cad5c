"""Short flights of the daemon's own process, as `scripts/bench_daemon` flies long ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geobridge.onboard.bench.trials.faults import FAULTS
from geobridge.onboard.bench.trials.figures import ages_ms, pace, silence, states
from geobridge.onboard.bench.trials.relay import UdpRelay, Weather
from geobridge.onboard.bench.trials.trial import Flown, Plan, Trial

pytestmark = pytest.mark.slow
SHORT_M = ((-60.0, 0.0), (60.0, 0.0))
GNSS_ENDS_S = 8.0


def flown(plan: Plan, out: Path) -> Flown:
    return Trial(plan, out).fly()


@pytest.mark.parametrize(("pilot", "line"), [("arducopter", 57_600), ("px4", "udp")])
def test_the_vehicle_arrives_without_gnss(pilot: str, line: Any, tmp_path: Path) -> None:
    plan = Plan(pilot=pilot, line=line, places_m=SHORT_M, gnss_ends_s=GNSS_ENDS_S)
    flight = flown(plan, tmp_path)
    assert flight.has_arrived
    assert flight.arrival_error_m < 8.0
    found = pace(flight)
    assert found.count > 60
    assert found.wrong == 0
    assert found.worst_error_m < 10.0
    ages = sorted(ages_ms(flight.records))
    assert ages[len(ages) // 2] < 500.0
    assert states(flight.records)[:2] == ["ACQUIRE", "TRACK"]
    assert "Traceback" not in flight.log


def test_darkness_is_followed_by_one_word_and_light_by_positions(tmp_path: Path) -> None:
    fault = FAULTS["dark"]
    plan = replace(fault.plan(tmp_path), limit_s=45.0)
    flight = flown(plan, tmp_path)
    lost_s, back_s, words = silence(flight, 25.0, 25.0 + fault.lasts_s)
    assert lost_s is not None
    assert 1.0 < lost_s < 4.0  # the last fix is moved on for two seconds
    assert words == 1
    assert back_s is not None
    assert 0.5 < back_s < 6.0  # five confirmations
    assert pace(flight).wrong == 0
    assert "NO_FIX" in states(flight.records)


def test_a_bad_network_costs_nothing_but_telegrams(tmp_path: Path) -> None:
    def at(trial: Trial, time_s: float) -> None:
        assert isinstance(trial.relay, UdpRelay)
        trial.relay.weather = Weather(lost=0.05, doubled=0.05, delay_s=0.02, jitter_s=0.02)

    plan = Plan(places_m=SHORT_M, gnss_ends_s=GNSS_ENDS_S, at=at)
    flight = flown(plan, tmp_path)
    assert flight.has_arrived
    assert pace(flight).wrong == 0
    assert max(ages_ms(flight.records)) < 2000.0
    assert "Traceback" not in flight.log
