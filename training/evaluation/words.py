"""A sentence to a descriptor, by the text tower that was trained with a bundle's encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from geobridge.onboard.errors import DataError

from .. import checkpoint as checkpoints
from ..model import tokenizer


def describe_words(
    text: str, checkpoint: Path, dimension: int, trained_as: frozenset[str]
) -> npt.NDArray[np.float32]:
    """[D] unit descriptor of a text, cut to `dimension` as the encoders' are.

    Args:
        text: in the words of the training texts.
        checkpoint: the folder that training wrote.
        dimension: of the bundle's descriptors.
        trained_as: digests of the checkpoints that the bundle's encoders were exported from.

    Raises:
        DataError: an empty text, a checkpoint of another training, or one without a text tower.
    """
    if not text.strip():
        raise DataError("--text: expected words")
    found = checkpoints.read(checkpoint)
    if found.model_sha256 not in trained_as:
        raise DataError(
            f"{found.path}: the bundle's encoders were exported from another checkpoint"
        )
    if not found.config.model.text_tower:
        raise DataError(f"{found.path}: was trained without a text tower")
    model = checkpoints.load(found).eval()
    with torch.no_grad():
        tokens = tokenizer(found.config.model)([text])
        whole = model.encode_text(tokens)[0].float().numpy()
    cut = np.asarray(whole[:dimension], np.float32)
    return np.asarray(cut / np.linalg.norm(cut), np.float32)
