"""One training step's loss for each model."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

from ..shapes import canvas
from ..shapes.decoder import PICTURE, Decoder
from . import data
from .models import (
    DIT_CONFIG,
    PREDICTIONS,
    TEXTURES_CONFIG,
    UNET_CONFIG,
    build_dit,
    build_unet,
)

NOISE_SHIFT = 2.0
CLIPS_FROM = 0.75
CLIP_SHARE = 0.15
POSITION_WEIGHT = 0.2
DECODER_NOISE = 0.12
X0_WEIGHT = 5.0

Batch = Callable[[np.random.Generator, int], tuple[torch.Tensor, torch.Tensor]]


def _waves(length: int) -> torch.Tensor:
    """Smooth coordinates of a token along one axis, (length, 4)."""
    at = (torch.arange(length) + 0.5) / length * math.pi
    return torch.stack([at.cos(), at.sin(), (2 * at).cos(), (2 * at).sin()], dim=1)


class DitObjective(nn.Module):
    """Rectified flow, as ComfyUI samples it: x = (1-s) x0 + s noise, the model gives noise - x0.

    Wan knows places only relative to each other. A probe that must tell a token's place from the
    second block's output makes the model find the picture's edges early; it is not exported.
    """

    def __init__(self) -> None:
        super().__init__()
        self.model = build_dit()
        self.probe = nn.Linear(DIT_CONFIG["dim"], 8)
        self._hidden: torch.Tensor | None = None
        self.model.blocks[1].register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, args: Any, output: torch.Tensor) -> None:
        self._hidden = output

    def draw(
        self, rng: np.random.Generator, noise: torch.Generator, size: int, done: float
    ) -> tuple[torch.Tensor, ...]:
        frames = 1
        if done >= CLIPS_FROM and rng.random() < CLIP_SHARE:
            frames = int(rng.integers(2, 5))
        canvases, tokens = data.batch(rng, max(1, size // frames), frames)
        x0 = canvas.to_dit(canvases).transpose(1, 2)
        return (
            x0,
            tokens,
            torch.randn(x0.shape, generator=noise),
            torch.rand(len(x0), generator=noise),
        )

    def forward(
        self, x0: torch.Tensor, tokens: torch.Tensor, noise: torch.Tensor, u: torch.Tensor
    ) -> torch.Tensor:
        s = NOISE_SHIFT * u / (1 + (NOISE_SHIFT - 1) * u)
        wide = s.view(-1, 1, 1, 1, 1)
        out = self.model((1 - wide) * x0 + wide * noise, s * 1000, tokens)
        loss = functional.mse_loss(out.float(), noise - x0)
        frames, height, width = x0.shape[2], x0.shape[3] // 2, x0.shape[4] // 2
        down = _waves(height)[:, None].expand(height, width, 4)
        right = _waves(width)[None].expand(height, width, 4)
        target = torch.cat([down, right], dim=-1).reshape(-1, 8).repeat(frames, 1).to(x0.device)
        probed = self.probe(self._hidden).float()
        self._hidden = None
        position = functional.mse_loss(probed, target.expand_as(probed))
        return loss + POSITION_WEIGHT * position


class UnetObjective(nn.Module):
    """Prediction of v, or of the latent itself, on Stable Diffusion's discrete noise schedule.

    The error of a predicted latent is weighted as its v would be, up to a limit.

    Args:
        config: of the UNet.
        batch: draws so many latents and their tokens.
        prediction: "v" or "x0".
    """

    signal: torch.Tensor

    def __init__(self, config: dict[str, Any], batch: Batch, prediction: str) -> None:
        super().__init__()
        import comfy.model_sampling

        self._batch, self._prediction = batch, prediction
        # PyTorch's own signatures leave this argument out.
        self.model = build_unet(config).to(  # pyright: ignore[reportCallIssue]
            memory_format=torch.channels_last
        )
        sigmas = comfy.model_sampling.ModelSamplingDiscrete().get_buffer("sigmas")
        self.register_buffer("signal", (1 + sigmas**2).rsqrt(), persistent=False)

    def draw(
        self, rng: np.random.Generator, noise: torch.Generator, size: int, done: float
    ) -> tuple[torch.Tensor, ...]:
        x0, tokens = self._batch(rng, size)
        # Spread evenly over the schedule, which makes the loss of a batch vary less
        # (Kingma et al. 2021, "Variational Diffusion Models", appendix I.1).
        at = (torch.rand(1, generator=noise) + torch.arange(size) / size) % 1
        steps = (at * len(self.signal)).long()
        return x0, tokens, torch.randn(x0.shape, generator=noise), steps

    def forward(
        self, x0: torch.Tensor, tokens: torch.Tensor, noise: torch.Tensor, steps: torch.Tensor
    ) -> torch.Tensor:
        signal = self.signal[steps].view(-1, 1, 1, 1)
        spread = (1 - signal**2).sqrt()
        x = (signal * x0 + spread * noise).contiguous(memory_format=torch.channels_last)
        out = self.model(x, steps, tokens)
        if self._prediction == "v":
            return functional.mse_loss(out.float(), signal * noise - spread * x0)
        weight = spread.square().reciprocal().clamp(max=X0_WEIGHT)
        return (weight * (out.float() - x0).square()).mean()


class DecoderObjective(nn.Module):
    """Pictures from canvases that carry a little noise, as sampled ones do."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Decoder()

    def draw(
        self, rng: np.random.Generator, noise: torch.Generator, size: int, done: float
    ) -> tuple[torch.Tensor, ...]:
        canvases, pictures = data.decoder_batch(rng, size, PICTURE)
        level = torch.rand(size, 1, 1, 1, generator=noise) * DECODER_NOISE
        return canvases + level * torch.randn(canvases.shape, generator=noise), pictures

    def forward(self, canvases: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        return functional.l1_loss(self.model(canvases), pictures)


OBJECTIVES: dict[str, Callable[[], DitObjective | UnetObjective | DecoderObjective]] = {
    "dit": DitObjective,
    "unet": partial(UnetObjective, UNET_CONFIG, data.still_batch, PREDICTIONS["unet"]),
    "textures": partial(
        UnetObjective, TEXTURES_CONFIG, data.textures_batch, PREDICTIONS["textures"]
    ),
    "decoder": DecoderObjective,
}
