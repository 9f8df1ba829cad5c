"""A single precision graph to one that is typed half precision where that is right.

The types stand in the graph, so TensorRT 10 builds a strongly typed network of it and TensorRT 11,
which knows nothing else, does the same. Products are half. Single stay: the pixels before the first
product, all that follows the last one (the L2 norm), what `islands` says, and inside of every layer
norm its own computation (`stash_type` 1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
import torch

from geobridge.onboard.records import Image

from .arithmetic import steps
from .tower import PRODUCTS, scope_of

MAX_HALF = 65504.0
RANGE_LIMIT = MAX_HALF / 4
"""A value measured to be as large is computed in single precision; pictures differ."""
SUM_LIMIT = 512.0
"""So large a residual sum stays single: half precision resolves 512 to 0.5, and blocks add less."""
MAX_ROUNDING = 1e-3
"""Relative error of a weight tensor that half precision may make; rounding alone makes 3e-4."""

SINGLE, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16
_PASSES_ON = frozenset(
    {
        "Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
        "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operations that only move numbers; they keep the type of what they are given."""


@dataclass(frozen=True)
class Weight:
    """A tensor that half precision would spoil, and so is kept in single precision.

    `module` is the part of the network that uses it. `overflows`, `vanishes`: how many of its
    `count` numbers would become infinite, or 0.
    """

    name: str
    module: str
    count: int
    overflows: int
    vanishes: int
    relative_error: float

    def __str__(self) -> str:
        return (
            f"{self.module} ({self.name}): half precision would make an error of"
            f" {self.relative_error:.1%}, {self.overflows} of {self.count} numbers overflow and"
            f" {self.vanishes} vanish; kept in single precision"
        )


@dataclass(frozen=True)
class Islands:
    """Names of nodes computed in single precision, by the reason for it."""

    ends: frozenset[str]
    weights: frozenset[str]
    ranges: frozenset[str] = frozenset()
    sums: frozenset[str] = frozenset()
    scores: frozenset[str] = frozenset()
    spoiled: tuple[Weight, ...] = field(default=(), compare=False)

    @property
    def all(self) -> frozenset[str]:
        """Every one of them."""
        return self.ends | self.weights | self.ranges | self.sums | self.scores

    def __str__(self) -> str:
        told = ("weights", "ranges", "sums", "scores")
        counts = [f"{len(getattr(self, kind))} for {kind}" for kind in told if getattr(self, kind)]
        return ", ".join(counts) or "none but the ends"


def find_islands(
    model: ir.Model, images: Image, scores: bool = False, sums: bool = False
) -> Islands:
    """What must stay in single precision, by the graph, its weights, and its values on pictures.

    Args:
        model: in single precision.
        images: [N, H, W, 3] uint8 of the encoder's size; values are measured on them.
        scores: attention scores too: the product of queries and keys, and its softmax.
        sums: residual sums too, all of them; else those that grow too large.
    """
    largest, ends = _largest(model, images), _ends(model)
    spoiled = spoiled_weights(model, ends)
    names = {weight.name for weight in spoiled}
    residual = [node for node in model.graph if _is_residual(node)]
    large = [not largest[_name(node)] < SUM_LIMIT for node in residual]
    first = 0 if sums else next((i for i, is_large in enumerate(large) if is_large), len(large))
    return Islands(
        ends=ends,
        weights=frozenset(
            _name(node)
            for node in model.graph
            if any(value is not None and value.name in names for value in node.inputs)
        ),
        ranges=_out_of_range(model, largest),
        sums=frozenset(_name(node) for node in residual[first:]),
        scores=_scores(model) if scores else frozenset(),
        spoiled=spoiled,
    )


def spoiled_weights(model: ir.Model, single: frozenset[str] = frozenset()) -> tuple[Weight, ...]:
    """Tensors that half precision would spoil, largest first; those of nodes in `single` aside."""
    found = []
    for name, value in model.graph.initializers.items():
        if value.dtype != SINGLE or value.const_value is None:
            continue
        if all(_name(node) in single for node, _ in value.uses()):
            continue
        numbers = torch.from_numpy(np.array(value.const_value.numpy()))
        halved = numbers.half().float()
        overflows = int((~halved.isfinite()).sum())
        vanishes = int(((halved == 0) & (numbers != 0)).sum())
        size = float(numbers.double().norm())
        error = float((numbers - halved).double().norm()) / size if size else 0.0
        if overflows or not error <= MAX_ROUNDING:
            module = scope_of(next(iter(value.uses())).node)
            found.append(Weight(name, module, numbers.numel(), overflows, vanishes, error))
    return tuple(sorted(found, key=lambda weight: -weight.count))


def to_half(model: ir.Model, islands: Islands) -> ir.Model:
    """A new graph, every value typed; the old one is as it was, and shares no tensors' changes."""
    halved = model.clone()
    single = islands.all
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
    for node in list(halved.graph):
        kind = _kind(node, single)
        if kind is None:
            continue
        for index in _typed_inputs(node):
            value = node.inputs[index]
            if value is not None and value.dtype in (SINGLE, HALF) and value.dtype != kind:
                node.replace_input_with(index, _as(halved, value, kind, node, casts))
        for value in node.outputs:
            if value.dtype in (SINGLE, HALF):
                value.type = ir.TensorType(kind)
    _drop_unused(halved)
    return halved


def _kind(node: ir.Node, single: Collection[str]) -> ir.DataType | None:
    """The type a node computes in, None for one that has no numbers with a fraction."""
    if not any(value.dtype in (SINGLE, HALF) for value in node.outputs):
        return None
    if _name(node) in single:
        return SINGLE
    if node.op_type in _PASSES_ON:
        given = [v for i in _typed_inputs(node) if (v := node.inputs[i]) is not None]
        computed = [value.dtype for value in given if value.producer() is not None]
        if computed:
            return HALF if HALF in computed else SINGLE
    return HALF


def _typed_inputs(node: ir.Node) -> Iterator[int]:
    """Which inputs have the type of the first output, by the operation's own definition."""
    schema = onnx.defs.get_schema(node.op_type)
    wanted = schema.outputs[0].type_str
    variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
    for index in range(len(node.inputs)):
        formal = schema.inputs[min(index, len(schema.inputs) - 1)]
        if formal.type_str == wanted and (index < len(schema.inputs) or formal.option == variadic):
            yield index


def _as(
    model: ir.Model,
    value: ir.Value,
    kind: ir.DataType,
    before: ir.Node,
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value],
) -> ir.Value:
    if (value, kind) not in casts:
        if value.const_value is not None and value.producer() is None:
            casts[value, kind] = _converted(model, value, kind)
        else:
            cast = ir.node(
                "Cast", [value], {"to": kind}, name=f"{value.name}/to_{kind.name.lower()}"
            )
            cast.outputs[0].name = f"{value.name}.{kind.name.lower()}"
            cast.outputs[0].type, cast.outputs[0].shape = ir.TensorType(kind), value.shape
            model.graph.insert_before(before, cast)
            casts[value, kind] = cast.outputs[0]
    return casts[value, kind]


def _converted(model: ir.Model, value: ir.Value, kind: ir.DataType) -> ir.Value:
    assert value.const_value is not None
    numbers = value.const_value.numpy().astype(kind.numpy())
    name = f"{value.name}.{kind.name.lower()}"
    new = ir.Value(name=name, type=ir.TensorType(kind), shape=value.shape)
    new.const_value = ir.Tensor(numbers, name=name)
    model.graph.register_initializer(new)
    return new


def _drop_unused(model: ir.Model) -> None:
    for name in [n for n, value in model.graph.initializers.items() if not value.uses()]:
        del model.graph.initializers[name]


def _ends(model: ir.Model) -> frozenset[str]:
    """From the picture to before the first product, and all after the last one."""
    nodes, seen, names = list(model.graph), {model.graph.inputs[0]}, set()
    for node in nodes:
        if node.op_type not in PRODUCTS and any(value in seen for value in node.inputs):
            seen.update(node.outputs)
            names.add(_name(node))
    after: set[ir.Node] = set()
    for node in reversed(nodes):
        users = {user for value in node.outputs for user, _ in value.uses()}
        if node.op_type not in PRODUCTS and users <= after:
            after.add(node)
            names.add(_name(node))
    beyond: set[ir.Value] = set()
    for node in nodes:  # nothing of the picture's own beginning is behind a product
        if node.op_type in PRODUCTS or any(value in beyond for value in node.inputs):
            beyond.update(node.outputs)
            if node not in after:
                names.discard(_name(node))
    return frozenset(names)


def _largest(model: ir.Model, images: Image) -> dict[str, float]:
    """The largest magnitude of every node with fractions."""
    return {
        _name(node): float(value.abs().max())  # NaN if there is one
        for node, value in steps(model, images)
        if value.is_floating_point() and value.numel()
    }


def _out_of_range(model: ir.Model, largest: Mapping[str, float]) -> frozenset[str]:
    """Nodes that give too large a value, and those that are given one."""
    large = {name for name, value in largest.items() if not value < RANGE_LIMIT}
    given = {
        _name(user)
        for node in model.graph
        if _name(node) in large
        for value in node.outputs
        for user, _ in value.uses()
    }
    return frozenset(large | given)


def _is_residual(node: ir.Node) -> bool:
    """A sum of two features, one of which is used elsewhere too and so goes around a block."""
    if node.op_type != "Add" or any(v is None or v.producer() is None for v in node.inputs):
        return False
    return any(v is not None and len(v.uses()) > 1 for v in node.inputs)


def _scores(model: ir.Model) -> frozenset[str]:
    """Every softmax, and the product whose scores it takes, with what lies between them."""
    names: set[str] = set()
    for node in model.graph:
        if node.op_type != "Softmax":
            continue
        below: ir.Node | None = node
        while below is not None:
            names.add(_name(below))
            if below.op_type in PRODUCTS:
                break
            below = below.inputs[0].producer() if below.inputs[0] else None
    return frozenset(names)


def _name(node: ir.Node) -> str:
    return node.name or ""
