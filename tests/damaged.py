"""Ways in which a file of a bundle is spoilt: on a card, in transit, by somebody."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.errors import BundleError
from geobridge.onboard.store.intake import take_in
from geobridge.onboard.store.sources import open_source
from geobridge.onboard.trust import Trust

PAGE_BYTES = 4096
KINDS = ("bit", "cut", "page", "swap", "more")


def damages(
    folder: Path, other: Path, each: int, seed: int = 0
) -> Iterator[tuple[str, Path, bytes]]:
    """What was done, to which file, and what it holds then; `each` so many of every kind that
    changes the file.

    `other` is another bundle whose files take the place of those of the same name.
    """
    drawn = random.Random(seed)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, content = str(path.relative_to(folder)), path.read_bytes()
        strange = [(other / name).read_bytes()] if (other / name).exists() else []
        for kind in KINDS:
            for _ in range(each if kind != "swap" else 1):
                changed = _changed(kind, content, strange, drawn)
                if changed != content:
                    yield f"{kind} {name}", path, changed


def _changed(kind: str, content: bytes, strange: list[bytes], drawn: random.Random) -> bytes:
    if kind == "bit":
        at = drawn.randrange(8 * len(content))
        flipped = bytes([content[at // 8] ^ 1 << at % 8])
        return content[: at // 8] + flipped + content[at // 8 + 1 :]
    if kind == "cut":
        return content[: drawn.randrange(len(content))]
    if kind == "page":
        first = drawn.randrange(0, len(content), PAGE_BYTES)
        size = min(PAGE_BYTES, len(content) - first)
        return content[:first] + bytes(size) + content[first + size :]
    if kind == "more":
        return content + drawn.randbytes(drawn.randrange(1, 100))
    return strange[0] if strange else content


class ReachedError(AssertionError):
    """A native parser was given bytes."""


NATIVE = ("numpy.load", "faiss.read_index", "onnxruntime.InferenceSession", "cv2.imdecode")
PARSERS = (
    "geobridge.onboard.bundle.parse_manifest",
    "geobridge.onboard.store.intake.parse_manifest",
)


@contextmanager
def nothing_parsed(*names: str) -> Iterator[None]:
    """Whoever gives bytes to one of these parsers, fails."""

    def reached(*_: Any, **__: Any) -> Any:
        raise ReachedError("a parser")

    with ExitStack() as patched:
        for name in names:
            patched.enter_context(patch(name, reached))
        yield


def refusals(folder: Path, trust: Path, path: Path, content: bytes, store: Path) -> tuple[str, str]:
    """What who flies the bundle, and who installs it, say to a file with another content.

    Of the manifest and what vouches for it not even the manifest is parsed.

    Raises:
        ReachedError: a parser was given something of it.
        AssertionError: it was taken.
    """
    before = path.read_bytes()
    is_head = path.parent == folder
    path.write_bytes(content)
    try:
        with nothing_parsed(*NATIVE, *(PARSERS if is_head else ())):
            return _said(lambda: Bundle.open(folder, [trust])), _said(
                lambda: _installed(folder, trust, store)
            )
    finally:
        path.write_bytes(before)


def _installed(folder: Path, trust: Path, store: Path) -> None:
    with open_source(folder) as source:
        take_in(source, store, Trust.of_files([trust]), lambda arrived: True)


def _said(action: Callable[[], object]) -> str:
    try:
        action()
    except BundleError as error:
        return str(error)
    raise AssertionError("taken")
