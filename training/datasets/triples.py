"""`triples`: a folder in the layout that GeoBridge published, with texts beside it.

    <folder>/train/{drone,satellite,street}/<id>.<jpg|png|webp|tif>
    <folder>/train/text.jsonl       {"id": "<id>", "text": "..."} a line; optional
    <folder>/train/metadata.jsonl   {"id": "<id>", "east_m": x, "north_m": y, "footprint_m": side}
                                    a line; optional, tells which places overlap

A split may be sharded instead, see `shards`, and a public data set may stand in a layout of its
own, see `layouts`. A place is an id; it may lack any view or its text. A place with one of them
alone is left out: there is nothing to compare it with.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError
from geobridge.onboard.preprocess import apply
from geobridge.onboard.records import Image
from geobridge.onboard.views import View

from ..batches.kin import Kin, with_pairs
from ..batches.sampling import kin_of, plan_epoch, relation
from ..config_data import AugmentConfig, BatchesConfig
from ..config_geolink import GeoLinkConfig
from ..config_model import PreprocessConfig
from ..geolink.shown import shown
from ..geolink.store import PointStore
from .batch import POINTS, TEXT, Batch
from .copies import same_pictures
from .decode import UnreadableError, decode
from .folder import METADATA, TEXTS, Store
from .layouts.rows import RowStore
from .look import ALL_EDGES, UNCHANGED, Edges, Look, look
from .stores import open_store
from .told import positions_of, texts_of

Numbers = npt.NDArray[np.int32]


class TriplesSource:
    """Batches of distinct places, every place at most once an epoch in an order drawn from the
    seed. A place has a number, its position in `names`.

    Args:
        folder: holds the split.
        views: to read of it.
        preprocess: what makes them encoder input.
        batch_size: places in a batch, for every process.
        seed: draws order and changes.
        split: name of its folder.
        with_texts: whether to read them.
        batches: which places meet in a batch.
        augment: changes of the pictures and texts of batches; None for none.
        neighbours: [N, K] numbers of places that are hard to tell apart, nearest first, or -1.
        edges: pairs of sides that are compared; a place is never left without one that it has.
        variant: of a public data set, as `layouts` has them.
        geolink: whose point clouds come with the places; they change no picture, no text and no
            order.

    Raises:
        DataError: names the folder or file that is missing or broken.
    """

    def __init__(
        self,
        folder: Path,
        views: Sequence[View],
        preprocess: PreprocessConfig,
        batch_size: int,
        seed: int,
        split: str = "train",
        with_texts: bool = True,
        batches: BatchesConfig | None = None,
        augment: AugmentConfig | None = None,
        neighbours: Numbers | None = None,
        edges: Edges = ALL_EDGES,
        variant: str = "",
        geolink: GeoLinkConfig | None = None,
    ) -> None:
        self.folder = folder / split
        self.preprocess = preprocess
        self.batch_size = batch_size
        self.seed = seed
        self.batches = batches or BatchesConfig()
        self.augment = augment or UNCHANGED
        self.neighbours = neighbours
        self.edges = edges
        self.geolink = geolink or GeoLinkConfig()
        self.points = PointStore(Path(self.geolink.points)) if self.geolink.points else None
        self.store: Store = open_store(folder, split, views, variant)
        self.pictures = {view: frozenset(self.store.names(view)) for view in views}
        pictured = frozenset[str]().union(*self.pictures.values())
        self.texts = texts_of(self.store.lines(TEXTS), pictured) if with_texts else {}
        sides = Counter(self.texts.keys())
        for names in self.pictures.values():
            sides.update(names)
        self.names = tuple(sorted(name for name in pictured if sides[name] > 1))
        self._check_count(1)
        self.east_north_m, self.footprint_m = positions_of(self.store.lines(METADATA), self.names)
        self._plan: tuple[tuple[int, int], npt.NDArray[np.int64]] | None = None

    @property
    def places(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def has_positions(self) -> bool:
        """Whether it is known of any place where it lies."""
        return bool(np.isfinite(self.east_north_m).any())

    @cached_property
    def kin(self) -> Kin:
        """Who is no negative of whom: by overlap on the ground, by the pictures
        themselves, and as a public data set tells.

        Raises:
            DataError: very many places have one and the same picture.
        """
        told = self.store if isinstance(self.store, RowStore) else None
        kin = kin_of(
            self.east_north_m,
            self.footprint_m,
            self.batches.positive_iou,
            self.batches.neither_iou,
            told.groups(self.names) if told else None,
            same_pictures(self.store, tuple(self.pictures), self.names),
        )
        return with_pairs(kin, *told.pairs(self.names)) if told else kin

    def with_neighbours(self, neighbours: Numbers | None) -> TriplesSource:
        """The same source with other neighbours; batches differ from here on."""
        other = copy.copy(self)
        other.neighbours, other._plan = neighbours, None
        return other

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """Batch `step` of the endless sequence of epochs; an epoch's remainder is dropped.

        Raises:
            DataError: there are too few places, or too many pictures that cannot be read.
        """
        size = self.batch_size * world
        self._check_count(world)
        epoch, position = divmod(step, self.places // size)
        drawn = self._planned(size, epoch)[position]
        first = rank * self.batch_size
        own = drawn[first : first + self.batch_size]
        names = tuple(self.names[place] for place in own)
        looks = [self._look(name, step, first + row) for row, name in enumerate(names)]
        unreadable = tuple(line for each in looks for line in each.unreadable)
        texts = tuple(each.text for each in looks)
        present = {
            view.value: np.array([view in each.images for each in looks]) for view in self.pictures
        }
        present[TEXT] = np.array([bool(text) for text in texts])
        clouds = self._clouds(names, looks, step, first) if self.points else None
        if clouds is not None:
            present[POINTS] = np.array([cloud.any() for cloud in clouds])
        return Batch(
            {view: self._stacked(view, looks) for view in self.pictures},
            present,
            texts,
            relation(self.kin, own, drawn),
            names,
            unreadable,
            clouds,
        )

    def read(self, view: View, name: str) -> Image:
        """[H, W, 3] encoder input without any change; zeros where the place lacks the view.

        Raises:
            DataError: the picture cannot be read.
        """
        spec = self.preprocess.spec_of(view)
        if name not in self.pictures[view]:
            return np.zeros((spec.height_px, spec.width_px, 3), np.uint8)
        try:
            return apply(self.picture(view, name), spec)
        except UnreadableError as error:
            raise DataError(str(error)) from None

    def picture(self, view: View, name: str) -> Image:
        """[H, W, 3] of a place that has the view, about as large as needed.

        Raises:
            UnreadableError: with its path and why.
        """
        spec = self.preprocess.spec_of(view)
        try:
            return decode(self.store.read(view, name), spec.height_px, spec.width_px)
        except OSError as error:
            why = error.strerror
        except UnreadableError as error:
            why = str(error)
        raise UnreadableError(f"{self.store.where(view, name)}: {why}")

    def _look(self, name: str, step: int, row: int) -> Look:
        """As seed, step and the row in the batch of all processes have it."""
        return look(
            [view for view, names in self.pictures.items() if name in names],
            lambda view: self.picture(view, name),
            self.texts.get(name, ""),
            self.preprocess,
            self.augment,
            np.random.default_rng([self.seed, _LOOK, step, row]),
            self.edges,
        )

    def _clouds(
        self, names: Sequence[str], looks: Sequence[Look], step: int, first: int
    ) -> npt.NDArray[np.float32]:
        """[b, P, 3], turned as the pictures; zeros where there are none, or none shown."""
        assert self.points is not None
        rows = np.zeros((len(names), self.geolink.count, 3), np.float32)
        for at, (name, each) in enumerate(zip(names, looks, strict=True)):
            rng = np.random.default_rng([self.seed, _CLOUD, step, first + at])
            is_shown = rng.random() >= self.geolink.missing
            if is_shown and (cloud := self.points.read(name, rng)) is not None:
                rows[at] = shown(cloud, each.turn, self.geolink, rng)
        return rows

    def _stacked(self, view: View, looks: Sequence[Look]) -> Image:
        spec = self.preprocess.spec_of(view)
        rows = np.zeros((len(looks), spec.height_px, spec.width_px, 3), np.uint8)
        for row, each in zip(rows, looks, strict=True):
            if view in each.images:
                row[:] = each.images[view]
        return rows

    def _planned(self, size: int, epoch: int) -> npt.NDArray[np.int64]:
        """[batches, size] place numbers of an epoch."""
        if self._plan is None or self._plan[0] != (size, epoch):
            plan = plan_epoch(
                self.places,
                size,
                self.seed,
                epoch,
                self.kin,
                self.neighbours,
                self.batches.hard_share,
            )
            self._plan = (size, epoch), plan
        return self._plan[1]

    def _check_count(self, world: int) -> None:
        if not self.places:
            raise DataError(f"{self.folder}: no place has two views, or a view and a text")
        if self.places < self.batch_size * world:
            processes = f" for each of {world} processes" if world > 1 else ""
            raise DataError(
                f"{self.folder}: {self.places} places with two views or a text; optim.batch_size is"
                f" {self.batch_size}{processes}, expected at most {self.places // world}"
            )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"kin": self.kin, "_plan": None}


_LOOK, _CLOUD = 31, 32
"""Set what is drawn for the looks of places, and for their clouds, apart from all else that the
seed draws."""
