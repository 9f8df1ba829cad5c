"""The operations of an ONNX graph, in torch: attributes and inputs to a result, or a tuple of them.

As ONNX's standard defines them for opsets 18 to 20, as far as encoders use them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import Tensor

from geobridge.onboard.errors import DataError

TYPES = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.INT64: torch.int64,
    ir.DataType.INT32: torch.int32,
    ir.DataType.UINT8: torch.uint8,
    ir.DataType.BOOL: torch.bool,
}

Attributes = Mapping[str, Any]
Operation = Callable[..., Any]


def _cast(a: Attributes, x: Tensor) -> Tensor:
    return x.to(TYPES[ir.DataType(a["to"])])


def _layer_norm(a: Attributes, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.layer_norm(x, x.shape[a.get("axis", -1) :], scale, bias, a.get("epsilon", 1e-5))


def _gemm(a: Attributes, x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    x, y = x.T if a.get("transA") else x, y.T if a.get("transB") else y
    product = torch.mul(x @ y, a.get("alpha", 1.0))
    return product if bias is None else torch.add(product, bias, alpha=a.get("beta", 1.0))


def _conv(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    pads = list(a.get("pads", [0] * 2 * (x.ndim - 2)))
    half = len(pads) // 2
    if pads[:half] != pads[half:]:
        x, pads = F.pad(x, _torch_pads(pads)), [0] * len(pads)
    stride, dilation = list(a.get("strides", [1, 1])), list(a.get("dilations", [1, 1]))
    return F.conv2d(x, weight, bias, stride, pads[:half], dilation, a.get("group", 1))


def _average_pool(a: Attributes, x: Tensor) -> Tensor:
    counted = bool(a.get("count_include_pad"))
    shape, stride, pads = a["kernel_shape"], a.get("strides"), a.get("pads", [0, 0, 0, 0])
    return F.avg_pool2d(
        x, list(shape), list(stride or [1, 1]), list(pads[:2]), bool(a.get("ceil_mode")), counted
    )


def _max_pool(a: Attributes, x: Tensor) -> Tensor:
    shape, stride, pads = a["kernel_shape"], a.get("strides"), a.get("pads", [0, 0, 0, 0])
    return F.max_pool2d(
        x, list(shape), list(stride or [1, 1]), list(pads[:2]), ceil_mode=bool(a.get("ceil_mode"))
    )


def _batch_norm(
    a: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    return F.batch_norm(x, mean, variance, scale, bias, eps=a.get("epsilon", 1e-5))


def _gelu(a: Attributes, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=a.get("approximate", "none"))


def _reshape(a: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    kept = not a.get("allowzero")
    sizes = [x.shape[i] if kept and n == 0 else n for i, n in enumerate(shape.tolist())]
    return x.reshape(sizes)


def _expand(_: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    sizes = np.broadcast_shapes(tuple(x.shape), tuple(shape.tolist()))
    return x.expand(sizes)


def _slice(
    _: Attributes,
    x: Tensor,
    starts: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    by: Tensor | None = None,
) -> Tensor:
    where = range(len(starts)) if axes is None else axes.tolist()
    strides = [1] * len(starts) if by is None else by.tolist()
    for axis, start, end, step in zip(where, starts.tolist(), ends.tolist(), strides, strict=True):
        rows = np.arange(x.shape[axis])[start:end:step]
        x = x.index_select(axis, torch.from_numpy(rows.copy()))
    return x


def _gather(a: Attributes, x: Tensor, indices: Tensor) -> Tensor:
    axis = a.get("axis", 0) % x.ndim
    rows = x.index_select(axis, indices.reshape(-1) % x.shape[axis])
    return rows.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _split(a: Attributes, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = a.get("axis", 0)
    if sizes is not None:
        return torch.split(x, sizes.tolist(), axis)
    return torch.chunk(x, a["num_outputs"], axis)


def _squeeze(_: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(axes.tolist())


def _unsqueeze(_: Attributes, x: Tensor, axes: Tensor) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def _pad(
    a: Attributes,
    x: Tensor,
    pads: Tensor,
    value: Tensor | None = None,
    axes: Tensor | None = None,
) -> Tensor:
    mode = str(a.get("mode", "constant"))
    if axes is not None or mode != "constant":
        raise DataError(f"padding of kind {mode} is not among the operations we can check")
    return F.pad(x, _torch_pads(pads.tolist()), value=0.0 if value is None else float(value))


def _torch_pads(pads: list[int]) -> list[int]:
    """ONNX counts all beginnings, then all ends; torch pairs them from the last axis on."""
    half = len(pads) // 2
    return [n for axis in reversed(range(half)) for n in (pads[axis], pads[half + axis])]


def _reduced(reduce: Callable[[Tensor, list[int], bool], Tensor]) -> Operation:
    def operation(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
        over = list(range(x.ndim)) if axes is None else axes.tolist()
        return reduce(x, over, bool(a.get("keepdims", 1)))

    return operation


def _clip(
    _: Attributes, x: Tensor, low: Tensor | None = None, high: Tensor | None = None
) -> Tensor:
    return torch.clamp(x, low, high) if low is not None or high is not None else x


def _shape(a: Attributes, x: Tensor) -> Tensor:
    return torch.tensor(x.shape[a.get("start", 0) : a.get("end")], dtype=torch.int64)


def _constant(a: Attributes) -> Tensor:
    [value] = a.values()
    return torch.from_numpy(np.array(value.numpy() if hasattr(value, "numpy") else value))


def _divide(_: Attributes, x: Tensor, y: Tensor) -> Tensor:
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


OPERATIONS: dict[str, Operation] = {
    "Add": lambda _, x, y: x + y,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "CastLike": lambda _, x, y: x.to(y.dtype),
    "Clip": _clip,
    "Concat": lambda a, *parts: torch.cat(parts, a["axis"]),
    "Constant": _constant,
    "Conv": _conv,
    "Div": _divide,
    "Erf": lambda _, x: torch.erf(x),
    "Exp": lambda _, x: torch.exp(x),
    "Expand": _expand,
    "Flatten": lambda a, x: x.reshape(int(np.prod(x.shape[: a.get("axis", 1)])), -1),
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
    "HardSigmoid": lambda a, x: (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda _, x: F.hardswish(x),
    "Identity": lambda _, x: x,
    "LayerNormalization": _layer_norm,
    "MatMul": lambda _, x, y: x @ y,
    "MaxPool": _max_pool,
    "Mul": lambda _, x, y: x * y,
    "Neg": lambda _, x: -x,
    "Pad": _pad,
    "Pow": lambda _, x, y: x**y,
    "Range": lambda _, first, stop, step: torch.arange(first.item(), stop.item(), step.item()),
    "Reciprocal": lambda _, x: 1.0 / x,
    "ReduceL2": _reduced(lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
    "ReduceMean": _reduced(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceSum": _reduced(lambda x, axes, keep: x.sum(axes, keep)),
    "Relu": lambda _, x: torch.relu(x),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": lambda _, x: torch.sigmoid(x),
    "Slice": _slice,
    "Softmax": lambda a, x: torch.softmax(x, a.get("axis", -1)),
    "Split": _split,
    "Sqrt": lambda _, x: torch.sqrt(x),
    "Squeeze": _squeeze,
    "Sub": lambda _, x, y: x - y,
    "Tanh": lambda _, x: torch.tanh(x),
    "Transpose": lambda a, x: x.permute(list(a["perm"])),
    "Unsqueeze": _unsqueeze,
}
"""What open_clip's transformers and residual nets, and timm's backbones, are exported to."""
