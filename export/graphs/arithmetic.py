"""What a graph computes in the precision it states, node by node, on any CPU.

ONNX Runtime's CPU provider computes half precision graphs in single precision, so it sees none of
their rounding. Here every node computes in single precision from its stored inputs and rounds its
result to the type the graph gives it: as tensor cores do, which multiply halves, add in single
precision and store halves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import Tensor

from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image

from .operations import OPERATIONS, TYPES

BATCH = 8
"""Pictures at a time, which bounds the memory."""


def descriptors_of(model: ir.Model, images: Image) -> npt.NDArray[np.float32]:
    """[N, H, W, 3] uint8 to [N, D] float32, as the graph rounds.

    Raises:
        DataError: the graph has an operation that is not known here.
    """
    parts, constants = [], constants_of(model)
    for start in range(0, len(images), BATCH):
        last = deque(steps(model, images[start : start + BATCH], constants), maxlen=1)
        parts.append(last[0][1].float().numpy())
    return np.concatenate(parts)


Constants = Mapping[ir.Value, Tensor]


def constants_of(model: ir.Model) -> Constants:
    """The graph's weights, those in half precision raised, for `steps`."""
    constants = {}
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        numbers = value.const_value.numpy()
        constants[value] = _raised(
            torch.from_numpy(numbers if numbers.flags.writeable else numbers.copy())
        )
    return constants


def steps(
    model: ir.Model, images: Image, constants: Constants | None = None
) -> Iterator[tuple[ir.Node, Tensor]]:
    """Every node in order with its first output, rounded to the graph's type; the descriptors last.

    Values are forgotten after their last use.
    """
    values: dict[ir.Value, Tensor] = dict(constants or constants_of(model))
    values[model.graph.inputs[0]] = torch.from_numpy(images)
    left = {value: len(value.uses()) for node in model.graph for value in node.outputs}
    for node in model.graph:
        inputs = [None if value is None else values[value] for value in node.inputs]
        for value, result in zip(node.outputs, _compute(node, inputs), strict=False):
            values[value] = result.to(TYPES[value.dtype]) if value.dtype else result
        yield node, values[node.outputs[0]]
        for value in {v for v in node.inputs if v is not None and v in left}:
            left[value] -= sum(value is each for each in node.inputs)
            if not left[value] and not value.is_graph_output():
                del values[value]


def _compute(node: ir.Node, inputs: list[Tensor | None]) -> tuple[Tensor, ...]:
    operation = OPERATIONS.get(node.op_type)
    if operation is None:
        raise DataError(f"{node.name}: {node.op_type} is not among the operations we can check")
    raised = [None if value is None else _raised(value) for value in inputs]
    result = operation(_attributes(node), *raised)
    return result if isinstance(result, tuple) else (result,)


def _raised(value: Tensor) -> Tensor:
    return value.float() if value.dtype == torch.float16 else value


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in node.attributes.items()}
