"""The encoders of a bundle that is being packed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geobridge.onboard.views import View

from ..encoders import ExportRecord
from .chunks import PROVIDERS, EncoderFile


@dataclass(frozen=True)
class Exported:
    """What export wrote, and what is to run it."""

    folder: Path
    record: ExportRecord
    provider: str = PROVIDERS["cpu"]

    def encoder(self, view: View) -> EncoderFile:
        """That of a view, in single precision, which must be there."""
        entry = self.record.encoder(view)
        return EncoderFile(
            (self.folder / entry.file).absolute(),
            entry.sha256,
            entry.preprocess.spec,
            self.record.dimension,
            self.provider,
        )
