"""Stable Diffusion's UNet on squares of latent pixels, as transformers read them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel


class PatchedUNet(UNetModel):
    """ComfyUI's own UNet; each patch of latent pixels is one pixel with more channels to it.

    Args:
        patch_size: side of a patch, in latent pixels.
        in_channels, out_channels: of the latent.
        settings: of `UNetModel`.
    """

    def __init__(
        self, *, patch_size: int, in_channels: int, out_channels: int, **settings: Any
    ) -> None:
        area = patch_size**2
        super().__init__(
            in_channels=in_channels * area, out_channels=out_channels * area, **settings
        )
        self.patch_size = patch_size

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        patches = functional.pixel_unshuffle(x, self.patch_size)
        return functional.pixel_shuffle(super().forward(patches, *args, **kwargs), self.patch_size)
