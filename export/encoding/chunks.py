"""Rows of pictures to descriptors, chunk by chunk, each with a digest of what it was made from.

A descriptor depends on the encoder and on the prepared picture alone, to the last bit, whatever
else is in the batch and however many threads there are, as long as batches are of one size
(`tests/export/test_encoding.py`, on ONNX Runtime's CPU provider). So one that is known from an
earlier bundle is taken over, and many machines of a kind give what one gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geobridge.onboard.bundle import DIGEST_BYTES
from geobridge.onboard.engines.engine import EngineSettings
from geobridge.onboard.engines.onnxruntime import OnnxRuntimeEngine
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.records import Image
from geobridge.onboard.retrieval.encoder import Encoder

from ..references.places import Picture

CHUNK, BATCH = 256, 16
"""Rows that are kept together; pictures that the encoder sees at once."""

ENGINES = {"cpu": "onnxruntime", "cuda": "onnxruntime-cuda"}
"""By what they run on."""

Known = Mapping[bytes, npt.NDArray[np.float16]]
"""Descriptors by digest."""


@dataclass(frozen=True)
class Encoded:
    """[N, D] unit descriptors and the [N, 16] digests of what they were made from."""

    descriptors: npt.NDArray[np.float16]
    digests: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class EncoderFile:
    """An exported encoder, as it can be sent to another process and opened there."""

    path: Path
    sha256: str
    preprocess: Preprocess
    dimension: int
    engine: str = ENGINES["cpu"]
    threads: int = 0

    def open(self) -> Encoder:
        """Ready to encode."""
        engine = OnnxRuntimeEngine(self.path, self.engine, EngineSettings(threads=self.threads))
        return Encoder(engine, self.preprocess, self.dimension)


@dataclass(frozen=True)
class Job:
    """`count` rows to encode; `name` tells them from others of the same bundle."""

    name: str
    count: int
    pictures: Callable[[int], Picture]
    encoder: EncoderFile

    def chunks(self) -> list[range]:
        """Rows that are kept together."""
        return [range(at, min(at + CHUNK, self.count)) for at in range(0, self.count, CHUNK)]


def digest(prepared: Image, encoder_sha256: str) -> bytes:
    """Of an encoder, and of the pixels that it sees."""
    key = bytes.fromhex(encoder_sha256)
    hashed = hashlib.blake2b(repr(prepared.shape).encode(), digest_size=DIGEST_BYTES, key=key)
    hashed.update(prepared.tobytes())
    return hashed.digest()


def encode_rows(job: Job, rows: range, encoder: Encoder, known: Known) -> Encoded:
    """The rows' descriptors; those that are known are not made again."""
    descriptors = np.zeros((len(rows), job.encoder.dimension), np.float16)
    digests = np.zeros((len(rows), DIGEST_BYTES), np.uint8)
    new: list[tuple[int, Image]] = []

    def encode() -> None:
        # always as many at once: alone, a picture would be summed up in another order
        images = [image for _, image in new] + [new[0][1]] * (BATCH - len(new))
        descriptors[[at for at, _ in new]] = encoder.encode(images)[: len(new)]
        new.clear()

    for at, prepared in enumerate(_prepared(job, rows, encoder)):
        key = digest(prepared, job.encoder.sha256)
        digests[at] = np.frombuffer(key, np.uint8)
        there = known.get(key)
        if there is not None:
            descriptors[at] = there
            continue
        new.append((at, prepared))
        if len(new) == BATCH:
            encode()
    if new:
        encode()
    return Encoded(descriptors, digests)


def _prepared(job: Job, rows: Sequence[int], encoder: Encoder) -> Iterator[Image]:
    """Encoder inputs, the next batch made while the encoder is busy with this one."""

    def prepare(batch: Sequence[int]) -> list[Image]:
        return [encoder.prepare(*job.pictures(row)) for row in batch]

    batches = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(prepare, batches[0]) if batches else None
        for number in range(len(batches)):
            assert coming is not None
            ready = coming.result()
            if number + 1 < len(batches):
                coming = ahead.submit(prepare, batches[number + 1])
            yield from ready
