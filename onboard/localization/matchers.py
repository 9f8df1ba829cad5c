"""Which way the parts of a picture are found."""

from __future__ import annotations

from ..config import VerifyConfig
from .features import match_features
from .learned import LearnedMatcher
from .local_matches import Matcher, match_structure


def open_matcher(config: VerifyConfig, threads: int = 0) -> Matcher:
    """The matcher that a configuration asks for.

    Raises:
        ConfigError: the file of a learned one is not there, or another one.
        EngineError: it cannot run here.
    """
    if config.matcher == "structure":
        return match_structure
    if config.matcher_model is not None and config.matcher_sha256 is not None:
        return LearnedMatcher(config.matcher_model, config.matcher_sha256, threads)
    return match_features
