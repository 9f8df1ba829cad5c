"""Words to places, through the text tower that was trained with a bundle's encoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import torch

from geobridge.export.encoders import export
from geobridge.export.locate import locate
from geobridge.export.pack import pack
from geobridge.onboard.bundle import Bundle
from geobridge.onboard.config import load
from geobridge.onboard.retrieval.index import Index
from geobridge.training import checkpoint as checkpoints
from geobridge.training.config import TrainConfig
from geobridge.training.evaluation.words import describe_words
from geobridge.training.model import tokenizer

SETTINGS = (
    "model.embed_dim=32",
    "model.vision={layers = 2, width = 64, head_width = 32, patch_size = 8}",
    "model.text={layers = 1, width = 16, heads = 1, context_length = 16, vocab_size = 49408}",
    "model.nested_dims=[16]",
    'model.views=["drone", "satellite"]',
    "preprocess.height_px=32",
    "preprocess.width_px=32",
    'data.source="triples"',
    'data.folder="none"',
    "data.footprint_m=100.0",
    "optim.steps=1",
)
TEXT = "a long white hall to the north of a river"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a text tower; of random weights, for what is tested is the way."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(3)
    config = load(TrainConfig, None, [*SETTINGS, f'run.folder="{folder}"'])
    return checkpoints.save_weights(config, checkpoints.build(config), folder / "run")


@pytest.fixture(scope="module", params=[32, 16])
def bundle(
    request: pytest.FixtureRequest,
    run: Path,
    rehearsal: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """With descriptors of full length, and cut as they were trained to be."""
    folder = tmp_path_factory.mktemp("bundle")
    encoders = export(run, folder / "encoders", ("fp32",), dimension=request.param)
    return pack(rehearsal / "map.tif", encoders, folder / "bundle", spacing_m=25.0)


def described(run: Path, dimension: int) -> np.ndarray:
    """The same in the words of torch alone."""
    found = checkpoints.read(run)
    model = checkpoints.load(found).eval()
    with torch.no_grad():
        whole = model.encode_text(tokenizer(found.config.model)([TEXT]))[0]
    return np.asarray(torch.nn.functional.normalize(whole[:dimension], dim=0))


def test_places_are_ranked_as_the_text_tower_says(run: Path, bundle: Path) -> None:
    opened = Bundle.open(bundle)
    index = Index.open(opened)
    words = described(run, opened.manifest.descriptor.dimension)
    found = locate(bundle, text=TEXT, checkpoint=run, top=3)
    scores = np.asarray(index.descriptors, np.float32) @ words
    assert found[0]["score"] == pytest.approx(float(scores.max()), abs=2e-3)
    best = index.places[int(scores.argmax())]
    assert found[0]["lat_deg"] == pytest.approx(float(best["lat_deg"]), abs=1e-6)
    assert [row["view"] for row in found] == ["satellite"] * 3


def test_a_checkpoint_of_another_training(run: Path, rehearsal: Path) -> None:
    from geobridge.onboard.errors import DataError

    with pytest.raises(DataError, match="exported from another checkpoint"):
        locate(rehearsal / "bundle", text=TEXT, checkpoint=run)


def test_the_command(
    run: Path, bundle: Path, complaint: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    from geobridge.onboard.cli import main

    command = ["locate", str(bundle), "--text", TEXT, "--checkpoint", str(run), "--top", "2", "-q"]
    assert main(command) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert "--text: expected words" in complaint(*command[:3], " ", *command[4:])


def test_a_description_is_of_unit_length(run: Path) -> None:
    trained_as = frozenset({checkpoints.read(run).model_sha256})
    for dimension in (32, 16):
        words = describe_words(TEXT, run, dimension, trained_as)
        assert np.allclose(words, described(run, dimension), atol=1e-6)
