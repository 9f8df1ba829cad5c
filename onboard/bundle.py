"""The bundle on disk: what a planner prepares, a pilot carries, and nobody may change.

    manifest.json                       everything below, with size and sha256 of every file
    manifest.sha256                     hex digest of the raw bytes of manifest.json
    manifest.sig                        Ed25519 over the raw bytes of manifest.json, see `signing`
    encoders/<view>.<precision>.onnx    uint8 [N, H, W, 3] RGB -> float32 [N, D], unit rows
    reference/places.npy                structured rows, see PLACE; layer by layer, in spatial order
    reference/descriptors.npy           float16 [N, D], unit rows, same order
    reference/digests.npy               uint8 [N, 16], of what each descriptor was made from
    reference/graphs/<layer>.faiss      HNSW over the rows of a layer too large for exact search
    reference/imagery/<row>_<col>.png   RGBA squares of the reference imagery, alpha 0 without data
    reference/terrain.npy               float32 [R, C] heights of the surface, see `terrain`
    known_answers/<view>.{images,descriptors}.npy   pictures, and what the encoder must answer

The digest beside the manifest finds damage; forgery is the signature's to find, for whoever says
which keys to trust. Nothing is parsed before its hash is checked, and a file that the manifest does
not name is a reason to refuse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import durable
from .errors import BundleError
from .manifest import Manifest, manifest_bytes, parse_manifest
from .manifest_entries import EncoderEntry, FileEntry, KnownAnswersEntry, Role
from .signing import SIGNATURE_BYTES, TrustedKey, signer_of
from .trust import Trust
from .views import View

MANIFEST, SEAL, SIGNATURE = "manifest.json", "manifest.sha256", "manifest.sig"
MAX_MANIFEST_BYTES = 64 << 20
FEATURELESS, WATER = 1, 2
"""Flags of a place: too little in it to align with; open water."""
DIGEST_BYTES = 16
MAX_DISAGREEMENT_M = 0.05
"""Between a place's latitude and longitude and its east and north."""

PLACE = np.dtype(
    [
        ("lat_deg", "<f8"),
        ("lon_deg", "<f8"),
        ("east_m", "<f8"),
        ("north_m", "<f8"),
        ("heading_deg", "<f4"),
        ("footprint_m", "<f4"),
        ("view", "u1"),
        ("flags", "u1"),
        ("source", "<u2"),
        ("aliasing", "<f4"),
    ]
)
"""One reference: its centre, the bearing of its upper edge, the ground length of its side, the code
of its view, what is wrong with it, the row of its source, and how similar the most similar place
of its layer farther than `apart_m` is (-1: there is none; NaN: unknown).

Of a street picture: where the camera stood, the bearing of its middle column (NaN: unknown), and
how far around it the ground is that it shows."""


class Bundle:
    """A verified bundle folder. Build with `Bundle.open`.

    `signed_by` is the fingerprint of the trusted key that signed it; None where nobody was asked.
    """

    def __init__(self, path: Path, manifest: Manifest, signer: TrustedKey | None = None) -> None:
        self.path = path
        self.manifest = manifest
        self.signed_by = signer.fingerprint if signer else None
        self.is_for_development = signer is not None and signer.purpose == "development"

    @classmethod
    def open(cls, path: Path, trusted_keys: Sequence[Path] | Trust = ()) -> Bundle:
        """Read the manifest and check every file against it.

        Args:
            path: the folder.
            trusted_keys: public keys, or the trust of a device; if any are given, one of them must
                have signed the bundle, which is found out before anything of it is parsed.

        Raises:
            BundleError: names the file, and what differs; not signed by a trusted key.
            ConfigError: a trusted key that is none.
        """
        raw = read_manifest(path)
        signer = check_signature(path, raw, trusted_keys) if trusted_keys else None
        bundle = cls(path, parse_manifest(raw, str(path / MANIFEST)), signer)
        bundle._check_files()
        return bundle

    @property
    def size_bytes(self) -> int:
        """Of all files that the manifest names."""
        return sum(file.size_bytes for file in self.manifest.files)

    @property
    def has_signature(self) -> bool:
        """Whether somebody signed it, whoever that was."""
        return (self.path / SIGNATURE).exists()

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
        enu_m = self.manifest.coverage.frame.to_enu(rows["lat_deg"], rows["lon_deg"])
        stated_m = np.column_stack([rows["east_m"], rows["north_m"]])
        agree = np.abs(enu_m - stated_m) <= MAX_DISAGREEMENT_M
        if not (agree.all() and np.isfinite(rows["footprint_m"]).all()):
            raise BundleError(
                f"{self.path}: reference/places.npy: positions that are not finite, or"
                " whose latitude and longitude lie elsewhere than their east and north"
            )
        return rows

    def descriptors(self) -> npt.NDArray[np.float16]:
        """[N, D] float16, memory-mapped."""
        entry = self.manifest.descriptor
        return self._array("descriptors", np.dtype("<f2"), (entry.count, entry.dimension))

    def digests(self) -> npt.NDArray[np.uint8]:
        """[N, 16] of what each descriptor was made from, see `export.encoding.digest`."""
        count = self.manifest.descriptor.count
        return self._array("digests", np.dtype(np.uint8), (count, DIGEST_BYTES))

    def terrain(self) -> npt.NDArray[np.float32]:
        """[R, C] heights AMSL at the nodes that the manifest's terrain describes."""
        entry = self.manifest.terrain
        if entry is None:
            raise BundleError(f"{self.path}: carries no terrain")
        return self._array("terrain", np.dtype("<f4"), (entry.rows, entry.columns))

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
        except Exception as error:  # numpy parses the header as Python, which fails in many ways
            raise BundleError(f"{self.path / path}: not a plain array: {error}") from None

    def _check_files(self) -> None:
        named = {entry.path for entry in self.manifest.files}
        for path in sorted(self.path.rglob("*")):
            relative = path.relative_to(self.path).as_posix()
            if path.is_symlink():
                raise BundleError(f"{path}: links are not allowed in a bundle")
            if not path.is_dir() and relative not in named | {MANIFEST, SEAL, SIGNATURE}:
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
        if not path.is_file():
            raise BundleError(f"{path}: missing, or not a file")
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


def read_manifest(folder: Path) -> bytes:
    """The raw bytes of the manifest, as they are hashed and signed.

    Raises:
        BundleError: missing, too large, or not those that were packed.
    """
    path = folder / MANIFEST
    try:
        if not path.is_file() or path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{folder}: not a bundle, {MANIFEST} is missing or not a small file")
        raw, seal = path.read_bytes(), (folder / SEAL).read_bytes()
    except OSError as error:
        raise BundleError(f"{error.filename}: {error.strerror}") from None
    if seal != seal_of(raw):
        raise BundleError(f"{path}: changed since it was packed, {SEAL} differs")
    return raw


def check_signature(folder: Path, raw: bytes, trusted_keys: Sequence[Path] | Trust) -> TrustedKey:
    """The trusted key that signed these very bytes, which nobody has parsed yet.

    Raises:
        BundleError: not signed, or by none of them.
        ConfigError: a trusted key that is none.
    """
    trust = trusted_keys if isinstance(trusted_keys, Trust) else Trust.of_files(trusted_keys)
    path = folder / SIGNATURE
    if not path.is_file():
        raise BundleError(f"{folder}: not signed, and only a trusted key may vouch for it")
    try:
        with path.open("rb") as file:
            signature = file.read(SIGNATURE_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    signer = signer_of(raw, signature, trust.keys)
    if signer is None:
        trusted = ", ".join(key.fingerprint for key in trust.keys)
        raise BundleError(f"{path}: by an unknown key, or of another manifest; trusted: {trusted}")
    return signer


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest and the digest beside it."""
    raw = manifest_bytes(manifest)
    durable.write_bytes(folder / MANIFEST, raw)
    durable.write_bytes(folder / SEAL, seal_of(raw))


def seal_of(raw: bytes) -> bytes:
    """What stands in the file beside a manifest."""
    return hashlib.sha256(raw).hexdigest().encode() + b"\n"
