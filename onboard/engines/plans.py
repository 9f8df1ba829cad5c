"""Where TensorRT plans are kept, and which of them may be loaded.

A plan is machine code for one GPU, driver, TensorRT and network. It is built on the computer that
flies, from the ONNX file of a verified bundle, and is loaded only if all that it depends on is as
it was; nothing is loaded from anywhere else. Beside each plan, which stays as TensorRT wrote it,
lies a JSON that says what it is.

    <folder>/<key>.plan, <key>.json     key: a hash of the identity
    <folder>/timing.<device>.cache      what TensorRT measured while it built
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from ..bundle import sha256
from ..config import Section, first_problem
from ..errors import EngineError
from ..manifest_entries import Sha256
from .cuda import Device

FORMAT_VERSION: Literal[1] = 1
KEY_LENGTH = 16
MAX_BATCH = 1024


class Identity(Section):
    """All that a plan depends on, and that must be the same where it is loaded."""

    onnx_sha256: Sha256
    weights_sha256: Sha256 | None
    tensorrt: str
    gpu: str
    compute_capability: str
    cuda_runtime: int
    cuda_driver: int
    machine: str

    @property
    def key(self) -> str:
        """Of the plan's file name."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


class Settings(Section):
    """How a plan is built; another plan of the same identity takes its place."""

    max_batch: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 1
    workspace_mb: Annotated[int, Field(ge=1)] = 1024
    optimization_level: Annotated[int, Field(ge=0, le=5)] = 3


class Sidecar(Section):
    """What lies beside a plan."""

    format_version: Literal[1]
    identity: Identity
    settings: Settings
    view: str
    precision: str
    plan_sha256: Sha256
    plan_bytes: Annotated[int, Field(ge=1)]
    build_s: Annotated[float, Field(ge=0)]
    layers: Annotated[int, Field(ge=0)]
    half_layers: Annotated[int, Field(ge=0)]
    """Layers whose results are half precision, as far as TensorRT's inspector tells."""
    device_memory_bytes: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Plan:
    """A plan that may be loaded."""

    path: Path
    sidecar: Sidecar

    def read(self) -> bytes:
        """Its bytes, after their hash was checked.

        Raises:
            EngineError: changed since it was built.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise EngineError(f"{self.path}: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != self.sidecar.plan_sha256:
            raise EngineError(f"{self.path}: changed since it was built; {REBUILD}")
        return content


REBUILD = "build it again with: geobridge build BUNDLE"


def default_folder() -> Path:
    """Where plans are kept unless something else is said."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "geobridge" / "plans"


def identity_of(onnx: Path, weights: Path | None, tensorrt: str, device: Device) -> Identity:
    """Of a plan of this network on this computer."""
    return Identity(
        onnx_sha256=sha256(onnx),
        weights_sha256=sha256(weights) if weights else None,
        tensorrt=tensorrt,
        gpu=device.name,
        compute_capability=device.compute_capability,
        cuda_runtime=device.runtime_version,
        cuda_driver=device.driver_version,
        machine=f"{platform.system()} {platform.machine()}".lower(),
    )


def plan_path(folder: Path, identity: Identity) -> Path:
    """Where a plan of this identity lies."""
    return folder / f"{identity.key}.plan"


def sidecar_path(plan: Path) -> Path:
    """What says what a plan is."""
    return plan.with_suffix(".json")


def timing_cache_path(folder: Path, identity: Identity) -> Path:
    """TensorRT's measurements on this device and version; those of another are of no use."""
    device = [identity.gpu, identity.compute_capability, identity.tensorrt]
    digest = hashlib.sha256(json.dumps(device).encode()).hexdigest()[:KEY_LENGTH]
    return folder / f"timing.{digest}.cache"


def find_plan(folder: Path, identity: Identity) -> Plan:
    """The plan of exactly this identity.

    Raises:
        EngineError: there is none, with how those of the same network differ; it is damaged; or
            somebody else could have put it there.
    """
    path = plan_path(folder, identity)
    if not path.is_file():
        raise EngineError(f"{folder}: no plan{_others(folder, identity)}; {REBUILD}")
    for each in (folder, path, sidecar_path(path)):
        _check_owner(each)
    sidecar = _read_sidecar(sidecar_path(path))
    if sidecar.identity != identity:
        told = "; ".join(_differences(sidecar.identity, identity))
        raise EngineError(f"{path}: {told}; {REBUILD}")
    return Plan(path, sidecar)


def _others(folder: Path, identity: Identity) -> str:
    """How the plans of this network that are there differ."""
    for path in sorted(folder.glob("*.json")):
        try:
            other = _read_sidecar(path).identity
        except EngineError:
            continue
        if other.onnx_sha256 == identity.onnx_sha256:
            told = "; ".join(_differences(other, identity))
            return f" for this computer: {path.with_suffix('.plan').name} is for another: {told}"
    return f" of the network {identity.onnx_sha256[:12]}…"


def _differences(built: Identity, here: Identity) -> list[str]:
    there, now = built.model_dump(mode="json"), here.model_dump(mode="json")
    return [
        f"{key} was {_short(there[key])} when it was built, here it is {_short(now[key])}"
        for key in there
        if there[key] != now[key]
    ]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else f"{text[:12]}…"


def _read_sidecar(path: Path) -> Sidecar:
    try:
        return Sidecar.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EngineError(f"{path}: {error.strerror}; {REBUILD}") from None
    except ValidationError as error:
        raise EngineError(f"{path}: {first_problem(error)}; {REBUILD}") from None


def _check_owner(path: Path) -> None:
    """Only what we or root wrote, and nobody else may write, is run on the GPU."""
    try:
        status = path.stat()
    except OSError as error:
        raise EngineError(f"{path}: {error.strerror}; {REBUILD}") from None
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EngineError(f"{path}: others than you may write it; chmod go-w, and {REBUILD}")
