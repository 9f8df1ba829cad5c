"""Many flights at once: in processes of this machine, or on all machines of a Ray cluster.

What comes out is the same either way, for a flight knows nothing of its neighbours. On a cluster
flights, bundles and results lie under the same paths, on a disk that all of it see.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import cv2

from ..cluster import join_ray
from ..errors import DataError
from .conclude import fly_and_tell
from .localize import Job

Engine = Literal["local", "ray"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """A summary, or the one line why there is none."""

    job: Job
    summary: dict[str, Any] | None = None
    problem: str = ""


def fly_all(jobs: Sequence[Job], workers: int, engine: Engine) -> list[Told]:
    """What became of every job, in their order. One flight that cannot be read does not stop the
    others; a bundle or settings that cannot be used do.

    Raises:
        ConfigError, BundleError, EngineError: of any job.
        DataError: none of the flights can be read, or Ray is absent or has no processor.
    """
    told = list(_on_ray(jobs) if engine == "ray" else _local(jobs, workers))
    problems = [each.problem for each in told if each.problem]
    if len(problems) == len(told):
        raise DataError(problems[0])
    for problem in problems:
        log.warning("%s", problem)
    return told


def attempt(job: Job) -> Told:
    """One job, wherever it is done."""
    try:
        return Told(job, fly_and_tell(job))
    except DataError as error:
        return Told(job, problem=str(error))


def _local(jobs: Sequence[Job], workers: int) -> Iterator[Told]:
    workers = min(workers, len(jobs))
    if workers == 1:
        yield from map(attempt, jobs)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    level = logging.getLogger().getEffectiveLevel()
    # forked processes would inherit threads that do not run in them
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawned, _begin, (level, threads)) as pool:
        try:
            yield from pool.map(attempt, jobs)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin(level: int, threads: int) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)
    cv2.setNumThreads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _on_ray(jobs: Sequence[Job]) -> Iterator[Told]:
    ray, _ = join_ray()
    remote = ray.remote(num_cpus=1)(attempt)
    waiting = [remote.remote(job.resolved()) for job in jobs]
    for number, reference in enumerate(waiting, start=1):
        try:
            told = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        log.info("%d of %d flights", number, len(waiting))
        yield told
