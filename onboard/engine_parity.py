"""Does an engine on this very computer find what the bundle's single precision encoder finds?

A plan that was built without an error is no proof: half precision engines of vision transformers
have been wrong in several TensorRT releases, quietly. Both encode the same squares of the bundle's
own imagery, moved between its places, beside black, white, noise and saturated pictures; the
squares are looked for among the bundle's descriptors.
"""

from __future__ import annotations

import logging
import time

import numpy as np
import numpy.typing as npt

from .agreement import Agreement, compare, disagreement
from .bundle import Bundle
from .engines.engine import EngineSettings
from .errors import BundleError, EngineError
from .records import Image
from .retrieval.encoder import Encoder
from .retrieval.imagery import ReferenceImagery
from .views import VIEW_CODES, View

log = logging.getLogger(__name__)

QUERIES = 200
ASIDE = 0.125
"""How far from a place its query lies, in footprints; by default halfway to the next place."""
BATCH = 8


def engine_parity(
    bundle: Bundle, engine: str, precision: str, settings: EngineSettings
) -> Agreement:
    """The drone's encoder in an engine against the same in single precision by ONNX Runtime.

    Raises:
        BundleError: the bundle has no such encoder, or imagery for no two queries.
        EngineError: the engine is not available, or differs more than its precision explains.
    """
    single = Encoder.open(bundle, View.DRONE, "onnxruntime", "fp32", settings)
    tried = Encoder.open(bundle, View.DRONE, engine, precision, settings)
    squares = _squares(bundle)
    prepared = [single.prepare(image) for image in (*_adversarial(single), *squares)]
    expected = _encoded(single, prepared, "onnxruntime fp32")
    given = _encoded(tried, prepared, f"{engine} {precision}")
    places = bundle.places()
    rows = np.flatnonzero(places["view"] == VIEW_CODES[View.SATELLITE])
    references = bundle.descriptors()[rows].astype(np.float32)
    agreement = compare(expected, given, references, len(squares))
    if problem := disagreement(agreement, precision):
        raise EngineError(f"{bundle.path}: {engine} {precision}: {problem}")
    return agreement


def _squares(bundle: Bundle) -> list[Image]:
    """Of up to `QUERIES` places all over the bundle, each a little aside of the place."""
    if bundle.manifest.imagery is None:
        raise BundleError(f"{bundle.path}: has no imagery to compare engines on")
    imagery, places = ReferenceImagery.open(bundle), bundle.places()
    places = places[places["view"] == VIEW_CODES[View.SATELLITE]]
    if len(places) < 2:
        raise BundleError(f"{bundle.path}: has no two squares to compare engines on")
    rng, squares = np.random.default_rng(0), []
    for row in np.unique(np.linspace(0, len(places) - 1, QUERIES).astype(int)):
        east_m, north_m, footprint_m = (
            float(places[key][row]) for key in ("east_m", "north_m", "footprint_m")
        )
        aside_m = rng.uniform(-ASIDE, ASIDE, 2) * footprint_m
        side_px = round(footprint_m / imagery.entry.gsd_m)
        image, _, _ = imagery.read(east_m + aside_m[0], north_m + aside_m[1], side_px)
        squares.append(image)
    return squares


def _adversarial(encoder: Encoder) -> list[Image]:
    shape = (encoder.preprocess.height_px, encoder.preprocess.width_px, 3)
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, shape).astype(np.uint8)
    saturated = (255 * rng.integers(0, 2, shape)).astype(np.uint8)
    return [np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), noise, saturated]


def _encoded(encoder: Encoder, prepared: list[Image], who: str) -> npt.NDArray[np.float32]:
    started, parts = time.monotonic(), []
    for start in range(0, len(prepared), BATCH):
        parts.append(encoder.encode(prepared[start : start + BATCH]))
        if start == 0:
            whole_s = (time.monotonic() - started) * len(prepared) / BATCH
            log.info("%s: %d pictures, about %.0f s", who, len(prepared), whole_s)
    return np.concatenate(parts)
