"""The places of a split as descriptors, side by side; few pictures at a time are in memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image
from geobridge.onboard.views import View

from ..config_model import ModelConfig
from ..datasets.batch import TEXT
from ..datasets.triples import TriplesSource
from ..model import GeoBridge, tokenizer
from .area import encode, evaluating

log = logging.getLogger(__name__)

CHUNK = 256
"""So many places at a time are in memory as pictures."""
NAMED = 5
"""So many unreadable pictures are named one by one."""

Parts = Iterator[tuple[list[int], npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class Side:
    """[n] numbers of the places that have this side, ascending, and their [n, D] descriptors."""

    places: npt.NDArray[np.int64]
    descriptors: npt.NDArray[np.float32]


def describe(
    model: GeoBridge, config: ModelConfig, source: TriplesSource, places: Sequence[str]
) -> dict[str, Side]:
    """Every side of these places that the model has a tower for; numbers count along `places`.

    A picture that cannot be read is counted and named in the log, and its place lacks that view.

    Args:
        model: encodes on its device and in the caller's autocast; its mode is left as it was.
        config: of that model, for its tokens.
        source: of the split.
        places: in order.
    """
    unreadable: list[str] = []
    with evaluating(model), ThreadPoolExecutor(os.cpu_count()) as readers:
        sides = {
            view.value: _side(_views(model, source, view, places, readers, unreadable))
            for view in source.pictures
        }
        if source.texts and config.text_tower:
            sides[TEXT] = _side(_texts(model, config, source, places))
    for line in unreadable[:NAMED]:
        log.warning("left out: %s", line)
    if len(unreadable) > NAMED:
        log.warning("%d pictures cannot be read and are left out", len(unreadable))
    return sides


def _views(
    model: GeoBridge,
    source: TriplesSource,
    view: View,
    places: Sequence[str],
    readers: ThreadPoolExecutor,
    unreadable: list[str],
) -> Parts:
    def read(number: int) -> Image | None:
        try:
            return source.read(view, places[number])
        except DataError as error:
            unreadable.append(str(error))
            return None

    for part in _parts([n for n, place in enumerate(places) if place in source.pictures[view]]):
        read_ones = zip(part, readers.map(read, part), strict=True)
        images = {number: image for number, image in read_ones if image is not None}
        if images:
            yield list(images), encode(model, view, np.stack(list(images.values())))


def _texts(
    model: GeoBridge, config: ModelConfig, source: TriplesSource, places: Sequence[str]
) -> Parts:
    tokenize, device = tokenizer(config), next(model.parameters()).device
    for part in _parts([n for n, place in enumerate(places) if place in source.texts]):
        tokens = tokenize([source.texts[places[number]] for number in part])
        with torch.no_grad():
            yield part, model.encode_text(tokens.to(device)).cpu().numpy()


def _parts(numbers: list[int]) -> Iterator[list[int]]:
    return (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))


def _side(parts: Parts) -> Side:
    numbers: list[int] = []
    descriptors = [np.empty((0, 0), np.float32)]
    for part, described in parts:
        numbers += part
        descriptors.append(described)
    return Side(np.array(numbers, np.int64), np.concatenate(descriptors[1:] or descriptors))
