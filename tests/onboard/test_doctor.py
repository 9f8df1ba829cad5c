from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from geobridge.onboard import doctor
from geobridge.onboard.frames import device


def by_name(findings: list[doctor.Finding]) -> dict[str, doctor.Finding]:
    return {finding["name"]: finding for finding in findings}


def test_this_machine() -> None:
    found = by_name(doctor.doctor())
    assert found["python"]["state"] == "ok"
    for package in ("numpy", "opencv-python-headless", "pydantic", "pymavlink", "faiss-cpu"):
        assert found[package]["state"] == "ok"
        assert "needed to fly" in found[package]["detail"]
    assert "pytest" not in found


def test_the_cpu_really_infers() -> None:
    pytest.importorskip("onnxruntime")
    found = by_name(list(doctor.onnxruntime_providers()))
    assert found["CPUExecutionProvider"]["state"] == "ok"


def test_the_tiny_model_is_a_valid_one() -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(doctor._doubling_model())
    onnx.checker.check_model(model, full_check=True)


class FakeSession:
    """Stands for the builds of ONNX Runtime that this machine cannot have."""

    def __init__(self, model: bytes, options: SimpleNamespace, providers: list[str]) -> None:
        if providers == ["Broken"]:
            raise RuntimeError("libcudnn.so.9 not found\nlong story")
        self.providers = ["CPUExecutionProvider"] if providers == ["FallsBack"] else providers
        self.factor = 3 if providers == ["Miscounts"] else 2

    def get_providers(self) -> list[str]:
        return self.providers

    def run(self, _: None, feed: dict[str, Any]) -> list[Any]:
        return [self.factor * feed["x"]]


def test_a_provider_counts_only_when_it_infers(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = ModuleType("onnxruntime")
    options = SimpleNamespace(add_session_config_entry=lambda key, value: None)
    names = ["Works", "Broken", "FallsBack", "Miscounts"]
    vars(runtime).update(
        get_available_providers=lambda: names,
        SessionOptions=lambda: options,
        InferenceSession=FakeSession,
        __version__="1.99",
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    found = by_name(list(doctor.onnxruntime_providers()))
    assert {name: found[name]["state"] for name in names} == {
        "Works": "ok",
        "Broken": "unusable",
        "FallsBack": "unusable",
        "Miscounts": "unusable",
    }
    assert found["Broken"]["detail"] == "libcudnn.so.9 not found"


def test_without_onnxruntime_the_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (finding,) = doctor.onnxruntime_providers()
    assert finding["state"] == "absent"
    assert 'pip install "geobridge-uav[cpu]"' in finding["detail"]


@pytest.mark.parametrize(
    ("requirement", "state", "detail"),
    [
        ("numpy>=1.26", "ok", "needed to fly"),
        ("numpy>=999.1", "too old", "999.1 or newer: pip install geobridge-uav"),
        ("no-such-thing>=2; extra == 'train'", "absent", 'pip install "geobridge-uav[train]"'),
        ('no-such-thing; extra == "gpu"', "absent", "[gpu]"),
        ('numpy[more]>=999.1; extra == "gpu"', "too old", "999.1 or newer"),
    ],
)
def test_packages_against_requirements(requirement: str, state: str, detail: str) -> None:
    (finding,) = doctor.packages([requirement])
    assert finding["state"] == state
    assert detail in finding["detail"]


def test_what_is_not_for_this_machine_is_left_out() -> None:
    others = [
        "tomli>=2; python_version < '3.9'",
        "pytest>=8; extra == 'dev'",
        "geobridge-uav[train,cpu]; extra == 'export'",
    ]
    assert list(doctor.packages(others)) == []


def test_both_builds_of_onnxruntime_are_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version_of", lambda distribution: "1.20.0")
    (finding,) = doctor.packages([])
    assert finding["state"] == "conflict"


def test_jetson_release(tmp_path: Path) -> None:
    release = tmp_path / "nv_tegra_release"
    assert list(doctor.jetson(release)) == []
    release.write_text("# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic\n# KERNEL\n")
    (finding,) = doctor.jetson(release)
    assert finding["detail"] == "Jetson Linux 36.4.7"


def test_cameras(tmp_path: Path) -> None:
    (finding,) = doctor.cameras(tmp_path)
    assert finding["state"] == "absent"
    (tmp_path / "video0").touch()
    (tmp_path / "video2").touch()
    assert [finding["state"] for finding in doctor.cameras(tmp_path)] == ["ok", "ok"]


@pytest.mark.parametrize(("has", "state"), [(True, "ok"), (False, "absent")])
def test_gstreamer(has: bool, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_gstreamer", lambda: has)
    (finding,) = doctor.gstreamer()
    assert (finding["name"], finding["state"]) == ("gstreamer", state)


@pytest.mark.parametrize(
    ("script", "state", "name"),
    [
        ("echo 'NVIDIA H200, 570.86.15'", "ok", "NVIDIA H200"),
        ("echo 'driver mismatch' >&2; exit 9", "unusable", "nvidia"),
        (None, "absent", "nvidia"),
    ],
)
def test_gpus(
    script: str | None, state: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = doctor.gpus()
    assert (finding["state"], finding["name"]) == (state, name)
