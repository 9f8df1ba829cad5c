"""The parsers that `fuzz_parsers` feeds, each with a few small whole inputs to begin with.

A group is made when one of its parsers is fuzzed: what it imports is instrumented then.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import fuzz_seeds

Target = tuple[Callable[[bytes], object], list[bytes]]
MOST_BYTES = 8192


def of_bundles(folder: Path) -> dict[str, Target]:
    import numpy as np

    from geobridge.onboard.bundle import MANIFEST, Bundle
    from geobridge.onboard.engines.header import read_header
    from geobridge.onboard.manifest import parse_manifest
    from geobridge.onboard.retrieval.imagery import decode_tile
    from geobridge.onboard.store.sources import TarSource, parse_header
    from geobridge.onboard.trust import parse_key_list
    from tests.small_bundle import small_bundle

    made = small_bundle(folder / "bundle")
    manifest = (made / MANIFEST).read_bytes()
    bundle = Bundle(made, Bundle.open(made).manifest)
    kept, array = folder / "input", io.BytesIO()
    np.save(array, np.zeros((3, 2), np.float32))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(made / "reference/digests.npy", "manifest.json")
    whole = {"format_version": 1, "version": 1, "release": ["ab" * 32], "development": []}

    def tar(data: bytes) -> None:
        source = TarSource(io.BytesIO(data), "x.tar")
        for member in source.members(["a", "b", "c"]):
            b"".join(member.pieces)
        source.end()

    return {
        "manifest": (lambda data: parse_manifest(data, "m"), [manifest[:MOST_BYTES], manifest]),
        "key_list": (
            lambda data: parse_key_list(data, "k"),
            [json.dumps({**whole, "revoked": []}).encode()],
        ),
        "tar": (tar, [packed.getvalue()[:2048]]),
        "tar_header": (lambda data: parse_header(data, "x"), [packed.getvalue()[:512]]),
        "onnx_header": by_path(
            kept, read_header, [(made / "encoders/drone.fp32.onnx").read_bytes()[-900:]]
        ),
        "npy": by_path(kept, lambda path: bundle._load(str(path)), [array.getvalue()]),
        "tile": (
            lambda data: decode_tile(data, 64),
            [(made / "reference/imagery/00000_00000.png").read_bytes()[:MOST_BYTES]],
        ),
    }


def of_logs(folder: Path) -> dict[str, Target]:
    from pymavlink.dialects.v20 import ardupilotmega as wire

    from geobridge.onboard.flightlogs.read import read_flight_log
    from geobridge.onboard.flightlogs.telemetry_csv import read_telemetry
    from geobridge.onboard.mavlink.signing import Codec

    codec, cues = Codec(1, 1, bytes(32)), "1\n00:00:00,000 --> 00:00:01,000\n"
    cues += "[latitude: 47.4] [longitude: 8.5] [rel_alt: 1.3 abs_alt: 400.0]\n\n"
    heartbeat = wire.MAVLink_heartbeat_message(2, 3, 0, 0, 3, 3)
    frame = Codec(1, 1).encode(heartbeat)
    table = b"time_s,height_agl_m,roll_deg,pitch_deg,heading_deg\n0,100,0,0,9\n1,100,1,2,3\n"
    ulog = b"ULog\x01\x12\x35\x01" + bytes(8) + b"\x0b\x00F" + b"a:float x;"
    return {
        "csv": by_path(folder / "input.csv", read_telemetry, [table]),
        "srt": by_path(folder / "input.srt", read_flight_log, [cues.encode() * 3]),
        "dataflash": by_path(
            folder / "input.bin", read_flight_log, [b"\xa3\x95\x80\x80\x59FMT\0BBnNZ\0" + bytes(74)]
        ),
        "tlog": by_path(folder / "input.tlog", read_flight_log, [(bytes(8) + frame) * 4]),
        "ulog": by_path(folder / "input.ulg", read_flight_log, [ulog]),
        "mavlink": (
            lambda data: codec.decode(data, is_datagram=True),
            [frame, codec.encode(heartbeat)],
        ),
    }


def of_files(folder: Path) -> dict[str, Target]:
    from geobridge.onboard.calibration.read import read_calibration
    from geobridge.onboard.config import RunConfig, load
    from geobridge.onboard.found import read_prior
    from geobridge.onboard.geodesy import LocalFrame
    from geobridge.onboard.simulation.flying.read_route import read_route
    from geobridge.onboard.simulation.flying.terrain import Terrain

    land = Terrain(LocalFrame(47.4, 8.5), -200.0, 200.0, -200.0, 200.0, 400.0)
    config = b'bundle = "b"\n[camera]\nhfov_deg = 70.0\n[source]\nframes = "camera:0"\n'
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [8.5, 47.4]}}
    plan = {"fileType": "Plan", "mission": {"items": [], "plannedHomePosition": [47.4, 8.5, 400]}}
    kalibr = b"cam0:\n  camera_model: pinhole\n  intrinsics: [400, 400, 320, 240]\n"
    kalibr += (
        b"  distortion_model: radtan\n  distortion_coeffs: [0, 0, 0, 0]\n  resolution: [640, 480]\n"
    )
    return {
        "toml": by_path(folder / "input.toml", lambda path: load(RunConfig, path), [config]),
        "route": by_path(
            folder / "input.plan",
            lambda path: read_route(str(path), land),
            [
                json.dumps(plan).encode(),
                b"QGC WPL 110\n0\t1\t0\t16\t0\t0\t0\t0\t47.4\t8.5\t100\t1\n",
            ],
        ),
        "calibration": by_path(
            folder / "input.yaml",
            read_calibration,
            [kalibr, fuzz_seeds.STORED_YAML, fuzz_seeds.STORED_XML],
        ),
        "prior": by_path(
            folder / "input.geojson",
            read_prior,
            [json.dumps({**point, "properties": {"horiz_accuracy_m": 9.0}}).encode()],
        ),
    }


def of_training(folder: Path) -> dict[str, Target]:
    from geobridge.training.checkpoint import read

    run = folder / "run"
    run.mkdir()
    record = {"format_version": 2, "step": 1, "config": {}, "sha256": {"model.safetensors": "0"}}
    seeds = [json.dumps(record).encode()]
    return {"checkpoint": by_path(run / "checkpoint.json", lambda path: read(path.parent), seeds)}


def of_ground(folder: Path) -> dict[str, Target]:
    import numpy as np

    from geobridge.export.geotiff import write_geotiff
    from geobridge.onboard.flightlogs.read import read_flight_log
    from geobridge.onboard.frames.video import VideoSource
    from geobridge.onboard.geodesy import LocalFrame
    from geobridge.training.imagery.mbtiles import MBTiles
    from geobridge.training.imagery.tiles import Tiles
    from geobridge.training.rasters.raster import Raster
    from geobridge.training.rasters.surface import read_surface
    from tests.onboard.flightlogs.conftest import gpmf, mp4

    rows = [(474_000_000, 85_000_000, 400_000, 0, 0)] * 3
    frame, noise = LocalFrame(47.4, 8.5), np.random.default_rng(0)
    picture = noise.integers(0, 256, (24, 24, 3)).astype(np.uint8)

    def geotiff(path: Path) -> None:
        with Raster(path, 1.0) as raster:
            raster.read(0, 0, 32, 32)
            grid, frame = raster.grid, raster.frame
        if grid.width_px * grid.height_px < 1_000_000:
            shown = np.ones((grid.height_px, grid.width_px), np.uint8)
            read_surface(path, frame, grid, shown)

    def mbtiles(path: Path) -> None:
        Tiles(MBTiles(path), frame, 1.0, None).read_at(0.0, 0.0, 32, 32)

    def video(path: Path) -> None:
        source = VideoSource(path)
        try:
            for _ in islice(source, 30):
                pass
        finally:
            source.close()

    write_geotiff(folder / "seed.tif", picture, frame, -12.0, 12.0, 1.0)
    return {
        "geotiff": by_path(folder / "input.tif", geotiff, [(folder / "seed.tif").read_bytes()]),
        "mbtiles": by_path(
            folder / "input.mbtiles", mbtiles, [fuzz_seeds.mbtiles(folder / "seed.mbtiles")]
        ),
        "video": by_path(
            folder / "input.mp4", video, [fuzz_seeds.video(folder / "seed.mp4", picture)]
        ),
        "gpmf": by_path(folder / "input.mp4", read_flight_log, [mp4([gpmf(rows)] * 2)]),
    }


def of_weights(folder: Path) -> dict[str, Target]:
    import torch
    from safetensors.torch import save

    from geobridge.training.imports.files import read_tensors

    tensors, written = {"visual.proj": torch.eye(3), "logit_scale": torch.ones(())}, io.BytesIO()
    torch.save({"state_dict": tensors, "step": 7}, written)
    return {
        "safetensors": by_path(
            folder / "input.safetensors", lambda path: read_tensors([path]), [save(tensors)]
        ),
        "torch": by_path(
            folder / "input.pth", lambda path: read_tensors([path]), [written.getvalue()]
        ),
    }


def of_points(folder: Path) -> dict[str, Target]:
    import laspy
    import numpy as np

    from geobridge.onboard.errors import DataError
    from geobridge.training.geolink.clouds import CloudError, las_crs, read_cloud

    points = np.random.default_rng(0).normal(size=(5, 3))
    zipped, colmap = io.BytesIO(), "# points\n1 0.5 1.5 2.5 9 9 9 0.7 1 2\n"
    np.savez(zipped, xyz=points, conf=np.ones(5))
    head = "ply\nformat {} 1.0\nelement vertex 5\n"
    head += "".join(f"property double {axis}\n" for axis in "xyz") + "end_header\n"
    text = head.format("ascii") + "\n".join(" ".join(map(str, row)) for row in points)
    binary = head.format("binary_little_endian").encode() + points.tobytes()
    scan = laspy.create(point_format=6, file_version="1.4")
    scan.x, scan.y, scan.z = points.T
    scan.write(folder / "seed.las")
    scan.write(folder / "seed.laz")

    def cloud(path: Path) -> None:
        try:
            read_cloud(path)
            if path.suffix in (".las", ".laz"):
                las_crs(path)
        except CloudError as error:  # whoever lists the points tells it with the file
            raise DataError(str(error)) from None

    seeds = {
        "txt": colmap.encode(),
        "ply": binary,
        "npz": zipped.getvalue(),
        **{kind: (folder / f"seed.{kind}").read_bytes() for kind in ("las", "laz")},
    }
    made = {kind: by_path(folder / f"input.{kind}", cloud, [seed]) for kind, seed in seeds.items()}
    made["ply"][1].append(text.encode())
    return made


def by_path(path: Path, read: Callable[[Path], object], seeds: list[bytes]) -> Target:
    """A parser that wants a file."""

    def parse(data: bytes) -> None:
        path.write_bytes(data)
        read(path)

    return parse, seeds


TARGETS = {
    **dict.fromkeys(("manifest", "key_list", "tar", "tar_header"), of_bundles),
    **dict.fromkeys(("onnx_header", "npy", "tile"), of_bundles),
    **dict.fromkeys(("csv", "srt", "dataflash", "tlog", "ulog", "mavlink"), of_logs),
    **dict.fromkeys(("toml", "route", "calibration", "prior"), of_files),
    "checkpoint": of_training,
    **dict.fromkeys(("geotiff", "mbtiles", "video", "gpmf"), of_ground),
    **dict.fromkeys(("txt", "ply", "npz", "las", "laz"), of_points),
    **dict.fromkeys(("safetensors", "torch"), of_weights),
}
