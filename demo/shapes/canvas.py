"""The canvas: what both models paint, and how it becomes each model's latent.

A canvas is 4 x 32 x 32: red, green, blue and the cover of the shapes, scaled to roughly unit
spread. The UNet's latent is the canvas. The DiT's is the same numbers with every 2 x 2 square of
pixels stacked into channels: 16 x 16 x 16.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional

from .render import render
from .scenes import Placed

SIZE = 32
CHANNELS = 4
DIT_CHANNELS = 16
RGB_GAIN = 2.4
COVER_GAIN = 3.0
COVER_MEAN = 0.1


def draw(ground: str, shapes: Sequence[Placed]) -> torch.Tensor:
    """The canvas (4, 32, 32) of a scene."""
    rgb, cover = (torch.from_numpy(part) for part in render(ground, shapes, SIZE))
    return torch.cat([(rgb - 0.5) * RGB_GAIN, (cover[None] - COVER_MEAN) * COVER_GAIN])


def to_dit(canvas: torch.Tensor) -> torch.Tensor:
    """(..., 4, 32, 32) -> (..., 16, 16, 16)."""
    return functional.pixel_unshuffle(canvas, 2)


def from_dit(latent: torch.Tensor) -> torch.Tensor:
    """(..., 16, 16, 16) -> (..., 4, 32, 32)."""
    return functional.pixel_shuffle(latent, 2)
