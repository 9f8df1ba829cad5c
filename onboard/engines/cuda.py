"""The few functions of the CUDA runtime that an engine needs, by ctypes.

Not cuda-python: its wheels come and go with Python and CUDA versions, JetPack 6 stays on Python
3.10 and CUDA 12.6, and what is needed here has had one C interface since CUDA 11.4. The library is
part of JetPack and of every CUDA installation.

The calls are tested against a stand-in library of the same interface; they have not been run on a
GPU.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import EngineError

NAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so")
NON_BLOCKING = 1
"""Flag of a stream that does not wait for the default one."""
_RELAXED_CAPTURE = 2
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 1, 2
_COMPUTE_MAJOR, _COMPUTE_MINOR = 75, 76
_PROPERTIES_BYTES = 8192
"""cudaDeviceProp grows with every version, up to about 1 KiB; its name of 256 bytes comes first."""

_SIGNATURES: dict[str, list[Any]] = {
    "cudaDeviceGetAttribute": [ctypes.POINTER(ctypes.c_int), ctypes.c_int, ctypes.c_int],
    "cudaDriverGetVersion": [ctypes.POINTER(ctypes.c_int)],
    "cudaFree": [ctypes.c_void_p],
    "cudaFreeHost": [ctypes.c_void_p],
    "cudaGraphDestroy": [ctypes.c_void_p],
    "cudaGraphExecDestroy": [ctypes.c_void_p],
    "cudaGraphInstantiateWithFlags": [
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.c_void_p,
        ctypes.c_ulonglong,
    ],
    "cudaGraphLaunch": [ctypes.c_void_p, ctypes.c_void_p],
    "cudaMalloc": [ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t],
    "cudaMallocHost": [ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t],
    "cudaMemcpyAsync": [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_void_p,
    ],
    "cudaMemGetInfo": [ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)],
    "cudaRuntimeGetVersion": [ctypes.POINTER(ctypes.c_int)],
    "cudaStreamBeginCapture": [ctypes.c_void_p, ctypes.c_int],
    "cudaStreamCreateWithFlags": [ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint],
    "cudaStreamDestroy": [ctypes.c_void_p],
    "cudaStreamEndCapture": [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)],
    "cudaStreamSynchronize": [ctypes.c_void_p],
}
"""Every function that is called, and its arguments; each returns an error code."""
_PROPERTIES = ("cudaGetDeviceProperties_v2", "cudaGetDeviceProperties")
"""One function, by its name in CUDA 12 and in CUDA 11 and 13."""


@dataclass(frozen=True)
class Device:
    """GPU 0 and what drives it; versions as CUDA counts them, 12060 for 12.6."""

    name: str
    compute_capability: str
    runtime_version: int
    driver_version: int


class Cuda:
    """The CUDA runtime of this machine.

    Raises:
        EngineError: there is none, or not one that we know how to call.
    """

    def __init__(self, library: str | None = None) -> None:
        self._library = _load((library,) if library else NAMES)
        for name, arguments in _SIGNATURES.items():
            function = self._function(name)
            function.argtypes, function.restype = arguments, ctypes.c_int
        self._library.cudaGetErrorString.restype = ctypes.c_char_p

    def device(self) -> Device:
        """What GPU 0 is.

        Raises:
            EngineError: there is no GPU, or its driver is too old for this runtime.
        """
        properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
        present = [name for name in _PROPERTIES if hasattr(self._library, name)]
        self._check(getattr(self._library, present[0])(properties, 0), present[0])
        major, minor = (
            self._integer("cudaDeviceGetAttribute", which, 0)
            for which in (_COMPUTE_MAJOR, _COMPUTE_MINOR)
        )
        return Device(
            name=properties.raw[:256].split(b"\0")[0].decode(errors="replace"),
            compute_capability=f"{major}.{minor}",
            runtime_version=self._integer("cudaRuntimeGetVersion"),
            driver_version=self._integer("cudaDriverGetVersion"),
        )

    def free_bytes(self) -> int:
        """Memory of the GPU that nobody uses; of a Jetson, what the system has left."""
        free, whole = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(whole))
        return free.value

    def stream(self) -> int:
        """A new stream that waits for no other."""
        return self._pointer("cudaStreamCreateWithFlags", NON_BLOCKING)

    def call(self, name: str, *arguments: object) -> None:
        """One of `_SIGNATURES`.

        Raises:
            EngineError: with what CUDA says of it.
        """
        self._check(getattr(self._library, name)(*arguments), name)

    def allocate(self, size_bytes: int) -> int:
        """Memory of the GPU, to be freed with `cudaFree`."""
        return self._pointer("cudaMalloc", size_bytes)

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array in memory that the GPU can fetch; it lives as long as this process."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = self._pointer("cudaMallocHost", size)
        raw = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        return np.asarray(raw.view(dtype).reshape(shape))

    def to_device(self, device: int, host: npt.NDArray[Any], stream: int) -> None:
        """Copy a contiguous array to the GPU, when the stream comes to it."""
        self._copy(device, host.ctypes.data, host.nbytes, _HOST_TO_DEVICE, stream)

    def to_host(self, host: npt.NDArray[Any], device: int, stream: int) -> None:
        """Copy back into a contiguous array, when the stream comes to it."""
        self._copy(host.ctypes.data, device, host.nbytes, _DEVICE_TO_HOST, stream)

    @contextmanager
    def captured(self, stream: int) -> Iterator[list[int]]:
        """What is done on a stream, as a graph to launch: the list holds it afterwards."""
        graphs: list[int] = []
        self.call("cudaStreamBeginCapture", stream, _RELAXED_CAPTURE)
        try:
            yield graphs
        finally:
            graph = self._pointer_after("cudaStreamEndCapture", stream)
        executable = ctypes.c_void_p()
        self.call("cudaGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
        self.call("cudaGraphDestroy", graph)
        graphs.append(executable.value or 0)

    def _copy(self, to: int, what: int, size_bytes: int, kind: int, stream: int) -> None:
        self.call("cudaMemcpyAsync", to, what, size_bytes, kind, stream)

    def _pointer(self, name: str, argument: int) -> int:
        pointer = ctypes.c_void_p()
        self.call(name, ctypes.byref(pointer), argument)
        return pointer.value or 0

    def _pointer_after(self, name: str, argument: int) -> int:
        pointer = ctypes.c_void_p()
        self.call(name, argument, ctypes.byref(pointer))
        return pointer.value or 0

    def _integer(self, name: str, *arguments: int) -> int:
        value = ctypes.c_int()
        self.call(name, ctypes.byref(value), *arguments)
        return value.value

    def _function(self, name: str) -> Any:
        try:
            return getattr(self._library, name)
        except AttributeError:
            raise EngineError(f"the CUDA runtime has no {name}; 11.4 or newer is needed") from None

    def _check(self, code: int, name: str) -> None:
        if code:
            said = self._library.cudaGetErrorString(code) or b"no reason"
            raise EngineError(f"CUDA: {name}: {said.decode(errors='replace')} ({code})")


def _load(names: tuple[str, ...]) -> Any:
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise EngineError(f"no CUDA runtime: none of {', '.join(names)} can be loaded")
