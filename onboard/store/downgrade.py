"""A signed word that one store may go back: from this version, to that very bundle.

BUNDLE.downgrade   64 bytes of signature, then strict JSON: format_version, below_version, and the
                   SHA-256 of the manifest

The floor of the store stays where it is, so the word is of no use once a newer bundle came.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from ..config_file import Section, first_problem
from ..errors import BundleError
from ..signing import BUNDLE_DOMAINS, DOWNGRADE_DOMAIN, SIGNATURE_BYTES
from ..strict_json import strict_json
from ..trust import Trust

MAX_BYTES = 4096


class Downgrade(Section):
    """What was signed."""

    format_version: Literal[1]
    below_version: Annotated[int, Field(ge=2)]
    """The newest version that the store has seen."""
    manifest_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def downgrade_path(bundle: Path) -> Path:
    """Beside a bundle, never in it."""
    named = bundle.resolve() if bundle.name in ("", "..") else bundle
    return named.with_name(f"{named.name}.downgrade")


def downgrade_bytes(manifest: bytes, below_version: int) -> bytes:
    """What is to be signed."""
    word = Downgrade(
        format_version=1,
        below_version=below_version,
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
    )
    return json.dumps(word.model_dump()).encode()


def check_downgrade(path: Path, manifest: bytes, newest_version: int, trust: Trust) -> None:
    """Whether a trusted key let this store go back from its newest version to this manifest.

    Raises:
        BundleError: names the file, and why not.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    signature, raw = content[:SIGNATURE_BYTES], content[SIGNATURE_BYTES:]
    vouching = [key for key in trust.keys if key.purpose in BUNDLE_DOMAINS]
    if len(content) > MAX_BYTES or not any(
        key.signed(DOWNGRADE_DOMAIN, raw, signature) for key in vouching
    ):
        raise BundleError(f"{path}: no word of a trusted key")
    try:
        strict_json(raw)
        word = TypeAdapter(Downgrade).validate_json(raw)
    except ValidationError as error:
        raise BundleError(f"{path}: {first_problem(error)}") from None
    except ValueError as error:
        raise BundleError(f"{path}: not strict JSON: {error}") from None
    if word.manifest_sha256 != hashlib.sha256(manifest).hexdigest():
        raise BundleError(f"{path}: about another bundle")
    if word.below_version != newest_version:
        raise BundleError(
            f"{path}: from version {word.below_version}, but {newest_version} is the newest here"
        )
