"""`geobridge export`: the image encoders of a checkpoint, and only those, to ONNX.

<out>/<view>.<precision>.onnx   uint8 [batch, H, W, 3] -> float32 [batch, D], unit rows
<out>/<name>.onnx.data          the weights of one that is too large for a single file
<out>/encoders.json             what was exported: views, preprocessing, footprint, hashes
<out>/parity.json, parity.md    how close every file is to the checkpoint, see `parity`
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx_ir as ir

from geobridge.onboard import durable
from geobridge.onboard.agreement import MIN_COSINE, Descriptors, compare, disagreement
from geobridge.onboard.bundle import sha256
from geobridge.onboard.engines.header import OPSETS
from geobridge.onboard.errors import DataError
from geobridge.onboard.manifest_entries import Precision, PreprocessEntry
from geobridge.onboard.views import View
from geobridge.training import checkpoint as checkpoints
from geobridge.training.model import GeoBridge, ImageEncoder

from .gallery import Gallery, gallery_of, rendered_gallery
from .graphs.arithmetic import descriptors_of
from .graphs.files import metadata_of, weights_path, write_graph
from .graphs.growth import growth_in_files, growth_in_half
from .graphs.half import find_islands, to_half
from .graphs.int8 import write_int8
from .graphs.tower import graph_of
from .parity import ROUNDED, Parity, Truth, judged, measure, truth_of, write
from .record import RECORD, ExportedEncoder, ExportRecord

log = logging.getLogger(__name__)

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")
"""What is exported unless something else is asked for."""


def export(
    checkpoint: Path,
    out: Path,
    precisions: Sequence[Precision] = PRECISIONS,
    views: Sequence[str] = (),
    dimension: int | None = None,
    opset: int = OPSETS[-1],
    fp32_scores: bool = False,
    report: bool = False,
    gallery: Path | None = None,
) -> Path:
    """Export the encoders of `views` (all the checkpoint has, if empty) and check each of them.

    Args:
        checkpoint: folder of a run, or of one checkpoint.
        out: folder to write.
        precisions: of fp32, fp16 and int8.
        views: names; empty for all.
        dimension: first numbers of the descriptors, if trained to be cut there; None: all.
        opset: of the files.
        fp32_scores: let fp16 compute attention scores in single precision from the start, and not
            only where parity asks for it.
        report: also look for pictures in a gallery, and write parity.md; int8 always does.
        gallery: raster whose squares the gallery is of; None renders a land.

    Raises:
        DataError: no such view, length or opset, or an encoder that is not what was trained.
    """
    if opset not in OPSETS:
        raise DataError(f"--opset {opset}: expected {' or '.join(map(str, OPSETS))}")
    _check_place(out)
    found = checkpoints.read(checkpoint)
    model = checkpoints.load(found)
    wanted = _views(model, views, found.path)
    _shorten(model, dimension, found)
    data = found.config.data
    pictures = None
    if report or gallery or "int8" in precisions:
        if gallery:
            pictures = gallery_of(gallery, data.footprint_m, data.gsd_m)
        else:
            pictures = rendered_gallery(data.footprint_m, data.gsd_m)
    with _appearing(out) as partial:
        job = _Job(model, found.model_sha256, partial, opset, fp32_scores, pictures)
        for view in wanted:
            job.export_view(view, [p for p in ("fp32", "fp16", "int8") if p in precisions])
        write(job.parities, pictures, partial)
        record = ExportRecord(
            format_version=2,
            checkpoint_sha256=found.model_sha256,
            opset=opset,
            dimension=job.parities[0].dimension,
            footprint_m=data.footprint_m,
            gsd_m=data.gsd_m,
            encoders=tuple(job.entries),
        )
        text = json.dumps(record.model_dump(mode="json", exclude_none=True), indent=1)
        durable.write_text(partial / RECORD, text + "\n")
    return out


def _check_place(out: Path) -> None:
    """Nothing but an earlier export is replaced, which is said before the work."""
    if out.is_dir() and ((out / RECORD).exists() or not any(out.iterdir())):
        return
    if out.exists() or out.is_symlink():
        raise DataError(f"{out}: exists and holds no export; choose another folder")


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder that takes the place of `out` once all that is done in it went well."""
    partial = out.with_name(f"{durable.TEMPORARY_PREFIX}{out.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        durable.publish_folder(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Job:
    """One export; `entries` and `parities` of what is done so far."""

    def __init__(
        self,
        model: GeoBridge,
        checkpoint: str,
        out: Path,
        opset: int,
        fp32_scores: bool,
        gallery: Gallery | None,
    ) -> None:
        self.model, self.checkpoint, self.out, self.opset = model, checkpoint, out, opset
        self.fp32_scores, self.gallery = fp32_scores, gallery
        self.entries: list[ExportedEncoder] = []
        self.parities: list[Parity] = []

    def export_view(self, view: View, precisions: Sequence[Precision]) -> None:
        """Write and measure the files of one view."""
        encoder: ImageEncoder = self.model.images[view.value]  # type: ignore[assignment]
        graph = graph_of(encoder, self.opset)
        truth = truth_of(self.model, view.value, self.gallery)
        single = self._path(view, "fp32")
        if "fp32" not in precisions:
            single = single.with_name(f"{durable.TEMPORARY_PREFIX}{single.name}")
        for precision in precisions:
            path = self._path(view, precision)
            log.info("exporting %s", path.name)
            metadata = metadata_of(
                view,
                precision,
                encoder.preprocess,
                truth.descriptors.shape[1],
                self.opset,
                self.checkpoint,
            )
            if precision == "fp32":
                write_graph(graph, path, metadata)
                self.parities.append(measure(truth, path, precision))
            elif precision == "fp16":
                self._half(graph, truth, path, metadata)
            else:
                self._int8(graph, truth, single, path, metadata)
            self.entries.append(_entry(view, precision, path, encoder))

    def _path(self, view: View, precision: Precision) -> Path:
        return self.out / f"{view}.{precision}.onnx"

    def _half(self, graph: ir.Model, truth: Truth, path: Path, metadata: dict[str, str]) -> None:
        half, of_probes = half_of(graph, truth, self.fp32_scores)
        rounded = of_probes
        if truth.queries:
            queries = descriptors_of(half, truth.images[-truth.queries :])
            rounded = np.concatenate([of_probes, queries])
        growth = _growth_if_bad(graph, half, truth, rounded)
        self.parities.append(judged(truth, path, "fp16", ROUNDED, rounded, growth))
        write_graph(half, path, metadata)
        self.parities.append(measure(truth, path, "fp16"))

    def _int8(
        self, graph: ir.Model, truth: Truth, single: Path, path: Path, metadata: dict[str, str]
    ) -> None:
        own = not single.exists()
        try:
            if own:
                write_graph(graph, single, {})
            write_int8(single, path, metadata)
            try:
                self.parities.append(measure(truth, path, "int8"))
            except DataError as error:
                growth = growth_in_files(single, path, truth.images[-1])
                where = "" if growth is None else f"; {growth}"
                raise DataError(f"{error}{where}") from None
        finally:
            if own:
                for file in (single, weights_path(single)):
                    file.unlink(missing_ok=True)


def half_of(graph: ir.Model, truth: Truth, fp32_scores: bool) -> tuple[ir.Model, Descriptors]:
    """The half precision graph with as few parts in single precision as its parity allows.

    First what weights and values ask for; where that is not enough the attention scores too, then
    every residual sum. The last one is returned, good or not, and its descriptors of the probes.
    """
    expected, tries = truth.descriptors[: len(truth.probes)], [(True, False), (True, True)]
    if not fp32_scores:
        tries.insert(0, (False, False))
    for scores, sums in tries:
        islands = find_islands(graph, truth.seen, scores, sums)
        half = to_half(graph, islands)
        given = descriptors_of(half, truth.probes)
        agreement = compare(expected, given)
        log.info("half precision, single for %s: worst cosine %.6f", islands, agreement.cosine_min)
        if disagreement(agreement, "fp16") is None:
            break
    for weight in islands.spoiled:
        log.warning("%s", weight)
    return half, given


def _growth_if_bad(graph: ir.Model, half: ir.Model, truth: Truth, rounded: Descriptors) -> object:
    cosines = (rounded * truth.descriptors).sum(axis=1)
    worst = int(cosines.argmin())
    if cosines[worst] >= MIN_COSINE["fp16"]:
        return None
    return growth_in_half(graph, half, truth.images[worst])


def _entry(view: View, precision: Precision, path: Path, encoder: ImageEncoder) -> ExportedEncoder:
    weights = weights_path(path)
    apart = weights.exists()
    return ExportedEncoder(
        view=view.value,
        precision=precision,
        file=path.name,
        sha256=sha256(path),
        weights=weights.name if apart else None,
        weights_sha256=sha256(weights) if apart else None,
        preprocess=PreprocessEntry(**asdict(encoder.preprocess)),
    )


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
