"""A network of no known family, inside the host's real model."""

from __future__ import annotations

from typing import Any

import torch
import toys
from torch import nn


class PublishedNextMonth(nn.Module):
    """Without any block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dtype = torch.float32
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(
        self, x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor, **rest: Any
    ) -> torch.Tensor:
        return self.mix(x) + context.mean() + 1e-3 * timestep[:, None, None, None]


def of_no_family() -> Any:
    """A patcher that samples like the toy "sd15"."""
    model = toys.TOYS["sd15"].make()
    network = PublishedNextMonth(4)
    toys.fill(network)
    model.model.diffusion_model = network.requires_grad_(False)
    return model
