"""A file of points as numbers: COLMAP's text, PLY, NPZ, LAS and LAZ."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError

Floats = npt.NDArray[np.float64]

MOST_POINTS = 200_000_000
_PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_PLY_ORDER = {"binary_little_endian": "<", "binary_big_endian": ">"}
_CONFIDENCE = ("confidence", "conf", "quality")
_NOISE_CLASSES = (7, 18)
"""Of the LAS standard: low and high noise."""
_WKT_RECORD = 2112
_LAS_HEADER, _LAS_HEADER_14 = struct.Struct("<25xB70xIIBHI"), struct.Struct("<243xIQ")
"""Minor version, first byte of the points, records before them, format, bytes and number of points;
from 1.4 on also records behind them, and the number of points again."""
_LAS_LEAST_BYTES, _LAS_RECORD_BYTES, _LAS_MOST_POINT_BYTES = 227, 54, 1024
_MOST_UNPACKED_BYTES = 8 << 30
_KEPT_POINTS = 30_000_000
"""So many points of a LiDAR tile are 720 MB."""


class CloudError(Exception):
    """A cloud that cannot be used, and why."""


@dataclass(frozen=True)
class Raw:
    """[N, 3] points as they stand in a file; [N] `confidence`, more is better, or none; [N]
    `error_px`, how far from where pictures have them, or none.
    """

    points: Floats
    confidence: Floats | None = None
    error_px: Floats | None = None

    def __len__(self) -> int:
        return len(self.points)

    def kept(self, mask: npt.NDArray[np.bool_]) -> Raw:
        """Some of them."""
        taken = [None if each is None else each[mask] for each in (self.confidence, self.error_px)]
        return Raw(self.points[mask], *taken)


def read_cloud(path: Path) -> Raw:
    """Of a file, by its ending.

    Raises:
        CloudError: it is missing, of another format, or damaged.
        DataError: a library that it needs is not installed.
    """
    readers = {".txt": _colmap, ".ply": _ply, ".npz": _npz, ".las": _las, ".laz": _las}
    try:
        raw = readers[path.suffix.lower()](path)
    except OSError as error:
        raise CloudError(error.strerror or str(error)) from None
    if raw.points.ndim != 2 or raw.points.shape[1:] != (3,):
        raise CloudError(f"points of shape {raw.points.shape}, expected [N, 3]")
    return raw


def _colmap(path: Path) -> Raw:
    """POINT3D_ID X Y Z R G B ERROR TRACK[] a line; lines of # are comments."""
    rows = []
    with path.open(encoding="utf-8", errors="replace") as file:  # comments may be anything
        for number, line in enumerate(file, start=1):
            if line.strip() and not line.startswith("#"):
                fields = line.split(maxsplit=8)
                try:
                    rows.append([float(fields[at]) for at in (1, 2, 3, 7)])
                except (IndexError, ValueError):
                    raise CloudError(
                        f"line {number}: expected id, x, y, z, r, g, b, error"
                    ) from None
    table = np.array(rows, float).reshape(-1, 4)
    return Raw(table[:, :3], error_px=table[:, 3])


def _npz(path: Path) -> Raw:
    """`xyz` (or `points_m`) [N, 3] and perhaps `conf` [N]."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if sum(each.file_size for each in file.zip.infolist()) > _MOST_UNPACKED_BYTES:
                raise CloudError(f"more than {_MOST_UNPACKED_BYTES >> 30} GiB unpacked")
            name = next((n for n in ("xyz", "points_m", "points") if n in file), None)
            if name is None:
                raise CloudError(f"has {', '.join(file.files) or 'nothing'}, expected xyz")
            points = np.asarray(file[name], float)
            names = [n for n in _CONFIDENCE if n in file]
            confidence = np.asarray(file[names[0]], float).ravel() if names else None
    except (CloudError, OSError):
        raise
    except Exception as error:  # numpy and zipfile fail in many ways
        raise CloudError(f"damaged: {' '.join(str(error).split())[:200]}") from None
    if points.ndim > 1:
        points = points.reshape(-1, points.shape[-1])
    if confidence is not None and len(confidence) != len(points):
        raise CloudError(f"{len(points)} points and {len(confidence)} confidences")
    return Raw(points, confidence)


def _ply(path: Path) -> Raw:
    """Text or binary, its vertices first."""
    data = path.read_bytes()
    head, mark, body = data.partition(b"end_header\n")
    if not mark:
        head, mark, body = data.partition(b"end_header\r\n")
    if not data.startswith(b"ply") or not mark:
        raise CloudError("not a PLY file")
    kind, count, fields = _ply_header(head.decode("ascii", "replace").splitlines())
    if kind == "ascii":
        table = _ply_text(body, count, len(fields))
        columns = {name: table[:, at] for at, (name, _) in enumerate(fields)}
    else:
        layout = np.dtype([(name, _PLY_ORDER[kind] + type_) for name, type_ in fields])
        if len(body) < count * layout.itemsize:
            raise CloudError(f"truncated: {len(body)} bytes for {count} points")
        rows = np.frombuffer(body, layout, count)
        columns = {name: rows[name].astype(float) for name, _ in fields}
    if not {"x", "y", "z"} <= columns.keys():
        raise CloudError(f"vertices have {', '.join(columns)}, expected x, y and z")
    names = [name for name in _CONFIDENCE if name in columns]
    points = np.stack([columns[axis] for axis in "xyz"], axis=1)
    return Raw(points, columns[names[0]] if names else None)


def _ply_header(lines: list[str]) -> tuple[str, int, list[tuple[str, str]]]:
    kind, count, fields, element = "", -1, [], ""
    for words in (line.split() for line in lines):
        match words:
            case ["format", given, *_]:
                kind = given
            case ["element", name, number] if name == "vertex" and not element:
                element, count = name, int(number) if number.isdecimal() else -1
            case ["element", name, _]:
                if not element:
                    raise CloudError(f"its first element is {name}, expected vertex")
                element = name
            case ["property", type_, name] if element == "vertex" and type_ in _PLY_TYPES:
                fields.append((name, _PLY_TYPES[type_]))
            case ["property", *_] if element == "vertex":
                raise CloudError(f"cannot read {' '.join(words)} of its vertices")
    if kind not in ("ascii", *_PLY_ORDER) or not 0 <= count <= MOST_POINTS:
        raise CloudError("its header lacks a known format or the number of vertices")
    if len(dict(fields)) < len(fields):
        raise CloudError("its vertices have a property twice")
    return kind, count, fields


def _ply_text(body: bytes, count: int, fields: int) -> Floats:
    lines = io.StringIO(body.decode("ascii", "replace"))
    try:
        table = np.loadtxt(lines, max_rows=count, ndmin=2) if count else np.empty((0, fields))
    except ValueError as error:
        raise CloudError(f"damaged: {error}") from None
    if table.shape != (count, fields):
        raise CloudError(f"truncated: {len(table)} of {count} points")
    return table


def _las(path: Path) -> Raw:
    """All of it, without what is classified as noise."""
    return Raw(np.concatenate([np.empty((0, 3)), *_las_parts(path)]))


def las_within(path: Path, box: tuple[float, float, float, float]) -> Floats:
    """[N, 3] points within west, south, east, north.

    A tile that fits into memory is kept until another one is asked for: its places come one after
    the other.

    Raises:
        CloudError: damaged, or no LAS file.
        DataError: laspy is not installed.
    """
    if _las_count(path) > _KEPT_POINTS:
        parts = [part[_inside(part, box)] for part in _las_parts(path)]
        return np.concatenate([np.empty((0, 3)), *parts])
    tile = _tile(path, path.stat().st_mtime_ns)
    first, last = np.searchsorted(tile[:, 0], [box[0], box[2]])
    strip = tile[first : last + 1]
    return np.asarray(strip[_inside(strip, box)])


@lru_cache(1)
def _tile(path: Path, _changed_ns: int) -> Floats:
    """All points of a tile, from west to east."""
    points = np.concatenate([np.empty((0, 3)), *_las_parts(path)])
    return np.asarray(points[np.argsort(points[:, 0], kind="stable")])


def _inside(points: Floats, box: tuple[float, float, float, float]) -> npt.NDArray[np.bool_]:
    low, high = np.array(box[:2]), np.array(box[2:])
    return np.asarray(((points[:, :2] >= low) & (points[:, :2] <= high)).all(axis=1))


def _las_parts(path: Path) -> Iterator[Floats]:
    """[n, 3] points of a file, a part of it at a time."""
    with _las_file(path) as file:
        for chunk in file.chunk_iterator(1_000_000):
            points = np.stack([chunk.x, chunk.y, chunk.z], axis=1).astype(float)
            yield points[~np.isin(np.asarray(chunk.classification), _NOISE_CLASSES)]


def _las_count(path: Path) -> int:
    with _las_file(path) as file:
        return int(file.header.point_count)


def las_crs(path: Path) -> str:
    """As its header has it, in WKT; empty where it does not say.

    Raises:
        CloudError: damaged, or no LAS file.
        DataError: laspy is not installed.
    """
    with _las_file(path) as file:
        records = [r for r in file.header.vlrs if r.record_id == _WKT_RECORD]
        return str(records[0].string).strip("\0") if records else ""


@contextmanager
def _las_file(path: Path) -> Iterator[Any]:
    try:
        import laspy
    except ImportError:
        raise DataError(
            'LAS and LAZ need laspy; it comes with: pip install "geobridge-uav[train]"'
        ) from None
    _check_las(path)
    try:
        # the parallel one takes all memory that a damaged file asks for, and ends the process
        with laspy.open(path, laz_backend=laspy.LazBackend.Lazrs) as file:
            yield file
    except BaseException as error:  # laspy fails anywhere, and its decompressor panics
        is_panic = type(error).__module__ == "pyo3_runtime"
        if isinstance(error, OSError) or not (isinstance(error, Exception) or is_panic):
            raise
        text = " ".join(str(error or type(error).__name__).split())
        raise CloudError(f"damaged: {text[:200]}") from None


def _check_las(path: Path) -> None:
    """See that a header does not announce more than the file can hold: laspy believes it."""
    with path.open("rb") as file:
        head, size = file.read(_LAS_HEADER_14.size), path.stat().st_size
    if len(head) < _LAS_LEAST_BYTES:
        raise CloudError("damaged: cut off within its header")
    minor, start, records, format_, point_bytes, count = _LAS_HEADER.unpack_from(head)
    if minor >= 4:
        behind, count = _LAS_HEADER_14.unpack(head.ljust(_LAS_HEADER_14.size, b"\0"))
        records += behind
    if records * _LAS_RECORD_BYTES > size or point_bytes > _LAS_MOST_POINT_BYTES:
        raise CloudError(f"damaged: {records} records and points of {point_bytes} bytes")
    is_packed = format_ >= 128
    if not is_packed and start + count * point_bytes > size:
        raise CloudError(f"damaged: cut off, {count} points are announced")
    if is_packed and not 0 <= _laz_chunks(path, start) <= size:
        raise CloudError("damaged: its table of chunks is longer than the file")


def _laz_chunks(path: Path, start: int) -> int:
    """How many chunks of points a packed file announces, -1 where it does not come so far."""
    with path.open("rb") as file:
        try:
            file.seek(start)
            (at,) = struct.unpack("<q", file.read(8))
            if at == -1:  # written without looking back: its place is told at the end
                file.seek(-8, io.SEEK_END)
                (at,) = struct.unpack("<q", file.read(8))
            file.seek(at)
            return int(struct.unpack("<II", file.read(8))[1])
        except (struct.error, OSError, ValueError):
            return -1
