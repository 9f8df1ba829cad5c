from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from geobridge.onboard.views import View
from geobridge.training import checkpoint as checkpoints
from geobridge.training.config import TrainConfig
from geobridge.training.distill import TERM, Teacher, distance
from geobridge.training.distributed import World
from geobridge.training.learner import Learner
from geobridge.training.runs.pipeline import batches, open_source
from geobridge.training.trainer import train

STUDENT = (
    "model.text_tower=false",
    "model.vision={layers = [1, 1, 1, 1], width = 4, head_width = 4}",
    "optim.workers=0",
)


@pytest.fixture
def teacher(triples_config: Path) -> Path:
    run = triples_config.parent / "teacher"
    train(triples_config, [f"run.folder={run}", "optim.workers=0", "optim.steps=10"])
    return run


def learner_of(config: Path, *overrides: str) -> tuple[Learner, TrainConfig]:
    from geobridge.onboard.config import load

    settings = load(TrainConfig, config, [*STUDENT, *overrides])
    return Learner(settings, 20, World(0, 1, torch.device("cpu"))), settings


def unit(rows: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, 8, generator=generator), dim=1)


def test_the_distance_is_one_minus_the_cosine_of_rows_that_are_there() -> None:
    rows, taught = {"drone": unit(4, 0)}, {"drone": unit(4, 1)}
    present = {"drone": torch.tensor([True, True, False, True])}
    cosines = (rows["drone"] * taught["drone"]).sum(dim=1)[present["drone"]]
    found = distance(rows, taught, present, present, 1)
    torch.testing.assert_close(found, 1.0 - cosines.mean())
    torch.testing.assert_close(distance(taught, taught, present, present, 1), torch.tensor(0.0))


def test_processes_together_have_the_distance_of_one() -> None:
    rows, taught = unit(6, 0), unit(6, 1)
    present = torch.tensor([True, False, False, True, True, True])
    whole = distance({"a": rows}, {"a": taught}, {"a": present}, {"a": present}, 1)
    parts = [
        distance({"a": rows[p]}, {"a": taught[p]}, {"a": present[p]}, {"a": present}, 2)
        for p in (slice(0, 3), slice(3, 6))
    ]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_a_student_comes_to_answer_as_its_teacher(triples_config: Path, teacher: Path) -> None:
    learner, settings = learner_of(
        triples_config, f"distill.teacher={teacher}", "distill.weight=10.0", "optim.steps=20"
    )
    source = open_source(settings)
    steps = list(batches(settings, source, 0, 20))
    terms = [float(learner.train_step([batch]).losses[0].edges[TERM]) for batch in steps]
    assert terms[-1] < 0.6 * terms[0]
    assert not any(weight.requires_grad for weight in learner.teacher.model.parameters())  # type: ignore[union-attr]
    assert not any("teacher" in name for name in learner.weights())


def test_chunks_have_the_gradient_of_the_whole(triples_config: Path, teacher: Path) -> None:
    vision = "model.vision={layers = 1, width = 16, head_width = 8, patch_size = 8}"
    gradients = []
    for size in (0, 4):
        learner, settings = learner_of(
            triples_config, f"distill.teacher={teacher}", vision, f"optim.chunk_size={size}"
        )
        [batch] = batches(settings, open_source(settings), 0, 1)
        learner.train_step([batch])
        gradients.append([w.grad.clone() for w in learner.model.parameters() if w.grad is not None])
    for whole, chunked in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, chunked, atol=1e-5, rtol=1e-3)


def test_the_first_numbers_of_a_teacher_that_was_trained_for_it(
    triples_config: Path, teacher: Path
) -> None:
    nested = triples_config.parent / "nested"
    train(
        triples_config,
        [f"run.folder={nested}", "model.nested_dims=[8]", "optim.steps=2", "optim.workers=0"],
    )
    learner, settings = learner_of(triples_config, f"distill.teacher={nested}", "model.embed_dim=8")
    [batch] = batches(settings, open_source(settings), 0, 1)
    assert isinstance(learner.teacher, Teacher)
    taught = learner.teacher.describe(batch, 0, learner.autocast)
    whole = checkpoints.load(checkpoints.read(nested))
    with torch.no_grad():
        first = whole.encode_image(View.DRONE, batch.images[View.DRONE])[:, :8]
    torch.testing.assert_close(taught["drone"], F.normalize(first, dim=1))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model.embed_dim=12", "can have 16 numbers, the student's have 12; set model.embed_dim"),
        ("preprocess.width_px=64", "sees 32x32 px squash bicubic, the student 64x32 px"),
        ("distill.weight=0", "distill.weight"),
    ],
)
def test_teachers_that_cannot_teach(
    triples_config: Path, teacher: Path, complaint: Callable[..., str], override: str, told: str
) -> None:
    vision = "model.vision={layers = 1, width = 16, head_width = 8, patch_size = 8}"
    line = complaint(
        "train", triples_config, f"distill.teacher={teacher}", *STUDENT, vision, override
    )
    assert told in line


def test_a_teacher_without_a_view_and_none_at_all(
    triples_config: Path, complaint: Callable[..., str]
) -> None:
    few, views = triples_config.parent / "few", 'model.views=["drone", "satellite"]'
    train(triples_config, [f"run.folder={few}", views, "optim.steps=1", "optim.workers=0"])
    line = complaint("train", triples_config, f"distill.teacher={few}", *STUDENT)
    assert "has no street tower; it has drone, satellite" in line
    line = complaint("train", triples_config, "distill.teacher=nothing", *STUDENT)
    assert "distill.teacher: nothing: no such file or folder" in line
