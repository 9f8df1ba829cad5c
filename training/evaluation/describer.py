"""Whatever turns pictures and words into descriptors, and a checkpoint that does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from geobridge.onboard.errors import DataError
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.records import Image
from geobridge.onboard.views import View

from .. import checkpoint as checkpoints
from ..datasets.batch import TEXT
from ..model import tokenizer
from .area import encode
from .held_out import precision
from .standing import Descriptors


class Describer(Protocol):
    """One network in one precision."""

    @property
    def name(self) -> str:
        """How a table calls it."""

    @property
    def digest(self) -> str:
        """Of all that its descriptors depend on."""

    @property
    def sides(self) -> Sequence[str]:
        """Views that it encodes, and "text" where it encodes words."""

    def preprocess(self, view: View) -> Preprocess:
        """What makes a picture of a view its input."""

    def pictures(self, view: View, images: Image) -> Descriptors:
        """[N, H, W, 3] prepared pictures to [N, D] unit descriptors."""

    def words(self, texts: Sequence[str]) -> Descriptors:
        """Texts to [N, D] unit descriptors."""


class NetworkDescriber:
    """A checkpoint, in the precision that it was trained in, on a GPU where there is one."""

    def __init__(self, found: checkpoints.Checkpoint, device: torch.device | None = None) -> None:
        self.config, self.step = found.config, found.step
        self.digest = found.model_sha256
        self.name = f"checkpoint {found.path.name}"
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = checkpoints.load(found).to(self.device)

    @property
    def sides(self) -> Sequence[str]:
        """Those that it has a tower for."""
        text = [TEXT] if self.config.model.text_tower else []
        return [*(view.value for view in self.config.model.view_list), *text]

    def preprocess(self, view: View) -> Preprocess:
        """As it was trained."""
        return self.config.preprocess.spec_of(view)

    def pictures(self, view: View, images: Image) -> Descriptors:
        """[N, H, W, 3] to [N, D]."""
        with precision(self.config.optim, self.device):
            return encode(self.model, view, images)

    @torch.no_grad()
    def words(self, texts: Sequence[str]) -> Descriptors:
        """[N, D]."""
        tokens = tokenizer(self.config.model)(list(texts)).to(self.device)
        with precision(self.config.optim, self.device):
            return self.model.encode_text(tokens).float().cpu().numpy()


def check_dims(describer: Describer, dims: Sequence[int]) -> None:
    """Refuse lengths that its descriptors cannot be cut to; one black picture tells theirs.

    Raises:
        DataError: names the longest one asked for.
    """
    if not dims:
        return
    view = next(View(side) for side in describer.sides if side != TEXT)
    spec = describer.preprocess(view)
    black = np.zeros((1, spec.height_px, spec.width_px, 3), np.uint8)
    length = describer.pictures(view, black).shape[1]
    if max(dims) > length:
        raise DataError(
            f"--dims {max(dims)}: the descriptors of {describer.name} have {length} numbers"
        )


def shortened(descriptors: Descriptors, dimension: int) -> Descriptors:
    """[N, D] to the first numbers of each, of unit length again."""
    if dimension == descriptors.shape[1]:
        return descriptors
    short = descriptors[:, :dimension]
    return np.asarray(short / np.linalg.norm(short, axis=1, keepdims=True), np.float32)
