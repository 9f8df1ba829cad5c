"""A graph on disk: one file, or two where it is too large for one, and what it says of itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import onnx_ir as ir

from geobridge.onboard import durable
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.views import View

MAX_INLINE_BYTES = (2 << 30) - (64 << 20)
"""Protocol buffers end at 2 GiB; what is larger has its weights in a file beside it."""


def metadata_of(
    view: View, precision: str, preprocess: Preprocess, dimension: int, opset: int, checkpoint: str
) -> dict[str, str]:
    """What every exported file says of itself, for who has nothing but the file."""
    return {
        "view": view.value,
        "precision": precision,
        "opset": str(opset),
        "dimension": str(dimension),
        "preprocess": json.dumps(asdict(preprocess), sort_keys=True),
        "preprocess_sha256": preprocess.sha256,
        "checkpoint_sha256": checkpoint,
        "producer": f"geobridge-uav {version('geobridge-uav')}",
    }


def weights_path(path: Path) -> Path:
    """Where the weights of a large graph lie; the graph names the file, so neither is renamed."""
    return path.with_name(f"{path.name}.data")


def write_graph(model: ir.Model, path: Path, metadata: Mapping[str, str]) -> list[Path]:
    """Write the graph; the paths of the one or two files."""
    model.metadata_props.clear()
    model.metadata_props.update(metadata)
    partial = path.with_name(f"{durable.TEMPORARY_PREFIX}{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        external = weights_path(path).name if _weight_bytes(model) > MAX_INLINE_BYTES else None
        ir.save(model, partial / path.name, external_data=external)
        weights_path(path).unlink(missing_ok=True)
        return publish(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def publish(partial: Path, path: Path) -> list[Path]:
    """Move a graph and its weights out of the folder they were written to, the graph last."""
    files = [
        file for file in (weights_path(partial / path.name), partial / path.name) if file.exists()
    ]
    published = []
    for file in files:
        durable.sync(file)
        published.append(file.replace(path.with_name(file.name)))
    durable.sync(path.parent)
    return published[::-1]


def _weight_bytes(model: ir.Model) -> int:
    tensors = [value.const_value for value in model.graph.initializers.values()]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)
