"""The last step of packing: all parts into the files of a bundle, and the manifest over them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geobridge.onboard.bundle import file_entry, write_manifest
from geobridge.onboard.geodesy import Floats
from geobridge.onboard.manifest import FORMAT_VERSION, Manifest
from geobridge.onboard.manifest_entries import (
    AccuracyEntry,
    CoverageEntry,
    DescriptorEntry,
    EncoderEntry,
    FileEntry,
    KnownAnswersEntry,
    LayerEntry,
    Role,
)
from geobridge.onboard.preprocess import resize
from geobridge.onboard.records import Image
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.views import View

from .encoding.exported import Exported
from .gather import EncodedLayer, Gathered, centres_m
from .measures.aliasing import aliasing
from .measures.graphs import write_graph
from .measures.scores import scores_of
from .plan import Plan
from .record import ExportedEncoder

log = logging.getLogger(__name__)

KNOWN_PICTURES = 6
ALIGNMENT_PX = 1.5
"""1-sigma error of aligning a frame with the imagery, in its pixels; a default, see `EVIDENCE`."""
EVIDENCE = "default values; not calibrated on flights over this area"
APART = 2.0
"""Footprints between places that count as different ones; they share no ground from 1.42 on."""


def assemble(plan: Plan, gathered: Gathered, exported: Exported, folder: Path, work: Path) -> None:
    """Write encoders, places, descriptors, graphs, known answers and the manifest."""
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
        shutil.copyfile(exported.folder / entry.file, folder / encoder.path)
        add(encoder.path, "encoder")
        if entry.weights and encoder.weights:
            shutil.copyfile(exported.folder / entry.weights, folder / encoder.weights)
            add(encoder.weights, "encoder_weights")
    layers = _layers(gathered, folder, work)
    save("reference/places.npy", np.concatenate([e.places for e in gathered.layers]), "places")
    descriptors = np.concatenate([each.descriptors for each in gathered.layers])
    save("reference/descriptors.npy", descriptors, "descriptors")
    digests = np.concatenate([each.digests for each in gathered.layers])
    save("reference/digests.npy", digests, "digests")
    for layer in layers:
        if layer.graph is not None:
            add(layer.graph.path, "graph")
    if gathered.terrain is not None:
        save(gathered.terrain[0].path, gathered.terrain[1], "terrain")
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
        images, given = _known_answers(gathered, exported, entry)
        save(answers.images, images, "known_images")
        save(answers.descriptors, given, "known_descriptors")
        known.append(answers)
    write_manifest(
        folder, _manifest(plan, gathered, tuple(encoders), layers, tuple(known), tuple(files))
    )


def _layers(gathered: Gathered, folder: Path, work: Path) -> tuple[LayerEntry, ...]:
    """The entries of all layers; the aliasing of their places is filled in."""
    entries: list[LayerEntry] = []
    first = 0
    for number, layer in enumerate(gathered.layers):
        centres, apart_m = centres_m(layer.places), APART * layer.footprint_m
        layer.places["aliasing"] = aliasing(layer.descriptors, centres, apart_m)
        held_out = layer.held_out if len(layer.held_out) else _middles(layer.descriptors)
        path = f"reference/graphs/{number}.faiss"
        scores = scores_of(
            layer.flown,
            layer.held_out_m,
            layer.held_out,
            layer.descriptors,
            centres,
            near_m=layer.spacing_m or 0.0,
            apart_m=apart_m,
        )
        entries.append(
            LayerEntry(
                view=layer.view.value,
                footprint_m=layer.footprint_m,
                spacing_m=layer.spacing_m,
                apart_m=apart_m,
                first=first,
                count=len(layer.places),
                graph=write_graph(layer.descriptors, held_out, folder, path, work / "graphs"),
                scores=scores,
            )
        )
        first += len(layer.places)
    return tuple(entries)


def _middles(descriptors: npt.NDArray[np.float16], most: int = 200) -> npt.NDArray[np.float16]:
    """[Q, D] halfway between neighbours, where no pictures between places are to be had."""
    step = max(1, len(descriptors) // most)
    pairs = np.asarray(descriptors, np.float32)[::step][: most + 1]
    middles = pairs[:-1] + pairs[1:]
    unit = middles / np.linalg.norm(middles, axis=1, keepdims=True)
    return np.asarray(unit, np.float16)


def _known_answers(
    gathered: Gathered, exported: Exported, entry: ExportedEncoder
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Pictures from all over the area, and what the encoder says to them now."""
    encoder, view = exported.file(entry).open(), View(entry.view)
    layer = next((each for each in gathered.layers if each.view is view), gathered.layers[0])
    shown = layer.shown
    rows = np.unique(np.linspace(0, len(shown.places) - 1, KNOWN_PICTURES).round().astype(int))
    pictures = [shown.pictures(int(row))[0] for row in rows]
    if layer.view is View.STREET:
        pictures = [_small(picture, encoder) for picture in pictures]
    images = np.stack(pictures)
    return images, encoder.encode([encoder.prepare(image) for image in images])


def _small(picture: Image, encoder: Encoder) -> Image:
    """A street picture of twice the encoder's input: all alike, and no burden to carry."""
    spec = encoder.preprocess
    return resize(picture, 2 * spec.height_px, 2 * spec.width_px, spec.interpolation)


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
    gathered: Gathered,
    encoders: tuple[EncoderEntry, ...],
    layers: tuple[LayerEntry, ...],
    known: tuple[KnownAnswersEntry, ...],
    files: tuple[FileEntry, ...],
) -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        required_features=tuple(_features(gathered, encoders)),
        bundle_version=plan.bundle_version,
        producer=f"geobridge-uav {version('geobridge-uav')}",
        encoders=encoders,
        descriptor=DescriptorEntry(
            dimension=plan.record.dimension,
            dtype="float16",
            metric="cosine",
            count=sum(layer.count for layer in layers),
        ),
        layers=layers,
        imagery=gathered.imagery_entry,
        terrain=gathered.terrain[0] if gathered.terrain else None,
        coverage=_coverage(plan, gathered),
        accuracy=AccuracyEntry(
            registration_m=plan.registration_m,
            alignment_m=ALIGNMENT_PX * plan.gsd_m,
            evidence=EVIDENCE,
        ),
        known_answers=known,
        files=files,
    )


def _features(gathered: Gathered, encoders: Sequence[EncoderEntry]) -> list[str]:
    views = {layer.view for layer in gathered.layers}
    there = {
        "drone": View.DRONE in views,
        "external_weights": any(encoder.weights for encoder in encoders),
        "imagery": gathered.imagery_entry is not None,
        "int8": any(encoder.precision == "int8" for encoder in encoders),
        "street": View.STREET in views,
        "terrain": gathered.terrain is not None,
    }
    return [name for name, is_there in there.items() if is_there]


def _coverage(plan: Plan, gathered: Gathered) -> CoverageEntry:
    """Around the squares; around street pictures where there is nothing else."""
    squares = [layer for layer in gathered.layers if layer.view is not View.STREET]
    smallest: EncodedLayer = min(squares or gathered.layers, key=lambda each: each.footprint_m)
    corners: list[Floats] = []
    for layer in squares or gathered.layers:
        centres = centres_m(layer.places)
        corners += [centres - layer.footprint_m / 2, centres + layer.footprint_m / 2]
    (west, south), (east, north) = (
        reach(np.concatenate(corners), axis=0) for reach in (np.min, np.max)
    )
    return CoverageEntry(
        origin_lat_deg=gathered.frame.origin_lat_deg,
        origin_lon_deg=gathered.frame.origin_lon_deg,
        west_m=float(west),
        south_m=float(south),
        east_m=float(east),
        north_m=float(north),
        footprint_m=smallest.footprint_m,
        spacing_m=smallest.spacing_m or smallest.footprint_m,
        sources=plan.sources,
    )
