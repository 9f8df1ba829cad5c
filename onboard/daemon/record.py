"""The record of a flight that begins: what it is a flight of, and the log beside it."""

from __future__ import annotations

import hashlib
import logging
from importlib.metadata import version
from pathlib import Path

from ..config import ReplayConfig, RunConfig
from ..errors import DataError
from ..flightlogs.recorder import Recorder

MANIFEST = "manifest.json"
DISTRIBUTION = "geobridge-uav"
MEGABYTE = 1_000_000


class _Copy(logging.Handler):
    """Every line of the log into the record, too."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(logging.INFO)
        self._recorder = recorder

    def emit(self, record: logging.LogRecord) -> None:
        self._recorder.logged(record)


def begun(config: RunConfig) -> Recorder:
    """A recorder of a flight with this configuration; its log is copied until it is closed.

    Raises:
        DataError: the folder of the record, the bundle's manifest, or a file that the
            configuration names cannot be used.
    """
    assert config.record.folder is not None
    recorder = Recorder(
        Path(config.record.folder).expanduser(),
        _facts(config),
        frames=config.record.frames,
        quota_bytes=config.record.quota_mb * MEGABYTE,
    )
    copy, root = _Copy(recorder), logging.getLogger()
    root.addHandler(copy)
    recorder.on_close = lambda: root.removeHandler(copy)
    return recorder


def told_by_files(config: RunConfig | ReplayConfig) -> dict[str, str]:
    """SHA-256 of the files that settings name and results depend on, by what they are.

    Raises:
        DataError: one cannot be read.
    """
    named = {"calibration": config.camera.calibration, "prior": config.prior}
    return {name: _sha256(Path(path)) for name, path in named.items() if path is not None}


def _facts(config: RunConfig) -> dict[str, str]:
    settings = config.model_dump_json()
    return {
        "version": version(DISTRIBUTION),
        "bundle": config.bundle,
        "bundle_sha256": _sha256(Path(config.bundle) / MANIFEST),
        "configuration": settings,
        "configuration_sha256": hashlib.sha256(settings.encode()).hexdigest(),
        **{f"{name}_sha256": digest for name, digest in told_by_files(config).items()},
    }


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
