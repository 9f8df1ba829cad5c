"""The part of TensorRT's Python interface that is used here, and nothing else of it.

Only what TensorRT 10.3 (JetPack 6), 10.16 (JetPack 7.2) and 11.4 all have; type checkers see these
classes in place of the library, the stand-in of the tests is held to them, and
`scripts/check_tensorrt_api` compares every member and argument with NVIDIA's own bindings of the
three versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Named(Protocol):
    """A member of one of TensorRT's enumerations."""

    @property
    def name(self) -> str: ...

    def __int__(self) -> int: ...


class Dims(Protocol):
    """A shape; -1 where it is dynamic."""

    def __getitem__(self, index: int) -> int: ...

    def __len__(self) -> int: ...


class IHostMemory(Protocol):
    """Bytes of TensorRT's; `bytes()` and `memoryview()` read them."""

    nbytes: int


class ITensor(Protocol):
    """A tensor of a network."""

    name: str
    dtype: Named
    shape: Dims


class INetworkDefinition(Protocol):
    """A network that is parsed."""

    num_inputs: int
    num_outputs: int

    def get_input(self, index: int) -> ITensor: ...

    def get_output(self, index: int) -> ITensor: ...


class ParserError(Protocol):
    """What the parser did not like."""

    def desc(self) -> str: ...


class OnnxParser(Protocol):
    """ONNX to a network."""

    num_errors: int

    def parse_from_file(self, model: str) -> bool: ...

    def get_error(self, index: int) -> ParserError: ...


class IOptimizationProfile(Protocol):
    """The shapes an engine is built for."""

    def set_shape(
        self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]
    ) -> None: ...


class ITimingCache(Protocol):
    """What earlier builds measured."""

    def serialize(self) -> IHostMemory: ...


class IBuilderConfig(Protocol):
    """How an engine is built."""

    builder_optimization_level: int
    profiling_verbosity: Named
    progress_monitor: Any

    def set_memory_pool_limit(self, pool: Named, pool_size: int) -> None: ...

    def clear_flag(self, flag: Named) -> None: ...

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache: ...

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool: ...

    def get_timing_cache(self) -> ITimingCache: ...

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int: ...


class Builder(Protocol):
    """Networks to plans."""

    def create_network(self, flags: int) -> INetworkDefinition: ...

    def create_builder_config(self) -> IBuilderConfig: ...

    def create_optimization_profile(self) -> IOptimizationProfile: ...

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None: ...


class IExecutionContext(Protocol):
    """An engine at work."""

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool: ...

    def set_tensor_address(self, name: str, memory: int) -> bool: ...

    def execute_async_v3(self, stream_handle: int) -> bool: ...


class EngineInspector(Protocol):
    """What an engine is made of."""

    def get_engine_information(self, format: Named) -> str: ...


class ICudaEngine(Protocol):
    """A plan that is loaded."""

    num_io_tensors: int
    num_layers: int
    device_memory_size_v2: int

    def get_tensor_name(self, index: int) -> str: ...

    def get_tensor_mode(self, name: str) -> Named: ...

    def get_tensor_dtype(self, name: str) -> Named: ...

    def get_tensor_shape(self, name: str) -> Dims: ...

    def create_execution_context(self) -> IExecutionContext | None: ...

    def create_engine_inspector(self) -> EngineInspector: ...


class Runtime(Protocol):
    """Plans to engines."""

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None: ...


MODULE = (
    "Builder",
    "BuilderFlag.TF32",
    "DataType.FLOAT",
    "DataType.UINT8",
    "ILogger",
    "ILogger.Severity.ERROR",
    "ILogger.Severity.INTERNAL_ERROR",
    "ILogger.Severity.WARNING",
    "IProgressMonitor",
    "LayerInformationFormat.JSON",
    "MemoryPoolType.WORKSPACE",
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
    "OnnxParser",
    "ProfilingVerbosity.DETAILED",
    "Runtime",
    "TensorIOMode.INPUT",
    "TensorIOMode.OUTPUT",
    "__version__",
)
"""What is used of the module itself."""
SUBCLASSED = {
    "ILogger": {"log": ("severity", "msg")},
    "IProgressMonitor": {
        "phase_start": ("phase_name", "parent_phase", "num_steps"),
        "phase_finish": ("phase_name",),
        "step_complete": ("phase_name", "step"),
    },
}
"""Classes that TensorRT calls us by: their methods and the arguments it gives."""
