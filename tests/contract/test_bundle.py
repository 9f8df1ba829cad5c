from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geobridge.onboard.bundle import MANIFEST, PLACE, SEAL, SIGNATURE, Bundle, sha256
from geobridge.onboard.bundle import write_manifest as seal_manifest
from geobridge.onboard.errors import BundleError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.views import View

COUNT, DIMENSION = 6, 4
TEXT_SHA = hashlib.sha256(b"").hexdigest()
FILES = {
    "encoders/drone.fp32.onnx": "encoder",
    "reference/places.npy": "places",
    "reference/descriptors.npy": "descriptors",
    "reference/graphs/0.faiss": "graph",
    "reference/imagery/0_0.png": "imagery",
    "known_answers/drone.images.npy": "known_images",
    "known_answers/drone.descriptors.npy": "known_descriptors",
}

Tree = dict[str, Any]


def write_files(folder: Path) -> None:
    rng = np.random.default_rng(7)
    for path in FILES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(rng.bytes(90))
    places = np.zeros(COUNT, PLACE)
    places["east_m"], places["footprint_m"] = np.arange(COUNT) * 40.0, 150.0
    there = np.column_stack([places["east_m"], places["north_m"]])
    places["lat_deg"], places["lon_deg"] = LocalFrame(33.6425, 72.9925).to_geodetic(there)
    np.save(folder / "reference/places.npy", places)
    descriptors = rng.normal(size=(COUNT, DIMENSION)).astype(np.float16)
    np.save(folder / "reference/descriptors.npy", descriptors)
    pictures = rng.integers(0, 255, (2, 8, 8, 3)).astype(np.uint8)
    np.save(folder / "known_answers/drone.images.npy", pictures)
    answers = rng.normal(size=(2, DIMENSION)).astype(np.float32)
    np.save(folder / "known_answers/drone.descriptors.npy", answers)


def manifest(folder: Path) -> Tree:
    """Spelt out and not taken from the code, as an earlier release would have written it."""
    preprocess = {
        "height_px": 8,
        "width_px": 8,
        "interpolation": "bicubic",
        "fit": "squash",
        "fill": [1, 2, 3],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
    }
    source = {"name": "ortho", "kind": "raster", "licence": "", "attribution": "", "notes": []}
    source["captured"] = "2024-05-01"
    return {
        "format_version": 2,
        "required_features": ["imagery"],
        "bundle_version": 3,
        "producer": "a test",
        "encoders": [
            {
                "view": "drone",
                "precision": "fp32",
                "path": "encoders/drone.fp32.onnx",
                "opset": 20,
                "checkpoint_sha256": TEXT_SHA,
                "preprocess": preprocess,
            }
        ],
        "descriptor": {
            "dimension": DIMENSION,
            "dtype": "float16",
            "metric": "cosine",
            "count": COUNT,
        },
        "layers": [layer(0, COUNT)],
        "terrain": None,
        "imagery": {
            "gsd_m": 0.5,
            "tile_px": 256,
            "west_m": -64.0,
            "north_m": 64.0,
            "rows": 1,
            "columns": 1,
        },
        "coverage": {
            "origin_lat_deg": 33.6425,
            "origin_lon_deg": 72.9925,
            "west_m": -64.0,
            "south_m": -64.0,
            "east_m": 64.0,
            "north_m": 64.0,
            "footprint_m": 150.0,
            "spacing_m": 40.0,
            "sources": [source | {"sha256": TEXT_SHA}],
        },
        "accuracy": {"registration_m": 2.0, "alignment_m": 3.0, "evidence": "none"},
        "known_answers": [
            {
                "view": "drone",
                "images": "known_answers/drone.images.npy",
                "descriptors": "known_answers/drone.descriptors.npy",
            }
        ],
        "files": [
            {
                "path": path,
                "role": role,
                "size_bytes": (folder / path).stat().st_size,
                "sha256": hashlib.sha256((folder / path).read_bytes()).hexdigest(),
            }
            for path, role in FILES.items()
        ],
    }


def layer(first: int, count: int) -> Tree:
    path = "reference/graphs/0.faiss"
    return {
        "view": "satellite",
        "footprint_m": 150.0,
        "spacing_m": 40.0,
        "apart_m": 300.0,
        "first": first,
        "count": count,
        "graph": {"path": path, "m": 16, "ef_construction": 200, "ef": 64, "recall_at_10": 0.99},
        "scores": {
            "queries": 9,
            "genuine": [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95],
            "impostor": [-0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4],
            "alike": 0.9,
        },
    }


def write_manifest(folder: Path, tree: Tree) -> None:
    seal(folder, json.dumps(tree, indent=1).encode())


def seal(folder: Path, raw: bytes) -> None:
    """Any bytes for a manifest, with the digest that belongs to them."""
    (folder / MANIFEST).write_bytes(raw)
    (folder / SEAL).write_text(hashlib.sha256(raw).hexdigest() + "\n")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "area.bundle"
    folder.mkdir()
    write_files(folder)
    write_manifest(folder, manifest(folder))
    return folder


@pytest.fixture
def folder(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "area.bundle"))


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as error:
        Bundle.open(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_whole_bundle_opens(folder: Path) -> None:
    (folder / SIGNATURE).write_bytes(b"reserved")
    bundle = Bundle.open(folder)
    assert bundle.places()["east_m"].tolist() == [0.0, 40.0, 80.0, 120.0, 160.0, 200.0]
    assert bundle.descriptors().shape == (COUNT, DIMENSION)
    assert isinstance(bundle.descriptors(), np.memmap)
    images, answers = bundle.known_answers(bundle.manifest.known_answers[0])
    assert (images.shape, answers.shape) == ((2, 8, 8, 3), (2, DIMENSION))
    encoder = bundle.encoder(View.DRONE, "fp32")
    assert encoder.preprocess.spec == Preprocess(
        8, 8, "bicubic", "squash", (1, 2, 3), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    )
    assert bundle.manifest.coverage.frame.origin_lat_deg == 33.6425
    assert bundle.file("graph") == folder / "reference/graphs/0.faiss"


def test_what_is_written_reads_back_the_same(folder: Path) -> None:
    before = Bundle.open(folder).manifest
    (folder / MANIFEST).unlink()
    seal_manifest(folder, before)
    assert Bundle.open(folder).manifest == before


@pytest.mark.parametrize("seed", range(200))
def test_one_changed_byte_anywhere_is_refused(seed: int, packed: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    path = packed / list(FILES)[seed % len(FILES)]
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= int(rng.integers(1, 256))
    folder = tmp_path / "area.bundle"
    shutil.copytree(packed, folder, copy_function=os.link)
    changed = folder / path.relative_to(packed)
    changed.unlink()
    changed.write_bytes(content)
    assert f"{changed}: changed since it was packed" in refusal(folder)


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_manifest_is_refused(seed: int, folder: Path) -> None:
    rng = np.random.default_rng(1000 + seed)
    content = bytearray((folder / MANIFEST).read_bytes())
    for at in rng.integers(0, len(content), 1 + seed % 3):
        content[at] ^= int(rng.integers(1, 256))
    (folder / MANIFEST).write_bytes(content)
    assert f"{MANIFEST}: changed since it was packed" in refusal(folder)


def test_a_damaged_or_missing_seal_is_refused(folder: Path) -> None:
    seal_text = (folder / SEAL).read_bytes()
    for wrong in (seal_text[:-1], b"", seal_text.upper(), seal_text + b"\n"):
        (folder / SEAL).write_bytes(wrong)
        assert SEAL in refusal(folder)
    (folder / SEAL).unlink()
    assert SEAL in refusal(folder)


def test_places_whose_coordinates_contradict_each_other_are_refused(folder: Path) -> None:
    places = np.load(folder / "reference/places.npy")
    places["lat_deg"] += 1e-5
    with pytest.raises(BundleError, match="lie elsewhere than their east and north"):
        repacked(folder, "reference/places.npy", places).places()


@pytest.mark.parametrize("path", FILES)
def test_a_missing_a_shorter_and_a_longer_file_are_refused(path: str, folder: Path) -> None:
    content = (folder / path).read_bytes()
    for wrong in (content[:-1], content + b"\0"):
        (folder / path).write_bytes(wrong)
        assert f"{path}: {len(wrong)} bytes, the manifest says {len(content)}" in refusal(folder)
    (folder / path).unlink()
    assert f"{path}: missing, or not a file" in refusal(folder)
    (folder / path).mkdir()
    assert f"{path}: " in refusal(folder)


def change(*keys: str | int, to: Any) -> Callable[[Tree], None]:
    def edit(tree: Tree) -> None:
        node: Any = tree
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = to

    return edit


def drop(*keys: str | int) -> Callable[[Tree], None]:
    def edit(tree: Tree) -> None:
        node: Any = tree
        for key in keys[:-1]:
            node = node[key]
        del node[keys[-1]]

    return edit


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (change("format_version", to=1), "format_version 1, this version reads 2"),
        (change("format_version", to="2"), "format_version '2', this version reads 2"),
        (drop("format_version"), "format_version None"),
        (
            change("required_features", to=["imagery", "night"]),
            "requires night, which this version",
        ),
        (change("colour", to="red"), "colour: unknown key"),
        (change("imagery", "colour", to="red"), "imagery.colour: unknown key"),
        (drop("accuracy"), "accuracy: Field required"),
        (drop("encoders", 0, "preprocess", "fit"), "encoders.0.preprocess.fit: Field required"),
        (change("encoders", 0, "preprocess", "fill", to=[1, 2]), "encoders.0.preprocess.fill"),
        (change("encoders", 0, "preprocess", "width_px", to=8.5), "encoders.0.preprocess.width_px"),
        (change("encoders", 0, "view", to="uav"), "encoders.0.view"),
        (change("descriptor", "dtype", to="float32"), "descriptor.dtype"),
        (change("descriptor", "count", to=0), "descriptor.count"),
        (change("bundle_version", to="3"), "bundle_version"),
        (change("coverage", "origin_lat_deg", to=91), "coverage.origin_lat_deg"),
        (change("accuracy", "registration_m", to=-1.0), "accuracy.registration_m"),
        (change("files", 0, "sha256", to=TEXT_SHA.upper()), "files.0.sha256"),
        (change("files", 0, "role", to="boss"), "files.0.role"),
        (change("files", to=[]), "encoders/drone.fp32.onnx is used but not among files"),
        (change("layers", to=[]), "layers: "),
        (change("layers", 0, "first", to=1), "layers.0.first: expected 0, found 1"),
        (change("layers", 0, "count", to=5), "layers hold 5 places, descriptor.count says 6"),
        (change("layers", 0, "footprint_m", to=9e3), "layers.0.footprint_m is more than 4096 px"),
        (change("layers", 0, "graph", "path", to="reference/x"), "reference/x is used but not"),
        (
            change("layers", to=[layer(0, 2), layer(2, 4)]),
            "layers: two of one view and footprint",
        ),
        (drop("files", 6), "known_answers/drone.descriptors.npy is used but not among files"),
    ],
)
def test_a_wrong_manifest_names_the_key(
    edit: Callable[[Tree], None], complaint: str, folder: Path
) -> None:
    tree = manifest(folder)
    edit(tree)
    write_manifest(folder, tree)
    assert f"{MANIFEST}: {complaint}" in refusal(folder)


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "reference/../../x",
        "reference/..",
        "/etc/passwd",
        "reference//x",
        "reference/./x",
        "./reference/x",
        "reference/.hidden",
        "reference\\x",
        "manifest.json",
        "reference/x\n",
        "reference/x\0",
        "a/b/c/d/e",
        "",
    ],
)
def test_a_path_that_leaves_the_bundle_or_hides_is_refused(path: str, folder: Path) -> None:
    tree = manifest(folder)
    tree["files"].append({"path": path, "role": "imagery", "size_bytes": 0, "sha256": TEXT_SHA})
    write_manifest(folder, tree)
    assert f"{MANIFEST}: files.7.path: " in refusal(folder)


def test_a_file_entered_twice_is_refused(folder: Path) -> None:
    tree = manifest(folder)
    tree["files"].append(tree["files"][3])
    write_manifest(folder, tree)
    assert "reference/graphs/0.faiss is entered twice" in refusal(folder)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('"producer"', '"producer": "x",\n "producer"', "key 'producer' stands twice"),
        ('"m": 16', '"m": 8, "m": 16', "key 'm' stands twice"),
        ('"registration_m": 2.0', '"registration_m": NaN', "NaN is not a number"),
        ('"alignment_m": 3.0', '"alignment_m": Infinity', "Infinity is not a number"),
        ('"west_m": -64.0', '"west_m": -Infinity', "-Infinity is not a number"),
        ('"west_m": -64.0', '"west_m": 1e999', "imagery.west_m"),
        ('"bundle_version": 3', '"bundle_version": 3,', "not strict JSON"),
        ('{\n "format_version"', "", "not strict JSON"),
    ],
)
def test_loose_json_is_refused(before: str, after: str, complaint: str, folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    assert before in text
    seal(folder, text.replace(before, after, 1).encode())
    assert complaint in refusal(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"1", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 200_000, b'{"a": "\xff"}'],
    ids=lambda content: repr(content[:8]),
)
def test_what_is_no_manifest_at_all_is_refused(content: bytes, folder: Path) -> None:
    seal(folder, content)
    assert MANIFEST in refusal(folder)


def test_a_file_that_nobody_named_is_refused(folder: Path) -> None:
    stranger = folder / "reference" / "extra.npy"
    stranger.touch()
    assert f"{stranger}: not named in {MANIFEST}" in refusal(folder)


def test_links_are_refused(folder: Path, tmp_path: Path) -> None:
    index = folder / "reference/graphs/0.faiss"
    index.rename(tmp_path / "same content")
    index.symlink_to(tmp_path / "same content")
    assert f"{index}: links are not allowed" in refusal(folder)


def test_a_linked_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    reference = folder / "reference"
    reference.rename(tmp_path / "elsewhere")
    reference.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert f"{reference}: links are not allowed" in refusal(folder)


def test_what_is_no_bundle_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        assert MANIFEST in refusal(path)


def repacked(folder: Path, path: str, array: Any) -> Bundle:
    """Another array under the same name, honestly hashed."""
    with (folder / path).open("wb") as file:
        np.save(file, array, allow_pickle=True)
    write_manifest(folder, manifest(folder))
    return Bundle.open(folder)


DESCRIPTORS = np.ones((COUNT, DIMENSION), np.float16)


@pytest.mark.parametrize(
    "array",
    [
        DESCRIPTORS[:, :-1],
        DESCRIPTORS[:-1],
        DESCRIPTORS.astype(np.float32),
        DESCRIPTORS.astype(">f2"),
        DESCRIPTORS.ravel(),
        np.array([{"a": "pickle"}], object),
    ],
    ids=["dimension", "count", "dtype", "byte order", "flat", "objects"],
)
def test_descriptors_other_than_the_manifest_says_are_refused(array: Any, folder: Path) -> None:
    bundle = repacked(folder, "reference/descriptors.npy", array)
    with pytest.raises(BundleError, match=r"reference/descriptors\.npy: "):
        bundle.descriptors()


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickle was here",)


def test_a_pickle_in_the_place_of_an_array_is_not_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "reference/descriptors.npy").write_bytes(pickle.dumps(Payload()))
    write_manifest(folder, manifest(folder))
    with pytest.raises(BundleError, match=r"descriptors\.npy: not a plain array"):
        Bundle.open(folder).descriptors()
    assert not (tmp_path / "pickle was here").exists()


PLACES = np.zeros(COUNT, PLACE)
NOWHERE = PLACES.copy()
NOWHERE["north_m"][3] = np.nan


@pytest.mark.parametrize(
    "array",
    [PLACES[:-1], PLACES[["lat_deg", "lon_deg"]], np.zeros(COUNT), NOWHERE],
    ids=["count", "columns", "plain", "not finite"],
)
def test_places_other_than_the_manifest_says_are_refused(array: Any, folder: Path) -> None:
    bundle = repacked(folder, "reference/places.npy", array)
    with pytest.raises(BundleError, match=r"reference/places\.npy"):
        bundle.places()


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("images", np.zeros((2, 8, 8), np.uint8)),
        ("images", np.zeros((2, 8, 8, 3), np.float32)),
        ("descriptors", np.zeros((3, DIMENSION), np.float32)),
        ("descriptors", np.zeros((2, DIMENSION + 1), np.float32)),
        ("descriptors", np.zeros((2, DIMENSION), np.float64)),
    ],
)
def test_known_answers_of_another_shape_are_refused(name: str, array: Any, folder: Path) -> None:
    bundle = repacked(folder, f"known_answers/drone.{name}.npy", array)
    with pytest.raises(BundleError, match=rf"known_answers/drone\.{name}\.npy: expected"):
        bundle.known_answers(bundle.manifest.known_answers[0])


def test_an_encoder_that_is_not_there_is_named_with_those_that_are(folder: Path) -> None:
    with pytest.raises(BundleError, match="no street encoder in fp32; it has drone fp32"):
        Bundle.open(folder).encoder(View.STREET, "fp32")


def test_hash_of_a_large_file_is_the_hash_of_all_of_it(tmp_path: Path) -> None:
    content = np.random.default_rng(3).bytes((2 << 20) + 5)
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("genuine", "impostor", "least"),
    [
        ([0.7] * 7, [0.0, 0.0, 0.0, 0.0, 0.1, 0.3, 0.4], 0.3),
        ([0.1] * 7, [-0.2, -0.1, 0.0, 0.0, 0.1, 0.3, 0.4], 0.05),
    ],
    ids=["an encoder that tells places apart", "one that hardly does"],
)
def test_what_a_right_place_must_score(
    folder: Path, genuine: list[float], impostor: list[float], least: float
) -> None:
    tree = manifest(folder)
    tree["layers"][0]["scores"] |= {"genuine": genuine, "impostor": impostor}
    write_manifest(folder, tree)
    scores = Bundle.open(folder).manifest.layers[0].scores
    assert scores is not None
    assert scores.min_score == pytest.approx(least)
