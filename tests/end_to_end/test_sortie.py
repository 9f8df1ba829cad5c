"""A flight that loses its GNSS, in real time: `geobridge run` in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")
pytest.importorskip("onnxruntime")
pytest.importorskip("rasterio")
pytest.importorskip("torch")

from geobridge.export.demonstration.sortie import Sortie, fly
from geobridge.export.demonstration.story import tell
from geobridge.export.flights.land import route_over
from geobridge.export.flights.mission import Mission
from geobridge.export.keys import new_key
from geobridge.export.signing import sign
from geobridge.onboard.camera import Camera
from geobridge.onboard.errors import LinkError
from geobridge.onboard.flightlogs.flight_record import read_record
from geobridge.onboard.records import Fix, Image
from geobridge.onboard.simulation.autopilot.streams import NS_PER_S
from geobridge.onboard.simulation.flying.exposures import Shutter
from geobridge.onboard.simulation.flying.faults import Fault, FaultKind
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.render.day import AUTUMN_OVERCAST, Day
from geobridge.onboard.simulation.render.scenery import Setting

pytestmark = pytest.mark.slow

GNSS_ENDS_S, HEIGHT_AGL_M, SPEED_M_S = 5.0, 110.0, 11.0
ROUTE_M = ((-100.0, -80.0), (-80.0, 50.0), (-20.0, 70.0))


@dataclass
class Flown:
    """A sortie, the folder it left, and the processes that it started."""

    sortie: Sortie
    out: Path
    processes: list[subprocess.Popen[bytes]]


@contextmanager
def watched() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Every process that is started meanwhile."""
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(real(*words, **options))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", start)
        yield started


@pytest.fixture(scope="module")
def mission(land: Callable[[int, Day], Image], level: Callable[[Image], Setting]) -> Mission:
    setting = level(land(7, AUTUMN_OVERCAST))
    terrain = Terrain.of(setting.place)
    route = "m:" + ":".join(f"{east_m},{north_m}" for east_m, north_m in ROUTE_M)
    return Mission(
        setting=setting,
        terrain=terrain,
        route=route_over(terrain, route, SPEED_M_S, HEIGHT_AGL_M),
        camera=Camera.from_hfov(320, 240, 70.0),
        shutter=Shutter(4.0),
        faults=(Fault(FaultKind.OUTAGE, GNSS_ENDS_S),),
        seed=3,
    )


@pytest.fixture(scope="module")
def signed(rehearsal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle of the land, and the public key of who signed it."""
    folder = tmp_path_factory.mktemp("signed")
    shutil.copytree(rehearsal / "bundle", folder / "bundle")
    new_key(folder / "ours")
    sign(folder / "bundle", folder / "ours.key")
    return folder / "bundle", folder / "ours.pub"


@pytest.fixture(scope="module")
def flown(
    mission: Mission, signed: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Flown:
    out = tmp_path_factory.mktemp("flight") / "flight"
    with watched() as processes:
        return Flown(fly(mission, *signed, out), out, processes)


def test_the_vehicle_arrives_on_fixes_of_which_none_is_wrong(flown: Flown) -> None:
    told = tell(flown.sortie).summary
    assert told["arrived"], told
    assert told["flight_s"] < 40.0
    assert told["without_gnss_s"] > 5.0
    assert told["fixes"] > 10
    assert told["wrong_fixes"] == 0
    assert told["fix_error_m"]["max"] < 15.0
    end, aim = flown.sortie.flight.moments[-1].state, ROUTE_M[-1]
    assert np.hypot(end.east_m - aim[0], end.north_m - aim[1]) < 20.0


def test_fixes_come_after_the_cut_too(flown: Flown) -> None:
    moments = flown.sortie.flight.moments
    cut_ns = moments[0].t_ns + round(GNSS_ENDS_S * NS_PER_S)
    for moment in moments:
        assert moment.has_gnss == (moment.t_ns < cut_ns) or abs(moment.t_ns - cut_ns) < NS_PER_S
    after = [o for o in flown.sortie.outcomes if isinstance(o, Fix) and o.t_capture_ns > cut_ns]
    assert len(after) > 5


def test_alone_the_autopilot_gives_up_where_it_goes_on_with_the_daemon(flown: Flown) -> None:
    story = tell(flown.sortie)
    together, alone = story.track, story.unaided
    assert GNSS_ENDS_S < alone.time_s[-1] < together.time_s[-1] - 2.0
    assert np.hypot(*(alone.true_m[-1] - ROUTE_M[-1])) > 40.0
    assert np.max(together.error_m) < 20.0


def test_what_it_left_tells_what_became_of_every_frame(flown: Flown) -> None:
    record = read_record(flown.out / "record")
    assert record == flown.sortie.outcomes
    times_ns = [outcome.t_capture_ns for outcome in record]
    assert times_ns == sorted(set(times_ns))
    assert "flying: stream:" in (flown.out / "daemon.log").read_text()


def test_the_daemon_is_gone(flown: Flown) -> None:
    [process] = flown.processes
    assert process.returncode == 0, (flown.out / "daemon.log").read_text()


def test_a_bundle_of_another_hand_does_not_fly(
    mission: Mission, signed: tuple[Path, Path], tmp_path: Path
) -> None:
    new_key(tmp_path / "theirs")
    with watched() as processes, pytest.raises(LinkError) as complaint:
        fly(mission, signed[0], tmp_path / "theirs.pub", tmp_path / "flight")
    log = tmp_path / "flight" / "daemon.log"
    assert str(complaint.value).startswith(f"{log}: the daemon did not start: geobridge run: ")
    assert "\n" not in str(complaint.value)
    assert "trusted" in str(complaint.value)
    assert [process.returncode for process in processes] == [2]
    for record in (tmp_path / "flight/record").glob("*.mcap"):  # of why, where it came to one
        assert read_record(record) == []


def test_who_hangs_before_it_flies_is_ended(
    mission: Mission, signed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geobridge.export.demonstration import pilot

    monkeypatch.setattr(pilot, "READY_S", 0.5)
    monkeypatch.setattr(pilot, "_RUN", "import time; time.sleep(60)")
    with watched() as processes, pytest.raises(LinkError, match="did not start: it said nothing"):
        fly(replace(mission, shutter=Shutter(1.0)), *signed, tmp_path / "flight")
    assert [process.returncode for process in processes] == [-15]
