from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import pytest

from geobridge.onboard.camera import Camera
from geobridge.onboard.config import LocalizerConfig
from geobridge.onboard.frames.source import open_source
from geobridge.onboard.geodesy import distance_m
from geobridge.onboard.localization.opened import open_localizer
from geobridge.onboard.records import Attitude, Reason, Rejection, Telemetry
from geobridge.onboard.replay.replay import replay

S = 1_000_000_000


def test_bundle_to_report_by_the_commands_alone(rehearsal: Path, tmp_path: Path) -> None:
    bundle, out = tmp_path / "bundle", tmp_path / "out"
    (tmp_path / "flight.toml").write_text(
        "[camera]\nhfov_deg = 70.0\n\n[localizer.filter]\nconfirmations = 3\n"
    )
    flight = rehearsal / "flight"
    pack: list[Any] = ["pack", rehearsal / "map.tif", "--encoders", rehearsal / "encoders"]
    fly: list[Any] = ["replay", flight / "flight.mp4", "--telemetry", flight / "telemetry.csv"]
    fly += ["--truth", flight / "truth.csv"]
    commands = [
        [*pack, "-o", bundle, "--registration-m", "1", "--licence", "CC0", "--spacing-m", "20"],
        ["verify", bundle],
        [*fly, "--bundle", bundle, "-o", out, "--config", tmp_path / "flight.toml", "--json"],
    ]
    told = [_geobridge(*command) for command in commands]
    assert told[0].split() == [str(bundle)]
    assert "map.tif; licence CC0" in told[1]
    assert json.loads(told[2])["fixes"] > 20
    lines = [json.loads(line) for line in (out / "fixes.jsonl").read_text().splitlines()]
    unconfirmed = [line for line in lines if "unconfirmed" in json.dumps(line)]
    assert len(unconfirmed) >= 2
    assert max(line["error_m"] for line in lines if "fix" in line) < 10.0


def _geobridge(*words: object) -> str:
    command = [str(Path(sys.executable).with_name("geobridge")), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_of_pictures_flies_as_its_video_does(rehearsal: Path, tmp_path: Path) -> None:
    flight, pictures = rehearsal / "flight", tmp_path / "pictures"
    pictures.mkdir()
    names = []
    for number, frame in enumerate(open_source(str(flight / "flight.mp4"))):
        names.append(f"picture-{number:03d}.png")
        cv2.imwrite(str(pictures / names[-1]), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    header, *rows = (flight / "telemetry.csv").read_text().splitlines()
    taken = [header, *rows[::10]]  # ten rows a second, one picture
    named = [f"{a},{b}" for a, b in zip(["file", *names], taken, strict=True)]
    (tmp_path / "telemetry.csv").write_text("\n".join(named))
    for frames, telemetry, out in (
        (flight / "flight.mp4", flight / "telemetry.csv", tmp_path / "a"),
        (pictures, tmp_path / "telemetry.csv", tmp_path / "b"),
    ):
        overrides = ["camera.hfov_deg=70"]
        replay(
            [str(frames)],
            [rehearsal / "bundle"],
            out,
            telemetry=[telemetry],
            overrides=overrides,
        )
    by_video, by_picture = (
        [json.loads(line) for line in (tmp_path / name / "fixes.jsonl").read_text().splitlines()]
        for name in ("a", "b")
    )
    assert len(by_video) == len(by_picture) == len(names)
    assert [line["frame"] for line in by_picture] == names
    for one, other in zip(by_video, by_picture, strict=True):
        assert ("fix" in one) == ("fix" in other)
        if "fix" in one:
            places = [(line["fix"]["lat_deg"], line["fix"]["lon_deg"]) for line in (one, other)]
            assert distance_m(*places[0], *places[1]) < 0.5


@pytest.mark.real_data
@pytest.mark.parametrize("height_agl_m", [None, 75.0, 110.0])
def test_real_photos_of_another_land_never_give_a_fix(
    rehearsal: Path, data: Path, height_agl_m: float | None
) -> None:
    """At their true height, and at heights at which they would show enough ground."""
    folder = data / "brighton_beach"
    with (folder / "truth.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    times_ns = {name: number * S for number, name in enumerate(sorted(rows))}
    source = open_source(str(folder / "images"), times_ns=times_ns)
    camera = Camera.from_hfov(*source.size_px, 84.0)
    localizer = open_localizer(rehearsal / "bundle", LocalizerConfig(), camera)
    reasons = []
    for frame in source:
        row = rows[frame.name]
        heading_deg = float(row["gimbal_yaw"])
        height_m = float(row["rel_alt_m"]) if height_agl_m is None else height_agl_m
        telemetry = Telemetry(frame.t_capture_ns, Attitude(0.0, 0.0, heading_deg), height_m)
        result = localizer.handle(frame, telemetry)
        assert isinstance(result, Rejection), result
        reasons.append(result.reason)
    expected = Reason.TOO_LITTLE_GROUND if height_agl_m is None else Reason.NOT_VERIFIED
    assert Counter(reasons).most_common(1) == [(expected, len(rows))]
