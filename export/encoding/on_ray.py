"""The same chunks on many machines, through Ray: what they give is what one gives.

A cluster is joined where RAY_ADDRESS names one, else started here. Workers read the encoder, the
working folder and the sources under the same paths, so these lie on a disk that all of them see;
descriptors come back to the one that asked, which alone writes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace

from geobridge.onboard.errors import DataError

from .chunks import Encoded, Job, Known, encode_rows


class Worker:
    """Holds a job's encoder open in a process of its own."""

    def __init__(self, shared: tuple[Job, Known]) -> None:
        self._job, self._known = shared
        self._encoder = self._job.encoder.open()

    def encode(self, rows: range) -> Encoded:
        """One chunk."""
        return encode_rows(self._job, rows, self._encoder, self._known)


def on_ray(job: Job, chunks: list[range], known: Known) -> Iterator[Encoded]:
    """By as many workers as the cluster has processors, one thread each.

    Raises:
        DataError: Ray is not installed or has no processor to give.
    """
    if not chunks:
        return
    try:
        import ray
        from ray.util import ActorPool
    except ImportError:
        raise DataError('ray is absent: pip install "geobridge-uav[ray]"') from None
    if not ray.is_initialized():
        # what a task imports is installed there, and not sent
        ray.init(
            address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, logging_level=logging.ERROR
        )
    cores = ray.cluster_resources().get("CPU", 0)  # type: ignore[no-untyped-call]
    workers = min(int(cores), len(chunks))
    if workers < 1:
        raise DataError("ray: the cluster has no processor")
    single = replace(job, encoder=replace(job.encoder, threads=1))
    shared = ray.put((single, dict(known)))
    remote = ray.remote(num_cpus=1)(Worker)
    pool = ActorPool([remote.remote(shared) for _ in range(workers)])
    yield from pool.map(lambda worker, rows: worker.encode.remote(rows), chunks)
