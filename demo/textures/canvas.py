"""The canvas: the latent that the textures UNet paints, and the picture in it.

A canvas is 4 x 64 x 64: red, green, blue and the height (ground, pattern, letter), scaled to
roughly unit spread. No decoder is trained: the picture is the first three channels.
"""

from __future__ import annotations

import numpy as np
import torch

from .render import render
from .scenes import Scene

CHANNELS = 4
RGB_GAIN = 2.4
HEIGHT_GAIN = 3.0
HEIGHT_MEAN = 0.2


def draw(scene: Scene, rng: np.random.Generator) -> torch.Tensor:
    """A canvas (4, 64, 64) of a scene."""
    rgb, height = (torch.from_numpy(part) for part in render(scene, rng))
    return torch.cat([(rgb - 0.5) * RGB_GAIN, (height[None] - HEIGHT_MEAN) * HEIGHT_GAIN])


def decode(canvases: torch.Tensor) -> torch.Tensor:
    """Canvases (B, 4, 64, 64) -> pictures (B, 64, 64, 3) in [0, 1]."""
    pictures = (canvases[:, :3].float().cpu() / RGB_GAIN + 0.5).clamp(0, 1)
    return pictures.permute(0, 2, 3, 1).contiguous()
