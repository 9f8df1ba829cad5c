"""The encoders of a bundle that is being packed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geobridge.onboard.views import View

from ..record import ExportedEncoder, ExportRecord
from .chunks import ENGINES, EncoderFile


@dataclass(frozen=True)
class Exported:
    """What export wrote, and what is to run it."""

    folder: Path
    record: ExportRecord
    engine: str = ENGINES["cpu"]

    def encoder(self, view: View) -> EncoderFile:
        """That of a view, in single precision, which must be there."""
        return self.file(self.record.encoder(view))

    def file(self, entry: ExportedEncoder) -> EncoderFile:
        """What is to be opened of an entry."""
        return EncoderFile(
            (self.folder / entry.file).absolute(),
            entry.digest,
            entry.preprocess.spec,
            self.record.dimension,
            self.engine,
        )
