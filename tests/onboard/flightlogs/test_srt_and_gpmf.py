from __future__ import annotations

from typing import Any

import pytest

from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.flight_log import Clock
from geobridge.onboard.flightlogs.read import read_flight_log
from geobridge.onboard.flightlogs.video.gpmf import read_gpmf
from geobridge.onboard.flightlogs.video.srt import read_srt

S = 1_000_000_000


def told(oddities: tuple[str, ...], *words: str) -> str:
    [found] = [line for line in oddities if all(word in line for word in words)]
    return found


def test_subtitles_without_times_count_by_their_dates(save: Any) -> None:
    bodies = [
        f"{number}\n2017.08.05 14:11:{number:02},393,525\n"
        f"[latitude : 41.42{number}] [longtitude : 2.2]\n"
        for number in (1, 2, 3)
    ]
    nowhere = "4\n2017.08.35 14:11:04,393,525\n[latitude : 41.424] [longtitude : 2.2]\n"
    log = read_srt(save("old.srt", "\n".join([*bodies, nowhere]).encode()))
    assert [sample.t_ns for sample in log.telemetry.samples] == [0, 10**9, 2 * 10**9]
    assert log.provenance["clock"].startswith("the dates in the subtitles")
    last = log.telemetry.samples[-1].prior
    assert last is not None
    assert last.lat_deg == pytest.approx(41.423)
    assert read_flight_log(save("again.SRT", "\n".join(bodies).encode())).kind == "srt"


def subtitles(*bodies: str) -> bytes:
    cues = [
        f"{number + 1}\n00:00:{number:02},000 --> 00:00:{number + 1:02},000\n{body}\n"
        for number, body in enumerate(bodies)
    ]
    return "\n".join(cues).encode()


KEYED = (
    '<font size="36">SrtCnt : 1, DiffTime : 33ms\n2022-08-07 13:40:40,774,808\n[iso : 100]'
    " [shutter : 1/80.0] [fnum : 280] [{latitude}: 41.424724] [{longitude}: 2.234156]"
    " [rel_alt: 35.500 abs_alt: 117.250]"
    " [gb_yaw : 12.5 gb_pitch : -90.0 gb_roll : 0.0] </font>"
)


@pytest.mark.parametrize(
    ("body", "lat_deg", "lon_deg", "height_m"),
    [
        (KEYED.format(latitude="latitude", longitude="longitude"), 41.424724, 2.234156, 35.5),
        (KEYED.format(latitude="latitude", longitude="longtitude"), 41.424724, 2.234156, 35.5),
        (
            "HOME(149.0251,-20.2532) 2017.08.05 14:11:51\nGPS(149.0251,-20.2533,16)"
            " BAROMETER:1.9\nISO:100 Shutter:60 EV: Fnum:2.2",
            *(-20.2533, 149.0251, 1.9),
        ),
        (
            "2022.06.21 16:06:17\nGPS(36.6146,-6.1120,0.0M) BAROMETER:12.3M",
            *(36.6146, -6.112, 12.3),
        ),
        (
            "F/2.8, SS 30.15, ISO 260, EV -1.7, GPS (-121.7458, 48.0771, 17), D 221.21m, H 200.70m,"
            " H.S n/a, V.S n/a",
            *(48.0771, -121.7458, 200.7),
        ),
        (
            "F/5.6, SS 400, ISO 100, EV 0, GPS (-58.851745, -34.237922, 15), HOME (-58.847509,"
            " -34.232707, -57.98m), D 698.70m, H 85.80m, H.S 0.00m/s, V.S 0.00m/s, F.PRY (2.7°,"
            " -7.0°, 110.1°), G.PRY (-24.4°, 0.0°, 110.4°)",
            *(-34.237922, -58.851745, 85.8),
        ),
    ],
)
def test_every_dialect_tells_where_it_was(
    save: Any, body: str, lat_deg: float, lon_deg: float, height_m: float
) -> None:
    log = read_srt(save("flight.srt", subtitles(body, body)))
    assert log.clock is Clock.VIDEO
    sample = log.telemetry.at(S // 2)
    assert sample.t_ns == S // 2
    assert sample.prior is not None
    assert (sample.prior.lat_deg, sample.prior.lon_deg) == pytest.approx((lat_deg, lon_deg))
    assert sample.height_above_home_m == pytest.approx(height_m)
    assert sample.alt_amsl_m is None
    assert log.truth is not None


def test_angles_are_pitch_roll_yaw(save: Any) -> None:
    body = "GPS (1.5, 2.5, 15), F.PRY (2.7°, -7.0°, 110.1°), G.PRY (-24.4°, 0.5°, 110.4°)"
    sample = read_srt(save("flight.srt", subtitles(body))).telemetry.samples[0]
    assert sample.attitude is not None
    assert vars(sample.attitude) == {"pitch_deg": 2.7, "roll_deg": -7.0, "heading_deg": 110.1}
    assert sample.gimbal is not None
    assert (sample.gimbal.pitch_deg, sample.gimbal.roll_deg) == (-24.4, 0.5)


def test_an_altitude_of_no_datum_is_not_used(save: Any) -> None:
    body = "[latitude: 41.4] [longitude: 2.2] [altitude: 117.0]"
    log = read_srt(save("flight.srt", subtitles(body)))
    assert log.telemetry.samples[0].height_above_home_m is None
    assert log.telemetry.samples[0].alt_amsl_m is None
    assert told(log.oddities, "altitude", "datum")


def test_coarse_positions_are_told_and_cost_accuracy(save: Any) -> None:
    fine = read_srt(save("fine.srt", subtitles("GPS(2.123456,41.123456,9)")))
    coarse = read_srt(save("coarse.srt", subtitles("GPS(2.1234,41.1234,9)")))
    assert told(coarse.oddities, "steps of 0.0001 degrees")
    accuracies = [
        log.telemetry.samples[0].prior.horiz_accuracy_m  # type: ignore[union-attr]
        for log in (fine, coarse)
    ]
    assert accuracies[0] < accuracies[1]


def test_without_coordinates_the_height_is_used(save: Any) -> None:
    log = read_srt(save("indoors.srt", subtitles("BAROMETER:1.5", "BAROMETER:2.5")))
    assert log.telemetry.at(S // 2).height_above_home_m == pytest.approx(2.0)
    assert log.truth is None
    assert told(log.oddities, "no position")


def test_a_cut_file_gives_what_it_has(save: Any) -> None:
    data = subtitles(*["HOME(1.0,2.0) 2017.07.03 10:15:03\nGPS(1.0001,2.0001,9)"] * 4)
    log = read_srt(save("cut.srt", data[: data.rindex(b"GPS")]))
    assert len(log.telemetry.samples) == 3
    assert told(log.oddities, "cut off")


def test_subtitles_of_a_film_are_refused(save: Any) -> None:
    with pytest.raises(DataError, match="neither attitude nor position nor height"):
        read_srt(save("film.srt", subtitles("Where am I?", "Over there: 12 miles.")))


def test_positions_of_an_action_camera(video: Any, save: Any) -> None:
    seconds = [
        [[-353_630_000 + 100 * (5 * n + k), 1_491_650_000, 650_000, 5000, 500] for k in range(5)]
        for n in range(4)
    ]
    path = save("dive.mp4", video(seconds))
    log = read_flight_log(path)
    assert (log.kind, log.clock) == ("gpmf", Clock.VIDEO)
    sample = log.telemetry.at(round(1.4 * S))
    assert sample.prior is not None
    assert sample.prior.lat_deg == pytest.approx(-35.3630 + 7e-5)
    assert sample.prior.horiz_accuracy_m == pytest.approx(6.0)
    assert sample.alt_amsl_m == pytest.approx(650.0)
    assert log.truth is not None
    assert len(log.truth.times_ns) == 20


def test_an_ellipsoidal_height_is_not_one_above_the_sea(video: Any, save: Any) -> None:
    rows = [[1, 2, 650_000, 0, 0]] * 3
    log = read_gpmf(save("dive.mp4", video([rows], datum=b"WGS8")))
    assert log.telemetry.samples[0].alt_amsl_m is None
    assert told(log.oddities, "ellipsoid")


def test_positions_before_the_first_fix_are_none(video: Any, save: Any) -> None:
    with pytest.raises(DataError, match="neither attitude nor position"):
        read_gpmf(save("dive.mp4", video([[[1, 2, 3, 0, 0]] * 3], fix=0)))


def test_a_video_takes_the_subtitles_beside_it(video: Any, save: Any) -> None:
    path = save("DJI_0001.MP4", video([]))
    with pytest.raises(DataError, match="without telemetry in it"):
        read_flight_log(path)
    save("DJI_0001.SRT", subtitles("GPS(2.1234,41.1234,9)"))
    assert read_flight_log(path).kind == "srt"


@pytest.mark.parametrize("table", [b"stsz", b"stco", b"stsc"])
def test_a_video_with_a_damaged_table_is_refused_in_a_line(
    video: Any, save: Any, table: bytes
) -> None:
    data = bytearray(video([[[1, 2, 3, 0, 0]] * 3]))
    at = data.index(table) + 4
    data[at : at + 16] = b"\xff" * 16
    with pytest.raises(DataError, match=r"broken\.mp4") as refused:
        read_gpmf(save("broken.mp4", bytes(data)))
    assert "\n" not in str(refused.value)
