"""What a score is worth with these encoders on this map: right places against wrong ones.

Nobody has flown here yet, so a drone's pictures are made of the reference imagery between places:
changed as another day and camera would change them, and seen by the drone's encoder. Real pictures
differ more, so right scores are lower than these; wrong ones hardly change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geobridge.onboard.geodesy import Floats
from geobridge.onboard.manifest_entries import SCORE_SHARES, Quantiles, ScoresEntry
from geobridge.training.appearance.augment import another_day
from geobridge.training.appearance.beyond import gone_on

from ..references.places import Picture

STRENGTH = 0.6
"""Of the change of appearance, between the mildest and the hardest that training shows."""


@dataclass(frozen=True)
class AnotherDay:
    """Pictures as a drone's camera may see them on another day; the same ones every time.

    Where the map ends they go on: a drone sees some ground there, and an outline in common would
    make right scores too good.
    """

    pictures: Callable[[int], Picture]

    def __call__(self, row: int) -> Picture:
        """A picture, changed; it shows ground all over."""
        image, valid = self.pictures(row)
        if valid is not None:
            image = gone_on(image, valid)
        return another_day(image, np.random.default_rng(row), STRENGTH), None


def scores_of(
    queries: npt.NDArray[np.float16],
    query_centres_m: Floats,
    between: npt.NDArray[np.float16],
    descriptors: npt.NDArray[np.float16],
    centres_m: Floats,
    near_m: float,
    apart_m: float,
) -> ScoresEntry | None:
    """Quantiles of right and wrong scores; None where the map is too small for wrong ones.

    Args:
        queries: [Q, D] of a drone's pictures.
        query_centres_m: [Q, 2] where they were taken.
        between: [Q, D] of the same squares as references see them.
        descriptors: [N, D] of the places.
        centres_m: [N, 2] of them.
        near_m: a place within shows the same ground.
        apart_m: a place beyond shows none of it.
    """
    genuine, impostor, alike = [], [], []
    for query, centre, square in zip(queries, query_centres_m, between, strict=True):
        away = np.hypot(*(centres_m - centre).T)
        near, far = np.flatnonzero(away <= near_m), np.flatnonzero(away > apart_m)
        if not len(near) or not len(far):
            continue
        close = np.asarray(descriptors[near], np.float32)
        genuine.append(float((close @ query.astype(np.float32)).max()))
        alike.append(float((close @ square.astype(np.float32)).max()))
        spread = far[:: -(-len(far) // 500)]
        wrong = np.asarray(descriptors[spread], np.float32) @ query.astype(np.float32)
        impostor.append(wrong)
    if not genuine:
        return None
    return ScoresEntry(
        queries=len(genuine),
        genuine=_quantiles(np.array(genuine)),
        impostor=_quantiles(np.concatenate(impostor)),
        alike=round(float(np.quantile(alike, 0.05)), 4),
    )


def _quantiles(values: npt.NDArray[Any]) -> Quantiles:
    a, b, c, d, e, f, g = (round(float(v), 4) for v in np.quantile(values, SCORE_SHARES))
    return a, b, c, d, e, f, g
