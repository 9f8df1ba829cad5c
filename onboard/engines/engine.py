"""What a runtime must do, and the one place that chooses it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from ..records import Image


class Engine(Protocol):
    """A loaded image encoder."""

    def run(self, images: Image) -> npt.NDArray[np.float32]:
        """[N, H, W, 3] uint8 RGB to [N, D] float32 descriptors."""


def open_engine(name: str, model: Path) -> Engine:
    """The engine asked for; nothing else is tried.

    Raises:
        EngineError: it is not available here, or refuses the model.
    """
    if name == "onnxruntime":
        from .onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(model)
    raise EngineError(f"engine {name!r} is not built into this version; use onnxruntime")
