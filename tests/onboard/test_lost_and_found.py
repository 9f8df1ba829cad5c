"""Flights over the rehearsal's land that lose what they go by, and find it again or stay silent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from geobridge.onboard.camera import Camera
from geobridge.onboard.config import FilterConfig, LocalizerConfig
from geobridge.onboard.flightlogs.telemetry_csv import read_telemetry
from geobridge.onboard.flightlogs.truth_csv import read_track
from geobridge.onboard.frames.source import open_source
from geobridge.onboard.geodesy import distance_m
from geobridge.onboard.localization.opened import open_localizer
from geobridge.onboard.records import Fix, Frame, Prior, Rejection, Telemetry

S = 1_000_000_000
CAMERA = Camera.from_hfov(320, 240, 70.0)
WRONG_M, DARK_S, LOST_AT = 10.0, 30, 14
CONFIG = LocalizerConfig()


@dataclass(frozen=True)
class Moment:
    """A frame, what the autopilot said then, and where the vehicle was."""

    frame: Frame
    telemetry: Telemetry
    lat_deg: float
    lon_deg: float

    def later(self, seconds: int) -> Moment:
        t_ns = self.frame.t_capture_ns + seconds * S
        frame = replace(self.frame, t_capture_ns=t_ns)
        return replace(self, frame=frame, telemetry=replace(self.telemetry, t_ns=t_ns))

    def told(self, **telemetry: object) -> Moment:
        return replace(self, telemetry=replace(self.telemetry, **telemetry))

    def dark(self) -> Moment:
        """The lens is covered while the vehicle stands still."""
        image = np.zeros_like(self.frame.image)
        still = self.told(velocity_north_m_s=0.0, velocity_east_m_s=0.0)
        return replace(still, frame=replace(self.frame, image=image))


@pytest.fixture(scope="module")
def flight(rehearsal: Path) -> list[Moment]:
    folder = rehearsal / "flight"
    samples, track = read_telemetry(folder / "telemetry.csv"), read_track(folder / "truth.csv")
    found = []
    for frame in open_source(str(folder / "flight.mp4")):
        truth = track.at(frame.t_capture_ns)
        assert truth is not None
        found.append(Moment(frame, samples.at(frame.t_capture_ns), *truth))
    return found


def fly(
    rehearsal: Path, moments: Iterable[Moment], config: LocalizerConfig = CONFIG
) -> list[float | None]:
    """Error of every fix, None where there is none."""
    localizer = open_localizer(rehearsal / "bundle", config, CAMERA)
    return [error_m(localizer.handle(each.frame, each.telemetry), each) for each in moments]


def error_m(result: Fix | Rejection, truth: Moment) -> float | None:
    if isinstance(result, Rejection):
        return None
    return distance_m(result.lat_deg, result.lon_deg, truth.lat_deg, truth.lon_deg)


def right(errors: Iterable[float | None]) -> int:
    """How many fixes; none of them may be wrong."""
    found = [error for error in errors if error is not None]
    assert all(error < WRONG_M for error in found), found
    return len(found)


@pytest.fixture(scope="module")
def undisturbed(rehearsal: Path, flight: list[Moment]) -> int:
    """Fixes of a cold start anywhere on the map."""
    fixes = right(fly(rehearsal, flight))
    assert fixes > len(flight) // 3
    return fixes


def test_half_a_minute_of_darkness(rehearsal: Path, flight: list[Moment], undisturbed: int) -> None:
    before, after = flight[:LOST_AT], flight[LOST_AT:]
    dark = [flight[LOST_AT].dark().later(second) for second in range(DARK_S)]
    light_again = [moment.later(DARK_S) for moment in after]
    errors = fly(rehearsal, [*before, *dark, *light_again])
    assert right(errors[:LOST_AT]) > 0
    assert errors[LOST_AT : LOST_AT + DARK_S] == [None] * DARK_S
    again = right(errors[LOST_AT + DARK_S :])
    assert again > 0
    lost = CONFIG.filter.confirmations + round(CONFIG.filter.max_coast_s)
    assert right(errors) >= undisturbed - lost


@pytest.mark.fault("N10", "a prior a kilometre off", "found, later")
def test_a_prior_that_is_a_kilometre_off_costs_nothing_but_time(
    rehearsal: Path, flight: list[Moment], undisturbed: int
) -> None:
    deceived = [
        moment.told(prior=Prior(moment.lat_deg + 1000.0 / 111_000.0, moment.lon_deg, 50.0))
        for moment in flight
    ]
    assert right(fly(rehearsal, deceived)) >= undisturbed - 2


def test_pictures_alone_tell_the_motion(
    rehearsal: Path, flight: list[Moment], undisturbed: int
) -> None:
    """The autopilot's velocity is gone; and where it is there, it is not asked."""
    silent = [moment.told(velocity_north_m_s=None, velocity_east_m_s=None) for moment in flight]
    lying = [moment.told(velocity_north_m_s=40.0, velocity_east_m_s=40.0) for moment in flight]
    config = LocalizerConfig(filter=FilterConfig(motion="visual"))
    assert right(fly(rehearsal, silent, config)) >= undisturbed // 2
    assert right(fly(rehearsal, lying, config)) >= undisturbed // 2
