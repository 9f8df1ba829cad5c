from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from geobridge.onboard.cli import main
from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.training.geolink import clouds
from geobridge.training.geolink.clouds import CloudError, Raw, read_cloud
from geobridge.training.geolink.manifest import Entry, listed
from geobridge.training.geolink.points import prepare_points
from geobridge.training.geolink.prepare import (
    Recipe,
    farthest_first,
    prepare,
    thinned,
    upright,
    without_outliers,
)
from geobridge.training.geolink.store import PointStore

Floats = npt.NDArray[np.float64]
Town = Callable[..., Floats]
Manifest = Callable[..., Path]
METRIC: dict[str, Any] = {
    "id": "a",
    "path": "a.npz",
    "metres_per_unit": 1.0,
    "north": True,
    "footprint_m": 100.0,
}


def entry(**keys: Any) -> Entry:
    return Entry.model_validate(METRIC | keys)


# Geometry.


def plain_farthest(points: Floats, count: int) -> list[int]:
    chosen = [min(range(len(points)), key=lambda i: np.hypot(*points[i, :2]))]
    while len(chosen) < min(count, len(points)):
        far = [min(np.linalg.norm(p - points[c]) for c in chosen) for p in points]
        chosen.append(int(np.argmax(far)))
    return chosen


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 1000))
def test_the_farthest_comes_next(points: int, count: int, seed: int) -> None:
    cloud = np.random.default_rng(seed).normal(size=(points, 3))
    found = farthest_first(cloud, count)
    assert found.tolist() == plain_farthest(cloud, count)
    half = farthest_first(cloud, count // 2)
    np.testing.assert_array_equal(found[: len(half)], half)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(8)))
def test_the_order_of_points_is_nothing(order: list[int], make_town: Town) -> None:
    blocks = np.array_split(make_town(3), 8)
    mixed = np.concatenate([blocks[k] for k in order])
    first, other = (prepare(Raw(p), entry(), Recipe(128)) for p in (make_town(3), mixed))
    np.testing.assert_array_equal(first.points_m, other.points_m)


def test_metres_stay_metres(make_town: Town) -> None:
    town = make_town(1)
    feet = Raw(town / 0.3048 + [7.0, 9.0, 300.0])
    told = entry(metres_per_unit=0.3048, middle=(7.0, 9.0))
    found, plain = (
        prepare(feet, told, Recipe(512)),
        prepare(Raw(town), entry(middle=(0, 0)), Recipe(512)),
    )
    assert found.is_metric
    low, high = found.points_m.min(axis=0), found.points_m.max(axis=0)
    np.testing.assert_allclose(high - low, np.ptp(plain.points_m, axis=0), atol=1.0)
    assert abs(np.percentile(found.points_m[:, 2], 10)) < 0.5  # the ground is at 0
    assert 5.0 < high[2] < 21.0
    assert float(np.median(found.points_m[found.points_m[:, 2] > 3, 0])) > 10.0  # boxes stay east


def test_a_cloud_of_no_scale_is_given_the_places_size(make_town: Town) -> None:
    raw = Raw(0.013 * make_town(1))
    found = prepare(raw, entry(metres_per_unit=None, footprint_m=80.0), Recipe(256))
    assert not found.is_metric
    reach = np.percentile(np.abs(found.points_m[:, :2]).max(axis=1), 95)
    assert reach == pytest.approx(40.0, rel=0.06)


@pytest.mark.parametrize("up", ["x", "-x", "y", "-y", "z", "-z"])
def test_every_axis_can_be_up(up: str, make_town: Town) -> None:
    town = make_town(2)
    axis, sign = "xyz".index(up[-1]), -1.0 if up.startswith("-") else 1.0
    turned = np.empty_like(town)
    turned[:, axis] = sign * town[:, 2]
    turned[:, (axis + 1) % 3], turned[:, (axis + 2) % 3] = town[:, 0], sign * town[:, 1]
    stood = upright(turned, up)
    np.testing.assert_allclose(stood[:, 2], town[:, 2])
    edges = [np.linalg.det(each[:3]) for each in (turned, stood)]
    assert edges[0] == pytest.approx(edges[1])  # turned, not mirrored


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_up_is_found_where_nobody_says_it(seed: int, make_town: Town) -> None:
    town = make_town(seed % 7)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    stood = upright(town @ turn.T, "auto")
    heights = stood[:, 2] - np.median(stood[:, 2])
    assert np.corrcoef(heights, town[:, 2])[0, 1] > 0.97


def test_what_lies_far_from_everything_is_left_out(make_town: Town) -> None:
    town = make_town(1)
    strays = np.random.default_rng(1).uniform([-40, -40, 60], [40, 40, 90], (12, 3))
    left = without_outliers(np.concatenate([town, strays]))
    assert left[:, 2].max() < 30.0
    assert len(left) > 0.95 * len(town)
    few = thinned(town, 200)
    assert 100 < len(few) <= 200
    assert {tuple(row) for row in few} <= {tuple(row) for row in town}


@pytest.mark.parametrize("confidence", [True, False])
def test_points_that_cannot_be_trusted_are_left_out(confidence: bool, make_town: Town) -> None:
    town = make_town(1)
    doubtful = np.zeros(len(town), bool)
    doubtful[::3] = True
    town[doubtful, 2] += 35.0
    told = {"confidence": 1.0 - doubtful} if confidence else {"error_px": 9.0 * doubtful}
    recipe = Recipe(256, min_confidence=0.5, max_error_px=4.0)
    assert prepare(Raw(town, **told), entry(), recipe).points_m[:, 2].max() < 30.0


# Formats.


def write_ply(path: Path, points: Floats, kind: str) -> None:
    types = ("float", "double", "uchar", "float", "float")
    names = ("x", "y", "red", "z", "confidence")
    head = f"ply\nformat {kind} 1.0\ncomment by hand\nelement vertex {len(points)}\n"
    head += "".join(f"property {t} {n}\n" for t, n in zip(types, names, strict=True))
    head += "element face 0\nproperty list uchar int vertex_index\nend_header\n"
    rows = [(p[0], p[1], 7, p[2], 0.5) for p in points.tolist()]
    if kind == "ascii":
        body = "".join(" ".join(map(repr, row)) + "\n" for row in rows).encode()
    else:
        order = "<" if "little" in kind else ">"
        body = b"".join(struct.pack(f"{order}fdBff", *row) for row in rows)
    path.write_bytes(head.encode() + body)


def write_colmap(path: Path, points: Floats, error_px: float = 0.7) -> None:
    lines = ["# 3D point list with one line of data per point:\n", "#   POINT3D_ID, X, Y, Z, ...\n"]
    for number, (x, y, z) in enumerate(points.tolist()):
        lines.append(f"{number} {x!r} {y!r} {z!r} 10 20 30 {error_px} 1 2 3 4\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))


def write_las(path: Path, points: Floats, noise: int = 0) -> None:
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.scales, header.offsets = np.full(3, 0.001), points.min(axis=0)
    file = laspy.LasData(header)
    file.x, file.y, file.z = points.T
    classes = np.ones(len(points), np.uint8)
    classes[:noise] = 7
    file.classification = classes
    file.write(str(path))


@pytest.mark.parametrize(
    "name", ["points3D.txt", "ascii.ply", "binary_little_endian.ply", "binary_big_endian.ply",
             "a.npz", "a.las", "a.laz"],
)  # fmt: skip
def test_every_format_gives_the_points(name: str, tmp_path: Path, make_town: Town) -> None:
    town, path = make_town(1, 80), tmp_path / name
    if path.suffix == ".txt":
        write_colmap(path, town)
    elif path.suffix == ".ply":
        write_ply(path, town, path.stem)
    elif path.suffix == ".npz":
        np.savez(path, xyz=town.astype(np.float32), conf=np.ones(80))
    else:
        write_las(path, town, noise=3)
    raw = read_cloud(path)
    expected = town[3:] if path.suffix in (".las", ".laz") else town
    np.testing.assert_allclose(raw.points, expected, atol=2e-3)
    assert (raw.error_px is not None) == (path.suffix == ".txt")
    assert (raw.confidence is not None) == (path.suffix in (".ply", ".npz"))


@pytest.mark.parametrize("kind", ["tif", "laz"])
def test_a_place_is_cut_out_of_a_georeferenced_file(
    kind: str, tmp_path: Path, write_manifest: Manifest, write_raster: Callable[..., Path]
) -> None:
    """A tower stands 30 m east and 20 m north of the place, which is nowhere near the middle."""
    west, north = 320_000.0, 3_727_000.0
    easting, northing = west + 160.0, north - 90.0
    x, y = np.meshgrid(west + np.arange(300) + 0.5, north - np.arange(200) - 0.5)
    heights = np.full(x.shape, 512.0)
    heights[np.hypot(x - easting - 30.0, y - northing - 20.0) < 6.0] += 25.0
    if kind == "tif":
        write_raster(tmp_path / "dsm.tif", heights.astype(np.float32))
    else:
        write_las(tmp_path / "dsm.laz", np.column_stack([x.ravel(), y.ravel(), heights.ravel()]))
    lon, lat = rasterio.warp.transform("EPSG:32643", "EPSG:4326", [easting], [northing])
    where = {"lat_deg": lat[0], "lon_deg": lon[0], "footprint_m": 100.0}
    crs = {"crs": "EPSG:32643"} if kind == "laz" else {}
    manifest = write_manifest({"id": "a", "path": f"dsm.{kind}", "source": "dsm"} | where | crs)
    prepare_points(manifest, tmp_path / "out", count=512, processes=1)
    cloud = PointStore(tmp_path / "out").read("a", np.random.default_rng(0))
    assert cloud is not None
    assert cloud.has_north
    tall = cloud.points_m[cloud.points_m[:, 2] > 10.0]
    np.testing.assert_allclose(np.median(tall, axis=0), [30.0, 20.0, 25.0], atol=2.0)
    assert np.abs(cloud.points_m[:, :2]).max() <= 50.0 + 1e-3
    frame = LocalFrame(lat[0], lon[0])
    assert np.allclose(frame.to_enu(lat[0], lon[0]), 0.0, atol=1e-6)


# What is wrong with a cloud is said in one line.


def wrong_place(town: Floats) -> Floats:
    return town + np.array([900.0, 0.0, 0.0])


def not_finite(town: Floats) -> Floats:
    town = town.copy()
    town[: len(town) // 4, 1] = np.nan
    return town


BAD: dict[str, tuple[Callable[[Floats], Floats], dict[str, Any], str]] = {
    "empty": (lambda town: town[:0], {}, "empty"),
    "nan": (not_finite, {}, "375 of 1500 points are not finite"),
    "few": (lambda town: town[:20], {}, "20 points of 20 can be trusted, expected 64"),
    "elsewhere": (
        wrong_place,
        {"middle": (0.0, 0.0)},
        "lies [89].. m from its place, which is 100 m",
    ),
    "small": (lambda town: 0.01 * town, {}, "is 0.9.* m wide, its place 100 m; is metres_per_unit"),
    "large": (lambda town: 500.0 * town, {}, "m wide, its place 100 m|lies .* from its place"),
    "mixed axes": (
        lambda town: town[:, [0, 2, 1]],
        {"metres_per_unit": None},
        "stands .* m high on .* m; up is z, its flattest axis y",
    ),
    "flat": (lambda town: town * [0.0, 0.0, 1.0], {"metres_per_unit": None}, "has no extent"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_cloud_is_named(
    kind: str, tmp_path: Path, make_town: Town, write_manifest: Manifest
) -> None:
    change, keys, why = BAD[kind]
    np.savez(tmp_path / "a.npz", xyz=change(make_town(1)))
    np.savez(tmp_path / "b.npz", xyz=make_town(2))
    manifest = write_manifest(METRIC | keys, METRIC | {"id": "b", "path": "b.npz"})
    with pytest.raises(
        DataError, match=rf"1 of 2 clouds cannot be used.* a: a\.npz {why}"
    ) as caught:
        prepare_points(manifest, tmp_path / "out", count=64, processes=1)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"index\.jsonl: missing"):
        PointStore(tmp_path / "out")
    done = prepare_points(manifest, tmp_path / "out", count=64, max_rejected=0.5, processes=1)
    assert (done["clouds"], done["rejected"], done["prepared"]) == (1, 1, 0)
    rejected = json.loads((tmp_path / "out" / "rejected.jsonl").read_text())
    assert rejected["id"] == "a"
    assert PointStore(tmp_path / "out").names == {"b"}


FILES = {
    "a.npz": (b"PK\3\4 nothing", "damaged"),
    "a.ply": (b"ply\nformat binary_little_endian 1.0\nelement vertex 9\nproperty float x\n"
              b"property float y\nproperty float z\nend_header\n1234", "truncated: 4 bytes for 9"),
    "b.ply": (b"solid cube", "not a PLY file"),
    "c.ply": (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float x\n"
              b"end_header\n1 2\n", "a property twice"),
    "points3D.txt": (b"1 2.0 3.0\n", "line 1: expected id, x, y, z"),
    "latin.txt": (b"1 2.0 \xff 3.0\n", "line 1: expected id, x, y, z"),
    "b.npz": (b"PK\3\4" + bytes(26) + b"PK\1\2" + b"\xff" * 42
              + b"PK\5\6\0\0\0\0\1\0\1\0" + struct.pack("<IIH", 46, 30, 0), "damaged"),
    "a.las": (b"LASF nothing", "damaged: cut off within its header"),
    "none.npz": (None, "No such file"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_is_named(name: str, tmp_path: Path) -> None:
    data, why = FILES[name]
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CloudError, match=why):
        read_cloud(tmp_path / name)


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        (100, 2**32 - 1, "4294967295 records"),
        (104, 3 | 65535 << 8, "points of 65535 bytes"),
        (24, 1 | 5 << 8 | 0x20202020 << 16 & 0xFFFFFFFF, "damaged"),
        (107, 10**9, "cut off, 1000000000 points are announced"),
    ],
)
def test_a_scan_that_announces_more_than_it_holds(
    at: int, value: int, why: str, tmp_path: Path, make_town: Town
) -> None:
    """Else laspy takes memory until there is none."""
    path = tmp_path / "a.las"
    write_las(path, make_town(1, 20))
    content = bytearray(path.read_bytes())
    content[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(content)
    with pytest.raises(CloudError, match=why):
        read_cloud(path)


def test_a_packed_scan_damaged_anywhere(tmp_path: Path, make_town: Town) -> None:
    """What the decompressor says of it is an error of ours, also where it panics."""
    path = tmp_path / "a.laz"
    write_las(path, make_town(1, 20))
    content, refused = path.read_bytes(), 0
    for at in range(227, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        try:
            read_cloud(path)
        except CloudError as error:
            refused += "damaged" in str(error)
    assert refused > 10


def test_an_archive_that_unpacks_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", xyz=np.zeros((100_000, 3)))
    monkeypatch.setattr(clouds, "_MOST_UNPACKED_BYTES", 2 << 20)
    with pytest.raises(CloudError, match="unpacked"):
        read_cloud(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"id": "a"}', "line 1.*path"),
        ('{"id": "a", "path": "a.obj"}', r"expected an ending of \.txt, \.ply"),
        ('{"id": "a", "path": "a.ply", "upp": "z"}', "upp"),
        ('{"id": "a", "path": "a.ply", "up": "w"}', "up"),
        ('{"id": "a", "path": "a.tif"}', "needs lat_deg, lon_deg and footprint_m"),
        ('{"id": "a", "path": "a.ply", "middle": [0, 0]}', "middle needs north"),
        ("[1]", "expected"),
        ("{", "expected"),
    ],
)
def test_a_wrong_line_is_named(line: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=why) as caught:
        listed(path)
    assert "\n" not in str(caught.value)


def test_one_place_needs_groups_for_two_clouds(write_manifest: Manifest) -> None:
    with pytest.raises(DataError, match="a is there twice; a second cloud needs a group"):
        listed(write_manifest(METRIC, METRIC))
    two = listed(write_manifest(METRIC | {"group": "0"}, METRIC | {"group": "1"}))
    assert [item.name for item in two] == ["a/0", "a/1"]


def test_folders_of_colmap_are_read_as_they_are_published(tmp_path: Path, make_town: Town) -> None:
    raw = tmp_path / "drone_3D"
    for number in range(3):
        write_colmap(raw / f"0839_group{number}" / "points3D.txt", 0.1 * make_town(number))
    write_colmap(raw / "0842" / "points3D.txt", 0.1 * make_town(5))
    done = prepare_points(raw, tmp_path / "out", count=128, processes=1)
    assert (done["clouds"], done["places"], done["guessed_scale"]) == (4, 2, 4)
    store = PointStore(tmp_path / "out")
    assert (store.groups("0839"), store.groups("0842")) == (3, 1)
    drawn = {
        cloud.points_m.tobytes()
        for seed in range(20)
        if (cloud := store.read("0839", np.random.default_rng(seed))) and not cloud.has_north
    }
    assert len(drawn) == 3


# The command.


def clouds_of(folder: Path) -> dict[str, bytes]:
    kept = [*folder.glob("clouds/*"), folder / "index.jsonl", folder / "samples.jpg"]
    return {path.name: path.read_bytes() for path in kept}


def test_stopped_or_parallel_the_bytes_are_the_same(
    tmp_path: Path, make_town: Town, write_manifest: Manifest
) -> None:
    lines = []
    for number in range(70):  # more than one unit of work
        np.savez(tmp_path / f"{number}.npz", xyz=make_town(number, 200))
        lines.append(METRIC | {"id": f"p{number:02d}", "path": f"{number}.npz"})
    manifest = write_manifest(*lines)
    prepare_points(manifest, tmp_path / "one", count=64, processes=1)
    prepare_points(manifest, tmp_path / "two", count=64, processes=2)
    assert clouds_of(tmp_path / "one") == clouds_of(tmp_path / "two")
    for name in ("index.jsonl", "shards/00001.jsonl", "clouds/00001.npy", "samples.jpg"):
        (tmp_path / "two" / name).unlink()
    (tmp_path / "two" / ".partial-00001").mkdir()  # as a kill leaves it
    done = prepare_points(manifest, tmp_path / "two", count=64, processes=1)
    assert done["prepared"] == 6
    assert clouds_of(tmp_path / "one") == clouds_of(tmp_path / "two")
    with pytest.raises(
        DataError, match="was begun with count 64, now it is 65; take another folder"
    ):
        prepare_points(manifest, tmp_path / "two", count=65, processes=1)


def test_the_command_tells_who_has_no_points(
    tmp_path: Path, make_town: Town, write_manifest: Manifest, triples_config: Path,
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    np.savez(tmp_path / "a.npz", xyz=make_town(1))
    lines = [METRIC | {"id": name} for name in ("000", "001", "nowhere")]
    manifest = write_manifest(*lines)
    out = ["-o", str(tmp_path / "out"), "--set", str(tmp_path / "set"), "--processes", "1"]
    with caplog.at_level("WARNING"):
        assert main(["dataset", "points", str(manifest), *out, "--count", "64", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["train_places"], told["without_points"], told["of_no_place"]) == (16, 14, 1)
    assert "14 places have no points: 002, 003" in caplog.text
    assert "1 places are not in the set's train split: nowhere" in caplog.text
    assert main(["dataset", "points", str(tmp_path / "set"), "-o", str(tmp_path / "x")]) == 2
    assert "no clouds there; expected a manifest" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda out: (out / "points.json").unlink(), "holds no points; expected what geobridge"),
        (lambda out: (out / "index.jsonl").write_text("{}\n"), "line 1: expected id, shard, row"),
        (lambda out: (out / "index.jsonl").write_text(""), "names no cloud"),
        (lambda out: shutil.rmtree(out / "clouds"), r"00000\.npy: missing"),
        (lambda out: (out / "clouds/00000.npy").write_bytes(b"no"), r"00000\.npy: damaged"),
        (lambda out: np.save(out / "clouds/00000.npy", np.zeros((1, 2))), r"expected \[n, points"),
        (
            lambda out: np.save(out / "clouds/00000.npy", np.zeros((1, 9, 3), np.float32)),
            "fewer clouds or points than",
        ),
    ],
)
def test_a_damaged_store_is_named(
    damage: Callable[[Path], object], why: str, tmp_path: Path, make_town: Town,
    write_manifest: Manifest,
) -> None:  # fmt: skip
    np.savez(tmp_path / "a.npz", xyz=make_town(1))
    prepare_points(write_manifest(METRIC), tmp_path / "out", count=64, processes=1)
    damage(tmp_path / "out")
    with pytest.raises(DataError, match=why) as caught:
        PointStore(tmp_path / "out")
    assert str(tmp_path / "out") in str(caught.value)
