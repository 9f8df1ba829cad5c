"""Tiles from a server into an MBTiles file, slowly, once, and with its makers' names.

A URL template holds `{z}`, `{x}` and `{y}` (rows from the north) or `{-y}` (from the south), or
`{bbox-epsg-3857}` with `{width}` and `{height}`, as a WMS GetMap takes them. What is in the file is
never asked for again, so a run that was stopped goes on, and packing again asks for nothing.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import sqlite3
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import Floats

from ..sources import ServerSource, told
from .tiles import EQUATOR_M, HALF_M, box_of, decode, zoom_for

log = logging.getLogger(__name__)

TILE_PX = 256
TIMEOUT_S, ATTEMPTS, LONGEST_WAIT_S = 30.0, 5, 60.0
MAX_BYTES = 8 << 20
AGENT = "geobridge-uav (packs maps for navigation without GNSS)"
_ABSENT = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)
_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY)
_REPORT_S = 10.0


def fetch(source: ServerSource, outline: tuple[Floats, Floats], gsd_m: float) -> int:
    """Fill the cache with all tiles around latitudes and longitudes; their zoom.

    Raises:
        DataError: the URL is no template, there would be too many tiles, or the server refuses.
    """
    zoom = zoom_of(source, float(outline[0].mean()), gsd_m)
    left, right, top, bottom = box_of(outline, zoom)
    _check_count(source, zoom, (right - left + 1) * (bottom - top + 1))
    fetch_cells(source, zoom, list(cells_of(outline, zoom)))
    return zoom


def zoom_of(source: ServerSource, lat_deg: float, gsd_m: float) -> int:
    """The configured one, or the coarsest whose pixels are as fine as `gsd_m`."""
    return zoom_for(gsd_m, lat_deg, TILE_PX) if source.zoom is None else source.zoom


def cells_of(outline: tuple[Floats, Floats], zoom: int) -> Iterator[tuple[int, int]]:
    """Columns and rows of the tiles around latitudes and longitudes."""
    left, right, top, bottom = box_of(outline, zoom)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            yield column, row


def fetch_cells(source: ServerSource, zoom: int, cells: Sequence[tuple[int, int]]) -> None:
    """Fill the cache with tiles, no faster than the source allows.

    Raises:
        DataError: as `fetch`.
    """
    _check_count(source, zoom, len(cells))
    _check_template(source)
    with _Cache(source) as cache:
        missing = [cell for cell in cells if not cache.holds(zoom, *cell)]
        if missing:
            log.info(
                "%s: %d of %d tiles of zoom %d to fetch, %.0f s or more",
                told(source),
                len(missing),
                len(cells),
                zoom,
                len(missing) / source.rate_hz,
            )
        pace = _Pace(source.rate_hz)
        for number, (column, row) in enumerate(missing):
            pace.wait()
            cache.keep(zoom, column, row, _get(source, zoom, column, row))
            pace.tell(number + 1, len(missing))


def content_sha256(cache: Path, outline: tuple[Floats, Floats], zoom: int) -> str:
    """One digest of the tiles around latitudes and longitudes, whatever else the cache holds."""
    digest = hashlib.sha256()
    left, right, top, bottom = box_of(outline, zoom)
    last = 2**zoom - 1
    with sqlite3.connect(f"{cache.resolve().as_uri()}?mode=ro", uri=True) as file:
        rows = file.execute(
            "SELECT tile_column, tile_row, tile_data FROM tiles WHERE zoom_level = ?"
            " AND tile_column BETWEEN ? AND ? AND tile_row BETWEEN ? AND ?"
            " ORDER BY tile_column, tile_row",
            (zoom, left, right, last - bottom, last - top),
        )
        for column, row, data in rows:
            tile = hashlib.sha256(data).hexdigest()
            digest.update(f"{tile}  {zoom}/{column}/{last - row}\n".encode())
    return digest.hexdigest()


class _Cache:
    """An MBTiles file being filled; an absent tile is kept as an empty one."""

    def __init__(self, source: ServerSource) -> None:
        self._path = source.cache
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = sqlite3.connect(self._path, isolation_level=None)
            self._file.execute("CREATE TABLE IF NOT EXISTS metadata (name text, value text)")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS tiles (zoom_level integer, tile_column integer,"
                " tile_row integer, tile_data blob,"
                " PRIMARY KEY (zoom_level, tile_column, tile_row))"
            )
            known = dict(self._file.execute("SELECT name, value FROM metadata"))
        except sqlite3.Error as error:
            raise DataError(f"{self._path}: not an MBTiles file: {error}") from None
        template = hashlib.sha256(source.url.encode()).hexdigest()
        if known.get("template_sha256", template) != template or (known and "name" not in known):
            raise DataError(f"{self._path}: holds the tiles of another url; choose another cache")
        if not known:
            rows = {
                "name": told(source),
                "format": "png",
                "attribution": source.attribution,
                "template_sha256": template,
            }
            self._file.executemany("INSERT INTO metadata VALUES (?, ?)", list(rows.items()))

    def __enter__(self) -> _Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def holds(self, zoom: int, column: int, row: int) -> bool:
        """Whether a tile, or its absence, is known."""
        found = self._file.execute(
            "SELECT 1 FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?",
            (zoom, column, 2**zoom - 1 - row),
        )
        return found.fetchone() is not None

    def keep(self, zoom: int, column: int, row: int, raw: bytes) -> None:
        """Write a tile down."""
        try:
            self._file.execute(
                "INSERT INTO tiles VALUES (?, ?, ?, ?)", (zoom, column, 2**zoom - 1 - row, raw)
            )
        except sqlite3.Error as error:  # as a full disk
            raise DataError(f"{self._path}: {error}") from None


class _Pace:
    """No more requests a second than were allowed."""

    def __init__(self, rate_hz: float) -> None:
        self._step_s, self._next_s = 1.0 / rate_hz, time.monotonic()
        self._told_s = self._next_s

    def wait(self) -> None:
        """Until the next request is due."""
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        self._next_s = max(self._next_s + self._step_s, time.monotonic())

    def tell(self, done: int, count: int) -> None:
        """How far it is, now and then."""
        if time.monotonic() - self._told_s >= _REPORT_S:
            self._told_s = time.monotonic()
            log.info("%d of %d tiles", done, count)


def _get(source: ServerSource, zoom: int, column: int, row: int) -> bytes:
    """An encoded tile; nothing where the server has none.

    Raises:
        DataError: it refuses, cannot be reached, or sends something else.
    """
    where = f"{told(source)}, tile {zoom}/{column}/{row}"
    url = _filled(source.url, zoom, column, row)
    request = urllib.request.Request(url, headers={"User-Agent": AGENT})
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                raw: bytes = answer.read(MAX_BYTES + 1)
            if answer.status in _ABSENT:
                return b""
            if len(raw) > MAX_BYTES:
                raise DataError(f"{where}: more than {MAX_BYTES >> 20} MB")
            decode(raw, where)
            return raw
        except urllib.error.HTTPError as error:
            if error.code in _ABSENT:
                return b""
            if error.code not in _LATER or attempt == ATTEMPTS:
                raise DataError(
                    f"{where}: the server answers {error.code} {error.reason}"
                ) from None
            _wait(error.headers.get("Retry-After"), attempt)
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS:
                raise DataError(f"{where}: {getattr(error, 'reason', error)}") from None
            _wait(None, attempt)
    raise AssertionError("unreachable")


def _wait(asked: str | None, attempt: int, sleep: Callable[[float], None] = time.sleep) -> None:
    seconds = float(asked) if asked and asked.isdecimal() else 0.5 * 2**attempt
    sleep(min(seconds, LONGEST_WAIT_S))


def _filled(url: str, zoom: int, column: int, row: int) -> str:
    side_m = EQUATOR_M / 2**zoom
    west, north = column * side_m - HALF_M, HALF_M - row * side_m
    values = {
        "{z}": zoom,
        "{x}": column,
        "{y}": row,
        "{-y}": 2**zoom - 1 - row,
        "{width}": TILE_PX,
        "{height}": TILE_PX,
        "{bbox-epsg-3857}": f"{west:.6f},{north - side_m:.6f},{west + side_m:.6f},{north:.6f}",
    }
    for key, value in values.items():
        url = url.replace(key, str(value))
    return url


def _check_count(source: ServerSource, zoom: int, count: int) -> None:
    if count > source.max_tiles:
        raise DataError(
            f"{told(source)}: {count} tiles of zoom {zoom} cover the area,"
            f" max_tiles is {source.max_tiles}"
        )


def _check_template(source: ServerSource) -> None:
    url = source.url
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url.partition('?')[0]}: expected a url that begins with https://")
    tiled = "{z}" in url and "{x}" in url and ("{y}" in url or "{-y}" in url)
    if not (tiled or "{bbox-epsg-3857}" in url):
        raise DataError(
            f"{told(source)}: expected {{z}}, {{x}}, {{y}} or {{bbox-epsg-3857}} in the url"
        )
