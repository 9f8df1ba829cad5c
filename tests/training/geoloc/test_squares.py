"""Overlaps, scales, gates, blocks and leaks: what has to hold whatever comes in."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("shapely")

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.training.geoloc.config import SCALES_M, Crops, Gates, Splits
from geobridge.training.geoloc.crops import choose_scales
from geobridge.training.geoloc.dates import days_apart
from geobridge.training.geoloc.gates import failed, measured, thresholds
from geobridge.training.geoloc.leakage import most_alike, nearest_m, printed, to_drop, too_near
from geobridge.training.geoloc.pictures import write_picture
from geobridge.training.geoloc.published.planes import APART_M, lay
from geobridge.training.geoloc.registration import find_shift
from geobridge.training.geoloc.splits import block_of, deal, split_of
from geobridge.training.geoloc.squares import offset_m, overlap, without_overlaps

from .drawn import town

Square = tuple[str, float, float, float]


def scattered(seed: int, count: int, lat_deg: float, lon_deg: float) -> list[Square]:
    """Squares within about 600 m of a point."""
    rng = np.random.default_rng(seed)
    frame = LocalFrame(lat_deg, lon_deg)
    lat, lon = frame.to_geodetic(rng.uniform(-600.0, 600.0, (count, 2)))
    sides = rng.choice(SCALES_M, count)
    lon = (np.asarray(lon) + 180.0) % 360.0 - 180.0
    return [(f"s{n}", float(lat[n]), float(lon[n]), float(sides[n])) for n in range(count)]


def share(one: Square, other: Square) -> float:
    east_m, north_m = offset_m(one[1], one[2], other[1], other[2])
    return float(overlap(east_m, north_m, np.array(one[3]), np.array(other[3])))


@given(st.integers(0, 10_000), st.floats(-80.0, 80.0), st.sampled_from([0.0, 8.5, 179.999, -180.0]))
def test_no_two_kept_squares_overlap_and_every_dropped_one_did(
    seed: int, lat_deg: float, lon_deg: float
) -> None:
    squares = scattered(seed, 40, lat_deg, lon_deg)
    kept = set(without_overlaps(squares, 0.5))
    of = {square[0]: square for square in squares}
    assert all(share(of[a], of[b]) <= 0.5 for a, b in combinations(sorted(kept), 2))
    for name in of.keys() - kept:
        assert any(share(of[name], of[other]) > 0.5 for other in kept)
    shuffled = [squares[n] for n in np.random.default_rng(seed).permutation(len(squares))]
    assert set(without_overlaps(shuffled, 0.5)) == kept


@given(st.floats(-75.0, 75.0), st.floats(-900.0, 900.0), st.floats(-900.0, 900.0))
def test_offsets_are_those_of_the_ellipsoid(lat_deg: float, east_m: float, north_m: float) -> None:
    lat, lon = LocalFrame(lat_deg, 8.5).to_geodetic((east_m, north_m))
    found = offset_m(float(lat), float(lon), lat_deg, 8.5)
    assert np.allclose(found, (east_m, north_m), atol=0.5)


def fits(count: int, small_alone: int = 0) -> list[dict[str, Any]]:
    lines = []
    for number in range(count):
        valid = {f"{s:g}": 1.0 if s <= 100.0 or number >= small_alone else 0.4 for s in SCALES_M}
        lines.append({"id": f"p{number}", "valid": valid})
    return lines


def test_scales_are_balanced_also_where_large_ones_do_not_fit_everywhere() -> None:
    chosen = choose_scales(fits(500, small_alone=100), Crops(), 0)
    counts = Counter(chosen.values())
    assert set(counts) == set(SCALES_M)
    assert max(counts.values()) - min(counts.values()) <= 5
    assert all(chosen[f"p{n}"] <= 100.0 for n in range(100))
    assert choose_scales(fits(500, 100)[::-1], Crops(), 0) == chosen
    assert choose_scales(fits(500, 100), Crops(), 1) != chosen


def test_each_gate_falls_with_what_it_is_for() -> None:
    sharp = town(3)[:256, :256]
    blurred = cv2.GaussianBlur(sharp, (0, 0), 4.0)
    flat = np.clip(110.0 + (sharp - 110.0) * 0.06, 0, 255).astype(np.uint8)
    sea = np.clip(np.random.default_rng(0).normal(60, 2, sharp.shape), 0, 255).astype(np.uint8)
    good, of_blurred, of_flat, of_sea = (measured(each) for each in (sharp, blurred, flat, sea))
    assert of_blurred["bh"] < 0.05 * good["bh"]
    assert of_flat["c"] < 0.1 * good["c"]
    assert of_sea["un"] < 0.5 * good["un"]
    # a shore does not make up for the sea beside it
    shore = np.where(np.arange(256)[:, None, None] < 160, sea, sharp).astype(np.uint8)
    assert measured(shore)["un"] < 0.5 * good["un"]
    # the same picture at another size means the same
    larger = measured(cv2.resize(sharp, (512, 512), interpolation=cv2.INTER_LINEAR))
    assert larger["un"] == pytest.approx(good["un"], rel=0.1)


def test_a_calibrated_gate_throws_away_its_share_and_no_more() -> None:
    rng = np.random.default_rng(0)
    lines = [
        {"id": str(n), "gates": {"drone": {"bh": v, "c": v, "un": v}}}
        for n, v in enumerate(rng.uniform(1, 9, 1000))
    ]
    limits = {"drone": thresholds(lines, "drone", Gates(reject=0.05, un=0.0))}
    thrown = [line for line in lines if failed(line, limits)]
    assert len(thrown) == 50
    assert thresholds(lines, "drone", Gates(bh=7.0))["bh"] == 7.0
    nan = {"gates": {"drone": {"bh": float("nan"), "c": 9.0, "un": 9.0}}}
    assert failed(nan, limits) == ["drone bh"]


@settings(max_examples=12)
@given(st.integers(0, 1000), st.floats(-8.0, 8.0), st.floats(-8.0, 8.0))
def test_a_shift_is_found_in_metres(seed: int, east_m: float, north_m: float) -> None:
    land = town(seed % 3)
    move = np.array([[1.0, 0.0, east_m], [0.0, 1.0, -north_m]], np.float32)
    moved = cv2.warpAffine(land, move, (900, 900))
    drone, wide = land[300:420, 300:420], moved[285:435, 285:435]
    shift = find_shift(drone, np.clip(wide * 0.7 + 20, 0, 255).astype(np.uint8), 120.0, 15.0)
    assert shift.believed(0.15)
    assert np.hypot(shift.east_m - east_m, shift.north_m - north_m) < 0.6


def test_other_ground_is_not_believed() -> None:
    shift = find_shift(town(1)[:120, :120], town(2)[:150, :150], 120.0, 15.0)
    assert not shift.believed(0.15)


def places(seed: int, count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    lat, lon = LocalFrame(47.4, 8.5).to_geodetic(rng.uniform(-4000.0, 4000.0, (count, 2)))
    return [
        {
            "id": f"p{n:04d}",
            "lat_deg": float(lat[n]),
            "lon_deg": float(lon[n]),
            "side_m": float(rng.choice(SCALES_M)),
            "country": "A" if lon[n] < 8.5 else "B",
            "terrain": "built" if lat[n] < 47.4 else "green",
        }
        for n in range(count)
    ]


@given(st.integers(0, 1000), st.floats(0.0, 60.0))
def test_splits_never_come_closer_than_their_margin(seed: int, margin_m: float) -> None:
    rule = Splits(block_m=800.0, val=0.15, test=0.15, margin_m=margin_m)
    listed = places(seed, 150)
    dealt = deal(listed, rule, seed)
    split = [p | {"split": name} for p in listed if (name := split_of(p, dealt, rule))]
    dropped = too_near(split, margin_m)
    assert len(dropped) <= 3  # blocks have done nearly all of it
    split = [p for p in split if p["id"] not in dropped]
    assert {p["split"] for p in split} == {"train", "val", "test"}
    gaps = [gap_m(a, b) for a, b in combinations(split, 2) if a["split"] != b["split"]]
    assert min(gaps) >= margin_m - 1.0
    assert nearest_m(split) == pytest.approx(min(gaps), abs=1.0)


def gap_m(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Between the edges of two squares."""
    per_lat_m, per_lon_m = 111_178.0, 75_513.0  # at 47.4 degrees
    apart = [
        abs(one["lat_deg"] - other["lat_deg"]) * per_lat_m,
        abs(one["lon_deg"] - other["lon_deg"]) * per_lon_m,
    ]
    both = (one["side_m"] + other["side_m"]) / 2.0
    return float(np.hypot(*(max(0.0, each - both) for each in apart)))


def test_splits_are_balanced_over_countries_and_terrain() -> None:
    rule = Splits(block_m=500.0, val=0.2, test=0.2)
    listed = places(3, 3000)
    dealt = deal(listed, rule, 0)
    assert deal(listed[::-1], rule, 0) == dealt
    for split, wanted in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        for key in ("country", "terrain"):
            for value in {p[key] for p in listed}:
                alike = [p for p in listed if p[key] == value]
                there = sum(_of(p, dealt, rule) == split for p in alike)
                assert there / len(alike) == pytest.approx(wanted, abs=0.08), (split, value)


def _of(place: dict[str, Any], dealt: dict[tuple[int, int], str], rule: Splits) -> str:
    return dealt[block_of(place["lat_deg"], place["lon_deg"], rule.block_m)]


def test_too_few_blocks_are_refused() -> None:
    with pytest.raises(DataError, match="1 blocks of 50000 m, too few"):
        deal(places(0, 20), Splits(block_m=50_000.0), 0)


def test_a_copy_in_another_split_is_found_and_costs_the_place_outside_train(tmp_path: Path) -> None:
    listed: list[dict[str, Any]] = [
        {"id": f"{n:02d}", "split": "train" if n < 6 else "test"} for n in range(9)
    ]
    for line in listed:
        seed = 2 if line["id"] == "07" else int(line["id"])
        image = town(seed)[:200, :200]
        if line["id"] == "07":  # darker and smaller
            image = cv2.resize((image * 0.6).astype(np.uint8), (150, 150))
        line["sha256"] = {"drone": write_picture(tmp_path, "drone", line["id"], image)}
    prints = {"drone": printed(tmp_path, "drone", listed)}
    alike, largest = most_alike(listed, prints, 0.95)
    assert [(pair.one, pair.other) for pair in alike] == [("02", "07")]
    assert largest > 0.95
    assert to_drop(alike, {line["id"]: line["split"] for line in listed}) == ["07"]


def test_planes_keep_neighbours_together_and_continents_apart() -> None:
    near = places(1, 50)
    far = [p | {"id": f"f{p['id']}", "lat_deg": -p["lat_deg"], "lon_deg": 150.0} for p in near[:5]]
    laid = lay([*near, *far], 1000.0)
    for one, other in combinations(near, 2):
        (plane, *at), (other_plane, *other_at) = laid[one["id"]], laid[other["id"]]
        if plane == other_plane:
            true_m = offset_m(one["lat_deg"], one["lon_deg"], other["lat_deg"], other["lon_deg"])
            assert np.allclose(np.subtract(at, other_at), true_m, atol=4.0)
    planes = {laid[p["id"]][0] for p in near} & {laid[p["id"]][0] for p in far}
    assert planes == set()
    assert APART_M > 500_000.0


def test_dates_of_any_precision_are_compared() -> None:
    assert days_apart("2025-05-01", "2025:05:03 10:00") == 2
    assert days_apart("2025", "2025-07-02") == 0
    assert days_apart("", "2025-05-01") == days_apart("soon", "2025-05-01") > 30_000
