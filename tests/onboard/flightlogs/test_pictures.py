from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.flight_log import CameraEvent, Clock, FlightLog
from geobridge.onboard.flightlogs.match import match_pictures
from geobridge.onboard.flightlogs.pictures.photos import read_photos
from geobridge.onboard.flightlogs.pictures.picture_times import increasing, named_ns
from geobridge.onboard.flightlogs.read import read_flight_log
from geobridge.onboard.flightlogs.telemetry_csv import TelemetryLog
from geobridge.onboard.frames.folder import FolderSource
from geobridge.onboard.records import Attitude, Telemetry

PIL = pytest.importorskip("PIL.Image")

S = 1_000_000_000
START_S = 1_700_000_000  # 2023-11-14 22:13:20 UTC
DJI = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description drone-dji:AbsoluteAltitude="+198.31"'
    ' drone-dji:RelativeAltitude="+39.80" drone-dji:GimbalRollDegree="+0.00"'
    ' drone-dji:GimbalYawDegree="-45.00" drone-dji:GimbalPitchDegree="-89.90"'
    ' drone-dji:FlightRollDegree="+3.00" drone-dji:FlightYawDegree="+46.00"'
    ' drone-dji:FlightPitchDegree="+1.80"/></x:xmpmeta>'
)


def photo(
    path: Path, *, lat: float | None = None, taken: str = "", zone: str = "", xmp: str = ""
) -> Path:
    """A small JPEG with EXIF and XMP as cameras write them."""
    image = PIL.new("RGB", (32, 24), (90, 120, 60))
    exif = PIL.Exif()
    if lat is not None:
        degrees = [float(int(abs(lat))), (abs(lat) % 1) * 60.0, 0.0]
        ns = "S" if lat < 0 else "N"
        exif[0x8825] = {1: ns, 2: degrees, 3: "E", 4: [149.0, 30.0, 0.0], 5: b"\0", 6: 610.0}
    if taken:
        exif[0x8769] = {0x9003: taken} | ({0x9011: zone} if zone else {})
    image.save(path, "JPEG", exif=exif)
    if xmp:
        body = b"http://ns.adobe.com/xap/1.0/\0" + xmp.encode()
        data = path.read_bytes()
        segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
        path.write_bytes(data[:2] + segment + data[2:])
    return path


@pytest.fixture
def log() -> Callable[..., FlightLog]:
    """Ten seconds of attitude, with or without camera messages."""

    def make(
        clock: Clock = Clock.UTC, taken_s: tuple[float, ...] = (), seconds: int = 10
    ) -> FlightLog:
        start_ns = START_S * S if clock is Clock.UTC else 0
        samples = tuple(
            Telemetry(start_ns + second * S, Attitude(0.0, 0.0, 0.0))
            for second in range(seconds + 1)
        )
        events = tuple(
            CameraEvent(start_ns + round(t * S), "CAM", number) for number, t in enumerate(taken_s)
        )
        return FlightLog(
            Path("flight.bin"), "dataflash", clock, TelemetryLog(samples), camera_events=events
        )

    return make


def test_photos_of_a_drone_are_a_log(tmp_path: Path) -> None:
    for number in range(3):
        taken = f"2023:11:14 22:13:{20 + 2 * number:02}"
        photo(tmp_path / f"{number}.jpg", lat=-35.25 + number / 60.0, taken=taken, xmp=DJI)
    found = read_flight_log(tmp_path)
    assert (found.kind, found.clock) == ("photos", Clock.CAMERA)
    times = found.telemetry.times_by_file()
    assert times == {f"{n}.jpg": (START_S + 2 * n) * S for n in range(3)}
    sample = found.telemetry.at(times["1.jpg"])
    assert sample.attitude == Attitude(3.0, 1.8, 46.0)
    assert sample.gimbal == Attitude(0.0, -89.9, 315.0)
    assert sample.height_above_home_m == 39.8
    assert sample.alt_amsl_m is None
    assert any("datum" in line for line in found.oddities)
    assert found.truth is not None
    there = found.truth.at(times["1.jpg"])
    assert there == pytest.approx((-35.25 + 1 / 60.0, 149.5))
    assert len(list(FolderSource(tmp_path, times_ns=times))) == 3


def test_photos_without_times_are_a_second_apart(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{n}.jpg", lat=10.0 + n) for n in range(3)]
    found = read_photos(tmp_path, paths)
    assert found.telemetry.times_by_file() == {f"{n}.jpg": n * S for n in range(3)}
    assert found.provenance["clock"].startswith("nothing")
    assert found.telemetry.samples[0].alt_amsl_m == 610.0


def test_photos_that_tell_nothing_are_refused(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="neither position nor attitude"):
        read_flight_log(tmp_path)


def test_a_damaged_photo_is_named(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", lat=10.0)
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xe1\x00")
    with pytest.raises(DataError, match=r"b\.jpg: not a picture"):
        read_flight_log(tmp_path)


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("20231114221320Z", 0.0),
        ("2023111422132050Z", 0.5),
        ("raw20231114221321250Z", 1.25),
        ("IMG_2023-11-14_22-13-22Z", 2.0),
        ("2023-11-14T22.13.22.500Z", 2.5),
    ],
)
def test_utc_in_a_name(name: str, second: float) -> None:
    assert named_ns(Path(f"{name}.jpg")) == START_S * S + round(second * S)


@pytest.mark.parametrize("name", ["DJI_0018", "IMG_20231114_221320", "20231399221320Z", "1234"])
def test_a_name_without_utc(name: str) -> None:
    assert named_ns(Path(f"{name}.jpg")) is None


def test_pictures_of_the_same_second_are_spread_over_it() -> None:
    assert increasing([5 * S, 5 * S, 9 * S, 5 * S]) == [
        *(5 * S, 5 * S + S // 3, 9 * S, 5 * S + S // 3 * 2)
    ]


def test_utc_in_names_is_the_time(tmp_path: Path, log: Any) -> None:
    for second in (1, 2, 30):
        photo(tmp_path / f"202311142213{20 + second:02}00Z.jpg")
    found = match_pictures(tmp_path, log())
    assert found.method == "UTC in the names of the pictures"
    assert found.detail == "2 of 3 pictures lie within the log"
    assert found.times_ns["2023111422132100Z.jpg"] == (START_S + 1) * S


def test_a_known_shift_is_added_before_anything_is_compared(tmp_path: Path, log: Any) -> None:
    photo(tmp_path / "20221114221321Z.jpg")
    year_s = 365.0 * 86400.0
    found = match_pictures(tmp_path, log(), shift_s=year_s - 0.25)
    assert found.times_ns["20221114221321Z.jpg"] == START_S * S + S * 3 // 4
    named = match_pictures(tmp_path, log(taken_s=(2.0,)), shift_s=-0.25)
    assert list(named.times_ns.values()) == [START_S * S + S * 7 // 4]


def test_a_zone_in_exif_is_taken_off(tmp_path: Path, log: Any) -> None:
    photo(tmp_path / "a.jpg", taken="2023:11:15 08:43:22", zone="+10:30")
    assert match_pictures(tmp_path, log()).times_ns == {"a.jpg": (START_S + 2) * S}


def test_a_local_time_fits_one_zone(tmp_path: Path, log: Any) -> None:
    photo(tmp_path / "a.jpg", taken="2023:11:15 08:43:22")
    photo(tmp_path / "b.jpg", taken="2023:11:15 08:43:25")
    found = match_pictures(tmp_path, log())
    assert found.times_ns["b.jpg"] == (START_S + 5) * S
    assert "UTC+10.5 h" in found.detail
    with pytest.raises(DataError, match="time zones put"):
        match_pictures(tmp_path, log(seconds=3600))
    photo(tmp_path / "c.jpg", taken="2023:11:15 08:59:25")
    with pytest.raises(DataError, match="no time zone puts"):
        match_pictures(tmp_path, log())


def test_messages_are_told_apart_by_their_distances(tmp_path: Path, log: Any) -> None:
    """The camera's clock is a year off, and one picture was lost."""
    taken_s = (0.5, 1.6, 3.9, 5.2, 8.8)
    for number, t in enumerate(taken_s):
        if number != 2:
            whole, part = divmod(round(t * 100), 100)
            photo(tmp_path / f"2022111400{whole:04}{part:02}Z.jpg")
    found = match_pictures(tmp_path, log(taken_s=taken_s))
    assert found.method == "CAM of the log"
    assert list(found.times_ns.values()) == [
        round((START_S + taken_s[number]) * S) for number in (0, 1, 3, 4)
    ]


def test_even_steps_of_another_count_are_told_apart_by_nothing(tmp_path: Path, log: Any) -> None:
    for second in range(4):
        photo(tmp_path / f"2022111400000{second}00Z.jpg")
    with pytest.raises(DataError, match="4 pictures and 5 camera messages"):
        match_pictures(tmp_path, log(taken_s=(1.0, 2.0, 3.0, 4.0, 5.0)))


def test_messages_of_the_same_count_are_taken_in_order(tmp_path: Path, log: Any) -> None:
    for name in ("a", "b", "c"):
        photo(tmp_path / f"{name}.jpg")
    found = match_pictures(tmp_path, log(clock=Clock.BOOT, taken_s=(2.0, 3.5, 4.0)))
    assert found.times_ns == {"a.jpg": 2 * S, "b.jpg": round(3.5 * S), "c.jpg": 4 * S}
    assert "one to one" in found.detail


@pytest.mark.parametrize(
    ("clock", "name", "said"),
    [
        (Clock.UTC, "a.jpg", "holds no camera message"),
        (Clock.BOOT, "20231114221321Z.jpg", "does not: boot"),
        (Clock.UTC, "20221114221321Z.jpg", "no picture was taken during"),
    ],
)
def test_pictures_that_no_clock_joins_with_the_log(
    tmp_path: Path, log: Any, clock: Clock, name: str, said: str
) -> None:
    photo(tmp_path / name)
    with pytest.raises(DataError, match=said):
        match_pictures(tmp_path, log(clock=clock))


def test_a_folder_without_pictures_is_named(tmp_path: Path, log: Any) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        match_pictures(tmp_path, log())


def test_every_picture_has_a_message_of_its_own(tmp_path: Path, log: Any) -> None:
    dice = np.random.default_rng(5)
    taken_s = np.sort(dice.uniform(0.0, 9.0, 12)).round(2)
    for t in taken_s:
        whole, part = divmod(round(float(t) * 100), 100)
        photo(tmp_path / f"2022111400{whole:04}{part:02}Z.jpg")
    found = match_pictures(tmp_path, log(taken_s=tuple(float(t) for t in taken_s)))
    assert len(set(found.times_ns.values())) == len(found.times_ns)
