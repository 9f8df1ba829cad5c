"""A bundle that is whole and small: a land of 64 m from noise, and an encoder of one product.

Everything in it belongs together, so that a test can spoil one thing and sign the rest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from geobridge.export.graphs.files import metadata_of
from geobridge.export.keys import new_key
from geobridge.export.signing import sign
from geobridge.onboard.bundle import PLACE, file_entry, write_manifest
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.manifest import Manifest
from geobridge.onboard.manifest_entries import (
    AccuracyEntry,
    CoverageEntry,
    DescriptorEntry,
    EncoderEntry,
    FileEntry,
    GraphEntry,
    ImageryEntry,
    KnownAnswersEntry,
    LayerEntry,
    PreprocessEntry,
    Role,
    TerrainEntry,
)
from geobridge.onboard.preprocess import Preprocess, apply
from geobridge.onboard.records import Image
from geobridge.onboard.retrieval.graph import Graph, build
from geobridge.onboard.retrieval.imagery import tile_path
from geobridge.onboard.retrieval.layer import spatial_order
from geobridge.onboard.views import VIEW_CODES, View

FRAME = LocalFrame(47.4, 8.5)
GSD_M, TILE_PX, TILES, HALF_M = 0.5, 64, 2, 32.0
FOOTPRINT_M, SPACING_M, SIDE = 16.0, 8.0, 7
SIDE_PX, DIMENSION = 8, 16
SPEC = Preprocess(SIDE_PX, SIDE_PX, "box", "squash", (0, 0, 0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
VIEWS = (View.DRONE, View.SATELLITE)
ROLES: dict[str, Role] = {
    "reference/places.npy": "places",
    "reference/descriptors.npy": "descriptors",
    "reference/digests.npy": "digests",
    "reference/graphs/0.faiss": "graph",
    "reference/terrain.npy": "terrain",
}


def signed_bundle(folder: Path, version: int = 1, seed: int = 0) -> Path:
    """A bundle of this version, signed by `release` beside it."""
    small_bundle(folder, version, seed)
    key = folder.parent / "release"
    if not key.with_suffix(".key").exists():
        new_key(key)
    sign(folder, key.with_suffix(".key"))
    return folder


def small_bundle(folder: Path, version: int = 1, seed: int = 0) -> Path:
    """A bundle that nobody has signed; another seed is another land and another encoder."""
    rng = np.random.default_rng(seed)
    for name in ("encoders", "reference/imagery", "reference/graphs", "known_answers"):
        (folder / name).mkdir(parents=True)
    land = cv2.resize(
        rng.integers(0, 256, (61, 61, 3)).astype(np.uint8),
        (128, 128),
        interpolation=cv2.INTER_CUBIC,
    )
    weights = rng.normal(size=(SIDE_PX * SIDE_PX * 3, DIMENSION)).astype(np.float32)
    checkpoint = hashlib.sha256(weights.tobytes()).hexdigest()
    for view in VIEWS:
        _encoder(folder / f"encoders/{view.value}.fp32.onnx", view, weights, checkpoint)
    squares, places = _places(land)
    prepared = np.stack([apply(square, SPEC) for square in squares])
    descriptors = encoded(prepared, weights)
    _imagery(folder, land)
    known = np.linspace(0, len(squares) - 1, 6).astype(int)
    for view in VIEWS:
        np.save(folder / f"known_answers/{view.value}.images.npy", np.stack(squares)[known])
        np.save(folder / f"known_answers/{view.value}.descriptors.npy", descriptors[known])
    halves = descriptors.astype(np.float16)
    np.save(folder / "reference/places.npy", places)
    np.save(folder / "reference/descriptors.npy", halves)
    np.save(folder / "reference/digests.npy", rng.integers(0, 256, (len(places), 16), np.uint8))
    np.save(folder / "reference/terrain.npy", np.full((5, 5), 400.0, np.float32))
    Graph(build(halves), 16).save(folder / "reference/graphs/0.faiss")
    write_manifest(folder, _manifest(folder, version, checkpoint, len(places)))
    return folder


def encoded(prepared: Image, weights: np.ndarray) -> np.ndarray:
    """[N, 8, 8, 3] to [N, D], as the graph does it."""
    flat = (prepared.astype(np.float32) / 64.0 - 2.0).reshape(len(prepared), -1) @ weights
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def _encoder(path: Path, view: View, weights: np.ndarray, checkpoint: str) -> None:
    constants = {
        "scale": np.float32(64.0),
        "middle": np.float32(2.0),
        "shape": np.array([-1, weights.shape[0]], np.int64),
        "weights": weights,
        "axes": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["f", "scale"], ["s"]),
        helper.make_node("Sub", ["s", "middle"], ["c"]),
        helper.make_node("Reshape", ["c", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["product"]),
        helper.make_node("ReduceL2", ["product", "axes"], ["length"], keepdims=1),
        helper.make_node("Div", ["product", "length"], ["descriptors"]),
    ]
    shape = ["batch", SIDE_PX, SIDE_PX, 3]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("descriptors", TensorProto.FLOAT, ["batch", DIMENSION])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    metadata = metadata_of(view, "fp32", SPEC, DIMENSION, 20, checkpoint)
    helper.set_model_props(model, metadata)
    onnx.save(model, str(path))


def _places(land: Image) -> tuple[list[Image], np.ndarray]:
    """Squares of the land and their rows, by rows of a lattice."""
    steps = (np.arange(SIDE) - SIDE // 2) * SPACING_M
    north_m, east_m = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))

    order = spatial_order(east_m, north_m)
    east_m, north_m = east_m[order], north_m[order]
    half = round(FOOTPRINT_M / GSD_M / 2)
    squares = []
    for east, north in zip(east_m, north_m, strict=True):
        column, row = round((east + HALF_M) / GSD_M), round((HALF_M - north) / GSD_M)
        squares.append(land[row - half : row + half, column - half : column + half].copy())
    places = np.zeros(len(squares), PLACE)
    places["east_m"], places["north_m"] = east_m, north_m
    places["lat_deg"], places["lon_deg"] = FRAME.to_geodetic(np.column_stack([east_m, north_m]))
    places["footprint_m"], places["view"] = FOOTPRINT_M, VIEW_CODES[View.SATELLITE]
    places["aliasing"] = -1.0
    return squares, places


def _imagery(folder: Path, land: Image) -> None:
    rgba = np.dstack([land[..., ::-1], np.full(land.shape[:2], 255, np.uint8)])
    for row in range(TILES):
        for column in range(TILES):
            tile = rgba[row * TILE_PX :, column * TILE_PX :][:TILE_PX, :TILE_PX]
            cv2.imwrite(str(folder / tile_path(row, column)), tile)


def _files(folder: Path) -> tuple[FileEntry, ...]:
    roles = dict(ROLES)
    for view in VIEWS:
        roles[f"encoders/{view.value}.fp32.onnx"] = "encoder"
        roles[f"known_answers/{view.value}.images.npy"] = "known_images"
        roles[f"known_answers/{view.value}.descriptors.npy"] = "known_descriptors"
    for path in (folder / "reference/imagery").iterdir():
        roles[f"reference/imagery/{path.name}"] = "imagery"
    return tuple(file_entry(folder, folder / path, role) for path, role in sorted(roles.items()))


def _manifest(folder: Path, version: int, checkpoint: str, count: int) -> Manifest:
    preprocess = PreprocessEntry(
        height_px=SPEC.height_px,
        width_px=SPEC.width_px,
        interpolation=SPEC.interpolation,
        fit=SPEC.fit,
        fill=SPEC.fill,
        mean=SPEC.mean,
        std=SPEC.std,
    )
    return Manifest(
        format_version=2,
        required_features=("imagery", "terrain"),
        bundle_version=version,
        producer="a test",
        encoders=tuple(
            EncoderEntry(
                view=view.value,
                precision="fp32",
                path=f"encoders/{view.value}.fp32.onnx",
                opset=20,
                checkpoint_sha256=checkpoint,
                preprocess=preprocess,
            )
            for view in VIEWS
        ),
        descriptor=DescriptorEntry(
            dimension=DIMENSION, dtype="float16", metric="cosine", count=count
        ),
        layers=(
            LayerEntry(
                view="satellite",
                footprint_m=FOOTPRINT_M,
                spacing_m=SPACING_M,
                apart_m=2.0 * FOOTPRINT_M,
                first=0,
                count=count,
                graph=GraphEntry(
                    path="reference/graphs/0.faiss",
                    m=16,
                    ef_construction=200,
                    ef=16,
                    recall_at_10=1.0,
                ),
                scores=None,
            ),
        ),
        imagery=ImageryEntry(
            gsd_m=GSD_M, tile_px=TILE_PX, west_m=-HALF_M, north_m=HALF_M, rows=TILES, columns=TILES
        ),
        terrain=TerrainEntry(
            path="reference/terrain.npy",
            spacing_m=16.0,
            west_m=-HALF_M,
            north_m=HALF_M,
            rows=5,
            columns=5,
        ),
        coverage=CoverageEntry(
            origin_lat_deg=47.4,
            origin_lon_deg=8.5,
            west_m=-HALF_M,
            south_m=-HALF_M,
            east_m=HALF_M,
            north_m=HALF_M,
            footprint_m=FOOTPRINT_M,
            spacing_m=SPACING_M,
            sources=(),
        ),
        accuracy=AccuracyEntry(registration_m=1.0, alignment_m=1.0, evidence="none"),
        known_answers=tuple(
            KnownAnswersEntry(
                view=view.value,
                images=f"known_answers/{view.value}.images.npy",
                descriptors=f"known_answers/{view.value}.descriptors.npy",
            )
            for view in VIEWS
        ),
        files=_files(folder),
    )
