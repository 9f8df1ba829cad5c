"""TensorRT: images in, unit descriptors out, from a plan that was built on this very computer.

Thin on purpose: which plan may be loaded is decided in `plans`, memory is `cuda`, and building is
`geobridge build` (export.tensorrt). Written against the interface that TensorRT 10.3, 10.16 and
11.4 share (`tensorrt_interface`). Neither has been run on hardware: no GPU was at hand.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from ..records import Image
from .cuda import Cuda
from .engine import in_batches
from .plans import REBUILD, Plan, find_plan, identity_of
from .tensorrt_interface import ICudaEngine, IExecutionContext, Runtime

log = logging.getLogger(__name__)

_LEVELS = {"INTERNAL_ERROR": logging.ERROR, "ERROR": logging.ERROR, "WARNING": logging.INFO}


@dataclass(frozen=True)
class Port:
    """An input or output of an engine, as TensorRT names its parts."""

    name: str
    mode: str
    dtype: str
    shape: tuple[int, ...]


def load_tensorrt() -> Any:
    """The `tensorrt` module of this computer.

    Raises:
        EngineError: there is none, or it cannot be loaded.
    """
    try:
        return importlib.import_module("tensorrt")
    except Exception as error:  # a build for another CUDA or Python fails in many ways
        text = " ".join(str(error).split())[:200]
        raise EngineError(
            f"tensorrt cannot be imported: {text}; it comes with JetPack, see docs/jetson.md"
        ) from None


def logger_of(trt: Any) -> Any:
    """A logger that TensorRT writes to: errors are kept in `errors`, the rest goes to our log."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            level = _LEVELS.get(severity.name, logging.DEBUG)
            if level == logging.ERROR:
                self.errors.append(" ".join(msg.split())[:300])
            else:
                log.log(level, "tensorrt: %s", msg)

    return Logger()


def ports_of(engine: ICudaEngine) -> list[Port]:
    """All inputs and outputs."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return [
        Port(
            name,
            engine.get_tensor_mode(name).name,
            engine.get_tensor_dtype(name).name,
            tuple(
                engine.get_tensor_shape(name)[i] for i in range(len(engine.get_tensor_shape(name)))
            ),
        )
        for name in names
    ]


def encoder_ports(ports: list[Port], where: str) -> tuple[Port, Port]:
    """The picture and the descriptor.

    Raises:
        EngineError: names what is expected of an encoder, and what it has.
    """
    inputs = [port for port in ports if port.mode == "INPUT"]
    outputs = [port for port in ports if port.mode == "OUTPUT"]
    fits = (
        len(inputs) == len(outputs) == 1
        and inputs[0].dtype == "UINT8"
        and len(inputs[0].shape) == 4
        and inputs[0].shape[3] == 3
        and outputs[0].dtype == "FLOAT"
        and len(outputs[0].shape) == 2
    )
    if not fits:
        have = ", ".join(f"{p.name} {p.mode} {p.dtype} {list(p.shape)}" for p in ports)
        raise EngineError(
            f"{where}: expected one UINT8 input [batch, height, width, 3] and one FLOAT output"
            f" [batch, dimension], it has {have}"
        )
    return inputs[0], outputs[0]


class TensorRtEngine:
    """One encoder on GPU 0, one stream; all memory is allocated here and used for every frame.

    Args:
        model: the ONNX file that the plan was built from.
        weights: the file of its weights, where they are apart.
        plans: folder of plans.
        max_batch: so many pictures at a time the plan must take.
        cuda_graph: launch a single picture as one recorded graph.

    Raises:
        EngineError: no TensorRT, no GPU, or no plan of this network for this very computer.
    """

    def __init__(
        self,
        model: Path,
        weights: Path | None,
        plans: Path,
        max_batch: int = 1,
        cuda_graph: bool = False,
    ) -> None:
        trt, self._cuda = load_tensorrt(), Cuda()
        identity = identity_of(model, weights, trt.__version__, self._cuda.device())
        plan = find_plan(plans, identity)
        self._logger = logger_of(trt)
        self._runtime: Runtime = trt.Runtime(self._logger)
        self._engine = self._load(plan)
        image, descriptor = encoder_ports(ports_of(self._engine), str(plan.path))
        self.max_batch = plan.sidecar.settings.max_batch
        if self.max_batch < max_batch:
            raise EngineError(
                f"{plan.path}: takes {self.max_batch} pictures at a time, wanted are {max_batch};"
                f" {REBUILD} --max-batch {max_batch}"
            )
        self._image, self._descriptor = image.name, descriptor.name
        self._context = self._new_context(plan)
        self._stream = self._cuda.stream()
        self._sent = self._cuda.pinned((self.max_batch, *image.shape[1:]), np.uint8)
        self._received = self._cuda.pinned((self.max_batch, descriptor.shape[1]), np.float32)
        self._in = self._cuda.allocate(self._sent.nbytes)
        self._out = self._cuda.allocate(self._received.nbytes)
        self._context.set_tensor_address(image.name, self._in)
        self._context.set_tensor_address(descriptor.name, self._out)
        self._shaped = 0
        self._graph: int | None = None
        self.run(np.zeros((1, *image.shape[1:]), np.uint8))  # tactics are loaded at the first call
        if cuda_graph:
            self._graph = self._recorded()

    def run(self, images: Image) -> npt.NDArray[np.float32]:
        """[N, H, W, 3] uint8 to [N, D] float32.

        Raises:
            EngineError: the pictures do not fit the plan, or the GPU failed.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self._sent.shape[1:]:
            expected = "x".join(map(str, self._sent.shape[1:]))
            raise EngineError(
                f"tensorrt: pictures of {images.shape} {images.dtype}, the plan takes uint8 of"
                f" {expected}"
            )
        return in_batches(images, self.max_batch, self._few)

    def close(self) -> None:
        """Give the GPU's memory back; the engine is of no use afterwards."""
        if self._graph is not None:
            self._cuda.call("cudaGraphExecDestroy", self._graph)
        for device in (self._in, self._out):
            self._cuda.call("cudaFree", device)
        for host in (self._sent, self._received):
            self._cuda.call("cudaFreeHost", ctypes.c_void_p(host.ctypes.data))
        self._cuda.call("cudaStreamDestroy", self._stream)
        del self._context, self._engine, self._runtime

    def _few(self, images: Image) -> npt.NDArray[np.float32]:
        count = len(images)
        self._sent[:count] = images
        self._cuda.to_device(self._in, self._sent[:count], self._stream)
        if self._graph is not None and count == 1:
            self._cuda.call("cudaGraphLaunch", self._graph, self._stream)
        else:
            self._shape(count)
            self._launch()
        self._cuda.to_host(self._received[:count], self._out, self._stream)
        self._cuda.call("cudaStreamSynchronize", self._stream)
        return self._received[:count].copy()

    def _shape(self, count: int) -> None:
        if count != self._shaped:
            shape = (count, *self._sent.shape[1:])
            if not self._context.set_input_shape(self._image, shape):
                raise self._failed(f"does not take {count} pictures")
            self._shaped = count

    def _launch(self) -> None:
        if not self._context.execute_async_v3(self._stream):
            raise self._failed("did not run")

    def _recorded(self) -> int:
        self._shape(1)
        with self._cuda.captured(self._stream) as graphs:
            self._launch()
        return graphs[0]

    def _load(self, plan: Plan) -> ICudaEngine:
        engine = self._runtime.deserialize_cuda_engine(plan.read())
        if engine is None:
            raise self._failed(f"{plan.path}: is refused; {REBUILD}")
        return engine

    def _new_context(self, plan: Plan) -> IExecutionContext:
        context = self._engine.create_execution_context()
        if context is None:
            need_mb = plan.sidecar.device_memory_bytes / 1e6
            free_mb = self._cuda.free_bytes() / 1e6
            raise self._failed(f"{plan.path}: needs {need_mb:.0f} MB, {free_mb:.0f} MB are free")
        return context

    def _failed(self, text: str) -> EngineError:
        why = f": {self._logger.errors[-1]}" if self._logger.errors else ""
        return EngineError(f"tensorrt {text}{why}")
