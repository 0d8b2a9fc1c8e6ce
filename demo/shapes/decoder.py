"""Decoder: a canvas of 32 x 32 becomes a crisp picture of 256 x 256."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import nn

from .canvas import CHANNELS, COVER_GAIN, COVER_MEAN, RGB_GAIN

PICTURE = 256
_WIDTH = 32
_FINE = 4
_SHARPNESS = 8.0
_REACH = 3
_SPREAD = 1.2


def _local_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean of (B, C, H, W) over the neighbours, weights (B, 1, H, W)."""
    offsets = torch.arange(-_REACH, _REACH + 1, dtype=values.dtype, device=values.device)
    bell = torch.exp(-(offsets**2) / (2 * _SPREAD**2))

    def blur(part: torch.Tensor) -> torch.Tensor:
        kernel = bell.repeat(part.shape[1], 1, 1, 1)
        part = functional.pad(part, (_REACH,) * 4, mode="replicate")
        part = functional.conv2d(part, kernel, groups=part.shape[1])
        return functional.conv2d(part, kernel.transpose(2, 3), groups=part.shape[1])

    return blur(values * weights) / blur(weights)


class Decoder(nn.Module):
    """(B, 4, 32, 32) -> (B, 3, 256, 256), values near [0, 1].

    The colours inside and outside of shapes are local means, told apart by the canvas's cover.
    A convolutional network finds, four times finer than the canvas, how far inside a shape each
    point lies; enlarging that and only then cutting is what makes the edges crisp.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(CHANNELS, _WIDTH, 3, padding=1, padding_mode="replicate")
        self.inner = nn.ModuleList(
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, padding_mode="replicate") for _ in range(3)
        )
        self.leave = nn.Conv2d(_WIDTH, _FINE * _FINE, 3, padding=1, padding_mode="replicate")

    def forward(self, canvas: torch.Tensor) -> torch.Tensor:
        colour = canvas[:, :3] / RGB_GAIN + 0.5
        cover = (canvas[:, 3:] / COVER_GAIN + COVER_MEAN).clamp(0.01, 0.99)
        hidden = functional.silu(self.enter(canvas))
        for layer in self.inner:
            hidden = hidden + functional.silu(layer(hidden))
        depth = functional.pixel_shuffle(self.leave(hidden).float(), _FINE)
        depth = depth + functional.interpolate(cover - 0.5, scale_factor=_FINE, mode="bilinear")
        depth = functional.interpolate(depth, scale_factor=8 // _FINE, mode="bilinear")
        inside = torch.sigmoid(depth * _SHARPNESS)
        shape = functional.interpolate(_local_mean(colour, cover**8), scale_factor=8)
        ground = functional.interpolate(_local_mean(colour, (1 - cover) ** 8), scale_factor=8)
        return ground + inside * (shape - ground)


def load(path: Path) -> Decoder:
    """The trained decoder, in float32 on the CPU."""
    from safetensors.torch import load_file

    decoder = Decoder()
    decoder.load_state_dict({name: part.float() for name, part in load_file(str(path)).items()})
    return decoder.eval().requires_grad_(False)


def decode(decoder: Decoder, canvases: torch.Tensor) -> torch.Tensor:
    """Canvases (B, 4, 32, 32) -> pictures (B, 256, 256, 3) in [0, 1]."""
    with torch.inference_mode():
        pictures = decoder(canvases.float().cpu())
    return pictures.clamp(0, 1).permute(0, 2, 3, 1).contiguous()
