"""Exponential moving average of the weights."""

import torch
from torch import Tensor, nn


class WeightAverage:
    """Running average whose decay ramps up, so that the first weights are soon forgotten."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after optimiser step `step` (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        values = module.state_dict()
        names = list(self.average)
        torch._foreach_lerp_([self.average[n] for n in names], [values[n] for n in names], 1 - decay)

    def load(self, average: dict[str, Tensor]) -> None:
        """Continue from a saved average."""
        for name, value in average.items():
            self.average[name].copy_(value)
