"""Descriptors do not depend on what else is encoded with them, nor on who encodes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("rasterio")

from geobridge.export.encoding import chunks as chunks_module
from geobridge.export.encoding.chunks import Encoded, Job, digest, encode_rows
from geobridge.export.encoding.encode import encode, here, known_from
from geobridge.export.encoding.exported import Exported
from geobridge.export.pack import pack
from geobridge.export.record import read_record
from geobridge.onboard.views import View


class Pictures:
    """[40, 60, 3] of a row: every one another, some of them masked."""

    def __call__(self, row: int) -> tuple[np.ndarray, np.ndarray | None]:
        rng = np.random.default_rng(row)
        image = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
        valid = (rng.random((40, 60)) > 0.3).astype(np.uint8) if row % 3 == 0 else None
        return image, valid


@pytest.fixture(scope="module")
def job(rehearsal: Path) -> Job:
    record = read_record(rehearsal / "encoders")
    exported = Exported(rehearsal / "encoders", record)
    return Job("test", 75, Pictures(), exported.encoder(View.SATELLITE))


def test_a_descriptor_depends_on_its_picture_alone(job: Job) -> None:
    """To the last bit, at any place in a batch, in any company, with any number of threads."""
    expected = encode_rows(job, range(40), job.encoder.open(), {})
    for threads in (1, 2):
        encoder = replace(job.encoder, threads=threads).open()
        for rows in (range(5, 33), range(39, 40), range(11, 28)):
            found = encode_rows(job, rows, encoder, {})
            assert np.array_equal(found.descriptors, expected.descriptors[rows.start : rows.stop])
            assert np.array_equal(found.digests, expected.digests[rows.start : rows.stop])


def test_digests_tell_pictures_encoders_and_shapes_apart(job: Job) -> None:
    flat = np.arange(96, dtype=np.uint8)
    shapes = [flat.reshape(4, 8, 3), flat.reshape(8, 4, 3), flat[::-1].reshape(4, 8, 3)]
    keys = [digest(np.ascontiguousarray(shape), sha * 64) for shape in shapes for sha in "ab"]
    assert len(set(keys)) == 6
    assert {len(key) for key in keys} == {16}


def test_what_is_known_is_not_encoded(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = job.encoder.open()
    whole = encode_rows(job, range(40), encoder, {})
    known = {whole.digests[row].tobytes(): whole.descriptors[row] for row in range(0, 40, 2)}
    seen: list[int] = []
    run = encoder.engine.run

    def watched(images: Any) -> Any:
        seen.append(len(images))
        return run(images)

    monkeypatch.setattr(encoder.engine, "run", watched)
    again = encode_rows(job, range(40), encoder, known)
    assert seen == [16, 16]  # 20, and as many more as make batches whole
    assert np.array_equal(again.descriptors, whole.descriptors)


def test_chunks_that_are_there_are_taken(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks_module, "CHUNK", 20)

    def stopping(job: Job, rows: list[range], known: Any) -> Iterator[Encoded]:
        for number, part in enumerate(here(job, rows, known)):
            if number == 2:
                raise KeyboardInterrupt
            yield part

    with pytest.raises(KeyboardInterrupt):
        encode(job, tmp_path, {}, stopping)
    asked: list[range] = []

    def watched(job: Job, rows: list[range], known: Any) -> Iterator[Encoded]:
        asked.extend(rows)
        return here(job, rows, known)

    found = encode(job, tmp_path, {}, watched)
    assert asked == [range(40, 60), range(60, 75)]
    monkeypatch.setattr(chunks_module, "CHUNK", 256)
    whole = encode(job, tmp_path / "other", {}, here)
    assert np.array_equal(found.descriptors, whole.descriptors)
    assert np.array_equal(found.digests, whole.digests)


def test_nothing_to_encode(job: Job, tmp_path: Path) -> None:
    found = encode(Job("none", 0, Pictures(), job.encoder), tmp_path, {}, here)
    assert found.descriptors.shape == (0, job.encoder.dimension)


def test_nothing_is_known_from_what_is_no_bundle(rehearsal: Path, tmp_path: Path) -> None:
    assert known_from(tmp_path / "nowhere") == {}
    (tmp_path / "manifest.json").write_text("{}")
    assert known_from(tmp_path) == {}
    assert len(known_from(rehearsal / "bundle")) > 900


@pytest.mark.slow
def test_two_workers_of_ray_give_what_one_process_gives(
    rehearsal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster of two processors on this machine; every file of the bundle is the same."""
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(chunks_module, "CHUNK", 64)
    words = (rehearsal / "map.tif", rehearsal / "encoders")
    one = pack(*words, tmp_path / "one", spacing_m=25.0)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        logging_level="ERROR",
        _temp_dir=str(tmp_path_short()),
    )
    try:
        many = pack(*words, tmp_path / "many", spacing_m=25.0, engine="ray")
    finally:
        ray.shutdown()
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(many) for path in many.rglob("*") if path.is_file())
    for name in names:
        assert (one / name).read_bytes() == (many / name).read_bytes(), name


def tmp_path_short() -> Path:
    """Ray's sockets lie below it, and the name of a socket has at most 107 letters."""
    import tempfile

    return Path(tempfile.mkdtemp(prefix="ray"))
