from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from geobridge.onboard.calibration.intrinsics import checked
from geobridge.onboard.calibration.read import read_calibration
from geobridge.onboard.camera import Camera
from geobridge.onboard.config import CameraConfig, validate
from geobridge.onboard.errors import ConfigError

SIZE = (1280, 720)
MATRIX = [[910.5, 0.0, 641.25], [0.0, 908.75, 355.5], [0.0, 0.0, 1.0]]
PINHOLE = [-0.21, 0.05, 0.0007, -0.0004]
FISHEYE = [-0.031, 0.004, -0.0021, 0.0003]

Writer = Callable[[Path, list[float], bool], Path]


def opencv(suffix: str) -> Writer:
    def write(folder: Path, bent: list[float], is_fisheye: bool) -> Path:
        path = folder / f"camera{suffix}"
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
        storage.write("calibration_time", "today")
        storage.write("image_width", SIZE[0])
        storage.write("image_height", SIZE[1])
        storage.write("fisheye_model", int(is_fisheye))
        storage.write("camera_matrix", np.array(MATRIX))
        storage.write("distortion_coefficients", np.array(bent)[:, None])
        storage.release()
        return path

    return write


def kalibr(folder: Path, bent: list[float], is_fisheye: bool) -> Path:
    camera = {
        "camera_model": "pinhole",
        "intrinsics": [910.5, 908.75, 641.25, 355.5],
        "distortion_model": "equidistant" if is_fisheye else "radtan",
        "distortion_coeffs": bent,
        "resolution": list(SIZE),
        "rostopic": "/cam0/image_raw",
    }
    return written(folder, {"cam0": camera})


def ros_file(folder: Path, bent: list[float], is_fisheye: bool) -> Path:
    tree = {
        "image_width": SIZE[0],
        "image_height": SIZE[1],
        "camera_name": "down",
        "camera_matrix": {"rows": 3, "cols": 3, "data": np.ravel(MATRIX).tolist()},
        "distortion_model": "equidistant" if is_fisheye else "plumb_bob",
        "distortion_coefficients": {"rows": 1, "cols": len(bent), "data": bent},
    }
    return written(folder, tree)


def ros_message(folder: Path, bent: list[float], is_fisheye: bool) -> Path:
    tree = {
        "header": {"frame_id": "camera"},
        "height": SIZE[1],
        "width": SIZE[0],
        "distortion_model": "equidistant" if is_fisheye else "plumb_bob",
        "d": bent,
        "k": np.ravel(MATRIX).tolist(),
    }
    return written(folder, tree)


def written(folder: Path, tree: Any) -> Path:
    path = folder / "camera.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


WRITERS: dict[str, Writer] = {
    "opencv yaml": opencv(".yml"),
    "opencv xml": opencv(".xml"),
    "kalibr": kalibr,
    "ros": ros_file,
    "camera_info": ros_message,
}


def camera_of(path: Path, width_px: int = SIZE[0], height_px: int = SIZE[1]) -> Camera:
    config = validate(CameraConfig, {"calibration": str(path)}, "camera")
    return config.camera(width_px, height_px)


@pytest.mark.parametrize("is_fisheye", [False, True], ids=["pinhole", "fisheye"])
@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_is_the_same_camera(tmp_path: Path, kind: str, is_fisheye: bool) -> None:
    bent = FISHEYE if is_fisheye else PINHOLE
    path = WRITERS[kind](tmp_path, bent, is_fisheye)
    lens = "fisheye" if is_fisheye else "pinhole"
    assert camera_of(path) == Camera(*SIZE, 910.5, 908.75, 641.25, 355.5, tuple(bent), lens=lens)


@pytest.mark.parametrize("kind", WRITERS)
def test_pictures_of_another_size_are_refused(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path, PINHOLE, False)
    with pytest.raises(ConfigError) as caught:
        camera_of(path, 640, 360)
    expected = f"{path}: for 1280x720 px, the pictures have 640x360 px"
    assert str(caught.value) == expected


angle = st.floats(-0.9, 0.9)


@given(angle, angle)
def test_a_fisheye_bends_as_opencv_bends(x: float, y: float) -> None:
    camera = Camera(*SIZE, 910.5, 908.75, 641.25, 355.5, tuple(FISHEYE), lens="fisheye")
    none = np.zeros(3)
    expected, _ = cv2.fisheye.projectPoints(
        np.array([[[x, y, 1.0]]]), none, none, np.array(MATRIX), np.array(FISHEYE)
    )
    assert camera.pixels([[x, y, 1.0]]) == pytest.approx(expected.reshape(1, 2), abs=1e-6)
    ray = camera.rays(expected.reshape(1, 2))[0]
    assert ray / ray[2] == pytest.approx([x, y, 1.0], abs=1e-9)


def test_a_fisheye_sees_beside_itself() -> None:
    camera = Camera(400, 400, 130.0, 130.0, 199.5, 199.5, (0.01, -0.002, 0.0, 0.0), lens="fisheye")
    ray = np.array([[np.sin(1.7), 0.0, np.cos(1.7)]])
    assert camera.rays(camera.pixels(ray)) == pytest.approx(ray, abs=1e-9)


def test_one_of_several_cameras_is_named(tmp_path: Path) -> None:
    tree = yaml.safe_load(kalibr(tmp_path, PINHOLE, False).read_text())
    path = written(tmp_path, {"cam0": tree["cam0"], "cam1": tree["cam0"] | {"T_cn_cnm1": []}})
    with pytest.raises(ConfigError, match=r"holds cam0, cam1; camera\.calibrated names the one"):
        read_calibration(path)
    assert read_calibration(path, "cam1").width_px == 1280
    with pytest.raises(ConfigError, match=r"no cam7, only cam0, cam1"):
        read_calibration(path, "cam7")
    with pytest.raises(ConfigError, match="one camera without a name, not cam1"):
        read_calibration(ros_file(tmp_path, PINHOLE, False), "cam1")


WRONG: dict[str, tuple[Writer, dict[str, Any], str]] = {
    "no width": (ros_file, {"image_width": None}, "image_width, image_height: expected 2 numbers"),
    "text": (ros_file, {"image_height": "720"}, "image_width, image_height: expected 2 numbers"),
    "half a pixel": (ros_file, {"image_height": 0.5}, "a picture of 1280x0.5 px"),
    "NaN": (ros_file, {"camera_matrix": {"data": [float("nan")] * 9}}, "expected 9 numbers"),
    "negative": (ros_message, {"k": [-1.0, 0, 9, 0, 1, 9, 0, 0, 1]}, "focal lengths -1, 1"),
    "axis": (ros_message, {"k": [9.0, 0, 2000, 0, 9, 9, 0, 0, 1]}, "is not in the picture"),
    "skew": (ros_message, {"k": [9.0, 1, 9, 0, 9, 9, 0, 0, 1]}, "not at right angles"),
    "three": (ros_message, {"d": [0.1, 0.2, 0.3]}, "3 coefficients for a pinhole"),
    "unknown": (ros_message, {"distortion_model": "omni"}, "distortion_model omni, expected one"),
    "no model": (kalibr, {"camera_model": "omni"}, "omni with radtan, expected pinhole with"),
    "no numbers": (kalibr, {"intrinsics": 4}, r"cam0\.intrinsics: expected 4 numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, name: str) -> None:
    write, change, expected = WRONG[name]
    tree = yaml.safe_load(write(tmp_path, PINHOLE, False).read_text())
    tree.get("cam0", tree).update(change)
    path = written(tmp_path, tree)
    with pytest.raises(ConfigError, match=expected) as caught:
        read_calibration(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@given(st.floats(-20.0, 300.0), st.floats(-20.0, 300.0))
@example(256.0, 95.5)
@example(-20.0, 95.5)
def test_a_table_holds_the_axis_to_the_same_rule_as_a_file(cx_px: float, cy_px: float) -> None:
    table = {"width_px": 256, "height_px": 192, "fx_px": 180.0, "fy_px": 180.0}
    table |= {"cx_px": cx_px, "cy_px": cy_px}
    inside = 0.0 <= cx_px < 256.0 and 0.0 <= cy_px < 192.0
    if inside:
        assert validate(CameraConfig, {"intrinsics": table}, "a.toml").camera(256, 192)
        assert checked((256, 192), (180.0, 180.0, cx_px, cy_px), (), "pinhole", "camera.yml")
        return
    key = "cy_px" if 0.0 <= cx_px < 256.0 else "cx_px"
    with pytest.raises(ConfigError, match=f"a.toml: intrinsics: {key} is .*, not in a picture of"):
        validate(CameraConfig, {"intrinsics": table}, "a.toml")
    with pytest.raises(ConfigError, match="is not in the picture"):
        checked((256, 192), (180.0, 180.0, cx_px, cy_px), (), "pinhole", "camera.yml")


STORED = """%YAML 1.2
---
image_width: 640
image_height: 480
fisheye_model: 0
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 500., 0., 320., 0., 510., 240., 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 1
   cols: 4
   dt: d
   data: [ 0.1, 0.01, 0., 0. ]
"""


@pytest.mark.parametrize(
    ("there", "instead", "expected"),
    [
        ("640", ".Inf", "image_width: expected a number"),
        ("480", "[480]", "image_height: expected a number"),
        ("image_height: 480\n", "", "no image_height; without the size"),
        ("rows: 3", "rows: -3", "camera_matrix: expected 3 rows and 3 columns"),
        ("rows: 3", "rows: 100000", "camera_matrix: expected 3 rows and 3 columns"),
        ("rows: 1", "rows: 100000", "distortion_coefficients: 4 numbers, expected as many as"),
        ("rows: 1\n   cols: 4", "rows: -1\n   cols: -4", "distortion_coefficients: 4 numbers"),
        ("510., 240.,", "", "camera_matrix: 7 numbers, expected as many as"),
        ("500.", ".Nan", "camera_matrix: expected numbers"),
        ("[ 0.1, 0.01, 0., 0. ]", '!!binary "MWQgMC4x"', "distortion_coefficients: .*base64"),
        ("500., 0.", "500., 2.", "camera_matrix: expected axes at right angles"),
        ("   dt: d\n   data: [ 0.1", "   a: [ 0.1", "distortion_coefficients: expected a matrix"),
        ("fisheye_model: 0", "fisheye_model: abc", "fisheye_model: expected 0 or 1"),
        ("240., 0., 0., 1. ]", "240.", "not whole, expected YAML as OpenCV writes it"),
    ],
)
def test_what_is_wrong_in_a_file_of_opencv_is_named(
    tmp_path: Path, there: str, instead: str, expected: str
) -> None:
    path = tmp_path / "camera.yml"
    path.write_text(STORED)
    assert read_calibration(path).fy_px == 510.0
    path.write_text(STORED.replace(there, instead, 1))
    with pytest.raises(ConfigError, match=expected) as caught:
        read_calibration(path)
    assert str(caught.value).startswith(f"{path}: ")


numbers_of_opencv = st.lists(st.floats(-1e9, 1e9), min_size=4, max_size=4)


@given(numbers_of_opencv, st.sampled_from([".yml", ".xml", ".json"]))
def test_numbers_of_opencv_come_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, bent: list[float], suffix: str
) -> None:
    path = opencv(suffix)(tmp_path_factory.mktemp("camera"), bent, False)
    assert read_calibration(path).distortion == (tuple(bent) if any(bent) else ())


@pytest.mark.parametrize("kind", WRITERS)
@given(data=st.data())
def test_a_damaged_file_is_a_camera_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    path = WRITERS[kind](tmp_path_factory.mktemp("camera"), PINHOLE, False)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    told = f"{path}: nothing"
    try:
        read_calibration(path)
    except ConfigError as error:
        told = str(error)
    assert told.startswith(f"{path}: ")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"just words",
        b"\xff\xfe\x00",
        b"[1, 2",
        b"a: [" * 2000,
        b"%YAML:1.0\n---\n",
        b"%YAML:1.0\n---\ncamera_matrix: 3\nimage_width: 2\nimage_height: 2\n",
        b"<?xml version='1.0'?>\n<opencv_storage><broken",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"<?xml version='1.0'?>" + b"<a>" * 20_000 + b"</a>" * 20_000,
        b"!!python/object/apply:os.system ['true']",
        b"a: !!timestamp abc",
        b"a: !!bool abc",
        b"a: !!float ''",
        b"a: !!float " + b"9:" * 300 + b"9.5",
        b"width: 1" + b"0" * 400 + b"\nheight: 1\nK: [1]\nD: []",
        b"cam0: {camera_model: pinhole, distortion_model: [radtan]}",
        b"cam0: {camera_model: pinhole, distortion_model: {a: 1}}",
        b'width: 1\nheight: 1\ndistortion_model: "two\\nlines"',
        b"x" * 1_000_001,
    ],
)
def test_a_file_that_is_no_calibration_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "camera.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_calibration(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_of_an_older_opencv(tmp_path: Path) -> None:
    path = opencv(".yml")(tmp_path, PINHOLE, False)
    text = path.read_text()
    path.write_text("%YAML:1.0" + text[text.index("\n") :])
    assert camera_of(path).distortion == tuple(PINHOLE)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yml: No such file"):
        read_calibration(tmp_path / "nothing.yml")
