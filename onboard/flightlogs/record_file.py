"""The file of a flight record: MCAP in small chunks, so that a power cut costs the last alone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from mcap.writer import CompressionType, IndexType, Writer

from ..durable import sync
from . import entries

CHUNK_BYTES = 32_768
INDEXED = IndexType.CHUNK | IndexType.METADATA
"""Where each message lies would be kept in memory to the end of the flight."""
SYNC_NS = 1_000_000_000


class RecordFile:
    """Written through to the system at once and to the disk every second; `facts` are texts.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path, facts: Mapping[str, str]) -> None:
        self.path = path
        self._stream = _Whole(path)
        self._writer: Any = Writer(  # half of its methods have no types
            cast(Any, self._stream),
            chunk_size=CHUNK_BYTES,
            compression=CompressionType.ZSTD,
            index_types=INDEXED,
        )
        self._synced_ns = time.monotonic_ns()
        try:
            self._channels = self._begin(facts)
        except OSError:
            self._stream.close()
            path.unlink()
            raise

    def write(self, channel: str, unix_ns: int, data: bytes) -> None:
        """One message of a channel of `entries`."""
        self._writer.add_message(self._channels[channel], unix_ns, data, unix_ns)
        now_ns = time.monotonic_ns()
        if now_ns - self._synced_ns >= SYNC_NS:
            self._synced_ns = now_ns
            self._stream.sync()

    def finish(self) -> None:
        """Its end, and all of it on the disk."""
        self._writer.finish()
        self._stream.sync()
        self._stream.close()

    def abandon(self) -> None:
        """As it is; what was written can be read."""
        self._stream.close()

    def _begin(self, facts: Mapping[str, str]) -> dict[str, int]:
        self._writer.start(profile="", library=entries.FORMAT)
        self._writer.add_metadata(entries.FORMAT, dict(facts))
        sync(self.path.parent)
        return {channel: self._channel(channel) for channel in entries.SCHEMAS}

    def _channel(self, topic: str) -> int:
        schema = entries.SCHEMAS[topic]
        number = self._writer.register_schema(
            json.loads(schema)["title"], "jsonschema", schema.encode()
        )
        return int(self._writer.register_channel(topic, "json", number))


class _Whole:
    """A new file without a buffer of ours; what the writer calls of a stream."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._written = 0

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            count = os.write(self._descriptor, rest)
            self._written += count
            rest = rest[count:]
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing is held back."""

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)
