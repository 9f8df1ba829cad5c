"""Tiles of a pattern that is known everywhere on Earth, from each kind of store."""

from __future__ import annotations

import hashlib
import http.server
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rasterio")

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.training.imagery import server as server_module
from geobridge.training.imagery.mbtiles import MBTiles
from geobridge.training.imagery.server import content_sha256, fetch
from geobridge.training.imagery.tile_folder import TileFolder
from geobridge.training.imagery.tiles import (
    EQUATOR_M,
    HALF_M,
    Tiles,
    TileStore,
    box_of,
    outline_of,
    pixel_m,
    zoom_for,
)
from geobridge.training.sources import ServerSource

ZOOM = 17
FRAME = LocalFrame(47.4, 8.5)
SPAN_M = 300.0


def pattern(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[..., 3] colours of mercator metres, none of which repeats nearby."""
    waves = [np.sin(x / 40.0), np.sin(y / 50.0), np.sin((x + y) / 70.0)]
    return np.stack([128.0 + 100.0 * wave for wave in waves], axis=-1)


def tile(column: int, row: int, zoom: int = ZOOM, size: int = 256) -> bytes:
    side_m = EQUATOR_M / 2**zoom
    at = (np.arange(size) + 0.5) / size * side_m
    x, y = np.meshgrid(column * side_m - HALF_M + at, HALF_M - row * side_m - at)
    rgb = np.rint(pattern(x, y)).astype(np.uint8)
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def mercator(lat_deg: np.ndarray, lon_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By the formula of the sphere, not by PROJ."""
    radius_m = HALF_M / math.pi
    return radius_m * np.radians(lon_deg), radius_m * np.arcsinh(np.tan(np.radians(lat_deg)))


def around() -> list[tuple[int, int]]:
    ring = FRAME.to_geodetic([(-SPAN_M, -SPAN_M), (SPAN_M, SPAN_M)])
    left, right, top, bottom = box_of(ring, ZOOM)
    return [(x, y) for y in range(top, bottom + 1) for x in range(left, right + 1)]


def write_mbtiles(path: Path, **metadata: str) -> Path:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE metadata (name text, value text)")
        file.execute(
            "CREATE TABLE tiles (zoom_level integer, tile_column integer, tile_row integer,"
            " tile_data blob)"
        )
        rows = [(ZOOM, x, 2**ZOOM - 1 - y, tile(x, y)) for x, y in around()]
        file.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", rows)
        file.executemany("INSERT INTO metadata VALUES (?, ?)", list(metadata.items()))
    file.close()
    return path


def write_folder(path: Path, scheme: str) -> Path:
    for x, y in around():
        row = 2**ZOOM - 1 - y if scheme == "tms" else y
        file = path / str(ZOOM) / str(x) / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tile(x, y))
    return path


@pytest.fixture(params=["mbtiles", "xyz", "tms"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TileStore:
    if request.param == "mbtiles":
        return MBTiles(write_mbtiles(tmp_path / "cache.mbtiles", format="png"))
    return TileFolder(write_folder(tmp_path / "tiles", request.param), request.param)


def looks_as_it_should(tiles: Tiles) -> None:
    image, valid = tiles.read_at(-120.0, 90.0, 160, 200)
    assert valid.all()
    column, row = np.meshgrid(np.arange(200), np.arange(160))
    enu = np.stack([-120.0 + column + 0.5, 90.0 - row - 0.5], axis=-1)
    expected = pattern(*mercator(*FRAME.to_geodetic(enu)))
    assert np.abs(image - expected).max() < 4.0


def test_every_store_gives_what_lies_there(store: TileStore) -> None:
    assert store.zooms() == (ZOOM,)
    looks_as_it_should(Tiles(store, FRAME, 1.0, None))


def test_beyond_the_tiles_there_is_nothing(store: TileStore) -> None:
    tiles = Tiles(store, FRAME, 1.0, ZOOM)
    _, valid = tiles.read_at(4000.0, 4000.0, 32, 32)
    assert not valid.any()
    _, valid = tiles.read_at(-3000.0, 90.0, 64, 4000)
    assert 0.0 < valid.mean() < 1.0


def test_the_outline_is_around_the_tiles(store: TileStore) -> None:
    lat_deg, lon_deg = outline_of(store, None)
    enu_m = FRAME.to_enu(lat_deg, lon_deg)
    assert (enu_m.min(axis=0) <= -SPAN_M).all()
    assert (enu_m.max(axis=0) >= SPAN_M).all()
    assert np.abs(enu_m).max() < SPAN_M + 2 * 256 * pixel_m(ZOOM, 256, 47.4)


def test_a_zoom_that_is_not_there(store: TileStore) -> None:
    with pytest.raises(DataError, match=f"no tiles of zoom 3; it has {ZOOM}"):
        Tiles(store, FRAME, 1.0, 3)


@pytest.mark.parametrize("gsd_m", [0.3, 0.6, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("lat_deg", [0.0, 47.4, -70.0])
def test_the_zoom_is_as_fine_as_asked_and_no_finer(gsd_m: float, lat_deg: float) -> None:
    zoom = zoom_for(gsd_m, lat_deg)
    assert pixel_m(zoom, 256, lat_deg) <= 1.1 * gsd_m < pixel_m(zoom - 1, 256, lat_deg)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\0" * 200])
def test_what_is_no_mbtiles(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mbtiles"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.mbtiles: not MBTiles"):
        MBTiles(path)


@pytest.mark.parametrize(
    "row",
    [
        (None, 1, 1, b"x"),
        ("many", 1, 1, b"x"),
        (10**9, 1, 1, b"x"),
        (3, 8, 1, b"x"),
        (3, 1, -1, b"x"),
        (3, 1.5, 1, b"x"),
    ],
)
def test_tiles_that_lie_nowhere(tmp_path: Path, row: tuple[object, ...]) -> None:
    """A database keeps anything, whatever the type of its column."""
    path = write_mbtiles(tmp_path / "x.mbtiles")
    with sqlite3.connect(path) as file:
        file.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", row)
    file.close()
    with pytest.raises(DataError, match=r"x\.mbtiles: not MBTiles: 1 tiles whose place is none"):
        MBTiles(path)


def test_words_that_are_no_utf_8(tmp_path: Path) -> None:
    path = write_mbtiles(tmp_path / "x.mbtiles", format="png")
    with sqlite3.connect(path) as file:
        file.execute("UPDATE metadata SET value = CAST(x'ff' AS TEXT)")
    file.close()
    with pytest.raises(DataError, match=r"x\.mbtiles: not MBTiles"):
        MBTiles(path)


def test_a_tile_of_words(tmp_path: Path) -> None:
    path = write_mbtiles(tmp_path / "x.mbtiles")
    with sqlite3.connect(path) as file:
        file.execute("UPDATE tiles SET tile_data = 'words'")
    file.close()
    with pytest.raises(DataError, match=r"x\.mbtiles: tile .* is no picture"):
        Tiles(MBTiles(path), FRAME, 1.0, None)


def test_two_tiles_far_apart_are_no_work(tmp_path: Path) -> None:
    """The box around them has 2^60 cells."""
    path = write_mbtiles(tmp_path / "x.mbtiles")
    with sqlite3.connect(path) as file:
        file.execute(
            "INSERT INTO tiles VALUES (30, 0, 0, ''), (30, 1073741823, 1073741823, ?)",
            [tile(*around()[0])],
        )
    file.close()
    tiles = Tiles(MBTiles(path), FRAME, 0.03, 30)
    assert not tiles.read_at(0.0, 0.0, 4, 4)[1].any()


def test_vector_tiles_are_no_pictures(tmp_path: Path) -> None:
    path = write_mbtiles(tmp_path / "x.mbtiles", format="pbf")
    with pytest.raises(DataError, match="holds vector tiles; expected pictures"):
        MBTiles(path)


def test_a_tile_that_is_no_picture(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiles", "xyz")
    for file in folder.rglob("*.png"):
        file.write_bytes(b"<html>quota exceeded</html>")
    with pytest.raises(DataError, match=f"tile {ZOOM}/.*: not a square PNG, JPEG or WebP"):
        Tiles(TileFolder(folder, "xyz"), FRAME, 1.0, None)


class Server(http.server.ThreadingHTTPServer):
    """Serves the pattern on loopback; counts, refuses and stumbles as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []
        self.agents: set[str] = set()
        self.stumbles: list[int] = []
        self.body: bytes | None = None


class Answer(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.agents.add(self.headers["User-Agent"])
        if self.server.stumbles:
            self.send_response(self.server.stumbles.pop())
            self.send_header("Retry-After", "0")
            self.end_headers()
            return
        body = self.server.body or self._tile()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def _tile(self) -> bytes:
        path, _, query = self.path.partition("?bbox=")
        if query:  # a WMS
            west, _, _, north = map(float, query.split("&")[0].split(","))
            side_m = EQUATOR_M / 2**ZOOM
            return tile(round((west + HALF_M) / side_m), round((HALF_M - north) / side_m))
        zoom, column, row = (int(part) for part in path.strip("/").split("/"))
        return tile(column, row, zoom)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(server_module, "LONGEST_WAIT_S", 0.01)
    served = Server()
    thread = threading.Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


def source(web: Server, cache: Path, path: str = "/{z}/{x}/{y}", **more: object) -> ServerSource:
    words = {"licence": "test", "attribution": "the test", "rate_hz": 100.0} | more
    url = f"http://127.0.0.1:{web.server_port}{path}"
    return ServerSource(kind="server", url=url, cache=cache, **words)


RING = FRAME.to_geodetic([(-SPAN_M, -SPAN_M), (SPAN_M, SPAN_M)])


@pytest.mark.parametrize("path", ["/{z}/{x}/{y}", "/?bbox={bbox-epsg-3857}&width={width}"])
def test_a_server_is_asked_once_for_every_tile(web: Server, tmp_path: Path, path: str) -> None:
    listed = source(web, tmp_path / "cache.mbtiles", path)
    assert fetch(listed, RING, 1.0) == ZOOM
    assert len(web.asked) == len(set(web.asked)) == len(around())
    assert web.agents == {server_module.AGENT}
    looks_as_it_should(Tiles(MBTiles(listed.cache), FRAME, 1.0, ZOOM))
    assert MBTiles(listed.cache).metadata()["attribution"] == "the test"
    fetch(listed, RING, 1.0)
    assert len(web.asked) == len(around())


def test_tiles_from_the_south(web: Server, tmp_path: Path) -> None:
    """A server that counts rows from the south is asked for the mirrored row."""
    listed = source(web, tmp_path / "cache.mbtiles", "/{z}/{x}/{-y}")
    fetch(listed, RING, 1.0)
    rows = {2**ZOOM - 1 - int(path.rpartition("/")[2]) for path in web.asked}
    assert rows == {row for _, row in around()}


def test_a_stopped_fetch_goes_on(web: Server, tmp_path: Path) -> None:
    listed = source(web, tmp_path / "cache.mbtiles")
    web.stumbles = [403]
    with pytest.raises(DataError, match=r"127\.0\.0\.1, tile .*: the server answers 403"):
        fetch(listed, RING, 1.0)
    fetch(listed, RING, 1.0)
    assert len(set(web.asked)) == len(around())
    digest = content_sha256(listed.cache, RING, ZOOM)
    again = source(web, tmp_path / "again.mbtiles")
    fetch(again, RING, 1.0)
    assert content_sha256(again.cache, RING, ZOOM) == digest


def test_a_busy_server_is_asked_again_later(web: Server, tmp_path: Path) -> None:
    web.stumbles = [503, 429]
    fetch(source(web, tmp_path / "cache.mbtiles"), RING, 1.0)
    assert len(web.asked) == len(around()) + 2


def test_tiles_that_a_server_does_not_have(web: Server, tmp_path: Path) -> None:
    web.stumbles = [404]
    listed = source(web, tmp_path / "cache.mbtiles")
    fetch(listed, RING, 1.0)
    fetch(listed, RING, 1.0)
    assert len(web.asked) == len(around())  # that it is absent is kept as well
    _, valid = Tiles(MBTiles(listed.cache), FRAME, 1.0, ZOOM).read_at(-300.0, 300.0, 600, 600)
    assert 0.0 < valid.mean() < 1.0


def test_a_server_is_not_hurried(web: Server, tmp_path: Path) -> None:
    """At most so many requests a second: the last of n cannot come before n - 1 steps."""
    listed = source(web, tmp_path / "cache.mbtiles", rate_hz=25.0)
    start = time.monotonic()
    fetch(listed, RING, 1.0)
    assert time.monotonic() - start >= (len(around()) - 1) / 25.0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"path": "/{z}/{x}"}, r"expected \{z\}, \{x\}, \{y\} or \{bbox-epsg-3857\}"),
        ({"max_tiles": 3}, "tiles of zoom 17 cover the area, max_tiles is 3"),
    ],
)
def test_a_server_that_cannot_be_used(
    web: Server, tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        fetch(source(web, tmp_path / "cache.mbtiles", **change), RING, 1.0)
    assert web.asked == []


def test_what_is_no_picture_is_not_kept(web: Server, tmp_path: Path) -> None:
    web.body = b"<html>quota exceeded</html>"
    listed = source(web, tmp_path / "cache.mbtiles")
    with pytest.raises(DataError, match="not a square PNG, JPEG or WebP"):
        fetch(listed, RING, 1.0)
    web.body = None
    fetch(listed, RING, 1.0)
    looks_as_it_should(Tiles(MBTiles(listed.cache), FRAME, 1.0, ZOOM))


def test_a_cache_belongs_to_one_url(web: Server, tmp_path: Path) -> None:
    fetch(source(web, tmp_path / "cache.mbtiles"), RING, 1.0)
    with pytest.raises(DataError, match="holds the tiles of another url"):
        fetch(source(web, tmp_path / "cache.mbtiles", "/{z}/{x}/{y}?key=2"), RING, 1.0)


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LONGEST_WAIT_S", 0.0)
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as closed:
        port = closed.server_port
    listed = ServerSource(
        kind="server",
        url=f"http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}?key=secret",
        cache=tmp_path / "cache.mbtiles",
        licence="test",
        attribution="test",
        rate_hz=100.0,
    )
    with pytest.raises(DataError, match="Connection refused") as refused:
        fetch(listed, RING, 1.0)
    assert "secret" not in str(refused.value)


def test_a_packed_server_needs_an_area(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    listed = tmp_path / "references.toml"
    listed.write_text(
        '[[source]]\nurl = "https://tiles.example/{z}/{x}/{y}.png"\ncache = "c.mbtiles"\n'
        'licence = "x"\nattribution = "y"\n'
    )
    words = ("--encoders", rehearsal / "encoders", "-o", tmp_path / "b")
    assert "tiles.example: a server needs an area (--area)" in complaint("pack", listed, *words)


def test_the_digest_of_a_folder_is_that_of_sha256sum(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiles", "xyz")
    lines = []
    for zoom in folder.iterdir():
        for column in sorted(zoom.iterdir(), key=lambda path: int(path.name)):
            for file in sorted(column.iterdir(), key=lambda path: int(path.stem)):
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                lines.append(f"{digest}  {file.relative_to(folder)}\n")
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert TileFolder(folder, "xyz").sha256() == expected
