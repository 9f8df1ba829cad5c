"""Several processes that train one network, as `torchrun` starts them.

Every process runs the same steps. What is gathered keeps the order of ranks, on every process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from geobridge.onboard.errors import ConfigError, DataError

TIMEOUT = timedelta(minutes=30)
"""A process that waits longer for the others gives up; what one does alone must be shorter."""

MEETING_S = 300.0
"""So long the processes wait for each other in the beginning."""

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class World:
    """One of `size` processes, and where its tensors live."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0


@contextmanager
def joined(device: str, wait_s: float = MEETING_S) -> Iterator[World]:
    """The processes that torchrun's environment tells of, met; alone where it tells nothing.

    `device` is "cpu", "cuda" or "auto". They talk over gloo on CPUs and NCCL on GPUs, every process
    of a machine with the GPU of its LOCAL_RANK. For `wait_s` seconds each waits for the others to
    come up.

    Raises:
        ConfigError: a device that is not there, variables that contradict each other, or processes
            that do not come.
        DataError: meanwhile, one of the others has ended.
    """
    where = _environment()
    world = World(where.get("RANK", 0), where.get("WORLD_SIZE", 1), _device(device, where))
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)
    if world.size == 1:
        yield world
        return
    _meet(world, wait_s)
    try:
        yield world
    except RuntimeError as error:
        if isinstance(error, dist.DistBackendError) or "gloo" in str(error):
            raise DataError(
                f"process {world.rank} of {world.size} has lost the others; the same command goes"
                f" on from the last checkpoint ({str(error).splitlines()[0]})"
            ) from None
        raise
    finally:
        dist.destroy_process_group()


def gather(rows: Tensor, world: World) -> Tensor:
    """[b, ...] of every process to [world.size * b, ...].

    The gradient of a floating tensor is the sum over processes of its rows' gradients, so every
    process must take part in the backward pass too.

    Raises:
        ValueError: the processes' tensors differ in shape.
    """
    if world.size == 1:
        return rows
    if rows.dtype == torch.bool:
        return gather(rows.to(torch.uint8), world).bool()
    shape = torch.tensor([len(rows), rows.numel()], device=rows.device)
    shapes = _all_gather(shape, world).tolist()
    if any(other != shapes[0] for other in shapes):
        held = ", ".join(str(count) for count, _ in shapes)
        raise ValueError(f"gather: the processes hold {held} rows; expected as many, as wide, each")
    gathered: Tensor = _Gather.apply(rows, world)
    return gathered.flatten(0, 1)


def any_of(flag: bool, world: World) -> bool:
    """Whether it is set on any process."""
    return bool(gather(torch.tensor([flag], device=world.device), world).any())


def gather_text(lines: Sequence[str], world: World) -> list[str]:
    """The lines of all processes."""
    if world.size == 1:
        return list(lines)
    own = torch.frombuffer(bytearray(json.dumps(list(lines)).encode()), dtype=torch.uint8)
    lengths = gather(torch.tensor([len(own)], device=world.device), world).tolist()
    padded = torch.zeros(max(lengths), dtype=torch.uint8)
    padded[: len(own)] = own
    texts = _all_gather(padded.to(world.device), world).cpu().numpy()
    pairs = zip(texts, lengths, strict=True)
    return [line for text, length in pairs for line in json.loads(text[:length].tobytes())]


class _Gather(torch.autograd.Function):
    """[b, ...] to [size, b, ...]."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, world: World) -> Tensor:
        ctx.rank = world.rank
        return _all_gather(rows, world)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        summed = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed[ctx.rank], None


def _all_gather(tensor: Tensor, world: World) -> Tensor:
    """[...], of the same shape everywhere, to [size, ...]."""
    parts = [torch.empty_like(tensor) for _ in range(world.size)]
    dist.all_gather(parts, tensor.contiguous())
    return torch.stack(parts)


def _environment() -> dict[str, int]:
    """torchrun's numbers, or nothing where it did not start this process.

    Raises:
        ConfigError: names the variable that is missing or makes no sense.
    """
    if not any(name in os.environ for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")):
        return {}
    missing = [name for name in _VARIABLES if name not in os.environ]
    if missing:
        found = [name for name in _VARIABLES if name in os.environ]
        raise ConfigError(
            f"environment: {', '.join(found)} without {', '.join(missing)}; start several processes"
            " with torchrun, or unset all of these to train in one"
        )
    numbers = {name: _number(name) for name in _VARIABLES if name != "MASTER_ADDR"}
    size = numbers["WORLD_SIZE"]
    if size < 1:
        raise ConfigError(f"WORLD_SIZE {size}: expected at least 1")
    for name in ("RANK", "LOCAL_RANK"):
        if not 0 <= numbers[name] < size:
            raise ConfigError(f"{name} {numbers[name]}: expected 0 to WORLD_SIZE - 1 = {size - 1}")
    return numbers


def _number(name: str) -> int:
    try:
        return int(os.environ[name])
    except ValueError:
        raise ConfigError(f"{name} {os.environ[name]!r}: expected a whole number") from None


def _device(device: str, where: dict[str, int]) -> torch.device:
    usable = torch.cuda.is_available()
    if device == "cuda" and not usable:
        raise ConfigError("optim.device: cuda is not usable here; take cpu or auto")
    if device == "cpu" or not usable:
        return torch.device("cpu")
    index, count = where.get("LOCAL_RANK", 0), torch.cuda.device_count()
    if index >= count:
        raise ConfigError(
            f"LOCAL_RANK {index}: this machine has {count} GPUs; start at most {count} processes on"
            " it (torchrun --nproc-per-node), or take optim.device cpu"
        )
    return torch.device("cuda", index)


def _meet(world: World, wait_s: float) -> None:
    backend, on_gpu = ("nccl", world.device) if world.device.type == "cuda" else ("gloo", None)
    where = f"MASTER_ADDR, MASTER_PORT {os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        store = _meeting(world, timedelta(seconds=wait_s))
        dist.init_process_group(
            backend,
            store=store,
            rank=world.rank,
            world_size=world.size,
            timeout=TIMEOUT,
            device_id=on_gpu,
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{where}: the {world.size} processes did not meet within {wait_s:g} s"
            f" (run.wait_for_processes_s): {reason}"
        ) from None


def _meeting(world: World, wait: timedelta) -> Store:
    """Where the processes leave word for each other, once all of them are there.

    Raises:
        RuntimeError: some do not come in time; names them as far as that is known.
    """
    store, _, _ = next(rendezvous("env://", world.rank, world.size, timeout=wait))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = PrefixStore(f"geobridge-{attempt}", store)
    keys = [f"here-{rank}" for rank in range(world.size)]
    store.set(keys[world.rank], "yes")
    try:
        store.wait(keys, wait)
    except RuntimeError:
        missing = [str(rank) for rank, key in enumerate(keys) if not store.check([key])]
        raise RuntimeError(f"process {', '.join(missing)} has not come") from None
    return store
