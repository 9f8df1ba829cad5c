from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("rasterio")
pytest.importorskip("torch")

from geobridge.export.gallery import PLACES, _cut, rendered_gallery
from geobridge.onboard.agreement import TIE, compare
from geobridge.onboard.errors import DataError
from geobridge.onboard.preprocess import Preprocess

Rows = npt.NDArray[np.float32]


def read(row: int, column: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A land whose red is the row and whose green is the column; its western half shows nothing."""
    rows, columns = np.mgrid[row : row + height, column : column + width]
    image = np.stack([rows % 256, columns % 256, np.full_like(rows, 90)], axis=-1).astype(np.uint8)
    return image, (columns >= 400).astype(np.uint8)


def test_a_raster_of_which_half_shows_nothing_still_fills_a_gallery() -> None:
    gallery = _cut("half", read, (800, 800), 60, PLACES)
    assert PLACES <= len(gallery.queries) == len(gallery.references) <= 2.5 * PLACES
    references, queries = gallery.prepared(Preprocess(16, 16))
    assert references.shape == queries.shape == (len(gallery.queries), 16, 16, 3)
    assert all(valid.mean() > 0.2 for _, valid in gallery.references)
    assert not any(np.array_equal(a, b) for a, b in zip(references, queries, strict=True))


def test_a_raster_too_small_for_two_squares() -> None:
    with pytest.raises(DataError, match="small: too small for a gallery of squares of 60 pixels"):
        _cut("small", read, (100, 100), 60, PLACES)


@pytest.mark.slow
def test_a_rendered_gallery_is_always_the_same_and_tells_places_apart() -> None:
    pytest.importorskip("numba")
    gallery, again = (rendered_gallery(40.0, 2.0) for _ in range(2))
    assert len(gallery.queries) >= PLACES
    for (a, _), (b, _) in zip(gallery.queries, again.queries, strict=True):
        np.testing.assert_array_equal(a, b)
    references, queries = gallery.prepared(Preprocess(12, 12))
    described = [each.reshape(len(each), -1).astype(np.float32) for each in (references, queries)]
    means = described[0].mean(axis=0)
    expected, given = (
        (each - means) / np.linalg.norm(each - means, axis=1, keepdims=True) for each in described
    )
    found = compare(expected, given, expected, len(expected))
    assert found.rank1 is not None
    assert found.shuffled_rank1 is not None
    assert found.rank1 > 0.3 > found.shuffled_rank1


@pytest.mark.parametrize(("step", "share"), [(5e-4, 1.0), (1e-2, 0.0)])
def test_references_that_score_alike_are_one_find(step: float, share: float) -> None:
    """Between two neighbours, where `step` decides which of them is found first."""

    def unit(rows: Rows) -> Rows:
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    first, aside = (unit(np.random.default_rng(seed).standard_normal((60, 128))) for seed in (1, 2))
    second = unit(first + 0.05 * aside)
    references = np.vstack([first, second])
    expected, given = (unit(first + second + side * 2 * step * aside) for side in (-1, 1))
    ours, theirs = ((each @ references.T).argmax(axis=1) for each in (expected, given))
    assert np.all(ours < 60)
    assert np.all(theirs >= 60)
    found = compare(expected, given, references, 60)
    assert found.rank1 == share
    assert found.shuffled_rank1 == 0.0


def test_half_precision_of_descriptors_moves_scores_by_about_a_tie() -> None:
    rows = np.random.default_rng(3).standard_normal((600, 128))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    moved = np.abs(rows @ (rows.astype(np.float16) - rows).T).max()
    assert TIE / 3 < moved < 3 * TIE
