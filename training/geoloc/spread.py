"""Units of work on the cores of this computer, or on many through Ray."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Literal, Protocol

import cv2
from rasterio.errors import NotGeoreferencedWarning

from geobridge.onboard.cluster import join_ray
from geobridge.onboard.errors import DataError

Engine = Literal["local", "ray"]


class Spread(Protocol):
    """Does a thing with every payload; the payload's number and the result, as they are ready."""

    def __call__(
        self, do: Callable[[Any], Any], payloads: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Numbers and results."""


def spread_on(engine: Engine) -> Spread:
    """By name.

    Raises:
        DataError: Ray is not installed or has no processor to give.
    """
    return OnRay() if engine == "ray" else local


def local(do: Callable[[Any], Any], payloads: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """A thread to each core; the work is done in libraries that let go of the interpreter."""
    cv2.setNumThreads(1)
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    with warnings.catch_warnings():
        # rasterio silences this one around its own datasets, which threads undo for each other
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            numbers = {pool.submit(do, payload): at for at, payload in enumerate(payloads)}
            for done in as_completed(numbers):
                yield numbers[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)


class OnRay:
    """On a cluster, see `cluster`.

    Workers read sources and write pictures under the same paths, so these lie on a disk that all
    of them see.

    Raises:
        DataError: Ray is not installed or has no processor to give.
    """

    def __init__(self) -> None:
        self._ray, _ = join_ray()

    def __call__(
        self, do: Callable[[Any], Any], payloads: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """As `local`."""
        remote = self._ray.remote(num_cpus=1, max_retries=3)(_told)
        shared = self._ray.put(do)
        numbers = {remote.remote(shared, payload): at for at, payload in enumerate(payloads)}
        left = list(numbers)
        while left:
            [ready], left = self._ray.wait(left, num_returns=1)
            result, complaint = self._ray.get(ready)
            if complaint:
                raise DataError(complaint)
            yield numbers[ready], result


def _told(do: Callable[[Any], Any], payload: Any) -> tuple[Any, str]:
    """The result, or what is wrong with the data: Ray would wrap an error in pages of its own."""
    try:
        return do(payload), ""
    except DataError as error:
        return None, str(error)
