from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch")

import rasterio
import torch
from safetensors.torch import load_file

AREA = """
[model]
embed_dim = 16
views = ["drone", "satellite"]
text_tower = false
vision = {{ layers = 2, width = 32, head_width = 16, patch_size = 8, patch_dropout = 0.25 }}

[preprocess]
height_px = 16
width_px = 16

[data]
source = "area"
raster = "{folder}/map.tif"
footprint_m = 40.0
min_separation_m = 20.0

[optim]
steps = 8
batch_size = 6
warmup_steps = 2
workers = 0
device = "cpu"

[run]
folder = "{folder}/run"
checkpoint_every_steps = 3
"""

TRIPLES = """
[model]
embed_dim = 16
vision = {{ layers = [1, 1, 1, 1], width = 8, head_width = 8 }}
text = {{ layers = 1, width = 16, heads = 1, context_length = 16, vocab_size = 49408 }}

[preprocess]
height_px = 32
width_px = 32

[data]
source = "triples"
folder = "{folder}/set"

[optim]
steps = 30
batch_size = 8
warmup_steps = 2
learning_rate = 3e-3
workers = 1
device = "cpu"

[run]
folder = "{folder}/run"
"""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Networks this small only wait for each other's threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def texture() -> Callable[..., npt.NDArray[np.uint8]]:
    """[size, size, 3] soft coloured blobs, different everywhere."""

    def draw(size: int, blob_px: float = 3.0, seed: int = 0) -> npt.NDArray[np.uint8]:
        noise = np.random.default_rng(seed).normal(size=(size, size, 3))
        soft = cv2.GaussianBlur(noise, (0, 0), blob_px)
        return np.asarray(np.clip(128 + 45 * soft / soft.std(), 1, 255), np.uint8)

    return draw


@pytest.fixture(scope="session")
def write_raster() -> Callable[..., Path]:
    """[H, W] or [H, W, bands] to a GeoTIFF; more keywords go to rasterio."""

    def write(
        path: Path,
        values: npt.NDArray[Any],
        crs: str | None = "EPSG:32643",
        transform: rasterio.Affine | None = None,
        **profile: Any,
    ) -> Path:
        bands = values[..., None] if values.ndim == 2 else values
        height, width, count = bands.shape
        place = transform or rasterio.Affine(1.0, 0.0, 320_000.0, 0.0, -1.0, 3_727_000.0)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=height,
            width=width,
            count=count,
            dtype=bands.dtype,
            crs=crs,
            transform=place,
            **profile,
        ) as dataset:
            dataset.write(bands.transpose(2, 0, 1))
        return path

    return write


@pytest.fixture
def area_config(
    tmp_path: Path,
    texture: Callable[..., npt.NDArray[np.uint8]],
    write_raster: Callable[..., Path],
) -> Path:
    """A configuration of source `area`, its map beside it."""
    write_raster(tmp_path / "map.tif", texture(200))
    path = tmp_path / "area.toml"
    path.write_text(AREA.format(folder=tmp_path))
    return path


@pytest.fixture
def triples_config(tmp_path: Path) -> Path:
    """A configuration of source `triples` and its 16 places: every view shows the same colour."""
    split, rng = tmp_path / "set" / "train", np.random.default_rng(0)
    words = ("red", "green", "blue", "grey")
    texts = [f"{words[i % 4]} {words[i // 4]} place" for i in range(16)]
    for view in ("drone", "satellite", "street"):
        (split / view).mkdir(parents=True)
    for i in range(16):
        colour = np.random.default_rng(i).integers(0, 256, 3)
        for view in ("drone", "satellite", "street"):
            picture = np.clip(colour + rng.normal(0, 12, (40, 40, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(split / view / f"{i:03d}.jpg"), picture)
    lines = [json.dumps({"id": f"{i:03d}", "text": text}) for i, text in enumerate(texts)]
    (split / "text.jsonl").write_text("\n".join(lines) + "\n")
    path = tmp_path / "triples.toml"
    path.write_text(TRIPLES.format(folder=tmp_path))
    return path


@pytest.fixture(scope="session")
def same_weights() -> Callable[[Path, Path], bool]:
    """Whether the models of two checkpoint folders are equal to 1e-6."""

    def same(a: Path, b: Path) -> bool:
        left, right = (load_file(path / "model.safetensors") for path in (a, b))
        assert left.keys() == right.keys()
        return all(torch.allclose(left[k], right[k], rtol=0, atol=1e-6) for k in left)

    return same


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """`geobridge train ...` as a process of its own."""

    def run(*arguments: object) -> subprocess.Popen[str]:
        code = "import sys; from geobridge.onboard.cli import main; sys.exit(main(sys.argv[1:]))"
        return subprocess.Popen(
            [sys.executable, "-c", code, "train", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    return run
