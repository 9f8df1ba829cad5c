"""manifest.json: what a bundle holds, strictly typed, and which bundles this version flies."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from .config import Section, first_problem
from .errors import BundleError
from .manifest_entries import (
    MAX_FOOTPRINT_PX,
    AccuracyEntry,
    CoverageEntry,
    DescriptorEntry,
    EncoderEntry,
    FileEntry,
    ImageryEntry,
    KnownAnswersEntry,
    LayerEntry,
    TerrainEntry,
)
from .strict_json import strict_json
from .views import View

FORMAT_VERSION: Literal[2] = 2
KNOWN_FEATURES = frozenset({"drone", "external_weights", "imagery", "int8", "street", "terrain"})
"""What this version can fly; a bundle that requires anything else is refused.

`drone`, `street`: some places are such pictures, whose scores are on another scale than those of
satellite squares. `imagery`, `terrain`: there is reference imagery, there are heights.
"""


class Manifest(Section):
    """The whole of manifest.json."""

    format_version: Literal[2]
    required_features: tuple[str, ...]
    bundle_version: Annotated[int, Field(ge=1)]
    producer: str
    encoders: tuple[EncoderEntry, ...]
    descriptor: DescriptorEntry
    layers: Annotated[tuple[LayerEntry, ...], Field(min_length=1)]
    imagery: ImageryEntry | None
    terrain: TerrainEntry | None
    coverage: CoverageEntry
    accuracy: AccuracyEntry
    known_answers: tuple[KnownAnswersEntry, ...]
    files: tuple[FileEntry, ...]

    @property
    def reference_imagery(self) -> ImageryEntry:
        """The imagery of a bundle that must have some.

        Raises:
            BundleError: it has none.
        """
        if self.imagery is None:
            raise BundleError("the bundle holds no reference imagery")
        return self.imagery


def parse_manifest(raw: bytes, where: str) -> Manifest:
    """Strict JSON to a manifest this version can fly.

    Raises:
        BundleError: names the key; duplicate keys, NaN, unknown keys, another format version, a
            required feature that this version does not know, a file entered twice.
    """
    try:
        tree = strict_json(raw)
    except ValueError as error:
        raise BundleError(f"{where}: not strict JSON: {error}") from None
    version = tree.get("format_version") if isinstance(tree, dict) else None
    if type(version) is not int or version != FORMAT_VERSION:
        raise BundleError(
            f"{where}: format_version {version!r}, this version reads {FORMAT_VERSION}"
        )
    _check_features(tree.get("required_features"), where)
    try:
        manifest = TypeAdapter(Manifest).validate_json(raw)
    except ValidationError as error:
        raise BundleError(f"{where}: {first_problem(error)}") from None
    _check_names(manifest, where)
    return manifest


def _check_features(required: Any, where: str) -> None:
    """Before the rest is looked at, for a feature may bring keys that are not known either."""
    features = required if isinstance(required, list) else []
    unknown = sorted({str(feature) for feature in features} - KNOWN_FEATURES)
    if unknown:
        raise BundleError(f"{where}: requires {', '.join(unknown)}, which this version lacks")


def _check_names(manifest: Manifest, where: str) -> None:
    paths = [entry.path for entry in manifest.files]
    doubled = [path for path, times in Counter(paths).items() if times > 1]
    if doubled:
        raise BundleError(f"{where}: files: {doubled[0]} is entered twice")
    _check_layers(manifest, where)
    checkpoints = {encoder.checkpoint_sha256 for encoder in manifest.encoders}
    if len(checkpoints) > 1:
        raise BundleError(f"{where}: encoders: of {len(checkpoints)} checkpoints, expected one")
    wanted: list[str] = [encoder.path for encoder in manifest.encoders]
    wanted += [encoder.weights for encoder in manifest.encoders if encoder.weights]
    wanted += [layer.graph.path for layer in manifest.layers if layer.graph is not None]
    wanted += [manifest.terrain.path] if manifest.terrain is not None else []
    wanted += [
        p for answers in manifest.known_answers for p in (answers.images, answers.descriptors)
    ]
    for path in wanted:
        if path not in paths:
            raise BundleError(f"{where}: {path} is used but not among files")


def _check_layers(manifest: Manifest, where: str) -> None:
    """Runs that follow each other and hold every place, no two of one view and footprint."""
    end, imagery = 0, manifest.imagery
    for number, layer in enumerate(manifest.layers):
        if layer.first != end:
            raise BundleError(
                f"{where}: layers.{number}.first: expected {end}, found {layer.first}"
            )
        end += layer.count
        is_square = layer.view != View.STREET.value
        if imagery and is_square and layer.footprint_m / imagery.gsd_m > MAX_FOOTPRINT_PX:
            raise BundleError(
                f"{where}: layers.{number}.footprint_m is more than {MAX_FOOTPRINT_PX} px wide"
            )
    if end != manifest.descriptor.count:
        raise BundleError(
            f"{where}: layers hold {end} places, descriptor.count says {manifest.descriptor.count}"
        )
    kinds = Counter((layer.view, layer.footprint_m) for layer in manifest.layers)
    if max(kinds.values()) > 1:
        raise BundleError(f"{where}: layers: two of one view and footprint")


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest as it is written, hashed and signed."""
    return (json.dumps(manifest.model_dump(mode="json"), indent=1, allow_nan=False) + "\n").encode()
