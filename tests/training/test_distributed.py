"""Real processes on loopback against one; run as a script, this file is those processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.distributed_c10d import PrefixStore
from torch.nn.parallel import DistributedDataParallel

from geobridge.onboard.errors import ConfigError
from geobridge.onboard.views import View
from geobridge.training.config import ObjectiveConfig
from geobridge.training.distributed import World, any_of, gather, gather_text, joined
from geobridge.training.gradcache import backward
from geobridge.training.losses import Descriptors, Loss, geobridge_loss
from geobridge.training.runs.pipeline import TensorBatch

WORLDS, PLACES, WORDS = (2, 3, 4), 12, 20
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
ALONE = World(0, 1, torch.device("cpu"))

OBJECTIVES = {
    "all sides": (ObjectiveConfig(), ()),
    "some sides": (
        ObjectiveConfig(label_smoothing=0.1, text_weight=0.5, edge_weights={"street-drone": 3.0}),
        (3,),
    ),
    "directed": (ObjectiveConfig(form="directed", label_smoothing=0.0), ()),
    "no street": (ObjectiveConfig(), ()),
}
CASES = [
    *((name, torch.float64, chunk) for name in OBJECTIVES for chunk in (0, 2)),
    *(("some sides", torch.float32, chunk) for chunk in (0, 2)),
]


class Network(nn.Module):
    """A tower for every side, and a temperature that only the loss uses."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.towers = nn.ModuleDict(
            {
                view.value: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5))
                for view in View
            }
        )
        self.text = nn.EmbeddingBag(WORDS, 5)
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, batch: TensorBatch) -> Descriptors:
        found = {view.value: self.towers[view.value](x) for view, x in batch.images.items()}
        found["text"] = self.text(batch.tokens)
        return {side: F.normalize(values, dim=1) for side, values in found.items()}


def batch_of(name: str, dtype: torch.dtype, seed: int, world: World) -> TensorBatch:
    """The process's rows of a batch of `PLACES`."""
    rng = np.random.default_rng(seed)
    images = {view: torch.from_numpy(rng.normal(size=(PLACES, 6))).to(dtype) for view in View}
    tokens = torch.from_numpy(rng.integers(0, WORDS, (PLACES, 4)))
    present = {side: torch.ones(PLACES, dtype=torch.bool) for side in (*images, "text")}
    relation = torch.eye(PLACES, dtype=torch.int8)
    if name in ("some sides", "directed"):
        present[View.STREET][2:-1] = False  # some processes have no row of its edges
        present["text"] = torch.from_numpy(rng.random(PLACES) < 0.5)
        for a, b, kin in ((0, 11, 1), (2, 3, 1), (1, 8, -1), (4, 5, -1), (2, 9, 1)):
            relation[a, b] = relation[b, a] = kin
    if name == "no street":
        present[View.STREET][:] = False
    names = tuple(f"{i}" for i in range(PLACES))
    share = PLACES // world.size
    whole = TensorBatch(images, present, tokens, relation, names)
    return whole.rows(slice(world.rank * share, (world.rank + 1) * share))


def learn(name: str, dtype: torch.dtype, chunk: int, world: World) -> dict[str, Tensor]:
    """Two batches make a step, twice: the loss and every gradient of the second."""
    network = Network().to(dtype)
    shared = DistributedDataParallel(network) if world.size > 1 else network
    objective, nested = OBJECTIVES[name]
    losses: list[Tensor] = []
    for seed in range(4):
        batch = batch_of(name, dtype, seed, world)
        present = {side: gather(mask, world) for side, mask in batch.present.items()}

        def loss_of(
            rows: Descriptors, batch: TensorBatch = batch, present: dict[str, Tensor] = present
        ) -> Loss:
            columns = {side: gather(values, world) for side, values in rows.items()}
            scale = network.log_scale.exp()
            return geobridge_loss(
                rows, batch.present, columns, present, batch.relation, scale,
                objective, nested, world.size,
            )  # fmt: skip

        first_of_two = seed % 2 == 0
        if first_of_two:
            network.zero_grad()
        with apart(shared) if first_of_two else nullcontext():
            loss = backward(shared, batch, loss_of, chunk, scale=lambda total: total / 2)
        losses.append(gather(loss.total[None], world).mean())
    gradients = {key: p.grad for key, p in network.named_parameters() if p.grad is not None}
    return gradients | {"loss": torch.stack(losses)}


def apart(network: nn.Module) -> AbstractContextManager[None]:
    return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()


# What a process does when this file is run.


def learn_all(world: World, folder: Path) -> None:
    found = {
        f"{name} {dtype} {chunk} {key}": value.numpy()
        for name, dtype, chunk in CASES
        for key, value in learn(name, dtype, chunk, world).items()
    }
    np.savez(folder / f"{world.size}-{world.rank}.npz", **found)


def talk(world: World, folder: Path) -> None:
    """The small agreements, and what is gathered."""
    rank = world.rank
    x = torch.full((2, 3), float(rank), dtype=torch.float64, requires_grad=True)
    weights = (rank + 1) * torch.arange(6.0 * world.size).reshape(-1, 3)
    (slope,) = torch.autograd.grad((weights * gather(x**2, world)).sum(), x)
    try:
        gather(torch.zeros(rank + 1, 2), world)
        complaint = ""
    except ValueError as error:
        complaint = str(error)
    said = {
        "gradient": slope.tolist(),
        "numbers": gather(torch.tensor([[rank, 7]], dtype=torch.int8), world).tolist(),
        "flags": gather(torch.tensor([rank == 1, True]), world).tolist(),
        "complaint": complaint,
        "one of them": any_of(rank == world.size - 1, world),
        "none of them": any_of(False, world),
        "lines": gather_text([f"straße {rank}"] * rank, world),
        "no lines": gather_text([], world),
    }
    (folder / f"{world.size}-{rank}.json").write_text(json.dumps(said))


def be_process(rank: int, size: int, port: int, folder: Path) -> None:
    values = (rank, size, rank, "127.0.0.1", port)
    os.environ.update(zip(VARIABLES, map(str, values), strict=True))
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    with suppress(KeyboardInterrupt), joined("cpu") as world:
        assert world == World(rank, size, torch.device("cpu"))
        talk(world, folder)
        learn_all(world, folder)
        raise KeyboardInterrupt
    assert not dist.is_initialized()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main(folder: Path) -> int:
    """Every world in turn; forked, so that torch is imported once."""
    fork = multiprocessing.get_context("fork")
    codes: list[int | None] = []
    for size in WORLDS:
        port = free_port()
        processes = [
            fork.Process(target=be_process, args=(rank, size, port, folder), daemon=True)
            for rank in range(size)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        codes += [process.exitcode for process in processes]
    return int(codes != [0] * sum(WORLDS))


# The tests.


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what the processes of every world wrote."""
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, __file__, str(folder)]
    done = subprocess.run(command, timeout=240, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.parametrize("size", WORLDS)
@pytest.mark.parametrize(("name", "dtype", "chunk"), CASES)
def test_many_processes_learn_what_one_does(
    ran: Path, size: int, name: str, dtype: torch.dtype, chunk: int
) -> None:
    alone = learn(name, dtype, 0, ALONE)
    expected = {f"{name} {dtype} {chunk} {key}": value for key, value in alone.items()}
    close = 1e-10 if dtype is torch.float64 else 1e-6
    for rank in range(size):
        with np.load(ran / f"{size}-{rank}.npz") as found:
            for key, value in expected.items():
                np.testing.assert_allclose(found[key], value, rtol=0, atol=close, err_msg=key)
    assert alone["loss"].min() > 0.1
    assert alone["log_scale"].abs() > 1e-3
    assert bool(alone["towers.street.0.weight"].any()) == (name != "no street")


@pytest.mark.parametrize("size", WORLDS)
def test_what_is_gathered_is_in_order_everywhere(ran: Path, size: int) -> None:
    for rank in range(size):
        said = json.loads((ran / f"{size}-{rank}.json").read_text())
        assert said["numbers"] == [[r, 7] for r in range(size)]
        assert said["flags"] == [flag for r in range(size) for flag in (r == 1, True)]
        assert said["one of them"] is True
        assert said["none of them"] is False
        assert said["lines"] == [f"straße {r}" for r in range(size) for _ in range(r)]
        assert said["no lines"] == []
        weights = np.arange(6.0 * size).reshape(-1, 3)[2 * rank : 2 * rank + 2]
        by_all = sum(range(1, size + 1)) * weights
        np.testing.assert_allclose(said["gradient"], by_all * 2 * rank, rtol=1e-12)


@pytest.mark.parametrize("size", WORLDS)
def test_unequal_shares_are_refused_by_all(ran: Path, size: int) -> None:
    held = ", ".join(str(r + 1) for r in range(size))
    for rank in range(size):
        said = json.loads((ran / f"{size}-{rank}.json").read_text())
        assert said["complaint"].startswith(f"gather: the processes hold {held} rows")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Free of torchrun's variables."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    assert not dist.is_initialized()


def set_all(environment: pytest.MonkeyPatch, **changes: object) -> None:
    values = dict(zip(VARIABLES, (0, 2, 0, "127.0.0.1", 29500), strict=True)) | changes
    for name, value in values.items():
        if value is not None:
            environment.setenv(name, str(value))


def test_alone_nothing_is_sent(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MASTER_ADDR", "127.0.0.1")  # a container may well set it
    with joined("cpu") as world:
        assert (world, world.is_first) == (ALONE, True)
        rows = torch.ones(2, 3)
        assert gather(rows, world) is rows
        assert any_of(True, world)
        assert not any_of(False, world)
        assert gather_text(["a", "b"], world) == ["a", "b"]
    set_all(environment, WORLD_SIZE=1)
    with joined("cpu") as world:
        assert world == ALONE
        assert not dist.is_initialized()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"WORLD_SIZE": None}, "RANK, LOCAL_RANK, .* without WORLD_SIZE; .* torchrun"),
        ({"RANK": None, "MASTER_PORT": None}, "without RANK, MASTER_PORT; "),
        ({"RANK": "first"}, "RANK 'first': expected a whole number"),
        ({"RANK": 2}, "RANK 2: expected 0 to WORLD_SIZE - 1 = 1"),
        ({"LOCAL_RANK": -1}, "LOCAL_RANK -1: expected 0 to"),
        ({"WORLD_SIZE": 0}, "WORLD_SIZE 0: expected at least 1"),
        ({"MASTER_PORT": ""}, "MASTER_PORT '': expected a whole number"),
    ],
)
def test_contradictory_variables_are_refused(
    environment: pytest.MonkeyPatch, changes: dict[str, object], said: str
) -> None:
    set_all(environment, **changes)
    with pytest.raises(ConfigError, match=said) as caught, joined("cpu"):
        pass
    assert "\n" not in str(caught.value)


def test_more_processes_than_gpus_are_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setattr(torch.cuda, "is_available", lambda: True)
    environment.setattr(torch.cuda, "device_count", lambda: 1)
    set_all(environment, RANK=1, LOCAL_RANK=1)
    with pytest.raises(ConfigError, match="LOCAL_RANK 1: this machine has 1 GPU"), joined("auto"):
        pass


def test_a_gpu_that_is_not_there_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"optim\.device: cuda is not usable"), joined("cuda"):
        pass
    with joined("auto") as world:
        assert world.device.type == "cpu"


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_never_come_are_not_waited_for(
    rank: int, environment: pytest.MonkeyPatch
) -> None:
    set_all(environment, RANK=rank, MASTER_PORT=free_port())
    said = r"MASTER_PORT 127.*: the 2 processes did not meet within 1 s \(run\.wait_for"
    begun = time.monotonic()
    with pytest.raises(ConfigError, match=said) as caught, joined("cpu", wait_s=1.0):
        pass
    assert time.monotonic() - begun < 20
    assert "\n" not in str(caught.value)


def test_who_has_not_come_is_named(environment: pytest.MonkeyPatch) -> None:
    """Where somebody else keeps the store, as torchrun does, each sees who is there."""
    port = free_port()
    store = TCPStore("127.0.0.1", port, 3, is_master=True, wait_for_workers=False)
    PrefixStore("geobridge-0", store).set("here-1", "yes")
    environment.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    set_all(environment, WORLD_SIZE=3, MASTER_PORT=port)
    with pytest.raises(ConfigError, match="process 2 has not come"), joined("cpu", wait_s=1.0):
        pass


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
