"""Every answer that was ever paid for, by what was asked."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from geobridge.onboard.durable import write_text

from .endpoint import Answer


class Answers:
    """Files `<folder>/<2 digits>/<key>.json`; deleting one asks again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Answer | None:
        """None where nothing whole is kept."""
        try:
            return Answer(**json.loads(self._path(key).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, key: str, answer: Answer) -> None:
        """Write one down."""
        write_text(self._path(key), json.dumps(asdict(answer)) + "\n")

    def spent(self) -> tuple[int, int]:
        """Input and output tokens of all that are kept."""
        found = [self.get(path.stem) for path in sorted(self._folder.glob("*/*.json"))]
        whole = [each for each in found if each is not None]
        return sum(a.input_tokens for a in whole), sum(a.output_tokens for a in whole)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"
