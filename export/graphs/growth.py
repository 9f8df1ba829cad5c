"""Where in a network an error begins: two graphs of the same tower, value by value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime

from geobridge.onboard.records import Image

from .arithmetic import steps
from .files import weights_path

LARGE = 0.05
"""Relative error of a value from which on it counts as the beginning."""


@dataclass(frozen=True)
class Growth:
    """The first value whose relative error is large, and the error of the value before it."""

    node: str
    relative_error: float
    before: float

    def __str__(self) -> str:
        return (
            f"the error grows at {self.node}, from {self.before:.2g} to {self.relative_error:.2g}"
        )


def growth_in_half(single: ir.Model, half: ir.Model, image: Image) -> Growth | None:
    """The first layer where a half precision graph leaves a single precision one.

    Args:
        single, half: the same network.
        image: [H, W, 3] uint8 of the encoder's size.
    """
    return _first(_in_step(single, half, image[None]))


def growth_in_files(single: Path, other: Path, image: Image) -> Growth | None:
    """The same of two files, by ONNX Runtime; of values that both have by one name.

    None too where the weights lie outside: what is traced must fit one file.
    """
    if weights_path(single).exists():
        return None
    names = sorted(_float_values(single) & _float_values(other))
    expected, given = (_values(path, names, image[None]) for path in (single, other))
    order = [name for name in _order(single) if name in expected and name in given]
    return _first((name, _error(expected[name], given[name])) for name in order)


def _in_step(single: ir.Model, half: ir.Model, images: Image) -> Iterator[tuple[str, float]]:
    expected = steps(single, images)
    for node, value in steps(half, images):
        if node.op_type == "Cast" and (node.name or "").endswith(("/to_float", "/to_float16")):
            continue  # of the half precision graph alone
        _, other = next(expected)
        if value.is_floating_point():
            yield node.name or "", _error(other.float().numpy(), value.float().numpy())


def _first(errors: Iterable[tuple[str, float]]) -> Growth | None:
    before = 0.0
    for name, error in errors:
        if not error <= LARGE:
            return Growth(name, error, before)
        before = error
    return None


def _error(expected: npt.NDArray[Any], given: npt.NDArray[Any]) -> float:
    with np.errstate(all="ignore"):
        difference = given.astype(np.float64) - expected
        error = float(np.linalg.norm(difference) / max(float(np.linalg.norm(expected)), 1e-30))
    return error if np.isfinite(error) else float("inf")


def _order(path: Path) -> list[str]:
    model = onnx.load(path, load_external_data=False)
    return [output for node in model.graph.node for output in node.output]


def _float_values(path: Path) -> set[str]:
    """Outputs of the operations that have a fraction wherever they stand in a tower."""
    kinds = {"Add", "LayerNormalization", "MatMul", "Gelu", "Softmax", "Mul"}
    model = onnx.load(path, load_external_data=False)
    return {o for node in model.graph.node if node.op_type in kinds for o in node.output}


def _values(path: Path, names: list[str], images: Image) -> dict[str, npt.NDArray[Any]]:
    model = onnx.load(path)
    present = {output.name for output in model.graph.output}
    for name in names:
        if name not in present:
            model.graph.output.add().name = name
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip(names, session.run(names, {"image": images}), strict=True))
