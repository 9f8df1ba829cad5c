"""One plan: parsed, built, looked at, kept. All that speaks with TensorRT's builder.

Written against the interface of TensorRT 10.3, 10.16 and 11.4 alike; not run on hardware so far.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from pathlib import Path
from typing import Any

from geobridge.onboard import durable
from geobridge.onboard.engines.plans import (
    FORMAT_VERSION,
    Identity,
    Plan,
    Settings,
    Sidecar,
    plan_path,
    sidecar_path,
    timing_cache_path,
)
from geobridge.onboard.engines.tensorrt import Port, encoder_ports, logger_of, ports_of
from geobridge.onboard.engines.tensorrt_interface import (
    Builder,
    IBuilderConfig,
    ICudaEngine,
    INetworkDefinition,
    OnnxParser,
)
from geobridge.onboard.errors import EngineError

from .evidence import check_size, count_half, network_bytes
from .progress import interruptibly, progress_of

log = logging.getLogger(__name__)


class Making:
    """One plan in the making; `build` it once.

    Raises:
        EngineError: TensorRT cannot parse the network, build it, or load what it built.
    """

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
        serialized = interruptibly(
            progress, lambda: builder.build_serialized_network(network, config)
        )
        if serialized is None:
            raise self._failed("TensorRT could not build it")
        plan = bytes(memoryview(serialized))  # type: ignore[arg-type]
        check_size(len(plan), network_bytes(self.onnx, self.weights), precision, self.onnx)
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

    def _failed(self, text: str) -> EngineError:
        why = f": {self.logger.errors[-1]}" if self.logger.errors else ""
        return EngineError(f"{self.onnx}: {text}{why}")
