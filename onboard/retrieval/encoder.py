"""Picture to descriptor: the bundle's preprocessing, the engine, and a check of what came out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..bundle import Bundle
from ..engines.engine import (
    NORM_TOLERANCE,
    Engine,
    EngineSettings,
    check_descriptors,
    open_engine,
)
from ..engines.header import check_header
from ..errors import BundleError, EngineError
from ..manifest_entries import KnownAnswersEntry
from ..preprocess import Preprocess, apply
from ..records import Image, Mask
from ..views import View

MIN_KNOWN_COSINE = 0.995
"""Cosine that an encoder must reach on the bundle's known answers; FP16 reaches 0.9995."""


class Encoder:
    """One view's encoder. `encode` gives unit descriptors or an error, nothing between."""

    def __init__(self, engine: Engine, preprocess: Preprocess, dimension: int) -> None:
        self.engine = engine
        self.preprocess = preprocess
        self.dimension = dimension

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        view: View,
        engine: str,
        precision: str,
        settings: EngineSettings | None = None,
    ) -> Encoder:
        """The bundle's encoder, warm, after it gave the bundle's known answers.

        Raises:
            BundleError: there is none, its file says something else of itself than the manifest, or
                it answers differently than when it was packed.
            EngineError: the engine is not usable here.
        """
        entry = bundle.encoder(view, precision)
        dimension, model = bundle.manifest.descriptor.dimension, bundle.path / entry.path
        check_header(model, entry, dimension)
        weights = bundle.path / entry.weights if entry.weights else None
        runtime = open_engine(engine, model, weights, settings)
        encoder = cls(runtime, entry.preprocess.spec, dimension)
        encoder.check_known_answers(bundle, view, precision)
        return encoder

    def prepare(self, image: Image, valid: Mask | None = None) -> Image:
        """[H, W, 3] of any size to the [h, w, 3] that the encoder sees."""
        return apply(image, self.preprocess, valid)

    def encode(self, prepared: Sequence[Image] | Image) -> npt.NDArray[np.float32]:
        """[N, h, w, 3] prepared pictures to [N, D] unit descriptors.

        Raises:
            EngineError: not of the bundle's dimension, not finite, or not of unit length.
        """
        descriptors = self.engine.run(np.ascontiguousarray(np.stack(list(prepared)), np.uint8))
        if descriptors.shape != (len(prepared), self.dimension):
            expected = (len(prepared), self.dimension)
            raise EngineError(f"encoder gave {descriptors.shape}, the bundle says {expected}")
        check_descriptors(descriptors, "encoder")
        return descriptors

    def check_known_answers(self, bundle: Bundle, view: View, precision: str = "fp32") -> None:
        """Encode the bundle's own pictures and compare.

        Raises:
            BundleError: an answer differs, or the bundle holds none for this view.
        """
        entry = _answers_for(bundle, view, precision)
        images, expected = bundle.known_answers(entry) if entry else ((), np.empty((0, 0)))
        if entry is None or len(images) == 0:
            raise BundleError(f"{bundle.path}: no known answers for the {view} encoder")
        if not np.all(np.abs(np.linalg.norm(expected, axis=1) - 1.0) <= NORM_TOLERANCE):
            raise BundleError(f"{bundle.path / entry.descriptors}: not of unit length")
        answers = self.encode([self.prepare(np.asarray(image)) for image in images])
        worst = float(np.min(np.sum(answers * expected, axis=1)))
        if not worst >= MIN_KNOWN_COSINE:
            raise BundleError(
                f"{bundle.path}: the {view} encoder answers differently here than when packed"
                f" (cosine {worst:.4f}, needed {MIN_KNOWN_COSINE})"
            )


def _answers_for(bundle: Bundle, view: View, precision: str) -> KnownAnswersEntry | None:
    """An encoder's own, else those of the one in single precision."""
    of_view = {a.precision: a for a in bundle.manifest.known_answers if a.view == view.value}
    return of_view.get(precision, of_view.get("fp32"))  # type: ignore[call-overload,no-any-return]
