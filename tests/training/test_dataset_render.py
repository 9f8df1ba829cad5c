from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("numba")
pytest.importorskip("rasterio")
pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.errors import DataError
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.simulation.describe.describe import describe
from geobridge.onboard.simulation.world import SOMEWHERE, make_world
from geobridge.onboard.views import View
from geobridge.training.config_model import PreprocessConfig
from geobridge.training.datasets.render import render
from geobridge.training.datasets.render_blocks import FOOTPRINTS_M, Blocks, Spot, choose
from geobridge.training.datasets.triples import TriplesSource
from geobridge.training.trainer import train

Complaint = Callable[..., str]
Array = npt.NDArray[np.float64]

SMALL = {"size_km": 0.9, "size_px": 48, "block_m": 300.0, "seed": 5}
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 places with depth, in shards of 4."""
    out = tmp_path_factory.mktemp("rendered") / "set"
    summary = render(out, count=14, val=0.2, test=0.1, shard_size=4, depth=True, **SMALL)
    assert {split: summary[split] for split in SPLITS} == {"train": 10, "val": 3, "test": 1}
    return out


def metadata(out: Path, split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / split / "metadata.jsonl").read_text().splitlines()]


def everything(out: Path) -> list[dict[str, Any]]:
    return [entry for split in SPLITS for entry in metadata(out, split)]


def contents(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(f.relative_to(out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


class Plain:
    """Level land with something to see everywhere."""

    def __init__(self, width_m: float, height_m: float) -> None:
        self.bounds_m = (-width_m / 2, -height_m / 2, width_m / 2, height_m / 2)

    def shown(self, east_m: float, north_m: float, width_m: float) -> float:
        return 1.0

    def propose(self, rng: np.random.Generator, footprint_m: float) -> Spot | None:
        west, south, east, north = self.bounds_m
        return Spot(rng.uniform(west, east), rng.uniform(south, north), footprint_m, None)


def disjoint(one: Spot, other: Spot) -> bool:
    """However the squares are turned."""
    away_m = math.hypot(one.east_m - other.east_m, one.north_m - other.north_m)
    return away_m > (one.footprint_m + other.footprint_m) / math.sqrt(2.0) or (
        max(abs(one.east_m - other.east_m), abs(one.north_m - other.north_m))
        > one.reach_m + other.reach_m
    )


@given(
    width_m=st.floats(900.0, 2500.0),
    height_m=st.floats(900.0, 2500.0),
    block_m=st.floats(300.0, 450.0),
    seed=st.integers(0, 99),
)
def test_no_ground_is_in_two_splits(
    width_m: float, height_m: float, block_m: float, seed: int
) -> None:
    land = Plain(width_m, height_m)
    blocks = Blocks(land, block_m, 0.2, 0.2, seed)
    counts = {"train": 12, "val": 1, "test": 1}
    chosen = choose(land, blocks, counts, seed)
    assert {split: len(spots) for split, spots in chosen.items()} == counts
    assert chosen == choose(land, Blocks(land, block_m, 0.2, 0.2, seed), counts, seed)
    for split, spots in chosen.items():
        for spot in spots:
            assert blocks.splits[blocks.block_of(spot.east_m, spot.north_m)] == split
            assert abs(spot.east_m) + spot.reach_m <= width_m / 2
            assert abs(spot.north_m) + spot.reach_m <= height_m / 2
        others = [s for name, those in chosen.items() if name != split for s in those]
        assert all(disjoint(spot, other) for spot in spots for other in others)


def shared(one: Spot, other: Spot) -> float:
    """How much of the smaller place lies in the other one."""
    reach_m = (one.footprint_m + other.footprint_m) / 2.0
    smaller_m = min(one.footprint_m, other.footprint_m)
    width_m = min(smaller_m, max(0.0, reach_m - abs(one.east_m - other.east_m)))
    height_m = min(smaller_m, max(0.0, reach_m - abs(one.north_m - other.north_m)))
    return width_m * height_m / smaller_m**2


def test_no_two_places_share_more_than_half() -> None:
    land = Plain(1500.0, 1500.0)
    [spots] = choose(land, Blocks(land, 400.0, 0.0, 0.0, 0), {"train": 60}, 3).values()
    assert max(shared(a, b) for i, a in enumerate(spots) for b in spots[:i]) <= 0.5 + 1e-6
    assert {spot.footprint_m for spot in spots} == set(FOOTPRINTS_M)


@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.9])
def test_places_share_as_much_as_they_may(overlap: float) -> None:
    land = Plain(900.0, 900.0)
    blocks = Blocks(land, 400.0, 0.0, 0.0, 0)
    [spots] = choose(land, blocks, {"train": 24}, 3, (150.0,), overlap).values()
    assert {spot.footprint_m for spot in spots} == {150.0}
    most = max(shared(a, b) for i, a in enumerate(spots) for b in spots[:i])
    assert most <= overlap + 1e-6
    assert most > 0.5 * overlap


def test_the_reader_reads_what_was_written(rendered: Path) -> None:
    for split, count in (("train", 10), ("val", 3)):
        sizes = PreprocessConfig(height_px=32, width_px=32)
        source = TriplesSource(rendered, tuple(View), sizes, 3, 0, split)
        assert source.places == count
        assert set(source.texts) == set(source.names)
        batch = source.batch(0)
        assert batch.present[View.SATELLITE].all()
        assert batch.present[View.DRONE].all()


def test_every_place_has_its_pictures_and_their_size(rendered: Path) -> None:
    streets = 0
    for entry in everything(rendered):
        assert {"satellite", "drone"} <= set(entry["views"])
        for view in View:
            path = rendered / entry["split"] / view.value / f"{entry['id']}.jpg"
            assert path.exists() == (view.value in entry["views"])
            if path.exists():
                width = 96 if view is View.STREET else 48
                assert read_picture(path).shape == (48, width, 3)
        streets += "street" in entry["views"]
    assert streets > 8


def test_texts_are_of_the_place(rendered: Path) -> None:
    world = make_world(5, 900.0)
    lines = (rendered / "train" / "text.jsonl").read_text().splitlines()
    texts = {entry["id"]: entry["text"] for entry in map(json.loads, lines)}
    for entry in metadata(rendered, "train"):
        told = describe(world, entry["east_m"], entry["north_m"], entry["footprint_m"] / 2.0)
        assert texts[entry["id"]] == told


def test_positions_agree(rendered: Path) -> None:
    for entry in everything(rendered):
        enu_m = SOMEWHERE.to_enu(entry["lat_deg"], entry["lon_deg"])
        assert enu_m == pytest.approx([entry["east_m"], entry["north_m"]], abs=1e-3)
        assert entry["footprint_m"] in FOOTPRINTS_M
        street = entry["views"].get("street")
        if street:
            aside = max(abs(street[k] - entry[k]) for k in ("east_m", "north_m"))
            assert aside <= 0.15 * entry["footprint_m"] + 1e-6


def test_the_drone_sees_the_middle_of_its_place(rendered: Path) -> None:
    for entry in everything(rendered):
        seen = entry["views"]["drone"]
        assert 80.0 - 1e-6 <= seen["height_agl_m"] <= 250.0 + 1e-6
        assert -90.0 <= seen["camera"]["mount"]["pitch_deg"] <= -60.0
        with np.load(rendered / entry["split"] / "depth" / "drone" / f"{entry['id']}.npz") as depth:
            points_m, distance_m = depth["points_m"], depth["distance_m"]
        assert points_m.dtype == distance_m.dtype == np.float16
        middle_m = points_m[24, 24].astype(float)
        assert np.hypot(*middle_m[:2]) < 0.35 * entry["footprint_m"]
        eye_m = [seen[k] - entry[k] for k in ("east_m", "north_m")] + [seen["height_agl_m"]]
        assert np.linalg.norm(middle_m - eye_m) == pytest.approx(float(distance_m[24, 24]), abs=1.0)


def test_the_satellite_shows_the_footprint(rendered: Path) -> None:
    for entry in everything(rendered):
        path = rendered / entry["split"] / "depth" / "satellite" / f"{entry['id']}.npz"
        with np.load(path) as depth:
            points_m = depth["points_m"].astype(float)
        corners_m = points_m[[0, 0, -1, -1], [0, -1, 0, -1], :2]
        half_m = entry["footprint_m"] * (0.5 - 0.5 / 48)
        expected_m = half_m * np.array([[-1, 1], [1, 1], [-1, -1], [1, -1]])
        sensor = entry["views"]["satellite"]["sensor"]
        lean = math.tan(math.radians(sensor["off_nadir_deg"]))
        up_m = points_m[[0, 0, -1, -1], [0, -1, 0, -1], 2]
        shift_m = np.array([sensor["registration_east_m"], sensor["registration_north_m"]])
        apart_m = np.hypot(*(corners_m + shift_m - expected_m).T)
        assert apart_m == pytest.approx(lean * np.abs(up_m), abs=0.3)


def test_depth_agrees_with_the_picture_of_the_street(rendered: Path) -> None:
    for entry in everything(rendered):
        if "street" in entry["views"]:
            path = rendered / entry["split"] / "depth" / "street" / f"{entry['id']}.npz"
            with np.load(path) as depth:
                assert np.isinf(depth["distance_m"][0]).mean() > 0.4
                assert (
                    np.isnan(depth["points_m"]).any(axis=2).sum()
                    == np.isinf(depth["distance_m"]).sum()
                )


def test_depth_is_that_of_the_middle_of_a_pixel_however_many_rays_it_has(
    rendered: Path, tmp_path: Path
) -> None:
    """The one ray of a pixel without sampling goes through its middle."""
    smooth = tmp_path / "smooth"
    options = {"val": 0.2, "test": 0.1, "shard_size": 4, "depth": True, "samples": 3}
    render(smooth, count=14, **options, **SMALL)
    files = sorted(path.relative_to(smooth) for path in smooth.rglob("*.npz"))
    assert {path.parts[2] for path in files} == {"satellite", "drone", "street"}
    for file in files:
        with np.load(rendered / file) as one, np.load(smooth / file) as nine:
            np.testing.assert_array_equal(one["distance_m"], nine["distance_m"])
            np.testing.assert_array_equal(one["points_m"], nine["points_m"])
        picture = file.parent.relative_to(file.parents[2] / "depth") / f"{file.stem}.jpg"
        path = Path(file.parts[0]) / picture
        assert not np.array_equal(read_picture(rendered / path), read_picture(smooth / path))


def test_the_same_command_again_changes_nothing(rendered: Path) -> None:
    before = contents(rendered)
    again = render(rendered, count=14, val=0.2, test=0.1, shard_size=4, depth=True, **SMALL)
    assert again["rendered"] == 0
    assert contents(rendered) == before


def test_a_lost_shard_comes_back_the_same(rendered: Path) -> None:
    before = contents(rendered)
    (rendered / "shards" / "train-00001.jsonl").unlink()
    for view in ("satellite", "drone"):
        (rendered / "train" / view / "train-000005.jpg").unlink()
    again = render(rendered, count=14, val=0.2, test=0.1, shard_size=4, depth=True, **SMALL)
    assert again["rendered"] == 4
    assert contents(rendered) == before


def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    options = ["--count", "32", "--shard", "4", "--val", "0", "--test", "0"]
    options += ["--size-km", "0.8", "--size-px", "48", "--block-m", "300", "--seed", "8"]
    code = "import sys; from geobridge.onboard.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "dataset", "render", *options, "-o"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    run = subprocess.Popen([*command, str(killed)], stderr=subprocess.DEVNULL)
    while not list(killed.glob("shards/train-*.jsonl")) and run.poll() is None:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert 1 <= len(list(killed.glob("shards/train-*.jsonl"))) < 8
    assert not (killed / "train" / "text.jsonl").exists()
    for out in (killed, whole):
        done = subprocess.run([*command, str(out)], capture_output=True, text=True, check=True)
        assert "cores: about" in done.stderr
        assert "train          32" in done.stdout
    assert contents(killed) == contents(whole)
    assert not [path for path in killed.iterdir() if path.name.startswith(".")]


def test_a_folder_in_use_is_refused(tmp_path: Path, complaint: Complaint) -> None:
    from geobridge.training.datasets.render_shards import ShardedFolder

    folder = ShardedFolder(tmp_path / "set", {"seed": 1})
    with folder.held(), pytest.raises(DataError, match="another run is writing"), folder.held():
        pass
    with folder.held():
        pass


def command(out: Path, *options: object) -> list[object]:
    words = {"--count": 14, "--val": 0.2, "--test": 0.1, "--shard": 4, "--size-km": 0.9}
    words |= {"--size-px": 48, "--block-m": 300, "--seed": 5}
    words |= dict(zip(options[::2], options[1::2], strict=True))
    return ["dataset render", "--depth", "-o", out, *(w for pair in words.items() for w in pair)]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--seed", 6), "was begun with seed 5, now it is 6; take another folder"),
        (("--count", 15), "was begun with count 14, now it is 15"),
        (("--weather", "hard"), "was begun with weather mixed, now it is hard"),
        (("--overlap", 0.6), "was begun with overlap 0.5, now it is 0.6"),
        (("--footprint-m", 90), "was begun with footprint-m nothing, now it is 90.0"),
        (("--size-km", 1), "was begun with size-km 0.9, now it is 1.0"),
    ],
)
def test_other_parameters_are_refused_by_name(
    options: tuple[object, ...], line: str, rendered: Path, complaint: Complaint
) -> None:
    assert line in complaint(*command(rendered, *options))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--size-km", 40), "--size-km 40.0: expected 0.4 to 10"),
        (("--tilt-deg", 80), "--tilt-deg 80.0: expected 0 to 45"),
        (("--block-m", 100), "--block-m 100.0: expected 300 to 10000"),
        (("--size-px", 8), "--size-px 8: expected 32 to 2048"),
        (("--samples", 2), "--samples 2: expected 1 or 3, so that one ray goes through the middle"),
        (("--samples", 4), "--samples 4: expected 1 or 3"),
        (("--val", 0.7), "--val 0.7: expected 0 to 0.5"),
        (("--val", 0.5, "--test", 0.5), "leave at least 0.1 to train on"),
        (("--gsd-m", 0.5), "--gsd-m belongs to --map"),
        (("--overlap", 0.99), "--overlap 0.99: expected 0.05 to 0.98"),
        (("--overlap", 0), "--overlap 0.0: expected 0.05 to 0.98"),
        (("--footprint-m", 79), "--footprint-m 79.0: expected 80 to 180"),
        (("--footprint-m", 200), "--footprint-m 200.0: expected 80 to 180"),
        (("--block-m", 600), "1 blocks of 600 m, too few for train, val and test"),
        (("--count", 5000), "places in"),
    ],
)
def test_parameters_out_of_range_are_one_line(
    options: tuple[object, ...], line: str, tmp_path: Path, complaint: Complaint
) -> None:
    assert line in complaint(*command(tmp_path / "set", *options))


def test_a_refused_run_leaves_the_folder_free_for_the_corrected_one(
    tmp_path: Path, complaint: Complaint
) -> None:
    assert "places in" in complaint(*command(tmp_path / "set", "--count", 5000))
    assert "places in" in complaint(*command(tmp_path / "set", "--count", 4000))
    assert not (tmp_path / "set").exists()


def test_a_foreign_folder_is_refused(tmp_path: Path, complaint: Complaint) -> None:
    (tmp_path / "thesis.tex").touch()
    assert "holds 'thesis.tex' and is no data set" in complaint(*command(tmp_path))
    (tmp_path / "thesis.tex").rename(tmp_path / "dataset.json")
    assert "not the record of a data set" in complaint(*command(tmp_path))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, complaint: Complaint) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in complaint(*command(tmp_path / "file" / "set"))


@pytest.fixture
def own_map(tmp_path: Path, texture: Callable[..., Any], write_raster: Callable[..., Path]) -> Path:
    return write_raster(tmp_path / "map.tif", texture(700, 6.0))


def test_ones_own_map_has_no_streets_and_no_texts(tmp_path: Path, own_map: Path) -> None:
    out = tmp_path / "set"
    render(out, count=6, raster=own_map, size_px=40, val=0.0, test=0.0)
    assert {path.name for path in (out / "train").iterdir()} == {
        "drone",
        "metadata.jsonl",
        "satellite",
    }
    sizes = PreprocessConfig(height_px=32, width_px=32)
    source = TriplesSource(out, (View.DRONE, View.SATELLITE), sizes, 2, 0)
    assert source.places == 6


NADIR = {"size_px": 64, "tilt_deg": 10.0, "weather": "fair", "val": 0.0, "test": 0.0}
CROWDED = {"count": 12, "footprint_m": 150.0, "overlap": 0.9}


def drone_on_satellite(out: Path) -> tuple[Array, Array]:
    """[N] correlation of the satellite's middle with the best part of the drone picture, and [N]
    metres from where it should be."""
    margin, correlations, aside_m = 16, [], []
    for entry in metadata(out, "train"):
        drone, satellite = (
            read_picture(out / "train" / view / f"{entry['id']}.jpg").mean(axis=2, dtype=np.float32)
            for view in ("drone", "satellite")
        )
        middle = satellite[margin:-margin, margin:-margin]
        found = cv2.matchTemplate(drone, middle, cv2.TM_CCOEFF_NORMED)
        row, column = np.unravel_index(found.argmax(), found.shape)
        correlations.append(found.max())
        away_px = math.hypot(row - margin, column - margin)
        aside_m.append(away_px * entry["footprint_m"] / len(drone))
    return np.array(correlations), np.array(aside_m)


def test_a_rectified_picture_lies_on_the_satellite_s(tmp_path: Path, own_map: Path) -> None:
    out = tmp_path / "set"
    render(out, raster=own_map, rectified=True, **NADIR, **CROWDED)
    assert {entry["footprint_m"] for entry in metadata(out, "train")} == {150.0}
    correlations, aside_m = drone_on_satellite(out)
    assert correlations.min() > 0.6
    assert np.median(correlations) > 0.85
    # 1.5 degrees at 80 to 250 m, the satellite's own shift: sensors err, and only a little
    assert 1.0 < np.median(aside_m) < 10.0
    assert aside_m.max() < 25.0


def test_a_picture_as_taken_lies_as_the_vehicle_was_turned(tmp_path: Path, own_map: Path) -> None:
    """The control: what the test above measures is not there by itself."""
    out = tmp_path / "set"
    render(out, raster=own_map, rectified=False, **NADIR, **CROWDED)
    correlations, aside_m = drone_on_satellite(out)
    assert np.median(correlations) < 0.7
    assert np.median(aside_m) > 15.0


def test_rectified_pictures_differ_in_nothing_else(tmp_path: Path, own_map: Path) -> None:
    """The same places, vehicles and satellite pictures, so that the two can be compared."""
    told: dict[Any, Any] = {}
    for rectified in (True, False):
        out = tmp_path / str(rectified)
        render(out, count=3, raster=own_map, rectified=rectified, **NADIR)
        told[rectified] = metadata(out, "train")
        told[rectified, "satellite"] = contents(out / "train" / "satellite")
        told[rectified, "drone"] = contents(out / "train" / "drone")
    assert told[True, "satellite"] == told[False, "satellite"]
    assert not set(told[True, "drone"].values()) & set(told[False, "drone"].values())
    for one, other in zip(told[True], told[False], strict=True):
        states = [entry["views"]["drone"]["attitude"] for entry in (one, other)]
        assert states[0] == states[1]


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"rectified": False}, "was begun with rectified True, now it is False"),
        ({"footprint_m": 120.0}, r"was begun with footprint-m 150\.0, now it is 120\.0"),
        ({"footprint_m": None}, r"was begun with footprint-m 150\.0, now it is nothing"),
        ({"overlap": 0.8}, r"was begun with overlap 0\.9, now it is 0\.8"),
    ],
)
def test_a_set_keeps_to_what_it_was_begun_with(
    other: dict[str, Any], line: str, tmp_path: Path, own_map: Path
) -> None:
    begun = NADIR | {"count": 1, "footprint_m": 150.0, "overlap": 0.9, "rectified": True}
    render(tmp_path / "set", raster=own_map, **begun)
    with pytest.raises(DataError, match=line):
        render(tmp_path / "set", raster=own_map, **begun | other)
    assert render(tmp_path / "set", raster=own_map, **begun)["rendered"] == 0


def test_with_a_surface_model_a_map_has_streets(
    tmp_path: Path, own_map: Path, write_raster: Callable[..., Path]
) -> None:
    rng = np.random.default_rng(0)
    heights = 500.0 + 15.0 * (rng.random((70, 70)).repeat(10, 0).repeat(10, 1) > 0.8)
    dsm = write_raster(tmp_path / "dsm.tif", heights.astype(np.float32))
    out = tmp_path / "set"
    render(out, count=4, raster=own_map, dsm=dsm, size_px=40, val=0.0, test=0.0, photo=True)
    for entry in metadata(out, "train"):
        street = entry["views"]["street"]
        assert street["alt_amsl_m"] == pytest.approx(502.5, abs=0.1)
        assert read_picture(out / "train" / "street" / f"{entry['id']}.jpg").shape == (40, 53, 3)
    with pytest.raises(DataError, match="was begun with dsm sha256"):
        render(out, count=4, raster=own_map, size_px=40, val=0.0, test=0.0, photo=True)


def test_a_map_and_a_size_contradict(tmp_path: Path, own_map: Path, complaint: Complaint) -> None:
    line = complaint("dataset render", "-o", tmp_path / "set", "--map", own_map, "--size-km", 1)
    assert "--size-km belongs to a rendered world" in line


def test_what_was_rendered_trains(rendered: Path, triples_config: Path) -> None:
    where = [f'data.folder="{rendered}"', "optim.steps=3", "optim.batch_size=4"]
    checkpoint = train(triples_config, [*where, "optim.workers=0"])
    assert checkpoint.exists()


def test_positions_on_a_map_are_the_map_s(tmp_path: Path, own_map: Path) -> None:
    out = tmp_path / "set"
    render(out, count=2, raster=own_map, size_px=40, val=0.0, test=0.0)
    frame = None
    for entry in metadata(out, "train"):
        frame = frame or LocalFrame(round(entry["lat_deg"], 2), round(entry["lon_deg"], 2))
        assert np.hypot(*frame.to_enu(entry["lat_deg"], entry["lon_deg"])) < 2000.0
