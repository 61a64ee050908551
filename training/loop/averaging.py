"""Exponential moving average of a network's weights and buffers."""

from __future__ import annotations

import copy

import torch
from torch import nn

from vfxmatte.network.dim import DeepImageMatting


class Averaged:
    """The averaged copy of a network."""

    def __init__(self, network: DeepImageMatting, decay: float) -> None:
        """Copy a network; the decay rises to `decay` over the first steps."""
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the averages towards the network's present values."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        live = network.state_dict()
        for name, mean in self.network.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(live[name].to(mean.dtype), 1 - decay)
            else:
                mean.copy_(live[name])
