"""Is what flies what was trained? Every exported file against the FP32 checkpoint."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from geobridge.onboard import durable
from geobridge.onboard.engines.onnxruntime import OnnxRuntimeEngine
from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image
from geobridge.onboard.views import View
from geobridge.training.model import ImageEncoder

log = logging.getLogger(__name__)

MIN_COSINE = {"fp32": 0.99999, "fp16": 0.9995}
"""Worst case over the probe pictures, below which an export fails."""
MIN_CONTROL_GAP = 1e-3
"""By how much other pictures' descriptors must agree less, or agreement would prove nothing."""

Descriptors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """Cosines of an exported file's descriptors with the checkpoint's, over the probe pictures.

    `half_cosine_min`: the same network computed in true half precision by torch, because ONNX
    Runtime's CPU provider computes FP16 graphs in FP32. `shuffled_cosine_mean`: the control, every
    picture against another one's descriptor.
    """

    view: str
    precision: str
    dimension: int
    pictures: int
    cosine_mean: float
    cosine_min: float
    half_cosine_min: float | None
    shuffled_cosine_mean: float


def measure(encoder: ImageEncoder, path: Path, view: View, precision: str) -> Parity:
    """Run an exported file on the CPU and compare.

    Raises:
        DataError: it differs more than the precision explains, or the control did not fail.
    """
    images = probe_pictures(encoder.preprocess.height_px, encoder.preprocess.width_px)
    expected = _descriptors(encoder, images)
    exported = OnnxRuntimeEngine(path).run(images)
    cosines = np.sum(exported * expected, axis=1)
    shuffled = np.sum(np.roll(exported, 1, axis=0) * expected, axis=1)
    half = None
    if precision == "fp16":
        halved = copy.deepcopy(encoder)
        halved.tower.half()
        half = float(np.min(np.sum(_descriptors(halved, images) * expected, axis=1)))
    parity = Parity(
        view=view.value,
        precision=precision,
        dimension=expected.shape[1],
        pictures=len(images),
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
        half_cosine_min=half,
        shuffled_cosine_mean=float(shuffled.mean()),
    )
    _judge(parity, path)
    return parity


def write(parities: Sequence[Parity], path: Path) -> Path:
    """The report as JSON, and a line for each file in the log."""
    for parity in parities:
        log.info(
            "%-9s %s  cosine mean %.6f  min %.6f%s  shuffled control %.3f",
            parity.view,
            parity.precision,
            parity.cosine_mean,
            parity.cosine_min,
            "" if parity.half_cosine_min is None else f"  true half {parity.half_cosine_min:.6f}",
            parity.shuffled_cosine_mean,
        )
    text = json.dumps([asdict(parity) for parity in parities], indent=1)
    return durable.write_text(path, text + "\n")


def probe_pictures(height_px: int, width_px: int, seed: int = 0) -> Image:
    """[K, H, W, 3] smooth, textured and adversarial (black, white, noise, saturated) pictures."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height_px, 0:width_px].astype(float)
    pictures = []
    for _ in range(12):
        waves = rng.uniform(-0.25, 0.25, (6, 2)) @ np.stack([rows.ravel(), columns.ravel()])
        texture = np.cos(waves + rng.uniform(0, 6.3, (6, 1))).reshape(6, height_px, width_px)
        colours = rng.normal(0, 40, (6, 3))
        pictures.append(128 + np.einsum("khw,kc->hwc", texture, colours))
    shape = (height_px, width_px, 3)
    pictures += [np.zeros(shape), np.full(shape, 255.0), rng.uniform(0, 255, shape)]
    pictures.append(rng.integers(0, 2, shape) * 255.0)
    return np.asarray(np.clip(np.stack(pictures), 0, 255), np.uint8)


def _descriptors(encoder: ImageEncoder, images: Image) -> Descriptors:
    with torch.no_grad():
        return np.asarray(encoder.eval()(torch.from_numpy(images)).numpy(), np.float32)


def _judge(parity: Parity, path: Path) -> None:
    needed = MIN_COSINE[parity.precision]
    half = 1.0 if parity.half_cosine_min is None else parity.half_cosine_min
    worst = float(np.min([parity.cosine_min, half]))  # unlike min, keeps NaN
    if not worst >= needed:
        raise DataError(f"{path}: worst cosine {worst:.6f} to the checkpoint, needed {needed}")
    if not parity.shuffled_cosine_mean <= worst - MIN_CONTROL_GAP:
        raise DataError(
            f"{path}: descriptors of different pictures agree to"
            f" {parity.shuffled_cosine_mean:.4f}; the encoder tells nothing apart"
        )
