"""The same chunks on many machines, through Ray: what they give is what one gives.

Workers read the encoder, the
working folder and the sources under the same paths, so these lie on a disk that all of them see;
descriptors come back to the one that asked, which alone writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from geobridge.onboard.cluster import join_ray
from geobridge.onboard.retrieval.encoder import Encoder

from .chunks import Encoded, Job, Known, encode_rows


class OnRay:
    """By as many workers as the cluster has processors, one thread each, for job after job.

    Raises:
        DataError: Ray is not installed or has no processor to give.
    """

    def __init__(self) -> None:
        ray, cores = join_ray()
        from ray.util import ActorPool

        remote = ray.remote(num_cpus=1)(Worker)
        self._pool = ActorPool([remote.remote() for _ in range(cores)])
        self._put = ray.put

    def __call__(self, job: Job, chunks: list[range], known: Known) -> Iterator[Encoded]:
        """The chunks, in their order."""
        single = replace(job, encoder=replace(job.encoder, threads=1))
        shared = [self._put((single, dict(known)))]  # in a list: fetched once, and not each time
        yield from self._pool.map(lambda worker, rows: worker.encode.remote(shared, rows), chunks)


class Worker:
    """Holds the encoder of one job after another open, in a process of its own."""

    def __init__(self) -> None:
        self._shared: list[Any] = []
        self._job: Job
        self._known: Known
        self._encoder: Encoder

    def encode(self, shared: list[Any], rows: range) -> Encoded:
        """One chunk of the job that `shared` refers to."""
        if shared != self._shared:
            import ray

            self._job, self._known = ray.get(shared[0])
            self._encoder = self._job.encoder.open()
            self._shared = shared
        return encode_rows(self._job, rows, self._encoder, self._known)
