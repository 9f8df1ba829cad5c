"""Weights as 8 bit integers for computers without a GPU, activations quantised as they come.

ONNX Runtime's dynamic quantisation of the products with constant weights, one scale for every
output channel. It is three times faster than single precision where the processor multiplies bytes
(VNNI, or the dot product of ARMv8.2). How much it costs is decided by outliers among the
activations of trained weights, which no cosine tells; see `parity`.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from geobridge.onboard import durable
from geobridge.onboard.errors import DataError

from .files import publish, weights_path

QUANTISED = ("MatMulInteger", "DynamicQuantizeMatMul")


def write_int8(single: Path, path: Path, metadata: Mapping[str, str]) -> list[Path]:
    """Quantise the graph in the file `single`; the paths of the one or two files written.

    Raises:
        DataError: the graph has no products with constant weights, as a purely convolutional one.
    """
    partial = path.with_name(f"{durable.TEMPORARY_PREFIX}{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        written = partial / path.name
        with _quiet():
            quantize_dynamic(
                single,
                written,
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                use_external_data_format=weights_path(single).exists(),
            )
        model = onnx.load(written, load_external_data=False)
        if not any(node.op_type in QUANTISED for node in model.graph.node):
            raise DataError(f"{single.name}: nothing to quantise in it; int8 is for transformers")
        onnx.helper.set_model_props(model, dict(metadata))
        written.write_bytes(model.SerializeToString())
        weights_path(path).unlink(missing_ok=True)
        return publish(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser tells the root logger of every tensor it leaves alone."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
