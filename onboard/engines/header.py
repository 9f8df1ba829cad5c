"""What an exported encoder says of itself, read without parsing the network in it.

An ONNX file is a protocol buffer; the fields wanted stand beside the graph, which is skipped. So a
file can be compared with the manifest before any native parser sees it, and where no ONNX library
is installed. (Field numbers: onnx.proto, ModelProto and its parts.)
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import BundleError, EngineError
from ..manifest_entries import EncoderEntry

OPSETS = (18, 20)
"""Of exported encoders: 20 is the newest that TensorRT 10.3 of JetPack 6 parses."""

_GRAPH, _OPSET_IMPORT, _METADATA = 7, 8, 14
_DOMAIN, _VERSION = 1, 2
_KEY, _VALUE = 1, 2
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Header:
    """Opset of the default domain, and the metadata by key."""

    opset: int
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """Opset and metadata of an ONNX file.

    Raises:
        EngineError: missing, or not an ONNX file.
    """
    opset, metadata = 0, {}
    try:
        with path.open("rb") as file:
            for number, content in _fields(file, os.fstat(file.fileno()).st_size, _GRAPH):
                if number == _OPSET_IMPORT:
                    entry = _message(content)
                    if _text(entry.get(_DOMAIN, b"")) in ("", "ai.onnx"):
                        opset = int(entry.get(_VERSION, 0))
                elif number == _METADATA:
                    entry = _message(content)
                    metadata[_text(entry.get(_KEY, b""))] = _text(entry.get(_VALUE, b""))
    except OSError as error:
        raise EngineError(f"{path}: {error.strerror}") from None
    except (ValueError, IndexError):
        raise EngineError(f"{path}: not an ONNX file, or cut off") from None
    if not opset:
        raise EngineError(f"{path}: not an ONNX file, it names no opset")
    return Header(opset, metadata)


def check_header(path: Path, entry: EncoderEntry, dimension: int) -> None:
    """An encoder must say of itself what the manifest says of it.

    Raises:
        BundleError: names what differs, and both sides.
        EngineError: not an ONNX file.
    """
    header = read_header(path)
    if header.opset not in OPSETS:
        known = " and ".join(map(str, OPSETS))
        raise BundleError(f"{path}: opset {header.opset}, this version flies {known}")
    stated = {
        "opset": str(entry.opset),
        "view": entry.view,
        "precision": entry.precision,
        "dimension": str(dimension),
        "preprocess_sha256": entry.preprocess.spec.sha256,
        "checkpoint_sha256": entry.checkpoint_sha256,
    }
    for key, wanted in stated.items():
        given = str(header.opset) if key == "opset" else header.metadata.get(key, "nothing")
        if given != wanted:
            raise BundleError(
                f"{path}: {key} differs: the file says {_short(given)}, the manifest"
                f" {_short(wanted)}"
            )


def _short(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:12]}…"


def _fields(stream: BinaryIO, size: int, skipped: int = 0) -> Iterator[tuple[int, bytes | int]]:
    """Fields of a message, texts and messages as bytes; without what is skipped and fractions."""
    while stream.tell() < size:
        number, kind = divmod(_varint(stream), 8)
        if kind == _VARINT:
            yield number, _varint(stream)
        elif kind in (_FIXED32, _FIXED64):
            stream.seek(4 if kind == _FIXED32 else 8, os.SEEK_CUR)
        elif kind != _LENGTH:
            raise ValueError(f"wire type {kind}")
        else:
            length = _varint(stream)
            if stream.tell() + length > size:
                raise ValueError("cut off")
            if number == skipped:
                stream.seek(length, os.SEEK_CUR)
            else:
                yield number, stream.read(length)


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError("a number without end")


def _message(content: bytes | int) -> dict[int, bytes | int]:
    if not isinstance(content, bytes):
        raise ValueError("a number where a message belongs")
    return dict(_fields(io.BytesIO(content), len(content)))


def _text(value: bytes | int) -> str:
    if not isinstance(value, bytes):
        raise ValueError("a number where a text belongs")
    return value.decode()
