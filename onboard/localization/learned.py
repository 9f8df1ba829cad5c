"""A learned matcher as an ONNX file, its contract told in docs/matchers.md.

Nothing is loaded but the file that the configuration names by its digest: the runtime's parser is
native code. What the network says is believed no more than what points of any other kind say.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, EngineError
from ..records import Image
from .features import explained
from .local_matches import LocalMatches, parts_of_points
from .structure import Ground

INPUTS, OUTPUTS = ("picture", "reference"), ("picture_px", "reference_px", "score")
MIN_SCORE = 0.2


class LearnedMatcher:
    """The `Matcher` that asks a network for points.

    Raises:
        ConfigError: the file is not there, or is not the one that was named.
        EngineError: ONNX Runtime is absent or refuses it, or it has another interface.
    """

    def __init__(self, model: Path, sha256: str, threads: int = 0) -> None:
        try:
            content = model.read_bytes()
        except OSError as error:
            raise ConfigError(f"{model}: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ConfigError(f"{model}: not the file that matcher_sha256 names")
        self._name, self._session = str(model), _session(model, content, threads)
        told = tuple(each.name for each in self._session.get_inputs())
        said = tuple(each.name for each in self._session.get_outputs())
        if sorted(told) != sorted(INPUTS) or not set(OUTPUTS) <= set(said):
            raise EngineError(
                f"{model}: expected inputs {', '.join(INPUTS)} and outputs {', '.join(OUTPUTS)};"
                f" it has {', '.join(told)} and {', '.join(said)}"
            )
        shapes = [each.shape for each in self._session.get_inputs()]
        if any(len(shape) != 4 or any(isinstance(n, int) for n in shape[2:]) for shape in shapes):
            raise EngineError(f"{model}: expected inputs [1, 1, height, width] of any size")

    def __call__(self, picture: Ground, reference: Ground) -> LocalMatches:
        """Where the parts lie, by the points that the network matched.

        Raises:
            EngineError: it fails, or answers in other shapes than it should.
        """
        reach = (len(reference.image) - len(picture.image)) // 2
        asked = {"picture": _grey(picture.image), "reference": _grey(reference.image)}
        try:
            at_px, there_px, score = self._session.run(list(OUTPUTS), asked)
        except Exception as error:  # the runtime raises its own kinds, none of them public
            raise EngineError(f"{self._name}: {str(error).splitlines()[0]}") from None
        count = len(score)
        if at_px.shape != (count, 2) or there_px.shape != (count, 2) or score.shape != (count,):
            shapes = f"{at_px.shape}, {there_px.shape} and {score.shape}"
            raise EngineError(f"{self._name}: expected [N, 2], [N, 2] and [N], it gave {shapes}")
        at_px, there_px = np.asarray(at_px, float), np.asarray(there_px, float)
        sure = (score >= MIN_SCORE) & np.isfinite(np.hstack([at_px, there_px])).all(axis=1)
        at_px, there_px = at_px[sure], there_px[sure]
        seen = _inside(picture, at_px) & _inside(reference, there_px)
        return parts_of_points(*explained(at_px[seen], there_px[seen]), picture, reach)


def _session(model: Path, content: bytes, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise EngineError("onnxruntime is not installed: pip install geobridge-uav[cpu]") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineError(
            f"{model}: onnxruntime refuses it: {str(error).splitlines()[0]}"
        ) from None


def _grey(image: Image) -> npt.NDArray[np.float32]:
    """[1, 1, H, W] from 0 to 1."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey[None, None] / np.float32(255.0), np.float32)


def _inside(ground: Ground, at_px: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether [N, 2] points lie on what a picture shows."""
    side_px = len(ground.image)
    nearest = np.clip(np.round(at_px), -1, side_px).astype(int)
    within = np.all((nearest >= 0) & (nearest < side_px), axis=1)
    column, row = np.where(within[:, None], nearest, 0).T
    return np.asarray(within & (ground.valid[row, column] > 0))
