"""The drone mosaics of a build, as files on this disk.

OpenAerialMap's catalogue: https://github.com/hotosm/oam-api (GET /meta: bbox, gsd_to, limit, page;
`meta.found`, `results` with `uuid` the address of the GeoTIFF, `gsd`, `acquisition_end`,
`provider`, `properties.license`)
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geobridge.onboard.errors import DataError

from ..config import DroneCatalogue, DroneFiles
from ..stage import stamp
from .polite import Service

log = logging.getLogger(__name__)

SUFFIXES = (".tif", ".tiff", ".vrt")
PAGE = 100


@dataclass(frozen=True)
class MosaicFile:
    """One mosaic; `captured` begins with a year, or is empty."""

    name: str
    path: Path
    licence: str
    attribution: str
    captured: str
    country: str
    stamp: list[int]
    """See `stage.stamp`."""


def mosaics_of(sources: tuple[DroneFiles | DroneCatalogue, ...], work: Path) -> list[MosaicFile]:
    """Of all sources, in their order; what a catalogue lists is downloaded once.

    Raises:
        DataError: a path that is not there or holds no mosaic, or a catalogue that refuses.
    """
    found: list[MosaicFile] = []
    for source in sources:
        if isinstance(source, DroneFiles):
            found += _files(source)
        else:
            found += _listed(source, work / "mosaics")
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"two mosaics are called {name}; rename one")
    return found


def _files(source: DroneFiles) -> list[MosaicFile]:
    path = source.path
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    paths = [path] if path.is_file() else sorted(path.iterdir())
    paths = [each for each in paths if path.is_file() or each.suffix.lower() in SUFFIXES]
    if not paths:
        raise DataError(f"{path}: holds no {', '.join(SUFFIXES)}")
    told = (source.licence, source.attribution, source.captured, source.country)
    return [MosaicFile(each.stem, each, *told, stamp(each)) for each in paths]


def _listed(source: DroneCatalogue, folder: Path) -> list[MosaicFile]:
    service = Service(f"catalogue {source.url}", 2.0)
    images = _images(service, source)
    found = []
    for image in images:
        name = f"oam-{hashlib.sha256(image['uuid'].encode()).hexdigest()[:12]}"
        path = folder / f"{name}.tif"
        if not path.exists():
            log.info("%s: %s", name, image["uuid"])
        if not service.download(image["uuid"], path, source.max_mb * 1_000_000):
            log.warning("%s: larger than %d MB, passed over", image["uuid"], source.max_mb)
            continue
        licence = str((image.get("properties") or {}).get("license") or "")
        told = (licence, str(image.get("provider") or ""), str(image.get("acquisition_end") or ""))
        found.append(MosaicFile(name, path, *told, source.country, stamp(path)))
    if not found:
        raise DataError(f"catalogue {source.url}: lists no mosaic for this bbox and max_gsd_m")
    return found


def _images(service: Service, source: DroneCatalogue) -> list[dict[str, Any]]:
    """In the order of their addresses, so that the catalogue's own order decides nothing."""
    query = {
        "bbox": ",".join(f"{value:.7f}" for value in source.bbox),
        "gsd_to": source.max_gsd_m,
        "limit": PAGE,
    }
    images: list[dict[str, Any]] = []
    page = 1
    while True:
        answer = service.json(source.url, query | {"page": page})
        results = answer.get("results")
        if not isinstance(results, list):
            raise DataError(f"{service.name}: expected results, found {sorted(answer)}")
        for image in results:
            if not isinstance(image, dict) or not isinstance(image.get("uuid"), str):
                raise DataError(f"{service.name}: a result without uuid")
            if float(image.get("gsd") or 0.0) <= source.max_gsd_m:
                images.append(image)
        found = (answer.get("meta") or {}).get("found")
        if not results or not isinstance(found, int) or page * PAGE >= found:
            break
        page += 1
    return sorted(images, key=lambda each: str(each["uuid"]))[: source.max_mosaics]
