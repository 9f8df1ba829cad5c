"""encoders.json: what an export folder holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from geobridge.onboard.bundle import sha256
from geobridge.onboard.config import Positive, Section, first_problem
from geobridge.onboard.errors import DataError
from geobridge.onboard.manifest_entries import Precision, PreprocessEntry, Sha256
from geobridge.onboard.views import View

RECORD = "encoders.json"


class ExportedEncoder(Section):
    """One ONNX file, and the file of its weights where they are apart."""

    view: Literal["drone", "satellite", "street"]
    precision: Precision
    file: str
    sha256: Sha256
    weights: str | None = None
    weights_sha256: Sha256 | None = None
    preprocess: PreprocessEntry

    @property
    def files(self) -> dict[str, str]:
        """Names of its files and their hashes."""
        files = {self.file: self.sha256}
        if self.weights is not None and self.weights_sha256 is not None:
            files[self.weights] = self.weights_sha256
        return files

    @property
    def digest(self) -> str:
        """One hash for all of its files."""
        if self.weights_sha256 is None:
            return self.sha256
        return hashlib.sha256(f"{self.sha256}{self.weights_sha256}".encode()).hexdigest()


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
        for name, digest in entry.files.items():
            file = folder / name
            if not file.is_file() or sha256(file) != digest:
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
