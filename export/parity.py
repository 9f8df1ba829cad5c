"""Is what flies what was trained? Every exported file against the FP32 checkpoint.

Each file is run as it will be: by ONNX Runtime on this CPU. A half precision file is also computed
with its rounding (`graphs.arithmetic`), which the CPU provider leaves out; only that tells what a
GPU will do.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from geobridge.onboard import durable
from geobridge.onboard.agreement import Agreement, Descriptors, compare, disagreement
from geobridge.onboard.engines.engine import open_engine
from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image
from geobridge.training.model import GeoBridge, ImageEncoder

from .gallery import Gallery

log = logging.getLogger(__name__)

BATCH = 8
MEASURED = 16
ROUNDED = "half arithmetic"
"""In place of an engine: every node computed and rounded as the graph is typed."""


@dataclass(frozen=True)
class Parity:
    """How an exported file agrees with its checkpoint, computed by an engine."""

    view: str
    precision: str
    engine: str
    dimension: int
    agreement: Agreement

    def as_row(self) -> dict[str, object]:
        """Flat, for JSON."""
        row = asdict(self)
        return {**{k: v for k, v in row.items() if k != "agreement"}, **row["agreement"]}


@dataclass(frozen=True)
class Truth:
    """What the checkpoint answers to the pictures of one view.

    `images`: [N, H, W, 3], the probes and then the gallery's `queries`. `references`: [R, D] that
    the queries are looked for among, None without a gallery.
    """

    view: str
    images: Image
    descriptors: Descriptors
    queries: int = 0
    references: Descriptors | None = None

    @property
    def probes(self) -> Image:
        """The pictures that are there without a gallery too."""
        return self.images[: len(self.images) - self.queries]

    @property
    def seen(self) -> Image:
        """The probes and a few of the queries: what values are measured on."""
        return self.images[: len(self.probes) + min(self.queries, MEASURED)]

    def compare(self, given: Descriptors) -> Agreement:
        """With descriptors of all pictures."""
        return compare(self.descriptors, given, self.references, self.queries)


def truth_of(model: GeoBridge, view: str, gallery: Gallery | None) -> Truth:
    """Ask the checkpoint; the gallery's references are described by the tower that packs them."""
    encoder: ImageEncoder = model.images[view]  # type: ignore[assignment]
    spec = encoder.preprocess
    probes = probe_pictures(spec.height_px, spec.width_px)
    if gallery is None:
        return Truth(view, probes, _descriptors(encoder, probes))
    packer: ImageEncoder = model.images["satellite" if "satellite" in model.images else view]  # type: ignore[assignment]
    references, _ = gallery.prepared(packer.preprocess)
    _, queries = gallery.prepared(spec)
    images = np.concatenate([probes, queries])
    log.info("%s: the checkpoint encodes %d pictures", view, len(images) + len(references))
    return Truth(
        view, images, _descriptors(encoder, images), len(queries), _descriptors(packer, references)
    )


def measure(truth: Truth, path: Path, precision: str) -> Parity:
    """Run an exported file on the CPU and compare.

    Raises:
        DataError: it differs more than the precision explains, or the control did not fail.
        EngineError: it does not run.
    """
    engine = open_engine("onnxruntime", path)
    pieces = [engine.run(batch) for batch in _batches(truth.images)]
    return judged(truth, path, precision, "onnxruntime", np.concatenate(pieces))


def judged(
    truth: Truth, path: Path, precision: str, engine: str, given: Descriptors, growth: object = None
) -> Parity:
    """The parity of these descriptors.

    Raises:
        DataError: see `measure`; with `growth` in it, where the error begins.
    """
    agreement = truth.compare(given)
    parity = Parity(truth.view, precision, engine, given.shape[1], agreement)
    if problem := disagreement(agreement, precision):
        where = "" if growth is None else f"; {growth}"
        raise DataError(f"{path.name}, {engine}: {problem}{where}")
    return parity


def write(parities: Sequence[Parity], gallery: Gallery | None, out: Path) -> None:
    """parity.json; with a gallery also parity.md, and a line for each row in the log."""
    for parity in parities:
        log.info("%s", _line(parity))
    rows = [parity.as_row() for parity in parities]
    durable.write_text(out / "parity.json", json.dumps(rows, indent=1) + "\n")
    if gallery is not None:
        durable.write_text(out / "parity.md", _table(parities, gallery))


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
        pieces = [encoder.eval()(torch.from_numpy(batch)).numpy() for batch in _batches(images)]
    return np.asarray(np.concatenate(pieces), np.float32)


def _batches(images: Image) -> list[Image]:
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]


def _line(parity: Parity) -> str:
    agreement = parity.agreement
    found = "" if agreement.rank1 is None else f"  rank-1 {agreement.rank1:.1%}"
    return (
        f"{parity.view:9} {parity.precision} {parity.engine:15} cosine mean"
        f" {agreement.cosine_mean:.6f} min {agreement.cosine_min:.6f}"
        f" (control {agreement.shuffled_cosine_mean:.3f}){found}"
    )


def _table(parities: Sequence[Parity], gallery: Gallery) -> str:
    """Markdown."""
    first = parities[0].agreement
    lines = [
        "# What was exported against the checkpoint",
        "",
        f"{first.pictures} pictures a view: {first.pictures - first.queries} drawn ones, black,"
        f" white, noise and saturated among them, and {first.queries} squares of {gallery.name},"
        f" moved, turned and in other light, looked for among {first.references}. Rank-1: the same"
        " reference comes first as with the checkpoint; rank-10: how many of the ten first are the"
        " same. The control gives every picture another one's descriptor, and must fail.",
        "",
        "| view | precision | computed by | cosine mean | cosine min | rank-1 | rank-10 |"
        " control: cosine, rank-1 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for parity in parities:
        a = parity.agreement
        lines.append(
            f"| {parity.view} | {parity.precision} | {parity.engine} | {a.cosine_mean:.6f}"
            f" | {a.cosine_min:.6f} | {a.rank1 or 0:.1%} | {a.rank10 or 0:.1%}"
            f" | {a.shuffled_cosine_mean:.3f}, {a.shuffled_rank1 or 0:.1%} |"
        )
    return "\n".join(lines) + "\n"
