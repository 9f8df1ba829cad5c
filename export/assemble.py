"""The last step of packing: all parts into the files of a bundle, and the manifest over them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sized
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import numpy.typing as npt

from geobridge.onboard.bundle import file_entry, write_manifest
from geobridge.onboard.engines.onnxruntime import OnnxRuntimeEngine
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.manifest import (
    FORMAT_VERSION,
    AccuracyEntry,
    CoverageEntry,
    DescriptorEntry,
    EncoderEntry,
    FileEntry,
    ImageryEntry,
    IndexEntry,
    KnownAnswersEntry,
    Manifest,
    Role,
)
from geobridge.onboard.preprocess import resize
from geobridge.onboard.records import Image
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.index import build_graph, graph_recall
from geobridge.onboard.views import VIEW_CODES, View

from .plan import Plan
from .record import ExportedEncoder
from .references.places import square_of

log = logging.getLogger(__name__)

HNSW_M, HNSW_EF_CONSTRUCTION = 16, 200
HNSW_EFS = (16, 32, 64, 128, 256, 512)
RECALL_TARGET = 0.99
KNOWN_PICTURES = 6
ALIGNMENT_PX = 1.5
"""1-sigma error of aligning a frame with the imagery, in its pixels; a default, see `EVIDENCE`."""
EVIDENCE = "default values; not calibrated on flights over this area"


@dataclass(frozen=True)
class Parts:
    """What the stages before made of the raster and the street pictures.

    `places` and `descriptors` are of all views in one spatial order, `held_out` of squares that
    are no place.
    """

    frame: LocalFrame
    imagery_entry: ImageryEntry
    imagery: ReferenceImagery
    places: npt.NDArray[Any]
    descriptors: npt.NDArray[np.float16]
    held_out: npt.NDArray[np.float16]
    street_pictures: tuple[Path, ...]

    @property
    def squares(self) -> npt.NDArray[Any]:
        """The places that are squares of the raster."""
        return np.asarray(self.places[self.places["view"] == VIEW_CODES[View.SATELLITE]])


def assemble(plan: Plan, parts: Parts, exported: Path, folder: Path) -> None:
    """Write encoders, places, descriptors, index, known answers and the manifest."""
    files: list[FileEntry] = []

    def add(path: str, role: Role) -> None:
        files.append(file_entry(folder, folder / path, role))

    def save(path: str, array: npt.NDArray[Any], role: Role) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / path, array, allow_pickle=False)
        add(path, role)

    encoders = [_encoder_entry(plan, entry) for entry in plan.record.encoders]
    for entry, encoder in zip(plan.record.encoders, encoders, strict=True):
        (folder / encoder.path).parent.mkdir(exist_ok=True)
        shutil.copyfile(exported / entry.file, folder / encoder.path)
        add(encoder.path, "encoder")
        if entry.weights and encoder.weights:
            shutil.copyfile(exported / entry.weights, folder / encoder.weights)
            add(encoder.weights, "encoder_weights")
    save("reference/places.npy", parts.places, "places")
    save("reference/descriptors.npy", parts.descriptors, "descriptors")
    graph, index = build_index(parts.descriptors, parts.held_out)
    graph.save_index(str(folder / "reference/index.hnsw"))
    add("reference/index.hnsw", "index")
    for tile in sorted((folder / "reference/imagery").glob("*.png")):
        add(tile.relative_to(folder).as_posix(), "imagery")
    known = []
    for entry in plan.record.encoders:
        if entry.precision == "fp16":
            continue  # is asked what the single precision one answers
        own = "" if entry.precision == "fp32" else f".{entry.precision}"
        answers = KnownAnswersEntry(
            view=entry.view,
            precision=entry.precision,
            images=f"known_answers/{entry.view}{own}.images.npy",
            descriptors=f"known_answers/{entry.view}{own}.descriptors.npy",
        )
        images, descriptors = _known_answers(plan, parts, exported, entry)
        save(answers.images, images, "known_images")
        save(answers.descriptors, descriptors, "known_descriptors")
        known.append(answers)
    manifest = _manifest(plan, parts, tuple(encoders), index, tuple(known), tuple(files))
    write_manifest(folder, manifest)


def build_index(
    descriptors: npt.NDArray[np.float16], held_out: npt.NDArray[np.float16]
) -> tuple[hnswlib.Index, IndexEntry]:
    """The graph, and the smallest search width that finds enough for the held-out queries."""
    graph = build_graph(descriptors, HNSW_M, HNSW_EF_CONSTRUCTION)
    queries = held_out.astype(np.float32)
    for ef in HNSW_EFS:
        recall = graph_recall(graph, descriptors, queries, ef)
        if recall >= RECALL_TARGET:
            break
    log.info("HNSW recall@10 %.3f on %d held-out queries with ef %d", recall, len(queries), ef)
    entry = IndexEntry(
        m=HNSW_M, ef_construction=HNSW_EF_CONSTRUCTION, ef=ef, recall_at_10=round(recall, 4)
    )
    return graph, entry


def _known_answers(
    plan: Plan, parts: Parts, exported: Path, entry: ExportedEncoder
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Pictures from all over the area, and what the encoder says to them now."""
    engine = OnnxRuntimeEngine(exported / entry.file)
    encoder = Encoder(engine, entry.preprocess.spec, plan.record.dimension)
    if entry.view == View.STREET.value and parts.street_pictures:
        pictures = [
            _small(parts.street_pictures[i], encoder) for i in _spread(parts.street_pictures)
        ]
    else:
        squares = parts.squares
        pictures = [square_of(squares[i], parts.imagery)[0] for i in _spread(squares)]
    return np.stack(pictures), encoder.encode([encoder.prepare(each) for each in pictures])


def _spread(places: Sized) -> npt.NDArray[np.int64]:
    return np.linspace(0, len(places) - 1, KNOWN_PICTURES).round().astype(np.int64)


def _small(path: Path, encoder: Encoder) -> Image:
    """A street picture of twice the encoder's input: all alike, and no burden to carry."""
    spec = encoder.preprocess
    return resize(read_picture(path), 2 * spec.height_px, 2 * spec.width_px, spec.interpolation)


def _encoder_entry(plan: Plan, entry: ExportedEncoder) -> EncoderEntry:
    return EncoderEntry(
        view=entry.view,
        precision=entry.precision,
        path=f"encoders/{entry.file}",
        weights=f"encoders/{entry.weights}" if entry.weights else None,
        opset=plan.record.opset,
        checkpoint_sha256=plan.record.checkpoint_sha256,
        preprocess=entry.preprocess,
    )


def _manifest(
    plan: Plan,
    parts: Parts,
    encoders: tuple[EncoderEntry, ...],
    index: IndexEntry,
    known: tuple[KnownAnswersEntry, ...],
    files: tuple[FileEntry, ...],
) -> Manifest:
    east, north, half = parts.squares["east_m"], parts.squares["north_m"], plan.footprint_m / 2
    street = ("street",) if parts.street_pictures else ()
    int8 = ("int8",) if any(encoder.precision == "int8" for encoder in encoders) else ()
    apart = ("external_weights",) if any(encoder.weights for encoder in encoders) else ()
    return Manifest(
        format_version=FORMAT_VERSION,
        required_features=("hnsw", "imagery", *street, *int8, *apart),
        bundle_version=plan.bundle_version,
        producer=f"geobridge-uav {version('geobridge-uav')}",
        encoders=encoders,
        descriptor=DescriptorEntry(
            dimension=plan.record.dimension,
            dtype="float16",
            metric="cosine",
            count=len(parts.places),
        ),
        index=index,
        imagery=parts.imagery_entry,
        coverage=CoverageEntry(
            origin_lat_deg=parts.frame.origin_lat_deg,
            origin_lon_deg=parts.frame.origin_lon_deg,
            west_m=float(east.min()) - half,
            south_m=float(north.min()) - half,
            east_m=float(east.max()) + half,
            north_m=float(north.max()) + half,
            footprint_m=plan.footprint_m,
            spacing_m=plan.spacing_m,
            sources=plan.sources,
        ),
        accuracy=AccuracyEntry(
            registration_m=plan.registration_m,
            alignment_m=ALIGNMENT_PX * plan.gsd_m,
            evidence=EVIDENCE,
        ),
        known_answers=known,
        files=files,
    )
