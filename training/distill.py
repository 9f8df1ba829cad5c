"""A small network that learns the descriptors of a large one, for computers that cannot fly it.

The student is asked for the teacher's own descriptors of the same pictures, view by view, so both
live in one space: references that the teacher described on the ground can be searched with what the
student sees in the air. The term is the mean over the views of 1 - cosine, beside the objective.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from geobridge.onboard.errors import ConfigError

from . import checkpoint as checkpoints
from .model import GeoBridge, ImageEncoder

if TYPE_CHECKING:
    from .config import TrainConfig
    from .runs.pipeline import TensorBatch

TERM = "teacher"
"""Name of the loss among those of the edges."""


class Teacher:
    """A trained network that is only asked, and how much its answers weigh."""

    def __init__(self, model: GeoBridge, length: int, weight: float) -> None:
        self.model, self.length, self.weight = model, length, weight

    @classmethod
    def read(cls, settings: TrainConfig, student: GeoBridge, device: torch.device) -> Teacher:
        """The checkpoint that `distill.teacher` names.

        Raises:
            ConfigError: it has no tower for a view, sees other pictures, or has descriptors that
                the student's cannot be a beginning of.
            DataError: it is no checkpoint, or damaged.
        """
        found = checkpoints.read(Path(settings.distill.teacher))
        model = checkpoints.load(found)
        where = f"distill.teacher {found.path}"
        for name, encoder in student.images.items():
            _check_tower(name, encoder, model, where)  # type: ignore[arg-type]
        lengths = [_first(student).length(), _first(model).length()]
        if lengths[0] not in (lengths[1], *found.config.model.nested_dims):
            trained = ", ".join(map(str, [*found.config.model.nested_dims, lengths[1]]))
            raise ConfigError(
                f"{where}: its descriptors can have {trained} numbers, the student's have"
                f" {lengths[0]}; set model.embed_dim"
            )
        return cls(model.requires_grad_(False).to(device), lengths[0], settings.distill.weight)

    @torch.no_grad()
    def describe(
        self,
        batch: TensorBatch,
        chunk_size: int,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> dict[str, Tensor]:
        """View to [b, D] unit descriptors of a batch; `chunk_size` pictures at a time, 0: all."""
        taught = {}
        with autocast():
            for view, images in batch.images.items():
                if view.value in self.model.images:
                    size = chunk_size or len(images)
                    pieces = [images[i : i + size] for i in range(0, len(images), size)]
                    rows = torch.cat([self.model.encode_image(view, piece) for piece in pieces])
                    taught[view.value] = F.normalize(rows[:, : self.length].float(), dim=1)
        return taught


def distance(
    rows: Mapping[str, Tensor],
    taught: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    all_present: Mapping[str, Tensor],
    world_size: int,
) -> Tensor:
    """Mean over the views of 1 - cosine, over the rows of all processes that have the view.

    As in `losses`, the mean of it over processes is that of the whole batch in one.

    Args:
        rows, taught: view to [b, D] unit descriptors of this process's places.
        present: [b] bool, which rows have it.
        all_present: [B] bool, the same of all processes.
    """
    terms = []
    for view, given in taught.items():
        count = all_present[view].sum().clamp(min=1)
        apart = 1.0 - (rows[view].float() * given).sum(dim=1)
        terms.append(world_size * (apart * present[view]).sum() / count)
    return torch.stack(terms).mean()


def _first(model: GeoBridge) -> ImageEncoder:
    encoder: ImageEncoder = next(iter(model.images.values()))  # type: ignore[assignment]
    return encoder


def _check_tower(name: str, student: ImageEncoder, teacher: GeoBridge, where: str) -> None:
    if name not in teacher.images:
        raise ConfigError(f"{where}: has no {name} tower; it has {', '.join(teacher.images)}")
    wanted, given = teacher.images[name].preprocess, student.preprocess
    if wanted != given:
        raise ConfigError(
            f"{where}: its {name} tower sees {_told(wanted)}, the student {_told(given)};"
            " both must see the same"
        )


def _told(spec: Any) -> str:
    return f"{spec.width_px}x{spec.height_px} px {spec.fit} {spec.interpolation}"
