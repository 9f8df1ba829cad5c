from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnxruntime")

from geobridge.onboard.bench.bench import Case, measure, table
from geobridge.onboard.bench.sensors import Reading, look
from geobridge.onboard.bench.state import Usage, busy_seconds, memory_mb, others, remarks
from geobridge.onboard.cli import main
from geobridge.onboard.engines.engine import EngineSettings

ORIN = {
    "sys/class/thermal/thermal_zone0/temp": "51250",
    "sys/class/thermal/thermal_zone1/temp": "48000",
    "sys/class/thermal/thermal_zone2/temp": "-256000",
    "sys/class/thermal/cooling_device0/type": "pwm-fan",
    "sys/class/thermal/cooling_device0/cur_state": "3",
    "sys/class/thermal/cooling_device1/type": "cpufreq-cpu0",
    "sys/class/thermal/cooling_device1/cur_state": "2",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "729600",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1510400",
    "sys/class/devfreq/17000000.gpu/cur_freq": "624750000",
    "sys/class/hwmon/hwmon0/name": "thermal-fan-est",
    "sys/class/hwmon/hwmon1/name": "ina3221",
    "sys/class/hwmon/hwmon1/in1_label": "VDD_IN",
    "sys/class/hwmon/hwmon1/in1_input": "5000",
    "sys/class/hwmon/hwmon1/curr1_input": "1840",
    "sys/class/hwmon/hwmon1/in2_label": "VDD_CPU_GPU_CV",
    "sys/class/hwmon/hwmon1/in2_input": "5000",
    "sys/class/hwmon/hwmon1/curr2_input": "600",
    "sys/class/hwmon/hwmon1/in3_label": "VDD_SOC",
    "sys/class/hwmon/hwmon1/in3_input": "asleep",
    "sys/class/hwmon/hwmon1/curr3_input": "100",
}
STEADY = [10.0] * 40


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    return root


def test_what_a_jetson_shows(tmp_path: Path) -> None:
    reading = look(tree(tmp_path, ORIN))
    assert reading.temperature_c == 51.25
    assert reading.cpu_mhz == pytest.approx(1510.4)
    assert reading.gpu_mhz == pytest.approx(624.75)
    assert reading.power_w == {"VDD_IN": pytest.approx(9.2), "VDD_CPU_GPU_CV": pytest.approx(3.0)}
    assert reading.whole_w == pytest.approx(9.2)
    assert reading.throttled == 2  # a fan at work is no throttle


def test_a_board_without_a_rail_for_the_whole_is_the_sum(tmp_path: Path) -> None:
    names = {"sys/class/hwmon/hwmon1/in1_label": "VDD_GPU_SOC"}
    assert look(tree(tmp_path, ORIN | names)).whole_w == pytest.approx(12.2)


def test_a_computer_that_shows_nothing(tmp_path: Path) -> None:
    assert look(tmp_path) == Reading()
    assert look(tmp_path).whole_w is None
    assert busy_seconds(tmp_path) == 0.0


def test_who_else_used_the_cores(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/stat": "cpu  100 20 30 9999 50 1 2 3 0 0"})
    assert busy_seconds(tmp_path) == pytest.approx(1.56)
    before = Usage(clock_s=0.0, busy_s=10.0, own_s=1.0)
    assert others(before, Usage(10.0, 35.0, 16.0)) == pytest.approx(1.0)
    assert others(before, Usage(10.0, 25.0, 16.1)) == 0.0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"foreign": 0.3}, ["loaded: others used 0.3 cores"]),
        ({"after": Reading(throttled=1)}, ["throttled: the processor slowed itself down"]),
        ({"gpu_reasons": 0x40}, ["throttled: the GPU is too hot or short of power"]),
        ({"gpu_reasons": 0x01}, []),  # an idle GPU
        ({"times_ms": [10.0] * 20 + [12.0] * 20}, ["slowed down by 20% while measured"]),
        ({"times_ms": [10.0, 99.0]}, []),
    ],
)
def test_what_speaks_against_a_figure(change: dict[str, Any], told: list[str]) -> None:
    quiet = {"times_ms": STEADY, "foreign": 0.0, "before": Reading(), "after": Reading()}
    assert remarks(**{**quiet, **change}) == told


def test_one_case(rehearsal: Path) -> None:
    model = rehearsal / "encoders/drone.fp32.onnx"
    case = Case("onnxruntime", "fp32", 2, model, None, 48, 48, EngineSettings(threads=1))
    figures = measure(case, 0.05)
    assert figures.batches >= 20
    assert 0 < figures.p50_ms <= figures.p90_ms <= figures.p99_ms
    assert figures.images_per_s > 0
    assert figures.open_s > 0
    told = table({"processor": "A", "cores": 2, "load": 1.0}, [replace(figures, remarks=("hot",))])
    assert told.splitlines()[-1].endswith("| hot |")
    assert memory_mb()[0] <= memory_mb()[1]


@pytest.mark.slow
def test_a_bundle_is_timed_in_processes_of_their_own(
    rehearsal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench.json"
    command = ["bench", str(rehearsal / "bundle"), "--seconds", "0.05", "-o", str(out)]
    assert main([*command, "--precision", "fp32", "--precision", "fp16"]) == 0
    printed = capsys.readouterr().out
    rows = json.loads(out.read_text())["figures"]
    assert [(row["engine"], row["precision"]) for row in rows] == [
        ("onnxruntime", "fp32"),
        ("onnxruntime", "fp16"),
    ]
    assert printed.count("| onnxruntime | fp") == 2
    assert all(row["memory_mb"] > 0 for row in rows)


def test_what_cannot_be_timed(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    bundle = rehearsal / "bundle"
    assert "no street encoder" in complaint("bench", bundle, "--view", "street")
    assert "no drone encoder in int8; it has" in complaint("bench", bundle, "--precision", "int8")
    line = complaint("bench", bundle, "--engine", "onnxruntime-cuda", "--precision", "fp32")
    assert "onnxruntime has no CUDAExecutionProvider; it has" in line
    shutil.copy(rehearsal / "map.tif", tmp_path / "a.onnx")
    assert "a.onnx: not an ONNX file" in complaint("bench", tmp_path / "a.onnx")
