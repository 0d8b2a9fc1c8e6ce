"""Low and high spatial frequencies of pictures: transforms over the last two axes, in float32."""

from __future__ import annotations

from typing import Any

import torch

FFT: Any = torch.fft
"""It tells no types."""
RADIUS_DIVISOR = 5
"""The low band is a disc whose radius is the shorter side of the picture divided by this.

Source: arXiv 2410.19355, appendix; huggingface/diffusers 0.42.1, ``hooks/faster_cache.py``."""


def low_pass(x: torch.Tensor) -> torch.Tensor:
    """The part of `x` inside the low band; real, because the disc is symmetric.

    Shapes: … height width, frames and channels wherever they stand.
    """
    spectrum: torch.Tensor = FFT.fftshift(FFT.fft2(x.float()), dim=(-2, -1))
    return FFT.ifft2(FFT.ifftshift(spectrum * low_band(x), dim=(-2, -1))).real


def low_band(x: torch.Tensor) -> torch.Tensor:
    """Where in the centred spectrum of `x` the low band is. Shape: (height, width)."""
    height, width = x.shape[-2:]
    down = torch.arange(height, device=x.device)[:, None] - height // 2
    across = torch.arange(width, device=x.device)[None, :] - width // 2
    radius = min(height, width) // RADIUS_DIVISOR
    return down * down + across * across <= radius * radius
