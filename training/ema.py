"""A moving average of the weights, which finds more than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .checkpoint import is_of_points


def live_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What training moves: the weights that learn, and the statistics that batch norms keep.

    Averaged weights make other activations than those of the last steps, so the statistics of these
    would not fit them. Counts of batches are no such statistics. A tower of points is never asked
    once training is over, and not averaged.
    """
    kept = model.state_dict(keep_vars=True)
    statistics = {n: b for n, b in model.named_buffers() if n in kept and b.is_floating_point()}
    trained = {n: w for n, w in model.named_parameters() if w.requires_grad}
    return {n: tensor for n, tensor in (trained | statistics).items() if not is_of_points(n)}


class Average:
    """float32 averages of `live_tensors`, on their device.

    The average of few steps would still be mostly the beginning, so the decay starts low:
    min(decay, (1 + n) / (10 + n)) after n steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = live_tensors(model)
        self.values = {n: w.detach().float().clone() for n, w in self.live.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take in the weights after so many steps of training."""
        share = 1.0 - min(self.decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(
            list(self.values.values()), [w.float() for w in self.live.values()], share
        )

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Meanwhile the model has the averages for weights; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def restore(self, values: dict[str, Tensor]) -> None:
        """Go on from averages that were saved."""
        for name, value in values.items():
            self.values[name].copy_(value)

    def _swap(self) -> None:
        for name, tensor in self.live.items():
            tensor.data, self.values[name] = self.values[name], tensor.data
