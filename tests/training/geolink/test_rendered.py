"""A rendered land's exact clouds, and its weathers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from geobridge.onboard.commands_simulated import WEATHERS as CHOICES
from geobridge.onboard.simulation.render.day import SUMMER_NOON, light_of
from geobridge.onboard.simulation.world import make_world
from geobridge.training.datasets.render import render
from geobridge.training.datasets.render_days import CONDITIONS, WEATHERS, day_of
from geobridge.training.geolink.points import prepare_points
from geobridge.training.geolink.store import PointStore

SMALL: dict[str, Any] = {
    "count": 4, "size_km": 0.7, "size_px": 32, "block_m": 300.0, "seed": 5, "val": 0.0, "test": 0.0,
    "footprint_m": 100.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rendered") / "set"
    render(out, points=True, **SMALL)
    return out


def test_clouds_are_where_the_land_is(rendered: Path) -> None:
    land = make_world(5, 700.0, 0.5).terrain
    for line in (rendered / "train" / "metadata.jsonl").read_text().splitlines():
        place = json.loads(line)
        with np.load(rendered / "train" / "points" / f"{place['id']}.npz") as file:
            xyz = file["xyz"].astype(float)
        assert np.abs(xyz[:, :2]).max() <= place["footprint_m"] / 2 + 1e-3
        assert len(np.unique((xyz[:, :2] // 10.0), axis=0)) == 100  # of every part of the square
        ground = land.alt_amsl_m(xyz[:, :2] + [place["east_m"], place["north_m"]])
        above = xyz[:, 2] + place["ground_amsl_m"] - ground
        assert np.percentile(above, 1) > -0.3
        assert (np.abs(above) < 0.1).mean() > 0.05
        assert above.max() < 120.0


def test_points_change_no_picture(rendered: Path, tmp_path: Path) -> None:
    render(tmp_path / "without", **SMALL)
    for path in (tmp_path / "without").rglob("*.*"):
        if path.name != "dataset.json":
            other = rendered / path.relative_to(tmp_path / "without")
            assert other.read_bytes() == path.read_bytes(), path
    begun = json.loads((tmp_path / "without" / "dataset.json").read_text())
    assert "points" not in begun  # sets of before go on
    assert json.loads((rendered / "dataset.json").read_text()) == begun | {"points": True}


def test_a_rendered_set_is_prepared_as_it_is(rendered: Path, tmp_path: Path) -> None:
    done = prepare_points(rendered, tmp_path / "out", count=256, data=rendered, processes=1)
    assert (done["clouds"], done["rejected"], done["without_points"]) == (4, 0, 0)
    store = PointStore(tmp_path / "out")
    for name in store.names:
        cloud = store.read(name, np.random.default_rng(0))
        assert cloud is not None
        assert cloud.has_north
        assert cloud.points_m.shape == (256, 3)
        reach = np.abs(cloud.points_m[:, :2]).max(axis=0)
        assert bool(((reach > 45.0) & (reach <= 50.0 + 1e-3)).all())


def test_every_weather_can_be_asked_for() -> None:
    assert (*WEATHERS, *CONDITIONS) == CHOICES
    assert len(CONDITIONS) == 10
    rng = np.random.default_rng(0)
    days = {name: day_of(rng, SUMMER_NOON, name) for name in CONDITIONS}
    assert rng.random() == np.random.default_rng(0).random()  # nothing was drawn
    assert len({tuple(asdict(day).items()) for day in days.values()}) == 10
    assert [name for name, day in days.items() if day.is_night] == ["night"]
    assert days["fog"].visibility_m < 500.0
    light = {name: sum(light_of(day).sun) + sum(light_of(day).sky) for name, day in days.items()}
    assert light.pop("night") < 0.1 * min(light.values())
