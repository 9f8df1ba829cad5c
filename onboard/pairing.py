"""Do the parts of a bundle belong together? What hashes and shapes cannot say.

A known answer of an encoder is a reference square of its own view: where the index was made by that
encoder, it holds a place that answers alike.
"""

from __future__ import annotations

import numpy as np

from .bundle import Bundle
from .errors import BundleError
from .retrieval.index import Index
from .views import View

MIN_OWN_COSINE = 0.9
"""Of a reference square to the place it was cut at; the file of descriptors has half precision."""


def check_pairing(bundle: Bundle, index: Index) -> None:
    """Every known answer for a view of squares must be found on the map.

    Raises:
        BundleError: the index holds descriptors of another encoder.
    """
    for entry in bundle.manifest.known_answers:
        view = View(entry.view)
        if view is View.STREET or entry.precision != "fp32" or not index.of(view):
            continue
        _, descriptors = bundle.known_answers(entry)
        found = [index.search(np.asarray(each), 1, view=view) for each in descriptors]
        worst = min(candidates[0].score if candidates else -1.0 for candidates in found)
        if not worst >= MIN_OWN_COSINE:
            raise BundleError(
                f"{bundle.path}: the places were described by another encoder than the one for"
                f" {view} (a known picture scores {worst:.3f} on the map, needed {MIN_OWN_COSINE})"
            )
