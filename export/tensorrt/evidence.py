"""What a finished plan shows of the precision that it was built in."""

from __future__ import annotations

import json
import re
from pathlib import Path

from geobridge.onboard.errors import EngineError

MAX_GROWTH = 1.5
"""A plan of a half precision network is about as large as its ONNX file; one that is twice as large
was built in single precision after all."""
SMALL_BYTES = 32 << 20
"""Below, a plan's own parts outweigh its weights and its size says nothing."""


def network_bytes(onnx: Path, weights: Path | None) -> int:
    """Of a network, with its weights where they are apart."""
    return onnx.stat().st_size + (weights.stat().st_size if weights else 0)


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
