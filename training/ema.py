"""A moving average of the weights, which finds more than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """float32 averages of the weights that learn, on their device.

    The average of few steps would still be mostly the beginning, so the decay starts low:
    min(decay, (1 + n) / (10 + n)) after n steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {n: w for n, w in model.named_parameters() if w.requires_grad}
        self.values = {n: w.detach().float().clone() for n, w in self.weights.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take in the weights after so many steps of training."""
        share = 1.0 - min(self.decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(
            list(self.values.values()), [w.float() for w in self.weights.values()], share
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
        for name, weight in self.weights.items():
            weight.data, self.values[name] = self.values[name], weight.data
