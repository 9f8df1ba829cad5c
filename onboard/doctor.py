"""What works on this machine and what is missing, found out by trying it. Changes nothing."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DISTRIBUTION = "geobridge-uav"

Finding = dict[str, str]
"""One line: `area`, `name`, `state` (ok, absent, too old, unusable, conflict) and `detail`."""

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[^\]]*\])?(\s*>=\s*(?P<minimum>[0-9.]+))?")
_EXTRA = re.compile(r"extra == ['\"](?P<extra>[\w-]+)['\"]")
_PYTHON_BELOW = re.compile(r"python_version < ['\"]3\.(?P<minor>\d+)['\"]")


def doctor() -> list[Finding]:
    """Findings about Python, the platform, packages, engines, GPU and cameras, in this order."""
    return [
        _finding("python", "python", "ok", f"{platform.python_version()} at {sys.executable}"),
        _finding("platform", platform.system().lower(), "ok", platform.platform()),
        *jetson(Path("/etc/nv_tegra_release")),
        *packages(importlib.metadata.requires(DISTRIBUTION) or []),
        *onnxruntime_providers(),
        *tensorrt(),
        *gpus(),
        *cameras(Path("/dev")),
        *gstreamer(),
    ]


def jetson(release: Path) -> Iterator[Finding]:
    """The Jetson Linux release, from a file that only a Jetson has."""
    if not release.is_file():
        return
    text = release.read_text()
    found = re.search(r"# R(\d+) \(release\), REVISION: ([\d.]+)", text)
    name = f"Jetson Linux {found[1]}.{found[2]}" if found else text.strip().partition("\n")[0]
    yield _finding("platform", "jetson", "ok", name)


def packages(requirements: list[str]) -> Iterator[Finding]:
    """Installed versions against our own requirements, as package metadata writes them."""
    for requirement in requirements:
        wanted, _, marker = requirement.partition(";")
        parts, below = _REQUIREMENT.match(wanted), _PYTHON_BELOW.search(marker)
        extra = found["extra"] if (found := _EXTRA.search(marker)) else ""
        for_older = below is not None and sys.version_info >= (3, int(below["minor"]))
        if parts is None or parts["name"] == DISTRIBUTION or extra == "dev" or for_older:
            continue
        yield _package(parts["name"], parts["minimum"] or "0", extra)
    if version_of("onnxruntime") and version_of("onnxruntime-gpu"):
        yield _finding(
            "package",
            "onnxruntime",
            "conflict",
            "onnxruntime and onnxruntime-gpu overwrite each other: pip uninstall one of them",
        )


def version_of(distribution: str) -> str | None:
    """The installed version, without importing anything."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def onnxruntime_providers() -> Iterator[Finding]:
    """Every execution provider of ONNX Runtime, after a real inference that it alone may do."""
    try:
        runtime: Any = importlib.import_module("onnxruntime")
        available = list(runtime.get_available_providers())
    except Exception as error:
        # A build for another CUDA or JetPack fails in many ways, and each of them is a finding.
        state = "absent" if isinstance(error, ModuleNotFoundError) else "unusable"
        cure = f"{_first_line(error)}; {_pip('cpu')}, or [gpu]"
        yield _finding("engine", "onnxruntime", state, cure)
        return
    for provider in (name for name in available if not name.startswith("Azure")):  # no engine
        try:
            _infer(runtime, provider)
        except Exception as error:
            yield _finding("engine", provider, "unusable", _first_line(error))
        else:
            yield _finding("engine", provider, "ok", f"onnxruntime {runtime.__version__}")


def tensorrt() -> Iterator[Finding]:
    """Whether TensorRT can be imported; it comes with JetPack or from NVIDIA, never from us."""
    try:
        version = importlib.import_module("tensorrt").__version__
    except Exception as error:
        state = "absent" if isinstance(error, ModuleNotFoundError) else "unusable"
        yield _finding("engine", "tensorrt", state, f"{_first_line(error)}; comes with JetPack")
    else:
        yield _finding("engine", "tensorrt", "ok", version)


def gpus() -> Iterator[Finding]:
    """What the NVIDIA driver reports."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except FileNotFoundError:
        yield _finding("gpu", "nvidia", "absent", "no nvidia-smi on this machine")
    except (OSError, subprocess.SubprocessError) as error:
        yield _finding("gpu", "nvidia", "unusable", _first_line(error))
    else:
        for line in answer.stdout.splitlines():
            name, _, driver = line.partition(", ")
            yield _finding("gpu", name, "ok", f"driver {driver}")


def cameras(devices: Path) -> Iterator[Finding]:
    """Capture devices, and whether this user may open them."""
    paths = sorted(devices.glob("video*"))
    if not paths:
        yield _finding("camera", "video", "absent", f"no capture device {devices}/video*")
    for path in paths:
        named = Path("/sys/class/video4linux") / path.name / "name"
        name = named.read_text().strip() if named.is_file() else ""
        if os.access(path, os.R_OK | os.W_OK):
            yield _finding("camera", str(path), "ok", name)
        else:
            yield _finding("camera", str(path), "unusable", "no permission: join the group video")


def gstreamer() -> Iterator[Finding]:
    """Whether OpenCV reads GStreamer's pipelines, which cameras on a CSI port need."""
    try:
        has = importlib.import_module("geobridge.onboard.frames.device").has_gstreamer()
    except Exception as error:
        yield _finding("camera", "gstreamer", "unusable", _first_line(error))
        return
    cure = "csi:, v4l2: and gst: need an OpenCV built with it, as JetPack's"
    yield _finding("camera", "gstreamer", *(("ok", "") if has else ("absent", cure)))


def _finding(area: str, name: str, state: str, detail: str) -> Finding:
    return {"area": area, "name": name, "state": state, "detail": detail}


def _package(name: str, minimum: str, extra: str) -> Finding:
    version = version_of(name)
    state = "ok"
    if version is None:
        state = "absent"
    elif _numbers(version) < _numbers(minimum):
        state = "too old"
    needed = f"[{extra}]" if extra else "needed to fly"
    cure = "" if state == "ok" else f"; {minimum} or newer: {_pip(extra)}"
    return _finding("package", name, state, f"{version or '-'} {needed}{cure}")


def _pip(extra: str) -> str:
    return f'pip install "{DISTRIBUTION}[{extra}]"' if extra else f"pip install {DISTRIBUTION}"


def _numbers(version: str) -> tuple[int, ...]:
    """The release numbers of a version: 2.6.0a0+cu130 gives (2, 6, 0)."""
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().partition("\n")[0]


def _infer(runtime: Any, provider: str) -> None:
    """Double four numbers on a provider; raises where it fails or leaves the work to another."""
    import numpy as np  # the doctor itself must run where even this is missing

    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what fails is reported here, not on the console
    if provider != "CPUExecutionProvider":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session = runtime.InferenceSession(_doubling_model(), options, providers=[provider])
    numbers = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    (answer,) = session.run(None, {"x": numbers})
    if provider not in session.get_providers() or not np.array_equal(answer, 2 * numbers):
        raise RuntimeError("ran the tiny model elsewhere, or wrongly")


def _doubling_model() -> bytes:
    """A serialised onnx.ModelProto: float32 x [4] to y = x + x, opset 13.

    Field numbers from onnx.proto; written out so that neither onnx nor a file is needed on board.
    """
    add = _field(1, b"x") + _field(1, b"x") + _field(2, b"y") + _field(4, b"Add")
    graph = (
        _field(1, add)
        + _field(2, b"double")
        + _field(11, _float_vector(b"x"))
        + _field(12, _float_vector(b"y"))
    )
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _field(2, 13))


def _float_vector(name: bytes) -> bytes:
    """onnx.ValueInfoProto of float32 [4]."""
    tensor = _field(1, 1) + _field(2, _field(1, _field(1, 4)))
    return _field(1, name) + _field(2, _field(1, tensor))


def _field(number: int, value: int | bytes) -> bytes:
    """One protobuf field; numbers and lengths stay below 128, where a varint is one byte."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value
