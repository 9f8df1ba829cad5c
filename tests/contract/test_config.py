from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.config import CameraConfig, LocalizerConfig, ReplayConfig, RunConfig, load
from geobridge.onboard.errors import ConfigError

RUN = """
bundle = "area.bundle"

[camera]
hfov_deg = 73.7
mount = { pitch_deg = -60 }

[source]
frames = "camera:0"

[localizer.gate]
min_score = 0.25
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "onboard.toml"
    path.write_text(text)
    return path


def test_a_file_and_its_defaults(tmp_path: Path) -> None:
    config = load(RunConfig, written(tmp_path, RUN))
    assert config.camera.mount.pitch_deg == -60.0
    assert config.localizer.gate.min_score == 0.25
    assert config.localizer.retrieve == LocalizerConfig().retrieve
    assert config.source.telemetry == "mavlink"


def test_overrides_win_over_the_file_and_the_last_one_over_the_others(tmp_path: Path) -> None:
    overrides = [
        "localizer.gate.min_score=0.3",
        "localizer.gate.min_score = 0.4",
        "localizer.retrieve.precision=fp16",
        'source.frames="a b.mp4"',
        "camera.mount={ yaw_deg = 90.0 }",
        "bundle=/flights/a=b",
    ]
    config = load(RunConfig, written(tmp_path, RUN), overrides)
    assert config.localizer.gate.min_score == 0.4
    assert config.localizer.retrieve.precision == "fp16"
    assert config.source.frames == "a b.mp4"
    assert (config.camera.mount.yaw_deg, config.camera.mount.pitch_deg) == (90.0, -90.0)
    assert config.bundle == "/flights/a=b"


def test_overrides_alone() -> None:
    assert load(ReplayConfig, overrides=["camera.hfov_deg=60"]).camera.hfov_deg == 60.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[localizer.gates]\nmin_score = 1", "localizer.gates: unknown key"),
        ("[localizer.gate]\nmin_skore = 1", "localizer.gate.min_skore: unknown key"),
        ("[localizer.gate]\nmin_score = nan", "localizer.gate.min_score: "),
        ("[localizer.filter]\nmax_coast_s = inf", "localizer.filter.max_coast_s: "),
        ("[localizer.gate]\nmin_score = '0.3'", "localizer.gate.min_score: "),
        ("[localizer.gate]\nmin_correlation = 1.5", "localizer.gate.min_correlation: "),
        ("[localizer.retrieve]\ntop_k = 2.5", "localizer.retrieve.top_k: "),
        ("[localizer.retrieve]\ntop_k = true", "localizer.retrieve.top_k: "),
        ("[localizer.retrieve]\nprecision = 'int4'", "localizer.retrieve.precision: "),
        ("[camera.mount]\npich_deg = 3", "camera.mount.pich_deg: unknown key"),
        ("[camera.mount]\npitch_deg = -400", "camera.mount.pitch_deg: "),
    ],
)
def test_a_wrong_value_names_the_file_and_the_full_key(
    text: str, complaint: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(ReplayConfig, path, ["camera.hfov_deg=60"])
    assert str(error.value).startswith(f"{path}: {complaint}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "camera: needs one of hfov_deg"),
        ("camera = 3", "camera: "),
        ("[camera]\nhfov_deg = 400", "camera.hfov_deg: "),
        (
            "[camera]\nmount = {}",
            "camera: needs one of hfov_deg, an [intrinsics] table, or a calibration file",
        ),
        ("[camera.intrinsics]\nwidth_px = 4", "camera.intrinsics.height_px: Field required"),
    ],
)
def test_a_camera_must_be_said(text: str, complaint: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(ReplayConfig, path)
    assert str(error.value).startswith(f"{path}: {complaint}")


def test_both_ways_to_say_the_camera_are_one_too_many(tmp_path: Path) -> None:
    intrinsics = "{width_px=4, height_px=4, fx_px=1.0, fy_px=1.0, cx_px=1.0, cy_px=1.0}"
    path = written(tmp_path, f"[camera]\nhfov_deg = 60\nintrinsics = {intrinsics}")
    with pytest.raises(ConfigError, match="needs one of hfov_deg, an"):
        load(ReplayConfig, path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[camera\n", "not TOML"),
        (b"a = 1\na = 2\n", "not TOML"),
        (b"a = '\xff'\n", "not TOML"),
    ],
)
def test_what_is_not_toml_names_the_file(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "onboard.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint) as error:
        load(RunConfig, path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.toml", tmp_path):
        with pytest.raises(ConfigError) as error:
            load(RunConfig, path)
        assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("camera.hfov_deg", "override 'camera.hfov_deg': expected table.key=value"),
        ("=3", "override '=3': expected table.key=value"),
        ("camera..hfov_deg=3", "expected table.key=value"),
        ("camera.hfov_deg.x=3", "camera.hfov_deg is not a table"),
        ("camera.hfov=3", "camera.hfov: unknown key"),
        ("camera.hfov_deg=nan", "camera.hfov_deg: "),
        ("camera.hfov_deg=wide", "camera.hfov_deg: "),
    ],
)
def test_a_wrong_override_is_named(override: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(ReplayConfig, overrides=["camera.hfov_deg=60", override])
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


keys = st.sampled_from(["camera.hfov_deg", "camera", "localizer.gate.min_score"]) | st.text()


@settings(max_examples=30)
@given(keys, st.text(max_size=20))
def test_an_override_works_or_is_a_config_error(key: str, value: str) -> None:
    try:
        config = load(ReplayConfig, overrides=["camera.hfov_deg=60", f"{key}={value}"])
    except ConfigError:
        return
    assert key in ("camera.hfov_deg", "localizer.gate.min_score")
    assert float(value) in (config.camera.hfov_deg, config.localizer.gate.min_score)


def test_a_configuration_does_not_change_under_us(tmp_path: Path) -> None:
    config = load(RunConfig, written(tmp_path, RUN))
    with pytest.raises(ValidationError):
        config.bundle = "other"  # type: ignore[misc]


def test_the_camera_of_a_configuration() -> None:
    intrinsics = {
        "width_px": 640,
        "height_px": 480,
        "fx_px": 500.0,
        "fy_px": 501.0,
        "cx_px": 319.0,
        "cy_px": 241.0,
        "distortion": [-0.1, 0.01, 0.0, 0.0],
    }
    config = CameraConfig.model_validate({"intrinsics": intrinsics, "mount": {"pitch_deg": -45.0}})
    assert config.camera(640, 480) == Camera(
        640, 480, 500.0, 501.0, 319.0, 241.0, (-0.1, 0.01, 0.0, 0.0), Mount(pitch_deg=-45.0)
    )
    with pytest.raises(ConfigError, match="for 640x480 px, the pictures have 1280x960 px"):
        config.camera(1280, 960)


@pytest.mark.parametrize("count", [1, 2, 3, 6, 15])
def test_distortion_opencv_does_not_take(count: int) -> None:
    coefficients = ", ".join(["0.0"] * count)
    settings = "width_px=4, height_px=4, fx_px=1.0, fy_px=1.0, cx_px=1.0, cy_px=1.0"
    override = f"camera.intrinsics={{{settings}, distortion=[{coefficients}]}}"
    with pytest.raises(
        ConfigError, match=r"camera\.intrinsics: distortion of a pinhole takes 4, 5, 8, 12 or 14"
    ):
        load(ReplayConfig, overrides=[override])
