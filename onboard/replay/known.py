"""What costs time in a replay, kept as it is found, so that a replay that was stopped goes on.

The Localizer is not saved: it is led through the frames once more, from the first one, and what
its encoder and its verification gave then is read instead of computed. So it comes to the same
state to the last bit, whatever that state consists of.

A file of records, each `<length> <CRC-32> <payload>`; the first payload names the work it belongs
to. What a kill or a power cut left of the last record is cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..config import VerifyConfig
from ..errors import EngineError
from ..localization.alignment import Alignment, Imagery, Rectifier
from ..localization.pose import Pose
from ..records import Image, Mask
from ..retrieval.encoder import Encoder

_HEAD = struct.Struct("<II")
_TIMED = struct.Struct("<d?")
"""Milliseconds that an answer took, and whether it is one, not the error of an engine."""
SYNC_S = 2.0
DIGEST_BYTES = 16

Found = TypeVar("Found")
Verify = Callable[..., Alignment | None]


class Known:
    """Answers in the order in which they were asked for, from a file that grows.

    `on_recalled` is told the milliseconds that an answer took when it was found.
    """

    def __init__(self, path: Path, work: str, on_recalled: Callable[[float], None]) -> None:
        """`work` names all that answers depend on: what is there for other work is thrown away."""
        self._on_recalled = on_recalled
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._synced_s = time.monotonic()
        self._recalling = self._next() == work.encode()
        if not self._recalling:
            self._begin_anew(0)
            self._append(work.encode())

    def ask(
        self,
        question: bytes,
        answer: Callable[[], Found],
        pack: Callable[[Found], bytes],
        unpack: Callable[[bytes], Found],
    ) -> Found:
        """What was answered when the same was asked at this point before, else the answer.

        Both come from the bytes that are kept, so that they cannot differ. That an engine failed is
        an answer too: the flight went on without one, and goes so again.

        Raises:
            EngineError: the engine failed, now or when it was asked before.
        """
        if self._recalling:
            at = os.lseek(self._file, 0, os.SEEK_CUR)
            record = self._next()
            if record is not None and record[:DIGEST_BYTES] == question:
                took_ms, is_answer = _TIMED.unpack_from(record, DIGEST_BYTES)
                self._on_recalled(took_ms)
                return _given(record[DIGEST_BYTES + _TIMED.size :], is_answer, unpack)
            self._begin_anew(at)
        started_ns, is_answer = time.perf_counter_ns(), True
        try:
            packed = pack(answer())
        except EngineError as error:
            packed, is_answer = str(error).encode(), False
        took_ms = (time.perf_counter_ns() - started_ns) * 1e-6
        self._append(question + _TIMED.pack(took_ms, is_answer) + packed)
        return _given(packed, is_answer, unpack)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _begin_anew(self, at: int) -> None:
        """From a place in the file on."""
        os.ftruncate(self._file, at)
        os.lseek(self._file, at, os.SEEK_SET)
        self._recalling = False

    def _next(self) -> bytes | None:
        """The next whole record."""
        head = os.read(self._file, _HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length, crc = _HEAD.unpack(head)
        payload = os.read(self._file, length)
        return payload if len(payload) == length and zlib.crc32(payload) == crc else None

    def _append(self, payload: bytes) -> None:
        record = memoryview(_HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
        while record:
            record = record[os.write(self._file, record) :]
        if time.monotonic() - self._synced_s > SYNC_S:
            os.fdatasync(self._file)
            self._synced_s = time.monotonic()


def _given(packed: bytes, is_answer: bool, unpack: Callable[[bytes], Found]) -> Found:
    if not is_answer:
        raise EngineError(packed.decode())
    return unpack(packed)


class KnownEncoder(Encoder):
    """An encoder that need not answer twice."""

    def __init__(self, encoder: Encoder, known: Known) -> None:
        super().__init__(encoder.engine, encoder.preprocess, encoder.dimension)
        self._known = known

    def encode(self, prepared: Sequence[Image] | Image) -> npt.NDArray[np.float32]:
        """As the encoder does."""
        pixels = np.ascontiguousarray(np.stack(list(prepared)), np.uint8)
        shape = len(pixels), self.dimension

        def unpack(data: bytes) -> npt.NDArray[np.float32]:
            return np.frombuffer(data, "<f4").reshape(shape).astype(np.float32)

        return self._known.ask(
            _digest(b"encode", pixels),
            lambda: Encoder.encode(self, pixels),
            lambda found: found.astype("<f4").tobytes(),
            unpack,
        )


def known_verify(verify: Verify, known: Known) -> Verify:
    """A verification that need not answer twice."""

    def ask(
        rectify: Rectifier,
        centres_m: Sequence[tuple[float, float]],
        imagery: Imagery,
        config: VerifyConfig,
        hints_m: Sequence[tuple[float, float]] = (),
    ) -> Alignment | None:
        patch = rectify(0.0, 0.0, 1)
        seen = () if patch is None else (patch.image, patch.valid)
        places = (np.asarray(where, float).reshape(-1, 2) for where in (centres_m, hints_m))
        return known.ask(
            _digest(b"verify", *seen, *places),
            lambda: verify(rectify, centres_m, imagery, config, hints_m),
            _alignment_bytes,
            _alignment_of,
        )

    return ask


def _digest(kind: bytes, *arrays: Image | Mask | npt.NDArray[np.float64]) -> bytes:
    digest = hashlib.blake2b(kind, digest_size=DIGEST_BYTES)
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(array.tobytes())
    return digest.digest()


def _alignment_bytes(aligned: Alignment | None) -> bytes:
    """JSON: floats are written so that the same floats are read."""
    if aligned is None:
        return b"null"
    return json.dumps(asdict(aligned), default=_listed).encode()


def _alignment_of(data: bytes) -> Alignment | None:
    fields: dict[str, Any] | None = json.loads(data)
    if fields is None:
        return None
    if fields["pose"] is not None:
        covariance = np.array(fields["pose"]["covariance_m2"], float)
        fields["pose"] = Pose(**fields["pose"] | {"covariance_m2": covariance})
    return Alignment(**fields)


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not plain")
