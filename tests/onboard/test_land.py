from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.simulation.land.colours import ground_albedo
from geobridge.onboard.simulation.land.geometry import length_m, walk
from geobridge.onboard.simulation.land.ground import Ground
from geobridge.onboard.simulation.land.layout import plan_land
from geobridge.onboard.simulation.land.noise import Noise
from geobridge.onboard.simulation.land.palette import Season
from geobridge.onboard.simulation.land.plan import (
    JunctionKind,
    Layout,
    Over,
    RoadKind,
    TrunkKind,
    Use,
)
from geobridge.onboard.simulation.land.raster import Floats, Grid
from geobridge.onboard.simulation.land.solids import Facade, Rows, corners, middles
from geobridge.onboard.simulation.land.terrain import Terrain
from geobridge.onboard.simulation.land.warp import Warp
from geobridge.onboard.simulation.land.waters import LAKE, RIVER, SEA, shores, water_mask
from geobridge.onboard.simulation.world import World, make_world

numbers = st.floats(-2000.0, 2000.0)


@lru_cache
def town() -> World:
    return make_world(12, 1000.0, 1.0)


@lru_cache
def country() -> World:
    """Has a coast, two rivers, lakes, a railway, several settlements."""
    return make_world(3, 3000.0, 2.0)


@lru_cache
def plan_of(seed: int) -> Layout:
    return plan_land(seed, 5000.0)


def inside(world: World, points_m: Floats, margin_m: float = 5.0) -> Floats:
    return points_m[np.abs(points_m).max(axis=1) < world.size_m / 2.0 - margin_m]


def boxes(world: World) -> list[Rows]:
    return [world.buildings, world.clutter, world.cars]


class TestTerrain:
    @given(numbers, numbers, st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
    def test_is_exact_on_a_plane(self, east: float, north: float, ge: float, gn: float) -> None:
        grid = Grid(50, 8.0)
        steps = (np.arange(50) - 24.5) * 8.0
        heights = (300.0 + ge * steps[None, :] - gn * steps[:, None]).astype(np.float32)
        at = np.clip([east, north], -196.0, 196.0)
        expected = 300.0 + ge * at[0] + gn * at[1]
        height = Terrain.on(grid, heights).alt_amsl_m([east, north])
        assert height == pytest.approx(expected, abs=1e-3)

    def test_same_seed_same_ground(self) -> None:
        again = make_world(12, 1000.0, 1.0)
        assert again.terrain.heights_amsl_m.tobytes() == town().terrain.heights_amsl_m.tobytes()
        assert again.decks.tobytes() == town().decks.tobytes()
        assert again.crowns.tobytes() == town().crowns.tobytes()

    def test_covers_the_map_and_rolls(self) -> None:
        terrain = country().terrain
        assert -terrain.west_m > country().size_m / 2.0 + 50.0
        assert 20.0 < np.ptp(terrain.heights_amsl_m) < 300.0

    def test_pixels_do_not_change_the_land(self) -> None:
        coarse = make_world(12, 1000.0, 2.0)
        difference = coarse.terrain.heights_amsl_m - town().terrain.heights_amsl_m
        assert np.mean(np.abs(difference) < 0.5) > 0.97
        assert coarse.layout.landmarks[0].at_m == pytest.approx(town().layout.landmarks[0].at_m)

    @pytest.mark.parametrize("make", [town, country])
    def test_rivers_are_level_across_and_never_rise(self, make: Callable[[], World]) -> None:
        world = make()
        for river in world.layout.waters.rivers:
            middle = world.terrain.alt_amsl_m(river.line_m)
            near = np.abs(river.line_m).max(axis=1) < world.size_m / 2.0
            for shore_m in shores(river, -1.0):
                shore = world.terrain.alt_amsl_m(shore_m)
                assert np.abs(shore - middle)[near].max() < 0.35
            assert np.diff(middle[near]).max() < 0.05
            banks = np.concatenate(shores(river, 14.0))
            above = world.terrain.alt_amsl_m(banks) - np.tile(middle, 2)
            assert np.median(above[np.tile(near, 2)]) > 1.0

    def test_lakes_and_the_sea_are_level(self) -> None:
        waters, terrain = country().layout.waters, country().terrain
        assert waters.sea_m is not None
        assert waters.lakes
        for shore_m in waters.lakes:
            within_m = shore_m.mean(axis=0) + 0.9 * (shore_m - shore_m.mean(axis=0))
            assert np.ptp(terrain.alt_amsl_m(within_m)) < 0.02
        steps = np.linspace(-1450.0, 1450.0, 80)
        points = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        sea = np.asarray(waters.sea_m, np.float32)
        far_m = np.array([cv2.pointPolygonTest(sea, p, True) for p in points.tolist()])
        heights = terrain.alt_amsl_m(points)
        assert np.abs(heights[far_m > 4.0]).max() == 0.0
        assert heights[far_m < -15.0].min() > 0.3

    def test_ponds_are_level(self) -> None:
        world = town()
        wet = world.surface.cover == Ground.WATER
        ponds = wet & (water_mask(world.layout.waters, world.grid, 3.0) == 0)
        count, labels = cv2.connectedComponents(ponds.astype(np.uint8))
        assert count > 2
        for label in range(1, count):
            row, column = np.nonzero(labels == label)
            half = (world.grid.size_px - 1) / 2.0
            at_m = np.stack([column - half, half - row], axis=-1) * world.gsd_m
            assert np.ptp(world.terrain.alt_amsl_m(at_m)) < 0.6

    def test_roads_do_not_climb_absurdly(self) -> None:
        slopes = []
        for road in country().layout.roads:
            if road.kind in (RoadKind.HIGHWAY, RoadKind.COLLECTOR) and length_m(road.line_m) > 60.0:
                points, _ = walk(road.line_m, np.arange(0.0, length_m(road.line_m), 20.0))
                points = inside(country(), points)
                slopes += np.diff(country().terrain.alt_amsl_m(points)).tolist()
        assert len(slopes) > 500
        assert np.quantile(np.abs(slopes) / 20.0, 0.9) < 0.12

    def test_railway_is_smooth(self) -> None:
        rail = next(t for t in country().layout.trunks if t.kind is TrunkKind.RAIL)
        heights = country().terrain.alt_amsl_m(inside(country(), rail.line_m))
        assert np.quantile(np.abs(np.diff(heights)) / 10.0, 0.9) < 0.06

    def test_platforms_lie_beside_the_tracks(self) -> None:
        world = make_world(7, 1000.0, 2.0)
        assert world.layout.stations
        for station in world.layout.stations:
            boxes_m = middles(world.buildings)
            near = np.hypot(*(boxes_m - station.at_m).T) < 11.0
            platforms = world.buildings[near & (world.buildings["length_m"] == 120.0)]
            assert len(platforms) == 2
            rail_m = world.terrain.alt_amsl_m(station.at_m)
            top_m = platforms["base_amsl_m"] + platforms["height_m"]
            assert np.abs(top_m - rail_m).max() < 1.5


class TestFoundations:
    @pytest.mark.parametrize("make", [town, country])
    def test_boxes_reach_the_ground_and_not_far_below(self, make: Callable[[], World]) -> None:
        world = make()
        for rows in boxes(world)[:2]:
            lowest = world.terrain.alt_amsl_m(corners(rows)).min(axis=1)
            below = lowest - rows["base_amsl_m"]
            assert below.min() > -1e-3
            assert np.quantile(below, 0.99) < 1.0

    def test_trees_stand_on_the_ground(self) -> None:
        crowns = country().crowns
        ground = country().terrain.alt_amsl_m(middles(crowns))
        assert crowns["base_amsl_m"] == pytest.approx(ground, abs=1e-3)
        cover = country().grid.sample(country().surface.cover, middles(crowns))
        assert not np.isin(cover, (Ground.WATER, Ground.ASPHALT, Ground.BALLAST)).any()

    def test_ground_is_level_under_large_buildings(self) -> None:
        halls = town().buildings[town().buildings["facade"] == Facade.HALL]
        assert len(halls) > 3
        spread = np.ptp(town().terrain.alt_amsl_m(corners(halls)), axis=1)
        assert np.median(spread) < 0.5

    def test_buildings_have_the_heights_of_their_kind(self) -> None:
        facade, eaves = country().buildings["facade"], country().buildings["height_m"]
        houses, flats = eaves[facade == Facade.HOUSE], eaves[facade == Facade.FLATS]
        assert houses.min() > 2.5
        assert houses.max() < 9.0
        assert 9.0 < np.median(flats) < 40.0
        assert eaves[facade == Facade.GLASS].max() > 3.0


class TestBridges:
    @pytest.mark.parametrize("make", [town, country])
    def test_decks_join_the_ground_at_their_ends_and_span_what_lies_below(
        self, make: Callable[[], World]
    ) -> None:
        world = make()
        tops = world.decks[world.decks["facade"] == Facade.DECK]
        top_m, at_m = tops["base_amsl_m"] + tops["height_m"], middles(tops)
        clear = []
        for bridge in world.layout.bridges:
            ends = world.terrain.alt_amsl_m(bridge.line_m[[0, -1]])
            mine = np.hypot(*(at_m - bridge.line_m[0]).T) < 8.0
            assert np.abs(top_m[mine] - ends[0]).min() < 1.0
            middle_m, _ = walk(bridge.line_m, np.array([length_m(bridge.line_m) / 2.0]))
            clear.append(ends.mean() - world.terrain.alt_amsl_m(middle_m)[0])
        assert len(clear) >= 5
        assert np.median(clear) > 1.8

    @pytest.mark.parametrize("make", [town, country])
    def test_surface_knows_which_pixels_are_decks(self, make: Callable[[], World]) -> None:
        world = make()
        tops = world.decks[world.decks["facade"] == Facade.DECK]
        on_map = world.grid.contains(middles(tops))
        assert world.grid.sample(world.surface.deck, middles(tops)[on_map]).all()
        kinds = np.unique(world.surface.cover[world.surface.deck])
        assert Ground.BRIDGE in kinds
        assert Ground.WATER not in kinds

    def test_cars_stand_on_decks(self) -> None:
        world = town()
        on_deck = world.grid.sample(world.surface.deck, middles(world.cars)) > 0
        assert on_deck.any()
        above = world.cars["base_amsl_m"] - world.terrain.alt_amsl_m(middles(world.cars))
        assert above[on_deck].max() > 1.0
        assert np.mean(np.abs(above[~on_deck]) < 0.5) > 0.99

    def test_bridges_of_every_kind(self) -> None:
        kinds = {bridge.over for seed in (11, 3) for bridge in plan_of(seed).bridges}
        assert kinds == {Over.RIVER, Over.RAIL, Over.MOTORWAY}


class TestLayout:
    @pytest.mark.parametrize("seed", [2, 3, 11])
    def test_large_land_has_everything(self, seed: int) -> None:
        layout = plan_of(seed)
        uses = {block.use for block in layout.blocks}
        assert {Use.ROWS, Use.SOLAR, Use.ORCHARD, Use.PLANTATION, Use.GREENHOUSES} <= uses
        assert {Use.PERIMETER, Use.HOUSES, Use.SLABS, Use.HALLS, Use.FIELD, Use.FOREST} <= uses
        assert {j.kind for j in layout.junctions} >= {
            JunctionKind.T,
            JunctionKind.CROSSING,
            JunctionKind.ROUNDABOUT,
        }
        assert len(layout.settlements) >= 4
        assert len(layout.waters.rivers) >= 2
        assert {t.kind for t in layout.trunks} == {TrunkKind.RAIL, TrunkKind.MOTORWAY}
        assert len({landmark.use for landmark in layout.landmarks}) >= 6
        assert {area.kind for area in layout.areas} >= {"old_town", "rows", "farmland", "woodland"}

    def test_some_lands_have_a_coast(self) -> None:
        coasts = [plan_land(seed, 700.0).waters.sea_m is not None for seed in range(12)]
        assert 1 <= sum(coasts) <= 9

    @pytest.mark.parametrize("seed", [2, 3, 11])
    def test_roads_keep_out_of_the_water(self, seed: int) -> None:
        layout, grid = plan_of(seed), Grid(2500, 2.0)
        water = water_mask(layout.waters, grid)
        for road in layout.roads:
            at_m = walk(road.line_m, np.linspace(0.0, length_m(road.line_m), 60))[0]
            met = set(grid.sample(water, at_m[grid.contains(at_m)]).astype(int).tolist())
            assert not met & {LAKE, SEA}
            assert road.kind.bridges or RIVER not in met

    @pytest.mark.parametrize("seed", [2, 3])
    def test_junctions_lie_on_roads_with_as_many_arms(self, seed: int) -> None:
        layout = plan_of(seed)
        points = np.concatenate([road.line_m for road in layout.roads])
        places = np.array([junction.at_m for junction in layout.junctions])
        for junction in layout.junctions[::7]:
            assert np.hypot(*(points - junction.at_m).T).min() < 6.0
            assert junction.arms >= 3
            assert (junction.kind is JunctionKind.CROSSING) <= (junction.arms >= 4)
            assert (junction.kind in (JunctionKind.T, JunctionKind.Y)) <= (junction.arms == 3)
            others = np.sort(np.hypot(*(places - junction.at_m).T))
            assert others[1] > 10.0

    def test_repeating_rows_repeat(self) -> None:
        layout, houses = country().layout, country().buildings
        houses = houses[(houses["facade"] == Facade.HOUSE) & (houses["shape"] == 1)]
        for block in layout.blocks:
            if block.use is Use.ROWS:
                outline = np.asarray(block.outline_m, np.float32)
                mine = [
                    cv2.pointPolygonTest(outline, p, False) > 0 for p in middles(houses).tolist()
                ]
                rows = houses[np.array(mine)]
                assert len(np.unique(rows["length_m"])) <= 1
                assert len(np.unique(rows["colour"], axis=0)) <= 1

    def test_settlements_are_dry_and_apart(self) -> None:
        layout, grid = plan_of(2), Grid(2500, 2.0)
        water = water_mask(layout.waters, grid)
        middles_m = np.array([town.at_m for town in layout.settlements])
        assert not grid.sample(water, middles_m).any()
        gaps = np.hypot(*(middles_m[:, None] - middles_m[None]).transpose(2, 0, 1))
        assert gaps[gaps > 0].min() > 400.0

    @given(st.integers(0, 50), st.sampled_from([400.0, 1500.0, 9000.0]))
    def test_warp_can_be_undone(self, seed: int, size_m: float) -> None:
        rng = np.random.default_rng(seed)
        warp = Warp(rng, size_m)
        points = rng.uniform(-size_m, size_m, (20, 2))
        assert warp.undo(warp(points)) == pytest.approx(points, abs=0.01)


class TestAlbedo:
    def test_same_bytes_and_world_untouched(self) -> None:
        before = town().surface.cover.tobytes()
        albedo = ground_albedo(town(), Season.SUMMER)
        assert albedo.dtype == np.uint8
        assert albedo.shape == (*town().surface.cover.shape, 3)
        assert ground_albedo(town(), Season.SUMMER).tobytes() == albedo.tobytes()
        assert town().surface.cover.tobytes() == before

    def test_bands_leave_no_seam(self) -> None:
        albedo = ground_albedo(town(), Season.SUMMER).astype(float)
        step = np.abs(np.diff(albedo.mean(axis=2), axis=0)).mean(axis=1)
        assert step[511] < np.quantile(step, 0.995)

    def test_seasons_change_what_grows_alone(self) -> None:
        summer, winter = (
            ground_albedo(town(), s).astype(int) for s in (Season.SUMMER, Season.WINTER)
        )
        change = np.abs(summer - winter).mean(axis=2)
        cover = town().surface.cover
        assert change[cover == Ground.FIELD].mean() > 12.0
        assert change[cover == Ground.ASPHALT].max() == 0.0


class TestNoise:
    @pytest.mark.parametrize("octaves", [1, 2, 3])
    def test_points_and_rows_agree(self, octaves: int) -> None:
        noise, grid = Noise(np.random.default_rng(1), 40.0, octaves), Grid(200, 2.0)
        rows = np.concatenate([noise.rows(grid, band) for band in grid.bands(64)])
        steps = (np.arange(200) - 99.5) * 2.0
        points = np.stack(np.meshgrid(steps, -steps), axis=-1)
        assert np.corrcoef(rows.ravel(), noise.at(points).ravel())[0, 1] > 0.97
        assert 0.6 < rows.std() < 1.5

    def test_does_not_depend_on_the_map(self) -> None:
        noise = Noise(np.random.default_rng(1), 40.0)
        small = noise.rows(Grid(100, 2.0), slice(0, 100))
        large = noise.rows(Grid(300, 2.0), slice(100, 200))[:, 100:200]
        assert small == pytest.approx(large, abs=0.12)


def test_world_knows_where_on_earth_it_is() -> None:
    there = LocalFrame(-33.0, 18.0)
    world = make_world(1, 120.0, 2.0, there)
    assert world.frame == there
    assert world.size_m == pytest.approx(120.0)
    assert math.isclose(world.gsd_m, 2.0)
