"""`geobridge export`: the image encoders of a checkpoint, and only those, to ONNX.

<out>/<view>.<precision>.onnx   uint8 [batch, H, W, 3] -> float32 [batch, D], unit rows
<out>/encoders.json             what was exported: views, preprocessing, footprint, hashes
<out>/parity.json               how close every file is to the checkpoint, see `parity`
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import onnx
import torch
from pydantic import Field, ValidationError

from geobridge.onboard import durable
from geobridge.onboard.bundle import sha256
from geobridge.onboard.config import Positive, Section, first_problem
from geobridge.onboard.errors import DataError
from geobridge.onboard.manifest import PreprocessEntry, Sha256
from geobridge.onboard.views import View
from geobridge.training import checkpoint as checkpoints
from geobridge.training.model import GeoBridge, ImageEncoder

from .parity import Parity, measure, write

log = logging.getLogger(__name__)

for _exporter in ("onnxscript", "onnx_ir", "torch.onnx"):
    logging.getLogger(_exporter).setLevel(logging.ERROR)  # they log their own graph surgery

OPSET = 20
"""The newest that TensorRT 10.3 of JetPack 6 parses; it has Gelu and LayerNormalization."""

RECORD = "encoders.json"
PRECISIONS = ("fp32", "fp16")


class ExportedEncoder(Section):
    """One ONNX file."""

    view: Literal["drone", "satellite", "street"]
    precision: Literal["fp32", "fp16"]
    file: str
    sha256: Sha256
    preprocess: PreprocessEntry


class ExportRecord(Section):
    """The whole of encoders.json; format 1 had one preprocessing record for all encoders."""

    format_version: Literal[2]
    checkpoint_sha256: Sha256
    opset: int
    dimension: Annotated[int, Field(ge=2)]
    footprint_m: Positive
    gsd_m: Positive
    encoders: tuple[ExportedEncoder, ...]

    def encoder(self, view: View) -> ExportedEncoder:
        """The one of this view in single precision, which must be there."""
        return next(e for e in self.encoders if (e.view, e.precision) == (view.value, "fp32"))


def export(
    checkpoint: Path,
    out: Path,
    precisions: Sequence[str] = PRECISIONS,
    views: Sequence[str] = (),
    dimension: int | None = None,
) -> Path:
    """Export the encoders of `views` (all the checkpoint has, if empty) and check each of them.

    Descriptors are as long as the towers make them, or of `dimension`, if trained to be cut there.

    Raises:
        DataError: no such view or length in the checkpoint, or an encoder that is not what was
            trained.
    """
    found = checkpoints.read(checkpoint)
    model = checkpoints.load(found)
    wanted = _views(model, views, found.path)
    _shorten(model, dimension, found)
    out.mkdir(parents=True, exist_ok=True)
    entries: list[ExportedEncoder] = []
    parities: list[Parity] = []
    for view in wanted:
        encoder: ImageEncoder = model.images[view.value]  # type: ignore[assignment]
        for precision in precisions:
            path = out / f"{view}.{precision}.onnx"
            log.info("exporting %s", path)
            write_onnx(encoder, precision, path, {"view": view.value, "precision": precision})
            parities.append(measure(encoder, path, view, precision))
            entries.append(
                ExportedEncoder(
                    view=view.value,
                    precision=precision,  # type: ignore[arg-type]
                    file=path.name,
                    sha256=sha256(path),
                    preprocess=PreprocessEntry(**asdict(encoder.preprocess)),
                )
            )
    write(parities, out / "parity.json")
    record = ExportRecord(
        format_version=2,
        checkpoint_sha256=found.model_sha256,
        opset=OPSET,
        dimension=parities[0].dimension,
        footprint_m=found.config.data.footprint_m,
        gsd_m=found.config.data.gsd_m,
        encoders=tuple(entries),
    )
    durable.write_text(out / RECORD, json.dumps(record.model_dump(mode="json"), indent=1) + "\n")
    return out


def write_onnx(encoder: ImageEncoder, precision: str, path: Path, metadata: dict[str, str]) -> None:
    """One encoder as an ONNX file with a dynamic batch; FP16 is decided here, in the graph.

    With `fp16` the tower's weights and products are half precision; pixel normalisation and the
    final L2 norm stay in single precision.
    """
    module = copy.deepcopy(encoder).eval()
    if precision == "fp16":
        module.tower.half()
    height, width = _input_size(encoder)
    example = torch.zeros((2, height, width, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["descriptor"],
            dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=1024)}},
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    for key, value in metadata.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    durable.write_file(path, lambda temporary: onnx.save(proto, str(temporary)))


def read_record(folder: Path) -> ExportRecord:
    """What an export folder holds, after checking that its files are the ones exported.

    Raises:
        DataError: not an export folder, or a file changed.
    """
    path = folder / RECORD
    try:
        raw = path.read_bytes()
        _check_version(raw, path)
        record = ExportRecord.model_validate_json(raw)
    except OSError as error:
        raise DataError(f"{folder}: no exported encoders, {RECORD}: {error.strerror}") from None
    except ValidationError as error:
        raise DataError(f"{path}: {first_problem(error)}") from None
    for entry in record.encoders:
        file = folder / entry.file
        if not file.is_file() or sha256(file) != entry.sha256:
            raise DataError(f"{file}: missing or changed since it was exported")
    return record


def _check_version(raw: bytes, path: Path) -> None:
    try:
        tree = json.loads(raw)
    except ValueError:
        return  # which is told with its place
    version = tree.get("format_version") if isinstance(tree, dict) else None
    if version == 1:
        raise DataError(f"{path}: format_version 1, this version reads 2; run geobridge export")


def _shorten(model: GeoBridge, dimension: int | None, found: checkpoints.Checkpoint) -> None:
    """Cut the descriptors of all encoders, where the checkpoint was trained for it."""
    encoders: list[ImageEncoder] = list(model.images.values())  # type: ignore[arg-type]
    length = encoders[0].length()
    if dimension is None or dimension == length:
        return
    trained = sorted({*found.config.model.nested_dims, length})
    if dimension not in trained:
        raise DataError(
            f"--dimension {dimension}: {found.path} was trained for {', '.join(map(str, trained))}"
        )
    for encoder in encoders:
        encoder.dimension = dimension


def _views(model: GeoBridge, views: Sequence[str], where: Path) -> list[View]:
    have = [View(name) for name in model.images]
    missing = [name for name in views if name not in model.images]
    if missing:
        raise DataError(
            f"{where}: no {', '.join(missing)} tower; it has {', '.join(v.value for v in have)}"
        )
    return [view for view in have if not views or view.value in views]


def _input_size(encoder: ImageEncoder) -> tuple[int, int]:
    return encoder.preprocess.height_px, encoder.preprocess.width_px
