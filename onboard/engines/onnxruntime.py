"""ONNX Runtime: images in, unit descriptors out, on the provider asked for or not at all."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from ..records import Image
from .engine import EngineSettings, in_batches
from .header import read_header

log = logging.getLogger(__name__)

PROVIDERS = {
    "onnxruntime": "CPUExecutionProvider",
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
}
PRODUCTS = frozenset({"Conv", "FusedConv", "FusedMatMul", "Gemm", "MatMul", "QAttention"})
"""What takes the time of an encoder, and so must be where it was asked for."""
AT_ONCE = 64
"""Pictures that go through a network together: more need memory and save no time."""


class OnnxRuntimeEngine:
    """One encoder session, warm.

    On the CPU provider half precision graphs are computed in single precision with casts, and an
    optimiser of ONNX Runtime that ends the process on half precision vision transformers
    (NchwcTransformer, 1.23 to 1.31, x86) is switched off for them. For all else it stays: single
    precision convolutions are two to three times faster with it.

    On a GPU memory is bound once. The first picture is profiled, and unless the provider asked for
    did all the products itself the engine is refused: ONNX Runtime would quietly give to the CPU
    what a provider does not take.

    Raises:
        EngineError: ONNX Runtime is absent, lacks the provider, or refuses the model.
    """

    def __init__(
        self,
        model: Path,
        name: str = "onnxruntime",
        settings: EngineSettings | None = None,
    ) -> None:
        settings = settings or EngineSettings()
        runtime, provider = _runtime(), PROVIDERS[name]
        if provider not in runtime.get_available_providers():
            have = ", ".join(runtime.get_available_providers())
            raise EngineError(f"onnxruntime has no {provider}; it has {have}")
        on_gpu, unsafe = name != "onnxruntime", _unsafe_optimizers(model)
        with tempfile.TemporaryDirectory() as profiles:
            options = _options(runtime, settings)
            if on_gpu:
                options.enable_profiling = True
                options.profile_file_prefix = str(Path(profiles) / "first")
            own = provider_options(name, model, settings)
            try:
                self._session = runtime.InferenceSession(
                    str(model),
                    options,
                    providers=[(provider, dict(own))],
                    disabled_optimizers=unsafe,
                )
            except Exception as error:  # the runtime raises its own kinds, none of them public
                raise EngineError(f"{model}: onnxruntime refuses it: {_line(error)}") from None
            if self._session.get_providers()[0] != provider:
                raise EngineError(f"{model}: onnxruntime fell back from {provider}")
            self._input = self._session.get_inputs()[0]
            self._output = self._session.get_outputs()[0].name
            self._bound = Bound(runtime, self._session, "cuda") if on_gpu else None
            profiled = name == "onnxruntime-tensorrt"
            self._at_once = settings.max_batch if profiled else max(AT_ONCE, settings.max_batch)
            self._warm_up(model)
            if on_gpu:
                check_placement(Path(self._session.end_profiling()), provider)

    def run(self, images: Image) -> npt.NDArray[np.float32]:
        """[N, H, W, 3] uint8 to [N, D] float32.

        Raises:
            EngineError: the pictures do not fit the model.
        """
        return in_batches(images, self._at_once, self._few)

    def _few(self, images: Image) -> npt.NDArray[np.float32]:
        try:
            if self._bound is not None:
                return self._bound.run(images)
            (descriptors,) = self._session.run([self._output], {self._input.name: images})
        except Exception as error:
            raise EngineError(f"onnxruntime: {_line(error)}") from None
        return np.asarray(descriptors, np.float32)

    def close(self) -> None:
        """Drop the session."""
        self._bound = None
        del self._session

    def _warm_up(self, model: Path) -> None:
        """One black picture: kernels are chosen and memory is taken at the first."""
        size = self._input.shape[1:]
        if self._input.type != "tensor(uint8)" or not all(isinstance(n, int) for n in size):
            told = f"{self._input.type} {self._input.shape}"
            raise EngineError(f"{model}: expected uint8 [batch, height, width, 3], it takes {told}")
        self.run(np.zeros((1, *size), np.uint8))


class Bound:
    """Input and output of a session in memory of a device, allocated once for every batch size.

    `device` is "cuda", or "cpu" to try it out.
    """

    def __init__(self, runtime: Any, session: Any, device: str) -> None:
        self._runtime, self._session, self._device = runtime, session, device
        self._input, self._output = session.get_inputs()[0].name, session.get_outputs()[0].name
        self._ready: dict[tuple[int, ...], tuple[Any, Any]] = {}

    def run(self, images: Image) -> npt.NDArray[np.float32]:
        """[N, H, W, 3] uint8 to [N, D] float32; shapes are checked by the session."""
        if images.shape not in self._ready:
            self._ready[images.shape] = self._prepared(images)
        binding, held = self._ready[images.shape]
        held.update_inplace(np.ascontiguousarray(images))
        self._session.run_with_iobinding(binding)
        (descriptors,) = binding.copy_outputs_to_cpu()
        return np.asarray(descriptors, np.float32)

    def _prepared(self, images: Image) -> tuple[Any, Any]:
        held = self._runtime.OrtValue.ortvalue_from_numpy(images, self._device, 0)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input, held)
        binding.bind_output(self._output, self._device, 0)
        return binding, held


def provider_options(name: str, model: Path, settings: EngineSettings) -> Mapping[str, str]:
    """What a provider is told; TensorRT's own cache lies apart for every model and its hash."""
    if name == "onnxruntime-cuda":
        return {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
    if name == "onnxruntime-tensorrt":
        from ..bundle import sha256
        from .plans import default_folder

        cache = (settings.plans or default_folder()) / f"onnxruntime-{sha256(model)[:16]}"
        spec = json.loads(read_header(model).metadata.get("preprocess", "{}"))
        size = f"{spec.get('height_px')}x{spec.get('width_px')}x3"
        one, most = f"image:1x{size}", f"image:{settings.max_batch}x{size}"
        return {
            "trt_profile_min_shapes": one,
            "trt_profile_opt_shapes": one,
            "trt_profile_max_shapes": most,
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(cache),
        }
    return {}


def check_placement(profile: Path, provider: str) -> None:
    """Every product of the profiled run was the provider's.

    Raises:
        EngineError: names the operations that ran elsewhere.
    """
    elsewhere = set()
    seen = False
    for event in json.loads(profile.read_text(encoding="utf-8")):
        told = event.get("args") or {}
        if event.get("cat") != "Node" or "provider" not in told:
            continue
        seen |= told["provider"] == provider
        if told["provider"] != provider and told.get("op_name") in PRODUCTS:
            elsewhere.add(f"{told['op_name']} on {told['provider']}")
    if elsewhere or not seen:
        what = ", ".join(sorted(elsewhere)) or "everything"
        raise EngineError(f"onnxruntime gave work of {provider} away: {what}")


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise EngineError('onnxruntime is absent: pip install "geobridge-uav[cpu]"') from None
    return onnxruntime


def _options(runtime: Any, settings: EngineSettings) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1  # an encoder is one chain of operations
    options.log_severity_level = 3
    # spinning threads would take the cores that verification needs right after
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _unsafe_optimizers(model: Path) -> list[str]:
    stated = read_header(model).metadata.get("precision")
    return [] if stated in ("fp32", "int8") else ["NchwcTransformer"]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
