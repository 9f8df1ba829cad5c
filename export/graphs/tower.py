"""An image encoder as an ONNX graph: uint8 [batch, H, W, 3] to unit float32 descriptors.

What TensorRT, ONNX Runtime and we ourselves need of the graph is decided here, once, for every
precision: the cast of the pixels comes before the transpose (TensorRT casts uint8 network inputs
and nothing else), attention scales the query alone (a fusion of TensorRT 10.7 computed the square
root on both sides wrongly), and normalisations stay single nodes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import onnx_ir as ir
import onnxscript
import torch
from torch import nn

from geobridge.onboard.errors import DataError
from geobridge.training.model import ImageEncoder

for _exporter in ("onnxscript", "onnx_ir", "torch.onnx"):
    logging.getLogger(_exporter).setLevel(logging.ERROR)  # they log their own graph surgery

MAX_BATCH = 1024
PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""What multiplies weights or features, and what half precision is for."""
INPUT, OUTPUT = "image", "descriptor"
_SCOPES = "pkg.torch.onnx.name_scopes"


def graph_of(encoder: ImageEncoder, opset: int) -> ir.Model:
    """The encoder's graph in single precision, with a dynamic batch.

    Raises:
        DataError: the tower has normalisations that did not stay whole, see `check_norms`; or
            something that cannot be exported.
    """
    spec = encoder.preprocess
    example = torch.zeros((2, spec.height_px, spec.width_px, 3), dtype=torch.uint8)
    attention: Any = torch.ops.aten.scaled_dot_product_attention.default
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        try:
            program = torch.onnx.export(
                encoder.eval(),
                (example,),
                dynamo=True,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=MAX_BATCH)}},
                custom_translation_table={attention: _attention(opset)},
                verbose=False,
            )
        except Exception as error:  # torch, onnxscript and onnx_ir raise a dozen kinds
            cause = error.__cause__ or error
            text = " ".join(str(cause).split())[:300]
            raise DataError(f"this tower cannot be exported: {text}") from None
    assert program is not None
    model: ir.Model = program.model
    _tidy(model)
    check_norms(model, encoder)
    return model


def check_norms(model: ir.Model, module: nn.Module | None = None) -> None:
    """Refuse a graph in which a layer norm fell apart.

    As primitives in half precision it returns exactly its bias, and no NaN, once a channel is 256
    away from the mean: the square of that is more than half precision holds.

    Raises:
        DataError: names the node.
    """
    kinds = [node.op_type for node in model.graph]
    has_norms = module is not None and any(isinstance(m, nn.LayerNorm) for m in module.modules())
    if has_norms and "LayerNormalization" not in kinds:
        raise DataError("the exporter took the tower's layer norms apart; use opset 17 or newer")
    for node in model.graph:
        if node.op_type == "Sqrt" or (node.op_type == "Pow" and _is_negative_power(node)):
            below = node.inputs[0].producer() if node.inputs[0] else None
            for variance in _variances(below):
                raise DataError(
                    f"{variance.name}: a normalisation in single steps, which half precision"
                    " computes wrongly"
                )


def scope_of(node: ir.Node) -> str:
    """Where in the network a node comes from, as `tower.transformer.resblocks.3.attn`."""
    scope, _, _ = (node.name or "").rpartition("/")
    return scope


def _attention(opset: int) -> Callable[..., Any]:
    """What torch's attention is translated to: softmax((scale Q) K^T) V."""
    op: Any = getattr(onnxscript, f"opset{opset}")

    def attention(
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        if is_causal or enable_gqa:
            raise NotImplementedError("attention with a causal mask or grouped queries")
        factor = float(query.shape[-1]) ** -0.5 if scale is None else scale
        scaled = op.Mul(query, op.CastLike(op.Constant(value_float=factor), query))
        scores = op.MatMul(scaled, op.Transpose(key, perm=[0, 1, 3, 2]))
        if attn_mask is not None:
            scores = op.Add(scores, attn_mask)
        return op.MatMul(op.Softmax(scores, axis=-1), value)

    return attention


def _tidy(model: ir.Model) -> None:
    """Nodes named after their modules, and nothing in the file of the machine that made it."""
    model.doc_string = ""
    model.metadata_props.clear()
    model.graph.doc_string = ""
    model.graph.metadata_props.clear()
    for node in model.graph:
        node.name = _readable(node)
        node.doc_string = ""
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


def _readable(node: ir.Node) -> str:
    scopes = [
        part.strip(" '\"") for part in node.metadata_props.get(_SCOPES, "").strip("[]").split(",")
    ]
    # the last one is the operation itself, and what begins with _ is torch's own
    inner = [part for part in scopes[:-1] if part and not part.startswith("_")]
    return f"{inner[-1] if inner else 'encoder'}/{node.name}"


def _variances(node: ir.Node | None, depth: int = 3) -> Iterator[ir.Node]:
    """Means of squares within a few steps above a node."""
    if node is None or depth == 0:
        return
    if node.op_type == "ReduceMean":
        square = node.inputs[0].producer() if node.inputs[0] else None
        if square is not None and _is_square(square):
            yield node
        return
    for value in node.inputs:
        if value is not None:
            yield from _variances(value.producer(), depth - 1)


def _is_square(node: ir.Node) -> bool:
    if node.op_type == "Mul":
        return node.inputs[0] is node.inputs[1]
    return node.op_type == "Pow"


def _is_negative_power(node: ir.Node) -> bool:
    exponent = node.inputs[1].const_value if node.inputs[1] else None
    return exponent is not None and bool((exponent.numpy() < 0).all())
