"""ONNX Runtime: images in, unit descriptors out, on the provider asked for or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from ..records import Image


class OnnxRuntimeEngine:
    """One encoder session.

    On the CPU provider FP16 graphs are computed in FP32 with casts, and need an optimiser of
    ONNX Runtime switched off that crashes on FP16 vision transformers (1.23 to 1.31, x86).

    Raises:
        EngineError: ONNX Runtime is absent, lacks the provider, or refuses the model.
    """

    def __init__(
        self, model: Path, provider: str = "CPUExecutionProvider", threads: int = 0
    ) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise EngineError('onnxruntime is absent: pip install "geobridge-uav[cpu]"') from None
        if provider not in onnxruntime.get_available_providers():
            have = ", ".join(onnxruntime.get_available_providers())
            raise EngineError(f"onnxruntime has no {provider}; it has {have}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # spinning threads would take the cores that verification needs right after
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(model), options, providers=[provider], disabled_optimizers=["NchwcTransformer"]
            )
        except Exception as error:  # the runtime raises its own kinds, none of them public
            raise EngineError(f"{model}: onnxruntime refuses it: {_line(error)}") from None
        if self._session.get_providers()[0] != provider:
            raise EngineError(f"{model}: onnxruntime fell back from {provider}")
        self._input = self._session.get_inputs()[0].name

    def run(self, images: Image) -> npt.NDArray[np.float32]:
        """[N, H, W, 3] uint8 to [N, D] float32.

        Raises:
            EngineError: the pictures do not fit the model.
        """
        try:
            (descriptors,) = self._session.run(None, {self._input: images})
        except Exception as error:
            raise EngineError(f"onnxruntime: {_line(error)}") from None
        return np.asarray(descriptors, np.float32)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
