"""Do the parts of a bundle belong together? What hashes and shapes cannot say.

Squares of the bundle's own imagery, cut where its places say they lie and shown to its own encoder,
must give the descriptors that its index holds for them. An index of another encoder, imagery of
another place, scale or origin, and places that moved are all found by this one question.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .bundle import Bundle
from .errors import BundleError
from .retrieval.encoder import Encoder
from .retrieval.imagery import ReferenceImagery
from .retrieval.index import Index
from .views import View

PRECISIONS = ("fp32", "fp16", "int8")

ASKED = 12
"""Places of each layer, spread over it."""
MIN_COSINE = 0.98
"""Of a square to what the index has: 0.9999 is usual, half precision and 8 bits give less."""


def check_pairing(bundle: Bundle, index: Index, engine: str) -> None:
    """Ask the satellite encoder, if there is one, about places of every satellite layer.

    Raises:
        BundleError: one of them is not what the index says.
        EngineError: the encoder cannot run here.
    """
    view = View.SATELLITE
    precisions = [entry.precision for entry in bundle.manifest.encoders if entry.view == view.value]
    if not precisions or bundle.manifest.imagery is None:
        return
    encoder = Encoder.open(bundle, view, engine, min(precisions, key=PRECISIONS.index))
    imagery = ReferenceImagery.open(bundle)
    for layer in index.of(view):
        entry = layer.entry
        rows = np.unique(np.linspace(0, entry.count - 1, ASKED).round().astype(int)) + entry.first
        worst = min(_score(index, imagery, encoder, int(row)) for row in rows)
        if not worst >= MIN_COSINE:
            raise BundleError(
                f"{bundle.path}: imagery, places and descriptors of the {entry.footprint_m:g} m"
                f" squares do not belong together: the encoder gives a cosine of"
                f" {worst:.3f} to what the index holds, needed {MIN_COSINE}"
            )


def _score(index: Index, imagery: ReferenceImagery, encoder: Encoder, row: int) -> float:
    place = index.places[row]
    size_px = round(float(place["footprint_m"]) / imagery.entry.gsd_m)
    square, valid, _ = imagery.read(float(place["east_m"]), float(place["north_m"]), size_px)
    [found] = encoder.encode([encoder.prepare(square, valid)])
    held: npt.NDArray[np.float32] = np.asarray(index.descriptors[row], np.float32)
    return float(found @ held)
