"""Where a bundle is made: beside its place, kept when interrupted, and of one process alone."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from geobridge.onboard import durable
from geobridge.onboard.bundle import MANIFEST, Bundle
from geobridge.onboard.errors import DataError

log = logging.getLogger(__name__)

PLAN = "plan.json"


@dataclass(frozen=True)
class Folders:
    """Of the bundle that is being made, of what keeps unfinished work, and its place in the end.

    A bundle that is in the place already stays until then, and what did not change is taken over
    from it.
    """

    bundle: Path
    work: Path
    final: Path

    @classmethod
    def beside(cls, out: Path) -> Folders:
        """Those of a bundle that is to be at `out`.

        Raises:
            DataError: something else is there.
        """
        if out.is_symlink() or (out.exists() and not (out / MANIFEST).exists()):
            raise DataError(f"{out}: exists and is not a bundle; choose another folder")
        bundle = out.parent / f"{durable.TEMPORARY_PREFIX}{out.name}"
        return cls(bundle, bundle.with_name(f"{bundle.name}.work"), out)

    @contextmanager
    def begun(self, fingerprint: str) -> Iterator[None]:
        """Fresh, or as an interrupted run of the same plan left them, and nobody else's meanwhile.

        What is refused is not kept: mended it makes another plan.

        Raises:
            DataError: another process is packing there.
        """
        with self._held():
            marker = self.work / PLAN
            if marker.exists() and marker.read_text(encoding="utf-8") == fingerprint:
                log.info("going on in %s", self.work)
            else:
                self._clear()
                self.bundle.mkdir()
                durable.write_text(marker, fingerprint)
            try:
                yield
            except DataError:
                shutil.rmtree(self.bundle)
                shutil.rmtree(self.work)
                raise

    def publish(self) -> Path:
        """The bundle in its place, once it can be opened; work is kept until it is there."""
        Bundle.open(self.bundle)
        durable.publish_folder(self.bundle, self.final)
        shutil.rmtree(self.work)
        return self.final

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The lock goes with the process, however it ends."""
        self.work.mkdir(parents=True, exist_ok=True)
        refused = DataError(f"{self.final}: another process is packing there")
        with durable.held(os.open(self.work, os.O_RDONLY), refused):
            yield

    def _clear(self) -> None:
        """All but the working folder itself, which is held."""
        shutil.rmtree(self.bundle, ignore_errors=True)
        for path in self.work.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
