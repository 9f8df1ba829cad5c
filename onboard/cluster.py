"""A Ray cluster: joined where RAY_ADDRESS names one, else started here."""

from __future__ import annotations

import logging
import os
from typing import Any

from .errors import DataError


def join_ray() -> tuple[Any, int]:
    """The module `ray`, connected, and how many processors its cluster has.

    Raises:
        DataError: Ray is not installed or has no processor to give.
    """
    try:
        import ray
    except ImportError:
        raise DataError('ray is absent: pip install "geobridge-uav[ray]"') from None
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    cores = ray.cluster_resources().get("CPU", 0)  # type: ignore[no-untyped-call]
    if cores < 1:
        raise DataError("ray: the cluster has no processor")
    return ray, int(cores)
