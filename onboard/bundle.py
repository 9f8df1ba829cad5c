"""The bundle on disk: what a planner prepares, a pilot carries, and nobody may change.

    manifest.json                       everything below, with size and sha256 of every file
    manifest.sig                        reserved: Ed25519 over the raw bytes of manifest.json
    encoders/<view>.<precision>.onnx    uint8 [N, H, W, 3] RGB -> float32 [N, D], unit rows
    reference/places.npy                structured rows, see PLACE; in spatial order
    reference/descriptors.npy           float16 [N, D], unit rows, same order
    reference/index.hnsw                hnswlib over the same rows
    reference/imagery/<row>_<col>.png   RGBA squares of the reference imagery, alpha 0 without data
    known_answers/<view>.{images,descriptors}.npy   pictures, and what the encoder must answer

Nothing but the manifest is parsed before its hash is checked; a file that the manifest does not
name is a reason to refuse.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from .config import NonNegative, Positive, Section, first_problem
from .errors import BundleError
from .geodesy import LocalFrame
from .preprocess import Fit, Interpolation, Preprocess
from .views import View

FORMAT_VERSION: Literal[1] = 1
KNOWN_FEATURES = frozenset({"hnsw", "imagery"})
"""What this version can fly; a bundle that requires anything else is refused."""

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
MAX_MANIFEST_BYTES = 64 << 20

PLACE = np.dtype(
    [
        ("lat_deg", "<f8"),
        ("lon_deg", "<f8"),
        ("east_m", "<f8"),
        ("north_m", "<f8"),
        ("heading_deg", "<f4"),
        ("footprint_m", "<f4"),
        ("view", "u1"),
        ("source", "<u2"),
        ("aliasing", "<f4"),
    ]
)
"""One reference: its centre, the bearing of its upper edge, the ground length of its side, the code
of its view, the row of its source, and how similar the most similar far place is (NaN: unknown)."""

Role = Literal[
    "encoder",
    "encoder_weights",
    "places",
    "descriptors",
    "index",
    "imagery",
    "known_images",
    "known_descriptors",
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FlatPath = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[a-zA-Z0-9_][a-zA-Z0-9_.\-]*){1,3}$")]


class FileEntry(Section):
    """One file of the bundle, by its path below the folder."""

    path: FlatPath
    role: Role
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class PreprocessEntry(Section):
    """`onboard.preprocess.Preprocess` as it is stored."""

    height_px: Annotated[int, Field(ge=1, le=4096)]
    width_px: Annotated[int, Field(ge=1, le=4096)]
    interpolation: Interpolation
    fit: Fit
    fill: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def spec(self) -> Preprocess:
        """The record that `preprocess.apply` takes."""
        return Preprocess(**self.model_dump())


class EncoderEntry(Section):
    """One exported image encoder."""

    view: Literal["drone", "satellite", "street"]
    precision: Literal["fp32", "fp16"]
    path: FlatPath
    opset: Annotated[int, Field(ge=7, le=30)]
    checkpoint_sha256: Sha256
    preprocess: PreprocessEntry


class DescriptorEntry(Section):
    """The space that queries and references share."""

    dimension: Annotated[int, Field(ge=2, le=8192)]
    dtype: Literal["float16"]
    metric: Literal["cosine"]
    count: Annotated[int, Field(ge=1)]


class IndexEntry(Section):
    """How the HNSW graph was built, and what it reached on held-out queries."""

    m: Annotated[int, Field(ge=2, le=128)]
    ef_construction: Annotated[int, Field(ge=1)]
    ef: Annotated[int, Field(ge=1)]
    recall_at_10: Annotated[float, Field(ge=0, le=1)]


class ImageryEntry(Section):
    """The reference imagery: a grid of squares, row 0 at the north edge, column 0 at the west."""

    gsd_m: Positive
    tile_px: Annotated[int, Field(ge=16, le=4096)]
    west_m: float
    north_m: float
    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[int, Field(ge=1)]


class SourceEntry(Section):
    """Where references came from and under which terms."""

    name: str
    sha256: Sha256
    licence: str
    attribution: str
    captured: str


class CoverageEntry(Section):
    """What the references cover, in the bundle's local frame."""

    origin_lat_deg: Annotated[float, Field(ge=-90, le=90)]
    origin_lon_deg: Annotated[float, Field(ge=-180, le=180)]
    west_m: float
    south_m: float
    east_m: float
    north_m: float
    footprint_m: Positive
    spacing_m: Positive
    sources: tuple[SourceEntry, ...]

    @property
    def frame(self) -> LocalFrame:
        """The plane in which everything metric of this bundle is done."""
        return LocalFrame(self.origin_lat_deg, self.origin_lon_deg)


class AccuracyEntry(Section):
    """1-sigma horizontal error per axis of a verified position, and the evidence for it."""

    registration_m: Positive
    """Error of the reference imagery's own georeference, which no matching can see."""
    alignment_m: NonNegative
    evidence: str


class KnownAnswersEntry(Section):
    """Pictures and descriptors of one encoder, as files."""

    view: Literal["drone", "satellite", "street"]
    images: FlatPath
    descriptors: FlatPath


class Manifest(Section):
    """The whole of manifest.json."""

    format_version: Literal[1]
    required_features: tuple[str, ...]
    bundle_version: Annotated[int, Field(ge=1)]
    producer: str
    encoders: tuple[EncoderEntry, ...]
    descriptor: DescriptorEntry
    index: IndexEntry
    imagery: ImageryEntry
    coverage: CoverageEntry
    accuracy: AccuracyEntry
    known_answers: tuple[KnownAnswersEntry, ...]
    files: tuple[FileEntry, ...]


class Bundle:
    """A verified bundle folder. Build with `Bundle.open`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Read the manifest and check every file against it.

        Raises:
            BundleError: names the file, and what differs.
        """
        manifest = parse_manifest(_read_manifest(path), str(path / MANIFEST))
        bundle = cls(path, manifest)
        bundle._check_files()
        return bundle

    def encoder(self, view: View, precision: str) -> EncoderEntry:
        """The encoder of a view.

        Raises:
            BundleError: the bundle has none, with the list of those it has.
        """
        for entry in self.manifest.encoders:
            if (entry.view, entry.precision) == (view.value, precision):
                return entry
        have = ", ".join(f"{e.view} {e.precision}" for e in self.manifest.encoders) or "none"
        raise BundleError(f"{self.path}: no {view} encoder in {precision}; it has {have}")

    def places(self) -> npt.NDArray[Any]:
        """[N] rows of `PLACE`."""
        rows = self._array("places", PLACE, (self.manifest.descriptor.count,))
        if not all(np.isfinite(rows[name]).all() for name in ("east_m", "north_m", "footprint_m")):
            raise BundleError(
                f"{self.path}: reference/places.npy holds positions that are not finite"
            )
        return rows

    def descriptors(self) -> npt.NDArray[np.float16]:
        """[N, D] float16, memory-mapped."""
        entry = self.manifest.descriptor
        return self._array("descriptors", np.dtype("<f2"), (entry.count, entry.dimension))

    def known_answers(
        self, entry: KnownAnswersEntry
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """[K, H, W, 3] pictures and the [K, D] descriptors they must give."""
        images = self._load(entry.images)
        descriptors = self._load(entry.descriptors)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise BundleError(f"{self.path / entry.images}: expected [K, H, W, 3] uint8")
        expected = (len(images), self.manifest.descriptor.dimension)
        if descriptors.dtype != np.float32 or descriptors.shape != expected:
            raise BundleError(f"{self.path / entry.descriptors}: expected {expected} float32")
        return images, descriptors

    def file(self, role: Role) -> Path:
        """The path of the one file with this role."""
        paths = [self.path / f.path for f in self.manifest.files if f.role == role]
        if len(paths) != 1:
            raise BundleError(f"{self.path}: expected one {role} file, found {len(paths)}")
        return paths[0]

    def _array(self, role: Role, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        path = self.file(role)
        array = self._load(str(path.relative_to(self.path)))
        if array.dtype != dtype or array.shape != shape:
            raise BundleError(
                f"{path}: expected {shape} {_kind(dtype)} as the manifest says,"
                f" found {array.shape} {_kind(array.dtype)}"
            )
        return array

    def _load(self, path: str) -> npt.NDArray[Any]:
        try:
            return np.asanyarray(np.load(self.path / path, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise BundleError(f"{self.path / path}: not a plain array: {error}") from None

    def _check_files(self) -> None:
        named = {entry.path for entry in self.manifest.files}
        for path in sorted(self.path.rglob("*")):
            relative = path.relative_to(self.path).as_posix()
            if path.is_symlink():
                raise BundleError(f"{path}: links are not allowed in a bundle")
            if path.is_file() and relative not in named | {MANIFEST, SIGNATURE}:
                raise BundleError(f"{path}: not named in {MANIFEST}")
        for entry in self.manifest.files:
            check_file(self.path, entry)


def _kind(dtype: np.dtype[Any]) -> str:
    return "place rows" if dtype == PLACE else str(dtype)


def check_file(folder: Path, entry: FileEntry) -> None:
    """Compare size, then sha256.

    Raises:
        BundleError: missing, of another size, or changed.
    """
    path = folder / entry.path
    try:
        size = path.stat().st_size
        if size != entry.size_bytes:
            raise BundleError(f"{path}: {size} bytes, the manifest says {entry.size_bytes}")
        found = sha256(path)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    if found != entry.sha256:
        raise BundleError(f"{path}: changed since it was packed (sha256 {found[:12]}…)")


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_entry(folder: Path, path: Path, role: Role) -> FileEntry:
    """Describe a file that lies in a bundle folder."""
    relative = path.relative_to(folder).as_posix()
    return FileEntry(path=relative, role=role, size_bytes=path.stat().st_size, sha256=sha256(path))


def parse_manifest(raw: bytes, where: str) -> Manifest:
    """Strict JSON to a manifest this version can fly.

    Raises:
        BundleError: names the key; duplicate keys, NaN, unknown keys, another format version, a
            required feature that this version does not know, a file entered twice.
    """
    try:
        tree = json.loads(raw, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: not strict JSON: {error}") from None
    version = tree.get("format_version") if isinstance(tree, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(f"{where}: format_version {version}, this version reads {FORMAT_VERSION}")
    try:
        manifest = TypeAdapter(Manifest).validate_json(raw)
    except ValidationError as error:
        raise BundleError(f"{where}: {first_problem(error)}") from None
    unknown = sorted(set(manifest.required_features) - KNOWN_FEATURES)
    if unknown:
        raise BundleError(f"{where}: requires {', '.join(unknown)}, which this version lacks")
    _check_names(manifest, where)
    return manifest


def _check_names(manifest: Manifest, where: str) -> None:
    paths = [entry.path for entry in manifest.files]
    doubled = [path for path, times in Counter(paths).items() if times > 1]
    if doubled:
        raise BundleError(f"{where}: files: {doubled[0]} is entered twice")
    wanted: list[str] = [encoder.path for encoder in manifest.encoders]
    wanted += [
        p for answers in manifest.known_answers for p in (answers.images, answers.descriptors)
    ]
    for path in wanted:
        if path not in paths:
            raise BundleError(f"{where}: {path} is used but not among files")


def _read_manifest(folder: Path) -> bytes:
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path}: larger than {MAX_MANIFEST_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{folder}: not a bundle, {MANIFEST}: {error.strerror}") from None


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest as it is written, hashed and signed."""
    return (json.dumps(manifest.model_dump(mode="json"), indent=1, allow_nan=False) + "\n").encode()


def _no_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        if key in tree:
            raise ValueError(f"key {key!r} stands twice")
        tree[key] = value
    return tree


def _no_constants(name: str) -> float:
    raise ValueError(f"{name} is not a number")
