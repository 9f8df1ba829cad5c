"""Neighbours by similarity, against loops over all pairs; as a script, processes that share it."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch")

import torch

from geobridge.onboard.views import View
from geobridge.training.batches.mining import mine
from geobridge.training.batches.sampling import relation
from geobridge.training.config_model import ModelConfig, PreprocessConfig
from geobridge.training.datasets.batch import NEGATIVE
from geobridge.training.datasets.triples import TriplesSource
from geobridge.training.distributed import World, joined
from geobridge.training.evaluation.area import encode
from geobridge.training.model import GeoBridge, build_model

Array = npt.NDArray[Any]

PLACES, PROCESSES = 16, 3
ALONE = World(0, 1, torch.device("cpu"))
PREPROCESS = PreprocessConfig(height_px=16, width_px=16)
MODEL = ModelConfig(
    embed_dim=12,
    text_tower=False,
    vision={"layers": 1, "width": 16, "head_width": 8, "patch_size": 8, "patch_dropout": 0.5},
)


def network() -> GeoBridge:
    """Towers of their own weights, as after some training."""
    torch.manual_seed(1)
    model = build_model(MODEL, PREPROCESS)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model


def source_of(folder: Path) -> TriplesSource:
    return TriplesSource(folder, tuple(View), PREPROCESS, 4, 0)


@pytest.fixture
def folder(triples_config: Path) -> Path:
    """Places on a line, next ones kin of each other, of which some lack a picture."""
    folder = triples_config.parent / "set"
    for view, lacking in {"drone": (2, 7), "satellite": (5, 9), "street": (5, 7, 12)}.items():
        for place in lacking:
            (folder / "train" / view / f"{place:03d}.jpg").unlink()
    lines = [
        json.dumps({"id": f"{i:03d}", "east_m": 50.0 * i, "north_m": 0.0, "footprint_m": 100.0})
        for i in range(PLACES)
    ]
    (folder / "train" / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def similarities(model: GeoBridge, source: TriplesSource) -> Array:
    """[N, N] by its definition; -inf for kin, and for places without an edge in common."""
    described = {
        (view, name): encode(model, view, source.read(view, name)[None])[0]
        for view in View
        for name in source.pictures[view]
    }
    table = np.full((PLACES, PLACES), -np.inf)
    numbers = np.arange(PLACES)
    for i, j in np.argwhere(relation(source.kin, numbers, numbers) == NEGATIVE):
        here, there = source.names[i], source.names[j]
        cosines = [
            float(described[u, here] @ described[v, there])
            for u in View
            for v in View
            if u != v and (u, here) in described and (v, there) in described
        ]
        if cosines:
            table[i, j] = np.mean(cosines)
    return table


def check(found: Array, table: Array) -> None:
    """The most similar ones in order; of two that differ by rounding either may come first."""
    for i, row in enumerate(found):
        count = min(len(row), int(np.isfinite(table[i]).sum()))
        assert (row[count:] == -1).all()
        assert len(set(row[:count].tolist())) == count
        highest = np.sort(table[i])[::-1][:count]
        np.testing.assert_allclose(table[i][row[:count]], highest, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 5, 16, 4096])
@pytest.mark.parametrize("k", [1, 6, 30])
def test_the_most_similar_places_are_found(folder: Path, k: int, chunk: int) -> None:
    model, source = network(), source_of(folder)
    found = mine(model, source, k, ALONE, chunk)
    table = similarities(model, source)
    assert found.shape == (PLACES, k)
    assert found.dtype == np.int32
    check(found, table)
    assert np.isinf(table).sum() > PLACES
    # the satellite alone and the drone alone, of places 7 and 5, have an edge; of 5 and 5 not
    assert np.isfinite(table[7, 5])


def test_places_that_share_no_edge_are_no_neighbours(folder: Path) -> None:
    for name in ("001", "009", "014"):
        for view in ("satellite", "street"):
            (folder / "train" / view / f"{name}.jpg").unlink(missing_ok=True)
    found = mine(network(), source_of(folder), PLACES, ALONE)
    drone_alone = {1, 5, 9, 14}
    for place in drone_alone:
        assert not drone_alone & set(found[place].tolist())
        assert (found[place] >= 0).any()


def test_what_is_seen_alike_is_most_similar(folder: Path) -> None:
    """All pictures of 3 are of 11 too, in other files: the same files would make them kin. One
    tower for all views, which starts as one."""
    for view in View:
        picture = (folder / f"train/{view}/003.jpg").read_bytes()
        (folder / f"train/{view}/011.jpg").write_bytes(picture + b" ")
    found = mine(build_model(MODEL, PREPROCESS), source_of(folder), 3, ALONE)
    assert found[3, 0] == 11
    assert found[11, 0] == 3


def test_a_picture_that_cannot_be_read_is_one_that_lacks(folder: Path) -> None:
    path = folder / "train" / "satellite" / "004.jpg"
    path.write_bytes(path.read_bytes()[:100])
    broken = mine(network(), source_of(folder), 5, ALONE)
    path.unlink()
    assert np.array_equal(broken, mine(network(), source_of(folder), 5, ALONE))


def test_it_leaves_no_trace_and_does_the_same_again(folder: Path) -> None:
    model, source = network(), source_of(folder)
    model.train()
    model.images["street"].eval()
    state = torch.get_rng_state()
    first = mine(model, source, 5, ALONE)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.images["drone"].training
    assert not model.images["street"].training
    assert all(weight.grad is None for weight in model.parameters())
    assert np.array_equal(first, mine(model, source, 5, ALONE))
    with torch.autocast("cpu", torch.bfloat16):
        assert (mine(model, source, 5, ALONE) >= 0).all()


def test_processes_that_share_the_work_all_have_the_whole(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(folder), str(tmp_path)]
    done = subprocess.run(command, timeout=240, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    mined = [np.load(tmp_path / f"{rank}.npy") for rank in range(PROCESSES)]
    assert PLACES % PROCESSES, "the shares must not be equal by luck"
    assert all(np.array_equal(mined[0], other) for other in mined[1:])
    check(mined[0], similarities(network(), source_of(folder)))


def be_process(rank: int, port: int, folder: Path, into: Path) -> None:
    values = (rank, PROCESSES, rank, "127.0.0.1", port)
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    os.environ.update(zip(names, map(str, values), strict=True))
    torch.set_num_threads(1)
    with joined("cpu") as world:
        np.save(into / f"{rank}.npy", mine(network(), source_of(folder), 6, world, chunk=4))


def main(folder: Path, into: Path) -> int:
    """Forked, so that torch is imported once."""
    fork = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    started = [
        fork.Process(target=be_process, args=(rank, port, folder, into), daemon=True)
        for rank in range(PROCESSES)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    return int(any(process.exitcode != 0 for process in started))


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
