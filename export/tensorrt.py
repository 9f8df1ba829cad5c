"""`geobridge build`: a bundle's encoders to TensorRT plans, on the computer that will fly them.

Plans are not portable, so this is the one part of export that runs on board; it needs TensorRT and
the bundle, and neither torch nor onnx. What is parsed was hashed and, with trusted keys, signed.
The interface used is that of TensorRT 10.3, 10.16 and 11.4 alike. Not run on hardware so far.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

from geobridge.onboard import durable
from geobridge.onboard.bundle import Bundle
from geobridge.onboard.engines.cuda import Cuda
from geobridge.onboard.engines.engine import EngineSettings
from geobridge.onboard.engines.header import check_header
from geobridge.onboard.engines.plans import (
    FORMAT_VERSION,
    Identity,
    Plan,
    Settings,
    Sidecar,
    default_folder,
    find_plan,
    identity_of,
    plan_path,
    sidecar_path,
    timing_cache_path,
)
from geobridge.onboard.engines.tensorrt import (
    Port,
    encoder_ports,
    load_tensorrt,
    logger_of,
    ports_of,
)
from geobridge.onboard.engines.tensorrt_interface import (
    Builder,
    IBuilderConfig,
    ICudaEngine,
    INetworkDefinition,
    OnnxParser,
)
from geobridge.onboard.errors import BundleError, EngineError
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.views import View

log = logging.getLogger(__name__)

MAX_WORKSPACE_MB, MIN_WORKSPACE_MB = 1024, 64
MAX_GROWTH = 1.5
"""A plan of a half precision network is about as large as its ONNX file; one that is twice as large
was built in single precision after all."""
SMALL_BYTES = 32 << 20
"""Below, a plan's own parts outweigh its weights and its size says nothing."""
SAY_EVERY_S = 10.0

Row = dict[str, Any]
T = TypeVar("T")


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
        BundleError: the bundle is not whole, not trusted, or a plan answers differently.
        EngineError: no TensorRT or no GPU here, or TensorRT cannot build it.
    """
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
            log.info("%s", expectation(folder, onnx))
            work = _Work(trt, onnx, weights, identity, settings, folder)
            plan = work.build(view, precision)
        _ask(opened, View(view), precision, folder, plan)
        rows.append(_row(plan))
    return rows


def workspace_for(free_mb: float) -> int:
    """A quarter of the free memory: on a Jetson the GPU's memory is everybody's."""
    return int(min(max(free_mb / 4.0, MIN_WORKSPACE_MB), MAX_WORKSPACE_MB))


def warn_of_memory(onnx: Path, weights: Path | None, settings: Settings, free_mb: float) -> None:
    """A build holds the weights three times: parsed, tried, and in the plan."""
    size = onnx.stat().st_size + (weights.stat().st_size if weights else 0)
    need_mb = 3.0 * size / 1e6 + settings.workspace_mb
    if free_mb < need_mb:
        log.warning(
            "%.0f MB are free and about %.0f are needed: stop other programs, add swap, or give"
            " --workspace-mb less than %d",
            free_mb,
            need_mb,
            settings.workspace_mb,
        )


def expectation(folder: Path, onnx: Path) -> str:
    """How long it may take, by what an earlier build of a network of about this size took here."""
    size = onnx.stat().st_size
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(ValueError, OSError):
            earlier = Sidecar.model_validate_json(path.read_bytes())
            if 0.5 < earlier.plan_bytes / size < 2.0:
                return f"building {onnx.name}: an earlier one took {earlier.build_s:.0f} s"
    return f"building {onnx.name}: a few minutes, on a small Jetson up to half an hour"


class _Work:
    """One plan in the making."""

    def __init__(
        self,
        trt: Any,
        onnx: Path,
        weights: Path | None,
        identity: Identity,
        settings: Settings,
        folder: Path,
    ) -> None:
        self.trt, self.onnx, self.weights = trt, onnx, weights
        self.identity, self.settings, self.folder = identity, settings, folder
        self.logger = logger_of(trt)

    def build(self, view: str, precision: str) -> Plan:
        """Parse, build, look at what came out, and keep it."""
        started = time.monotonic()
        builder: Builder = self.trt.Builder(self.logger)
        typed = 1 << int(self.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(typed)
        self._parse(network)
        config, progress = self._configured(builder, network)
        serialized = _interruptibly(
            progress, lambda: builder.build_serialized_network(network, config)
        )
        if serialized is None:
            raise self._failed("TensorRT could not build it")
        plan = bytes(memoryview(serialized))  # type: ignore[arg-type]
        check_size(len(plan), self._onnx_bytes(), precision, self.onnx)
        engine = self._loaded(plan)
        encoder_ports(ports_of(engine), str(self.onnx))
        self._keep_timing(config)
        layers, half = count_half(self._inspected(engine))
        return self._keep(
            plan,
            Sidecar(
                format_version=FORMAT_VERSION,
                identity=self.identity,
                settings=self.settings,
                view=view,
                precision=precision,
                plan_sha256=hashlib.sha256(plan).hexdigest(),
                plan_bytes=len(plan),
                build_s=round(time.monotonic() - started, 1),
                layers=layers or engine.num_layers,
                half_layers=half,
                device_memory_bytes=engine.device_memory_size_v2,
            ),
        )

    def _parse(self, network: INetworkDefinition) -> None:
        parser: OnnxParser = self.trt.OnnxParser(network, self.logger)
        if not parser.parse_from_file(str(self.onnx)):
            errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
            raise EngineError(f"{self.onnx}: TensorRT cannot parse it: {'; '.join(errors)[:300]}")
        inputs = [network.get_input(index) for index in range(network.num_inputs)]
        outputs = [network.get_output(index) for index in range(network.num_outputs)]
        ports = [
            Port(t.name, mode, t.dtype.name, tuple(t.shape[i] for i in range(len(t.shape))))
            for mode, tensors in (("INPUT", inputs), ("OUTPUT", outputs))
            for t in tensors
        ]
        encoder_ports(ports, str(self.onnx))

    def _configured(
        self, builder: Builder, network: INetworkDefinition
    ) -> tuple[IBuilderConfig, Any]:
        trt, settings = self.trt, self.settings
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mb << 20)
        config.builder_optimization_level = settings.optimization_level
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else no layer tells its type
        config.clear_flag(trt.BuilderFlag.TF32)  # single precision is to be what it says
        earlier = self._timing_path().read_bytes() if self._timing_path().exists() else b""
        config.set_timing_cache(config.create_timing_cache(earlier), False)
        image = network.get_input(0)
        size = tuple(image.shape[i] for i in range(1, 4))
        profile = builder.create_optimization_profile()
        profile.set_shape(image.name, (1, *size), (1, *size), (settings.max_batch, *size))
        config.add_optimization_profile(profile)
        progress = progress_of(trt, log.info)
        config.progress_monitor = progress
        return config, progress

    def _loaded(self, plan: bytes) -> ICudaEngine:
        self._runtime = self.trt.Runtime(self.logger)
        engine: ICudaEngine | None = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._failed("TensorRT cannot load what it built")
        return engine

    def _inspected(self, engine: ICudaEngine) -> str:
        form = self.trt.LayerInformationFormat.JSON
        return engine.create_engine_inspector().get_engine_information(form)

    def _keep(self, plan: bytes, sidecar: Sidecar) -> Plan:
        """The JSON last: without it a plan is not loaded."""
        path = plan_path(self.folder, self.identity)
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        sidecar_path(path).unlink(missing_ok=True)
        durable.write_bytes(path, plan)
        text = json.dumps(sidecar.model_dump(mode="json"), indent=1)
        durable.write_text(sidecar_path(path), text + "\n")
        for each in (path, sidecar_path(path)):
            each.chmod(0o644)
        return Plan(path, sidecar)

    def _keep_timing(self, config: IBuilderConfig) -> None:
        cache = config.get_timing_cache().serialize()
        durable.write_bytes(self._timing_path(), bytes(memoryview(cache)))  # type: ignore[arg-type]

    def _timing_path(self) -> Path:
        return timing_cache_path(self.folder, self.identity)

    def _onnx_bytes(self) -> int:
        weights = self.weights.stat().st_size if self.weights else 0
        return self.onnx.stat().st_size + weights

    def _failed(self, text: str) -> EngineError:
        why = f": {self.logger.errors[-1]}" if self.logger.errors else ""
        return EngineError(f"{self.onnx}: {text}{why}")


def check_size(plan_bytes: int, onnx_bytes: int, precision: str, where: Path) -> None:
    """Refuse a plan that must have been built in another precision than its file says.

    Raises:
        EngineError: with both sizes.
    """
    if precision == "fp16" and onnx_bytes > SMALL_BYTES and plan_bytes > MAX_GROWTH * onnx_bytes:
        raise EngineError(
            f"{where}: the plan has {plan_bytes / 1e6:.0f} MB and the half precision network"
            f" {onnx_bytes / 1e6:.0f} MB: TensorRT built it in single precision"
        )


def count_half(inspected: str) -> tuple[int, int]:
    """Layers, and those whose first result is half precision, by TensorRT's own JSON."""
    try:
        layers = json.loads(inspected)["Layers"]
    except (ValueError, KeyError, TypeError):
        return 0, 0
    half = 0
    for layer in layers:
        outputs = layer.get("Outputs", []) if isinstance(layer, dict) else []
        told = str(outputs[0].get("Format/Datatype", "")) if outputs else ""
        half += bool(re.search(r"half|fp16", told, re.IGNORECASE))
    return len(layers), half


def progress_of(trt: Any, say: Callable[..., None]) -> Any:
    """A monitor that tells how far the build is, and ends it once `interrupted` is set."""

    class Progress(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interrupted = False
            self._steps: dict[str, int] = {}
            self._said_s = time.monotonic()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if time.monotonic() - self._said_s >= SAY_EVERY_S:
                self._said_s = time.monotonic()
                count = self._steps.get(phase_name, 0)
                say("tensorrt: %s, %d of %d", phase_name, step + 1, count)
            return not self.interrupted

    return Progress()


def _interruptibly(progress: Any, work: Callable[[], T]) -> T:
    """Work that Ctrl-C ends: it comes to the main thread, which must not be inside TensorRT."""
    with ThreadPoolExecutor(max_workers=1) as worker:
        future = worker.submit(work)
        try:
            while not future.done():
                wait([future], timeout=0.2)
        except KeyboardInterrupt:
            progress.interrupted = True
            log.warning("stopping at TensorRT's next step")
            raise
        return future.result()


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
