"""A localizer over a bundle on disk: what is read and checked before the first frame."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from ..bundle import Bundle
from ..camera import Camera
from ..config import LocalizerConfig
from ..records import Prior
from ..retrieval.encoder import Encoder
from ..retrieval.imagery import ReferenceImagery
from ..retrieval.index import Index
from ..terrain import Terrain
from ..trust import Trust
from ..views import View
from .localizer import Localizer
from .matchers import open_matcher

log = logging.getLogger(__name__)


def open_localizer(
    bundle_path: Path,
    config: LocalizerConfig,
    camera: Camera,
    on_stage: Callable[[str], None] = lambda stage: None,
    trusted_keys: Sequence[Path] | Trust | None = None,
    prior: Prior | None = None,
) -> Localizer:
    """A localizer over a bundle on disk, after all its checks.

    Raises:
        BundleError: the bundle must not be flown, or no trusted key signed it.
        ConfigError: a trusted key that is none, a matcher that is not the one named.
        EngineError: its encoder or the matcher cannot run here.
    """
    bundle = Bundle.open(bundle_path, trusted_keys or ())
    if bundle.signed_by is None:
        log.warning("%s: no trusted_keys are given, so nobody vouches for it", bundle_path)
    else:
        log.info("%s: signed by key %s", bundle_path, bundle.signed_by)
    if bundle.is_for_development:
        log.warning("%s: signed for development alone", bundle_path)
    retrieve = config.retrieve
    encoder = Encoder.open(
        bundle, View.DRONE, retrieve.engine, retrieve.precision, retrieve.engine_settings
    )
    index, imagery = Index.open(bundle), ReferenceImagery.open(bundle)
    terrain = Terrain.open(bundle)
    if terrain is None:
        log.info(
            "%s: no terrain; where nothing else is told, the height above home is taken for the"
            " height above ground, and over hills there is no fix",
            bundle_path,
        )
    match = open_matcher(config.verify, retrieve.threads)
    return Localizer(
        bundle.manifest, encoder, index, imagery, camera, config, on_stage, prior, terrain, match
    )
