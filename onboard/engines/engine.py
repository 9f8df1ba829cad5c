"""What a runtime must do, and the one place that chooses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from ..records import Image

EngineName = Literal["onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt"]
"""ONNX Runtime on the CPU, on a GPU by CUDA or by TensorRT; TensorRT itself."""
ENGINES: tuple[str, ...] = get_args(EngineName)

NORM_TOLERANCE = 1e-2


@dataclass(frozen=True)
class EngineSettings:
    """How an engine is opened on this computer.

    `threads`: of the CPU; 0 lets the engine take every core. `plans`: folder of TensorRT plans,
    None for the usual one. `max_batch`: so many pictures at a time, where an engine must know
    before. `cuda_graph`: let TensorRT launch a single picture as one recorded graph.
    """

    threads: int = 0
    plans: Path | None = None
    max_batch: int = 1
    cuda_graph: bool = False


class Engine(Protocol):
    """A loaded image encoder, warm."""

    def run(self, images: Image) -> npt.NDArray[np.float32]:
        """[N, H, W, 3] uint8 RGB to [N, D] float32 descriptors."""

    def close(self) -> None:
        """Give back what it holds; it is of no use afterwards."""


def open_engine(
    name: str,
    model: Path,
    weights: Path | None = None,
    settings: EngineSettings | None = None,
) -> Engine:
    """The engine asked for; nothing else is tried.

    Args:
        name: one of `ENGINES`.
        model: ONNX file.
        weights: the file of its weights, where they are apart.
        settings: of this computer.

    Raises:
        EngineError: it is not available here, or refuses the model.
    """
    settings = settings or EngineSettings()
    if name == "tensorrt":
        from .plans import default_folder
        from .tensorrt import TensorRtEngine

        plans = settings.plans or default_folder()
        return TensorRtEngine(model, weights, plans, settings.max_batch, settings.cuda_graph)
    if name in ENGINES:
        from .onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(model, name, settings)
    raise EngineError(f"engine {name!r} is unknown; expected one of {', '.join(ENGINES)}")


def in_batches(
    images: Image, at_most: int, run: Callable[[Image], npt.NDArray[np.float32]]
) -> npt.NDArray[np.float32]:
    """[N, H, W, 3] to [N, D], no more than so many pictures at once."""
    starts = range(0, max(len(images), 1), at_most)  # of no pictures too, what comes has D columns
    parts = [run(images[first : first + at_most]) for first in starts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def check_descriptors(descriptors: npt.NDArray[np.float32], who: str) -> None:
    """Rows must be finite and of unit length.

    Raises:
        EngineError: they are not.
    """
    norms = np.linalg.norm(descriptors, axis=1)
    if not np.all(np.abs(norms - 1.0) <= NORM_TOLERANCE):
        bad = int(np.sum(~np.isfinite(norms)))
        told = (
            f"{bad} of {len(norms)} are not finite" if bad else f"lengths up to {norms.max():.3g}"
        )
        raise EngineError(f"{who} gave descriptors that are not of unit length: {told}")
