"""What an encoder finds on the map that it was fitted to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from geobridge.onboard.preprocess import apply
from geobridge.onboard.records import Image
from geobridge.onboard.views import View

from ..config import TrainConfig
from ..datasets.area import AreaSource, cut
from ..model import GeoBridge

QUERIES = 256
UNSEEN_STEP = 2**31
"""Batch number that no training reaches: renderings that were never trained on."""


def evaluate_area(model: GeoBridge, settings: TrainConfig, source: AreaSource) -> dict[str, float]:
    """Rendered drone views, new draws of the training area, against tiles of the whole map.

    These views share the map with training; they say that the encoder fits, not how it will fly.
    """
    spacing_px = 20.0 / source.config.gsd_m
    centres = _lattice(source.centres_px, spacing_px)
    tiles = (cut(source.image, source.valid, c, source.size_px) for c in centres)
    gallery = np.stack([apply(image, source.preprocess, valid) for image, valid in tiles])
    rng = np.random.default_rng([settings.optim.seed, UNSEEN_STEP])
    places = source.centres_px[rng.integers(0, len(source.centres_px), QUERIES)]
    queries = np.stack([source.drone_view(place, rng) for place in places])
    scores = encode(model, View.DRONE, queries) @ encode(model, View.SATELLITE, gallery).T
    best = np.argsort(-scores, axis=1)[:, :5]
    error_m = np.linalg.norm(centres[best] - places[:, None], axis=2) * source.config.gsd_m
    return {
        "queries": QUERIES,
        "tiles": len(centres),
        "r1_within_50_m": float(np.mean(error_m[:, 0] < 50)),
        "r5_within_25_m": float(np.mean(error_m.min(axis=1) < 25)),
    }


def encode(
    model: GeoBridge, view: View, images: Image, batch_size: int = 128
) -> npt.NDArray[np.float32]:
    """[N, H, W, 3] uint8 to [N, D] float32 unit descriptors, in evaluation mode."""
    device = next(model.parameters()).device
    with evaluating(model), torch.no_grad():
        parts = [
            model.encode_image(view, torch.from_numpy(images[i : i + batch_size]).to(device)).cpu()
            for i in range(0, len(images), batch_size)
        ]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Meanwhile in evaluation mode; afterwards every part is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _lattice(centres_px: npt.NDArray[np.float64], spacing_px: float) -> npt.NDArray[np.float64]:
    """[T, 2] one of the allowed centres in every cell of a square lattice."""
    cells = np.floor(centres_px / spacing_px).astype(np.int64)
    _, first = np.unique(cells, axis=0, return_index=True)
    return centres_px[np.sort(first)]
