from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from geobridge.training.appearance.turned import Turn
from geobridge.training.config_geolink import GeoLinkConfig, PointTowerConfig
from geobridge.training.geolink.shown import shown
from geobridge.training.geolink.store import Cloud
from geobridge.training.geolink.tower import PointTower

SMALL = {"width": 8, "stages": 3, "neighbours": 6}


def tower(experts: bool = False) -> PointTower:
    torch.manual_seed(4)
    return PointTower(PointTowerConfig(**SMALL, experts=experts), 10)


def clouds(count: int = 5) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randn(count, 64, 3, generator=random) * torch.tensor([40.0, 40.0, 8.0])


@pytest.mark.parametrize("experts", [False, True])
def test_a_cloud_is_described_by_itself(experts: bool) -> None:
    network, seen = tower(experts), clouds()
    present = torch.tensor([True, True, False, True, True])
    whole = network(seen, present)
    assert whole.shape == (5, 10)
    assert torch.allclose(whole.norm(dim=1), present.float(), atol=1e-6)
    apart = torch.cat([network(seen[i : i + 1], present[i : i + 1]) for i in range(5)])
    assert torch.allclose(apart, whole, atol=1e-6)


@pytest.mark.parametrize("experts", [False, True])
def test_every_weight_has_a_gradient_even_of_clouds_that_are_not_there(experts: bool) -> None:
    for present in (torch.ones(5, dtype=torch.bool), torch.zeros(5, dtype=torch.bool)):
        network = tower(experts)
        rows = network(clouds() * present[:, None, None], present)
        torch.autograd.backward([(rows * torch.arange(10.0)).sum()])
        slopes = [weight.grad for weight in network.parameters()]
        assert all(slope is not None and bool(slope.isfinite().all()) for slope in slopes)
        assert any(bool(slope.any()) for slope in slopes if slope is not None) == bool(
            present.all()
        )


def test_size_and_height_mean_something() -> None:
    network, seen, present = tower(), clouds(), torch.ones(5, dtype=torch.bool)
    with torch.no_grad():
        whole = network(seen, present)
        for stretch in ([0.5, 0.5, 0.5], [1.0, 1.0, 3.0]):
            other = network(seen * torch.tensor(stretch), present)
            assert float((whole * other).sum(dim=1).max()) < 0.999


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 3), st.booleans(), st.integers(40, 200), st.integers(0, 1000))
def test_a_cloud_turns_as_its_pictures_do(
    quarters: int, mirrored: bool, count: int, seed: int
) -> None:
    config = GeoLinkConfig(count=64, yaw_deg=0.0, jitter_m=0.0)
    points = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    cloud, turn = Cloud(points, has_north=True), Turn(quarters, mirrored)
    found = shown(cloud, turn, config, np.random.default_rng(seed))
    plain = shown(cloud, Turn(), config, np.random.default_rng(seed))
    assert found.shape == (64, 3)
    known = {tuple(row) for row in points.tolist()}
    assert {tuple(row) for row in plain.tolist()} <= known
    picture = np.zeros((5, 5))  # north up: where the first point lies, a white pixel
    east, north = np.sign(plain[0, :2]).astype(int)
    picture[2 - north, 2 + east] = 1.0
    turned = np.rot90(picture, quarters)
    turned = turned[:, ::-1] if mirrored else turned
    row, column = np.argwhere(turned == 1.0)[0]
    assert tuple(np.sign(found[0, :2]).astype(int)) == (column - 2, 2 - row)
    np.testing.assert_allclose(found[:, 2], plain[:, 2])


def test_points_are_left_out_in_order_and_anew_every_time() -> None:
    points = np.arange(3 * 90, dtype=np.float32).reshape(90, 3)
    cloud = Cloud(points, has_north=True)
    config = GeoLinkConfig(count=64, yaw_deg=0.0, jitter_m=0.0, dropout=0.25)
    looks = [shown(cloud, Turn(), config, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(looks[0], looks[1])
    assert not np.array_equal(looks[0], looks[2])
    for seen in looks:
        assert bool((np.diff(seen[:, 0]) > 0).all())
        assert float(seen[-1, 0]) < 3 * 86  # of the first 64 / 0.75
    few = shown(Cloud(points[:40], True), Turn(), config, np.random.default_rng(0))
    np.testing.assert_array_equal(few, points[np.arange(64) % 40])


def test_only_a_cloud_of_unknown_north_turns_all_around() -> None:
    config = GeoLinkConfig(count=64, yaw_deg=5.0, jitter_m=0.0)
    points = np.tile(np.array([[100.0, 0.0, 0.0]], np.float32), (64, 1))
    angles: dict[bool, list[float]] = {north: [] for north in (True, False)}
    for north, found in angles.items():
        for seed in range(40):
            seen = shown(Cloud(points, north), Turn(), config, np.random.default_rng(seed))
            found.append(np.degrees(np.arctan2(seen[0, 1], seen[0, 0])))
    assert max(map(abs, angles[True])) <= 5.0 + 1e-4
    assert max(map(abs, angles[False])) > 120.0
