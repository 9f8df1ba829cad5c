"""OpenAerialMap, Mapillary and Street View as their documents have them, from a local server."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from geobridge.onboard.errors import DataError
from geobridge.training.geoloc.build import build
from geobridge.training.geoloc.config import StreetView
from geobridge.training.geoloc.satellite import prefetch
from geobridge.training.geoloc.sources import polite, streetview
from geobridge.training.geoloc.sources.streetview import FACES, panorama
from geobridge.training.sources import ServerSource

from .drawn import FRAME, STANDS
from .stub import Stub

JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polite, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setenv("MAPILLARY_TOKEN", "MLY|1|secret")
    monkeypatch.setenv("GOOGLE_MAPS_KEY", "secret")


def picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 255, (12, 24, 3), np.uint8), (256, 128))
    return bytes(cv2.imencode(".jpg", image)[1].tobytes())


def query_of(path: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(path).query))


def first_line(region: Path) -> dict[str, Any]:
    path = min((region / "set").glob("*/metadata.jsonl"))
    line: dict[str, Any] = json.loads(path.read_text().splitlines()[0])
    return line


def mapillary(stub: Stub) -> Any:
    """All stands, and one far away that only a wrong box would ask for."""

    def image(number: int, at_m: tuple[float, float]) -> dict[str, Any]:
        lat, lon = FRAME.to_geodetic(at_m)
        return {
            "id": str(1000 + number),
            "computed_geometry": {"type": "Point", "coordinates": [float(lon), float(lat)]},
            "captured_at": 1_700_000_000_000,
            "computed_compass_angle": 12.5,
            "is_pano": True,
            "sequence": "abc",
            "thumb_2048_url": f"{stub.url}/thumbs/{number}",
        }

    images = [image(number, at_m) for number, at_m in enumerate([*STANDS, (9000.0, 9000.0)])]

    def answer(path: str, _: bytes) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/thumbs/"):
            return 200, {}, picture(int(path.rpartition("/")[2]))
        query = query_of(path)
        west, south, east, north = map(float, query["bbox"].split(","))
        assert (east - west) * (north - south) < 0.01
        inside = [
            each
            for each in images
            if west <= each["computed_geometry"]["coordinates"][0] <= east
            and south <= each["computed_geometry"]["coordinates"][1] <= north
        ]
        return 200, JSON, json.dumps({"data": inside[: int(query["limit"])]}).encode()

    return answer


def from_mapillary(stub: Stub) -> list[str]:
    return [f'street=[{{kind="mapillary", url="{stub.url}", rate_hz=100.0}}]']


def test_mapillary_s_pictures_become_places(region: Path, stub: Stub) -> None:
    stub.answer = mapillary(stub)
    counts = build(region / "build.toml", from_mapillary(stub))
    assert counts["street pictures"] == 16
    told = {h.get("Authorization") for h, p in zip(stub.headers, stub.asked, strict=True)
            if "/images" in p}  # fmt: skip
    assert told == {"OAuth MLY|1|secret"}
    assert not any("secret" in path for path in stub.asked)
    line = first_line(region)
    street = line["views"]["street"]
    assert (street["source"], street["captured"]) == ("mapillary", "2023-11-14")
    assert (street["licence"], street["heading_deg"]) == ("CC BY-SA 4.0", 12.5)
    asked = len(stub.asked)
    build(region / "build.toml", from_mapillary(stub))
    assert len(stub.asked) == asked


def test_more_pictures_than_it_lists_are_asked_for_in_quarters(
    region: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geobridge.training.geoloc.sources import mapillary as module

    monkeypatch.setattr(module, "LIMIT", 5)
    stub.answer = mapillary(stub)
    assert build(region / "build.toml", from_mapillary(stub))["street pictures"] == 16


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ((401, JSON, b'{"error": {"message": "Invalid OAuth token"}}'), "answers 401: .*Invalid"),
        ((429, {"Retry-After": "0"}, b"slow down"), "answers 429: .*6 times; run again later"),
        ((200, JSON, b"garbage"), "expected a JSON object, found 'garbage'"),
        ((200, JSON, b"[]"), "expected a JSON object"),
        ((200, {"Content-Length": "99"}, b'{"data": '), "the answer ends too early, 6 times"),
        ((200, {"Transfer-Encoding": "chunked"}, b"zz"), "6 times; run again later"),
        ((200, JSON, b'{"data": [{"id": "1", "geometry": 3}]}'), "expected coordinates"),
        ((200, JSON, b'{"data": [{"id": "../1", "geometry": {"coordinates": [8.5, 47.4]}}]}'),
         "expected an id and a position"),
        ((200, JSON, b'{"nothing": 1}'), "expected data, a list of images"),
    ],
)  # fmt: skip
def test_a_service_that_cannot_be_used_is_one_line(
    region: Path, stub: Stub, answer: tuple[int, dict[str, str], bytes], complaint: str
) -> None:
    stub.answer = lambda *_: answer
    with pytest.raises(DataError, match=f"mapillary.*{complaint}") as found:
        build(region / "build.toml", from_mapillary(stub))
    assert "\n" not in str(found.value)
    assert "secret" not in str(found.value)


def test_trouble_on_the_way_loses_nothing(region: Path, stub: Stub) -> None:
    """Too many requests are waited for; after a refusal the next run goes on where it was."""
    good, trouble = mapillary(stub), [(429, {"Retry-After": "0"}, b""), (503, {}, b"")]

    def answer(path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/thumbs/9"):
            return 403, {}, b"expired"
        return trouble.pop() if trouble else good(path, body)

    stub.answer = answer
    with pytest.raises(DataError):
        build(region / "build.toml", from_mapillary(stub))
    thumbs = [path for path in stub.asked if path.startswith("/thumbs/") and path != "/thumbs/9"]
    stub.asked.clear()
    stub.answer = good
    assert build(region / "build.toml", from_mapillary(stub))["street pictures"] == 16
    assert not set(thumbs) & set(stub.asked)


def test_a_server_of_tiles_is_asked_for_all_places_at_once(stub: Stub, tmp_path: Path) -> None:
    """Place by place it would be asked faster than it allows, for more than it allows."""
    tile = bytes(cv2.imencode(".png", np.full((256, 256, 3), 90, np.uint8))[1].tobytes())
    stub.answer = lambda *_: (200, {}, tile)
    places = [{"lat_deg": 47.4 + 0.05 * n, "lon_deg": 8.5, "side_m": 80.0} for n in range(4)]

    def source(max_tiles: int) -> ServerSource:
        return ServerSource(
            kind="server", url=f"{stub.url}/{{z}}/{{x}}/{{y}}.png", cache=tmp_path / "c.mbtiles",
            licence="x", attribution="y", zoom=15, rate_hz=100.0, max_tiles=max_tiles,
        )  # fmt: skip

    with pytest.raises(DataError, match="tiles of zoom 15 cover the area, max_tiles is 3"):
        prefetch([source(3)], places, 96, 30.0)
    assert stub.asked == []
    prefetch([source(99)], places, 96, 30.0)
    assert len(stub.asked) == len(set(stub.asked)) >= 4
    asked = len(stub.asked)
    prefetch([source(99)], places, 96, 30.0)
    assert len(stub.asked) == asked


def catalogue(stub: Stub, region: Path, pages: int = 1) -> Any:
    """One mosaic on the last page; a coarser one that was not asked for."""
    tif = (region / "mosaic.tif").read_bytes()

    def answer(path: str, _: bytes) -> tuple[int, dict[str, str], bytes]:
        if path.endswith(".tif"):
            return 200, {}, tif
        query = query_of(path)
        found = (pages - 1) * 100 + 1
        image = {
            "_id": "5f", "uuid": f"{stub.url}/5f/mosaic.tif", "gsd": 0.2, "title": "a town",
            "acquisition_end": "2024-03-02T00:00:00.000Z", "platform": "uav",
            "provider": "a mapper", "properties": {"license": "CC-BY 4.0"},
        }  # fmt: skip
        coarse = {**image, "uuid": f"{stub.url}/coarse.tif", "gsd": 30.0}
        results = [image] if int(query["page"]) == pages else [coarse]
        meta = {"page": int(query["page"]), "limit": 100, "found": found}
        return 200, JSON, json.dumps({"meta": meta, "results": results}).encode()

    return answer


def listed(stub: Stub) -> list[str]:
    return [f'drone=[{{kind="catalogue", url="{stub.url}/meta", bbox=[8.4, 47.3, 8.6, 47.5]}}]']


def test_a_catalogue_s_mosaics_are_downloaded_once(region: Path, stub: Stub) -> None:
    stub.answer = catalogue(stub, region, pages=2)
    counts = build(region / "build.toml", listed(stub))
    assert counts["with a square"] == 15
    line = first_line(region)
    drone = line["views"]["drone"]
    assert (drone["licence"], drone["attribution"]) == ("CC-BY 4.0", "a mapper")
    assert drone["captured"].startswith("2024-03-02")
    build(region / "build.toml", listed(stub))
    assert sum(path.endswith("mosaic.tif") for path in stub.asked) == 1
    assert not any(path.endswith("coarse.tif") for path in stub.asked)


def test_a_download_goes_on_where_it_broke_off(stub: Stub, tmp_path: Path) -> None:
    data = bytes(range(256)) * 64

    def answer(*_: object) -> tuple[int, dict[str, str], bytes]:
        begun = stub.headers[-1].get("Range")
        if begun is None:
            return 503, {}, b""
        first = int(begun.removeprefix("bytes=").removesuffix("-"))
        return 206, {}, data[first:]

    stub.answer = answer
    (tmp_path / ".partial-file.tif").write_bytes(data[:1000])
    service = polite.Service("catalogue", 1000.0)
    assert service.download(f"{stub.url}/file.tif", tmp_path / "file.tif", 1 << 20)
    assert (tmp_path / "file.tif").read_bytes() == data


def test_an_empty_catalogue_is_said(region: Path, stub: Stub) -> None:
    stub.answer = lambda *_: (200, JSON, b'{"meta": {"found": 0}, "results": []}')
    with pytest.raises(DataError, match="lists no mosaic for this bbox"):
        build(region / "build.toml", listed(stub))


def test_street_view_is_six_faces_of_the_nearest_panorama(stub: Stub, tmp_path: Path) -> None:
    colours = {name: (40 * at + 20,) * 3 for at, name in enumerate(FACES)}

    def answer(path: str, _: bytes) -> tuple[int, dict[str, str], bytes]:
        query = query_of(path)
        if "/metadata" in path:
            lat, lon = map(float, query["location"].split(","))
            nothing = {"status": "ZERO_RESULTS"}
            told = {"status": "OK", "pano_id": "p1", "location": {"lat": lat, "lng": lon},
                    "date": "2022-05", "copyright": "(c) Google"}  # fmt: skip
            return 200, JSON, json.dumps(told if lat < 47.41 else nothing).encode()
        at = int(query["heading"]), int(query["pitch"])
        name = next(name for name, face in FACES.items() if face == at)
        face = np.full((640, 640, 3), colours[name], np.uint8)
        return 200, {}, bytes(cv2.imencode(".png", face)[1].tobytes())

    stub.answer = answer
    ask = streetview.asker(StreetView(kind="streetview", url=stub.url, rate_hz=100.0))
    lines = ask(None, [(47.4, 8.5), (47.4001, 8.5), (47.42, 8.5)], tmp_path)
    assert [(line["key"], line["taken"]) for line in lines] == [("p1", "2022-05")]
    image = cv2.imread(lines[0]["path"])
    assert image is not None
    assert image.shape == (1024, 2048, 3)
    middle, quarter = image[512, 1024], image[512, 1536]
    assert abs(int(middle[0]) - colours["north"][0]) < 4
    assert abs(int(quarter[0]) - colours["east"][0]) < 4
    assert abs(int(image[5, 100][0]) - colours["up"][0]) < 4


def test_a_key_that_street_view_refuses(stub: Stub, tmp_path: Path) -> None:
    told = {"status": "REQUEST_DENIED", "error_message": "The provided API key is invalid."}
    stub.answer = lambda *_: (200, JSON, json.dumps(told).encode())
    ask = streetview.asker(StreetView(kind="streetview", url=stub.url, rate_hz=100.0))
    with pytest.raises(DataError, match="REQUEST_DENIED: The provided API key is invalid"):
        ask(None, [(47.4, 8.5)], tmp_path)


def test_faces_meet_without_a_seam() -> None:
    """A picture of the direction itself comes out as that direction."""
    faces = {}
    for name, (heading_deg, pitch_deg) in FACES.items():
        right, up, ahead = streetview._axes(heading_deg, pitch_deg)
        at = (np.arange(64) + 0.5) / 32.0 - 1.0
        x, y = np.meshgrid(at, -at)
        ray = ahead + x[..., None] * right + y[..., None] * up
        ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
        faces[name] = np.rint(127.5 + 127.5 * ray).astype(np.uint8)
    image = panorama(faces).astype(float)
    height, width = image.shape[:2]
    azimuth = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    east = np.cos(elevation)[:, None] * np.sin(azimuth)
    assert np.abs(image[..., 0] - (127.5 + 127.5 * east)).max() < 6.0
