"""The gradient of a batch whose activations are too large for the memory (GradCache).

The towers run twice, a few rows at a time: first without activations, for the descriptors of all
rows and the loss's gradient by them, then with activations, to carry that gradient on to the
weights. Both draw the same random numbers. (Gao et al., arXiv 2101.06983.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from geobridge.onboard.errors import ConfigError

from .losses import Descriptors, Loss
from .runs.pipeline import TensorBatch

Context = Callable[[], AbstractContextManager[object]]
LossOf = Callable[[Descriptors], Loss]
Scale = Callable[[Tensor], Tensor]
_RandomState = tuple[Tensor, Tensor | None]


def backward(
    network: nn.Module,
    batch: TensorBatch,
    loss_of: LossOf,
    chunk_size: int,
    autocast: Context = nullcontext,
    scale: Scale = lambda loss: loss,
) -> Loss:
    """Add the gradient of a batch's loss to `.grad` of the network's parameters.

    Args:
        network: a batch to its descriptors; DistributedDataParallel averages over processes once,
            at the end, unless the caller is within its `no_sync`.
        loss_of: the loss of the descriptors of all rows; it may use parameters of the network
            itself, as the temperature.
        chunk_size: so many rows go through the network at a time; 0: all.
        autocast: entered around the network alone.
        scale: of the loss before its gradient is taken; the loss returned is without it.

    Raises:
        ConfigError: the network learns statistics of its batch, which chunks would change.
    """
    if chunk_size and chunk_size < batch.size:
        loss = _in_chunks(network, batch, loss_of, chunk_size, autocast, scale)
    else:
        with autocast():
            descriptors = network(batch)
        loss = loss_of(descriptors)
        scale(loss.total).backward()  # type: ignore[no-untyped-call]
    return replace(loss, total=loss.total.detach())


def _in_chunks(
    network: nn.Module,
    batch: TensorBatch,
    loss_of: LossOf,
    chunk_size: int,
    autocast: Context,
    scale: Scale,
) -> Loss:
    if any(isinstance(part, _BatchNorm) and part.training for part in network.modules()):
        raise ConfigError("optim.chunk_size: batch norm needs a batch as a whole; expected 0")
    places = [slice(i, i + chunk_size) for i in range(0, batch.size, chunk_size)]
    chunks = [batch.rows(part) for part in places]
    parts, states = _describe(network, chunks, autocast)
    whole = {side: torch.cat([part[side] for part in parts]).requires_grad_() for side in parts[0]}
    loss = loss_of(whole)
    by_side, own = _slopes(scale(loss.total), whole, network)
    for here, chunk, state in zip(places, chunks, states, strict=True):
        last = here is places[-1]
        with nullcontext() if last else _apart(network):
            _draw_from(state)
            with autocast():
                again = network(chunk)
            pairs = [(again[side], slope[here]) for side, slope in by_side.items()]
            pairs = [*pairs, *own] if last else pairs
            trained = [pair for pair in pairs if pair[0].requires_grad]
            if trained:
                torch.autograd.backward([x for x, _ in trained], [slope for _, slope in trained])
    return loss


def _describe(
    network: nn.Module, chunks: Sequence[TensorBatch], autocast: Context
) -> tuple[list[Descriptors], list[_RandomState]]:
    """The descriptors of every chunk, and the random state each was drawn from."""
    parts, states = [], []
    for chunk in chunks:
        states.append(_random_state())
        with torch.no_grad(), autocast():
            parts.append(network(chunk))
    return parts, states


def _slopes(
    total: Tensor, descriptors: Descriptors, network: nn.Module
) -> tuple[Descriptors, list[tuple[Tensor, Tensor]]]:
    """The loss's gradient by descriptor, and by each parameter that it uses itself."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    leaves = [*descriptors.values(), *parameters]
    slopes = torch.autograd.grad(total, leaves, allow_unused=True)
    pairs = list(zip(leaves, slopes, strict=True))
    by_side = {
        side: torch.zeros_like(whole) if slope is None else slope
        for side, (whole, slope) in zip(descriptors, pairs, strict=False)
    }
    own = [(leaf, slope) for leaf, slope in pairs[len(descriptors) :] if slope is not None]
    return by_side, own


def _apart(network: nn.Module) -> AbstractContextManager[object]:
    """Gradients stay in this process."""
    if isinstance(network, DistributedDataParallel):
        return network.no_sync()
    return nullcontext()


def _random_state() -> _RandomState:
    """Of the CPU and of the current GPU, if this process uses one."""
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return torch.get_rng_state(), torch.cuda.get_rng_state() if on_gpu else None


def _draw_from(state: _RandomState) -> None:
    cpu, gpu = state
    torch.set_rng_state(cpu)
    if gpu is not None:
        torch.cuda.set_rng_state(gpu)
