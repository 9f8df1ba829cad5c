"""Encoders as they fly: an ONNX file or a bundle, by the engine and the preparation on board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geobridge.onboard.engines.engine import Engine, check_descriptors
from geobridge.onboard.errors import DataError
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.records import Image
from geobridge.onboard.views import View

from .standing import Descriptors

BATCH = 32
"""So many pictures at a time go through an engine."""


@dataclass(frozen=True)
class Encoded:
    """The encoder of one view."""

    engine: Engine
    preprocess: Preprocess
    digest: str


class FlyingDescriber:
    """The encoders of some views in one precision; words they do not know."""

    def __init__(self, name: str, encoders: Mapping[View, Encoded]) -> None:
        self.name = name
        self.encoders = encoders
        self.digest = "-".join(encoder.digest for encoder in encoders.values())

    @property
    def sides(self) -> Sequence[str]:
        """The views."""
        return [view.value for view in self.encoders]

    def preprocess(self, view: View) -> Preprocess:
        """As it was exported."""
        return self.encoders[view].preprocess

    def pictures(self, view: View, images: Image) -> Descriptors:
        """[N, H, W, 3] to [N, D].

        Raises:
            EngineError: descriptors that are not finite or of unit length.
        """
        engine = self.encoders[view].engine
        parts = [
            engine.run(np.ascontiguousarray(images[at : at + BATCH]))
            for at in range(0, len(images), BATCH)
        ]
        descriptors = np.concatenate(parts)
        check_descriptors(descriptors, f"{self.name}, {view}")
        return descriptors

    def words(self, texts: Sequence[str]) -> Descriptors:
        """Never.

        Raises:
            DataError: always; what flies has no text tower.
        """
        raise DataError(f"{self.name}: has no text tower")
