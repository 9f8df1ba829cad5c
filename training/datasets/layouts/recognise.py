"""Which data set a folder holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from geobridge.onboard.errors import DataError

from .captions import Captions, captions_of
from .denseuav import DenseUav, is_denseuav
from .folders import archives, subfolders
from .ground import Cvact, Cvusa
from .gta import Gta, VisLoc, is_gta, is_visloc
from .layout import Layout
from .own import Own, own_of
from .triples import Triples, is_triples
from .university import Sues, University, is_sues, is_university
from .vigor import Vigor, is_vigor


@dataclass(frozen=True)
class Known:
    """A layout: what tells it, how it is opened, and what its variant chooses."""

    title: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path, str], Layout]
    variants: str = ""


def _plain(kind: Callable[[Path], Layout]) -> Callable[[Path, str], Layout]:
    return lambda root, variant: kind(root)


LAYOUTS = {
    "denseuav": Known("DenseUAV", is_denseuav, _plain(DenseUav)),
    "university1652": Known("University-1652", is_university, _plain(University)),
    "sues200": Known("SUES-200", is_sues, Sues, "150, 200, 250 or 300"),
    "vigor": Known("VIGOR", is_vigor, Vigor, "same or cross"),
    "cvusa": Known("CVUSA", lambda at: any(at.glob("splits/*-19zl.csv")), _plain(Cvusa)),
    "cvact": Known("CVACT", lambda at: any(at.glob("ANU_data_*")), _plain(Cvact)),
    "gta-uav": Known("GTA-UAV", is_gta, Gta, "same or cross"),
    "uav-visloc": Known("UAV-VisLoc", is_visloc, VisLoc, "same or cross"),
    "captions": Known(
        "pictures and captions",
        lambda at: captions_of(at) is not None,
        lambda root, _: Captions(_folder(root), captions_of(root) or root),
    ),
    "own": Known(
        "a table of pictures",
        lambda at: own_of(at) is not None,
        lambda root, _: Own(_folder(root), own_of(root) or root),
    ),
    "geoloc": Known(
        "triples as GeoLoc",
        is_triples,
        lambda root, split: Triples(root, split or "test"),
        "train, val or test",
    ),
}
"""By name, in the order in which they are asked."""


def recognise(folder: Path) -> str:
    """The name of the layout.

    Raises:
        DataError: none; says what was probably done to the folder.
    """
    name = _name(folder)
    if name is None:
        raise DataError(f"{folder}: no data set that is known, {_why(folder)}")
    return name


def opened(folder: Path, variant: str = "") -> tuple[str, Layout]:
    """Its name, and the data set.

    Raises:
        DataError: none that is known, or not in this variant.
    """
    name = recognise(folder)
    known = LAYOUTS[name]
    if variant and not known.variants:
        raise DataError(f"{folder}: {known.title} has no variants, got {variant!r}")
    return name, known.open(folder, variant)


def _name(folder: Path) -> str | None:
    return next((name for name, known in LAYOUTS.items() if known.recognises(folder)), None)


def _why(folder: Path) -> str:
    if folder.is_file():
        return "expected a folder, or a table that ends in .csv, .jsonl, .json or .parquet"
    for name in subfolders(folder):
        found = _name(folder / name)
        if found:
            return f"but {folder / name} is {LAYOUTS[found].title}: give that folder"
    if packed := archives(folder):
        return f"but {packed[0].name} is not unpacked: unpack it there"
    within = ", ".join(subfolders(folder)[:5]) or "nothing"
    return f"it holds {within}; the layouts that are read stand in docs/protocols.md"


def _folder(path: Path) -> Path:
    return path.parent if path.is_file() else path
