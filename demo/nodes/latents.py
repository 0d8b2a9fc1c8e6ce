"""From ComfyUI's stored latents back to canvases."""

from __future__ import annotations

import comfy.latent_formats
import torch

from ..shapes import canvas


def canvases(samples: torch.Tensor) -> torch.Tensor:
    """Stored latents -> canvases: (B, 4, H, W) as they are, (B, 16, T, 16, 16) -> (B*T, 4, 32, 32).

    ComfyUI stores latents in the scale of the model family's VAE; this undoes it.
    """
    channels = samples.shape[1]
    if channels == canvas.CHANNELS and samples.ndim == 4:
        return comfy.latent_formats.SD15().process_in(samples)
    if channels == canvas.DIT_CHANNELS and samples.ndim in (4, 5):
        clip = samples if samples.ndim == 5 else samples.unsqueeze(2)
        clip = comfy.latent_formats.Wan21().process_in(clip)
        return canvas.from_dit(clip.transpose(1, 2).flatten(0, 1))
    raise ValueError(
        f"Shapes Decode: these latents have shape {tuple(samples.shape)}. Expected latents of a "
        "demo model: (batch, 4, 32, 32) from the UNet (Empty Latent Image 256 x 256) or "
        "(batch, 16, frames, 16, 16) from the DiT (128 x 128)."
    )
