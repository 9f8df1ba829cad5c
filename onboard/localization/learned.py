"""A learned matcher as an ONNX file, its contract told in docs/matchers.md.

Nothing is loaded but the file that the configuration names by its digest: the runtime's parser is
native code. What the network says is believed no more than what points of any other kind say.
"""

from __future__ import annotations

import hashlib
import tempfile
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
TRIED_PX = (64, 80)
"""Sides of black pictures that a matcher must answer to before the flight."""
Floats = npt.NDArray[np.float64]


class LearnedMatcher:
    """The `Matcher` that asks a network for points.

    Raises:
        ConfigError: the file is not there, or is not the one that was named.
        EngineError: ONNX Runtime is absent or refuses it, or it does not answer as it should.
    """

    def __init__(self, model: Path, sha256: str, threads: int = 0) -> None:
        try:
            content = model.read_bytes()
        except OSError as error:
            raise ConfigError(f"{model}: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ConfigError(f"{model}: not the file that matcher_sha256 names")
        self._name, self._session = str(model), _session(model, content, threads)
        self._check_interface()
        for side_px in TRIED_PX:  # kernels are chosen at the first, and what is no matcher shows
            self._ask(np.zeros((side_px, side_px, 3), np.uint8), np.zeros((96, 96, 3), np.uint8))

    def __call__(self, picture: Ground, reference: Ground) -> LocalMatches:
        """Where the parts lie, by the points that the network matched.

        Raises:
            EngineError: it fails, or answers in other shapes than it should.
        """
        at_px, there_px, score = self._ask(picture.image, reference.image)
        sure = (score >= MIN_SCORE) & np.isfinite(np.hstack([at_px, there_px])).all(axis=1)
        at_px, there_px = at_px[sure], there_px[sure]
        seen = _inside(picture, at_px) & _inside(reference, there_px)
        return parts_of_points(*explained(at_px[seen], there_px[seen]), picture, reference)

    def _ask(self, picture: Image, reference: Image) -> tuple[Floats, Floats, Floats]:
        """[N, 2] pixels of a picture [S, S, 3], [N, 2] of the reference, [N] scores."""
        asked = {"picture": _grey(picture), "reference": _grey(reference)}
        try:
            answer = self._session.run(list(OUTPUTS), asked)
            at_px, there_px, score = (np.asarray(each, np.float64) for each in answer)
        except Exception as error:  # the runtime raises its own kinds, none of them public
            raise EngineError(f"{self._name}: {str(error).splitlines()[0]}") from None
        if score.ndim != 1 or not at_px.shape == there_px.shape == (len(score), 2):
            shapes = f"{at_px.shape}, {there_px.shape} and {score.shape}"
            raise EngineError(f"{self._name}: expected [N, 2], [N, 2] and [N], it gave {shapes}")
        return at_px, there_px, score

    def _check_interface(self) -> None:
        told, said = self._session.get_inputs(), self._session.get_outputs()
        names, answers = [each.name for each in told], [each.name for each in said]
        if sorted(names) != sorted(INPUTS) or not set(OUTPUTS) <= set(answers):
            raise EngineError(
                f"{self._name}: expected inputs {', '.join(INPUTS)} and outputs"
                f" {', '.join(OUTPUTS)}; it has {', '.join(names)} and {', '.join(answers)}"
            )
        for each in told:
            shape = each.shape
            if each.type != "tensor(float)" or len(shape) != 4 or shape[:2] != [1, 1]:
                raise EngineError(
                    f"{self._name}: {each.name}: expected float32 [1, 1, height, width],"
                    f" it takes {each.type} {shape}"
                )
            if any(isinstance(n, int) for n in shape[2:]):
                raise EngineError(f"{self._name}: {each.name}: expected any height and width")


def _session(model: Path, content: bytes, threads: int) -> Any:
    """From a folder that holds nothing else: weights in other files have no digest."""
    try:
        import onnxruntime
    except ImportError:
        raise EngineError("onnxruntime is not installed: pip install geobridge-uav[cpu]") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "matcher.onnx"
        alone.write_bytes(content)
        try:
            return onnxruntime.InferenceSession(
                str(alone), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            line = str(error).splitlines()[0].replace(str(alone), model.name)
            raise EngineError(f"{model}: onnxruntime refuses it: {line}") from None


def _grey(image: Image) -> npt.NDArray[np.float32]:
    """[1, 1, H, W] from 0 to 1."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey[None, None] / np.float32(255.0), np.float32)


def _inside(ground: Ground, at_px: Floats) -> npt.NDArray[np.bool_]:
    """Whether [N, 2] points lie on what a picture shows."""
    side_px = len(ground.image)
    nearest = np.clip(np.round(at_px), -1, side_px).astype(int)
    within = np.all((nearest >= 0) & (nearest < side_px), axis=1)
    column, row = np.where(within[:, None], nearest, 0).T
    return np.asarray(within & (ground.valid[row, column] > 0))
