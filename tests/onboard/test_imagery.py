from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from geobridge.onboard.bundle import Bundle, file_entry
from geobridge.onboard.errors import BundleError
from geobridge.onboard.records import Image
from geobridge.onboard.retrieval import imagery as imagery_module
from geobridge.onboard.retrieval.imagery import ReferenceImagery, check_tiles, tile_path
from tests.contract.test_bundle import manifest, write_files, write_manifest

TILE_PX, SIDE = 32, 3
WEST_M, NORTH_M = -48.0, 48.0
Decode = Callable[..., object]


@pytest.fixture(scope="module")
def picture() -> Image:
    """[96, 96, 4] what 3 x 3 tiles of a metre per pixel show."""
    rng = np.random.default_rng(3)
    return np.asarray(rng.integers(0, 256, (SIDE * TILE_PX, SIDE * TILE_PX, 4)), np.uint8)


def encoded(tile: Image) -> bytes:
    _, content = cv2.imencode(".png", cv2.cvtColor(tile, cv2.COLOR_RGBA2BGRA))
    return content.tobytes()


def tiles_of(picture: Image) -> dict[str, bytes]:
    return {
        tile_path(row, column): encoded(
            picture[row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX : (column + 1) * TILE_PX]
        )
        for row in range(SIDE)
        for column in range(SIDE)
    }


def bundle_of(folder: Path, tiles: dict[str, bytes]) -> Bundle:
    write_files(folder)
    tree = manifest(folder)
    (folder / "reference/imagery/0_0.png").unlink()
    tree["files"] = [file for file in tree["files"] if file["role"] != "imagery"]
    for path, content in tiles.items():
        (folder / path).write_bytes(content)
        entry = file_entry(folder, folder / path, "imagery")
        tree["files"].append(entry.model_dump(mode="json"))
    tree["imagery"] = {
        "gsd_m": 1.0,
        "tile_px": TILE_PX,
        "west_m": WEST_M,
        "north_m": NORTH_M,
        "rows": SIDE,
        "columns": SIDE,
    }
    write_manifest(folder, tree)
    return Bundle.open(folder)


@pytest.fixture
def bundle(tmp_path: Path, picture: Image) -> Bundle:
    return bundle_of(tmp_path, tiles_of(picture))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every picture that reaches the decoder."""
    sizes: list[int] = []
    decode: Decode = cv2.imdecode

    def counting(content: Image, flags: int) -> object:
        sizes.append(len(content))
        return decode(content, flags)

    monkeypatch.setattr(cv2, "imdecode", counting)
    return sizes


def test_what_is_read_is_what_was_packed(bundle: Bundle, picture: Image) -> None:
    imagery = ReferenceImagery.open(bundle)
    for left, top, side in ((0, 0, 96), (20, 40, 50), (31, 31, 2), (64, 0, 32)):
        east_m, north_m = WEST_M + left + side / 2, NORTH_M - top - side / 2
        square, centre_m = imagery.rgba(east_m, north_m, side)
        assert np.array_equal(square, picture[top : top + side, left : left + side])
        assert centre_m == (east_m, north_m)


def test_tiles_are_decoded_when_somebody_looks_there_and_once(
    bundle: Bundle, decoded: list[int]
) -> None:
    imagery = ReferenceImagery.open(bundle)
    assert len(decoded) == 0
    for _ in range(3):
        imagery.read(0.0, 0.0, 16)
    assert len(decoded) == 1
    imagery.read(0.0, 0.0, 96)
    assert len(decoded) == SIDE**2


def test_what_is_kept_is_bounded(
    bundle: Bundle, picture: Image, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagery_module, "CACHED_BYTES", 5 * TILE_PX * TILE_PX * 4)
    imagery = ReferenceImagery.open(bundle)
    for _ in range(2):
        assert np.array_equal(imagery.rgba(0.0, 0.0, 96)[0], picture)
    assert len(decoded) == 2 * SIDE**2  # nine in turn through room for five


def test_a_tile_that_changed_after_the_bundle_was_opened_reaches_no_decoder(
    bundle: Bundle, decoded: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    imagery = ReferenceImagery.open(bundle)
    path = bundle.path / tile_path(1, 1)
    path.write_bytes(encoded(np.full((TILE_PX, TILE_PX, 4), 255, np.uint8)))
    _, valid, _ = imagery.read(0.0, 0.0, 16)
    assert not valid.any()
    assert not decoded
    assert f"{path}: changed since the bundle was opened" in caplog.text
    (bundle.path / tile_path(0, 0)).unlink()
    assert not imagery.read(-32.0, 32.0, 16)[1].any()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tile: encoded(np.zeros((TILE_PX * 2, TILE_PX, 4), np.uint8)),
        lambda tile: cv2.imencode(".png", np.zeros((TILE_PX, TILE_PX, 3), np.uint8))[1].tobytes(),
        lambda tile: cv2.imencode(".jpg", np.zeros((TILE_PX, TILE_PX, 3), np.uint8))[1].tobytes(),
        lambda tile: b"",
    ],
    ids=["another size", "no alpha", "jpeg", "empty"],
)
def test_what_does_not_begin_like_a_tile_is_refused_at_once(
    spoil: Callable[[bytes], bytes], tmp_path: Path, picture: Image, decoded: list[int]
) -> None:
    tiles = tiles_of(picture)
    tiles[tile_path(2, 1)] = spoil(tiles[tile_path(2, 1)])
    with pytest.raises(BundleError, match=r"00002_00001.png: not a 32 px RGBA tile"):
        ReferenceImagery.open(bundle_of(tmp_path, tiles))
    assert not decoded


def test_a_tile_that_only_begins_like_one_is_found_before_the_flight(
    tmp_path: Path, picture: Image
) -> None:
    tiles = tiles_of(picture)
    tiles[tile_path(2, 1)] = tiles[tile_path(2, 1)][:40]
    bundle = bundle_of(tmp_path, tiles)
    with pytest.raises(BundleError, match=r"00002_00001.png: not a 32 px RGBA tile"):
        check_tiles(bundle)
    assert not ReferenceImagery.open(bundle).read(0.0, -32.0, 16)[1].any()


def test_sound_tiles_are_found_sound(bundle: Bundle, decoded: list[int]) -> None:
    check_tiles(bundle)
    assert len(decoded) == SIDE**2
