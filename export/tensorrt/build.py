"""`geobridge build`: a bundle's encoders to TensorRT plans, on the computer that will fly them.

Plans are not portable, so this is the one part of export that runs on board; it needs TensorRT and
the bundle, and neither torch nor onnx. What is parsed was hashed and, with trusted keys, signed.
The interface used is that of TensorRT 10.3, 10.16 and 11.4 alike. Not run on hardware so far.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.engines.cuda import Cuda
from geobridge.onboard.engines.engine import EngineSettings
from geobridge.onboard.engines.header import check_header
from geobridge.onboard.engines.plans import (
    MAX_BATCH,
    Identity,
    Plan,
    Settings,
    Sidecar,
    default_folder,
    find_plan,
    identity_of,
    sidecar_path,
)
from geobridge.onboard.engines.tensorrt import load_tensorrt
from geobridge.onboard.errors import BundleError, ConfigError, EngineError
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.views import View

from .evidence import network_bytes
from .making import Making

log = logging.getLogger(__name__)

MAX_WORKSPACE_MB, MIN_WORKSPACE_MB = 1024, 64

Row = dict[str, Any]


def build(
    bundle: Path,
    views: Sequence[str] = ("drone",),
    precision: str = "fp16",
    max_batch: int = 1,
    workspace_mb: int | None = None,
    optimization_level: int = 3,
    plans: Path | None = None,
    trust: Sequence[Path] = (),
) -> list[Row]:
    """Build what is not built yet, and let every plan give the bundle's known answers.

    Args:
        bundle: the folder.
        views: whose encoders; in flight it is the drone's.
        precision: of the encoder in the bundle; the plan computes as that file is typed.
        max_batch: so many pictures at a time and fewer.
        workspace_mb: scratch memory that a layer may use; by default a quarter of what is free, at
            most 1024.
        optimization_level: TensorRT's, 0 to 5; higher builds longer.
        plans: folder of the plans; by default `plans.default_folder()`.
        trust: public keys, one of which must have signed the bundle, if any are given.

    Returns:
        A row for each plan.

    Raises:
        ConfigError: a batch that no plan takes.
        BundleError: the bundle is not whole, not trusted, or a plan answers differently.
        EngineError: no TensorRT or no GPU here, or TensorRT cannot build it.
    """
    if max_batch > MAX_BATCH:
        raise ConfigError(f"--max-batch {max_batch}: expected at most {MAX_BATCH}")
    opened, folder = Bundle.open(bundle, trust), plans or default_folder()
    trt, cuda = load_tensorrt(), Cuda()
    free_mb = cuda.free_bytes() / 1e6
    settings = Settings(
        max_batch=max_batch,
        workspace_mb=workspace_mb or workspace_for(free_mb),
        optimization_level=optimization_level,
    )
    rows = []
    for view in views:
        entry = opened.encoder(View(view), precision)
        onnx = opened.path / entry.path
        weights = opened.path / entry.weights if entry.weights else None
        check_header(onnx, entry, opened.manifest.descriptor.dimension)
        identity = identity_of(onnx, weights, trt.__version__, cuda.device())
        plan = _built_before(folder, identity, settings)
        if plan is None:
            warn_of_memory(onnx, weights, settings, free_mb)
            log.info("%s", expectation(folder, onnx, weights))
            work = Making(trt, onnx, weights, identity, settings, folder)
            plan = work.build(view, precision)
        _ask(opened, View(view), precision, folder, plan)
        rows.append(_row(plan))
    return rows


def workspace_for(free_mb: float) -> int:
    """A quarter of the free memory: on a Jetson the GPU's memory is everybody's."""
    return int(min(max(free_mb / 4.0, MIN_WORKSPACE_MB), MAX_WORKSPACE_MB))


def warn_of_memory(onnx: Path, weights: Path | None, settings: Settings, free_mb: float) -> None:
    """A build holds the weights three times: parsed, tried, and in the plan."""
    need_mb = 3.0 * network_bytes(onnx, weights) / 1e6 + settings.workspace_mb
    if free_mb < need_mb:
        log.warning(
            "%.0f MB are free and about %.0f are needed: stop other programs, add swap, or give"
            " --workspace-mb less than %d",
            free_mb,
            need_mb,
            settings.workspace_mb,
        )


def expectation(folder: Path, onnx: Path, weights: Path | None) -> str:
    """How long it may take, by what an earlier build of a network of about this size took here."""
    size = network_bytes(onnx, weights)
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(ValueError, OSError):
            earlier = Sidecar.model_validate_json(path.read_bytes())
            if 0.5 < earlier.plan_bytes / size < 2.0:
                return f"building {onnx.name}: an earlier one took {earlier.build_s:.0f} s"
    return f"building {onnx.name}: a few minutes, on a small Jetson up to half an hour"


def _built_before(folder: Path, identity: Identity, settings: Settings) -> Plan | None:
    with contextlib.suppress(EngineError):
        plan = find_plan(folder, identity)
        plan.read()
        if plan.sidecar.settings == settings:
            return plan
    return None


def _ask(bundle: Bundle, view: View, precision: str, folder: Path, plan: Plan) -> None:
    """A plan that answers differently is not left behind."""
    try:
        settings = EngineSettings(plans=folder)
        Encoder.open(bundle, view, "tensorrt", precision, settings).engine.close()
    except (BundleError, EngineError):
        sidecar_path(plan.path).unlink(missing_ok=True)
        plan.path.unlink(missing_ok=True)
        raise


def _row(plan: Plan) -> Row:
    sidecar = plan.sidecar
    return {
        "view": sidecar.view,
        "precision": sidecar.precision,
        "plan": plan.path,
        "gpu": sidecar.identity.gpu,
        "tensorrt": sidecar.identity.tensorrt,
        "max_batch": sidecar.settings.max_batch,
        "plan_mb": sidecar.plan_bytes / 1e6,
        "device_mb": sidecar.device_memory_bytes / 1e6,
        "half_layers": f"{sidecar.half_layers} of {sidecar.layers}",
        "build_s": sidecar.build_s,
    }
