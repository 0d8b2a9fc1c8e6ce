"""The networks that are timed: real classes of the host at real widths, random weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sample
import comfy.supported_models as supported
import torch
import toys


@dataclass(frozen=True)
class Bench:
    """A model to time.

    Args:
        latent: shape of the latents, batch 1.
        context: (tokens, width) of the text conditioning.
    """

    name: str
    model: Any
    latent: tuple[int, ...]
    context: tuple[int, int]

    def sample(self, model: Any, steps: int) -> torch.Tensor:
        """One Euler run with CFG; cond and uncond share a batch."""
        generator = torch.Generator().manual_seed(0)
        conds = [[[torch.randn(1, *self.context, generator=generator), {}]] for _ in range(2)]
        latent = torch.zeros(self.latent)
        noise = comfy.sample.prepare_noise(latent, 0)
        with torch.inference_mode():
            return comfy.sample.sample(
                model, noise, steps, 4.0, "euler", "simple", *conds, latent, seed=0,
                disable_pbar=True,
            )  # fmt: skip


def sd15() -> Bench:
    """SD1.5 as published: 860 M parameters, 12 input and 12 output blocks."""
    config = supported.SD15({
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320,
        "num_res_blocks": [2] * 4, "channel_mult": [1, 2, 4, 4], "use_spatial_transformer": True,
        "transformer_depth": [1] * 6 + [0] * 2, "transformer_depth_output": [1] * 9 + [0] * 3,
        "transformer_depth_middle": 1, "context_dim": 768, "use_linear_in_transformer": False,
        "legacy": False, "adm_in_channels": None, "use_temporal_attention": False,
    })  # fmt: skip
    return Bench("SD1.5, 256 × 256", _patcher(config), (1, 4, 32, 32), (77, 768))


def wan() -> Bench:
    """A Wan 2.1 text-to-video layout at the width of the 1.3 B model, two layers."""
    config = supported.WAN21_T2V({
        "model_type": "t2v", "patch_size": (1, 2, 2), "in_dim": 16, "dim": 1536, "ffn_dim": 8960,
        "freq_dim": 256, "text_dim": 4096, "out_dim": 16, "num_heads": 12, "num_layers": 2,
        "image_model": "wan2.1",
    })  # fmt: skip
    return Bench("Wan-type DiT, width 1536", _patcher(config), (1, 16, 1, 32, 32), (128, 4096))


def _patcher(config: Any) -> Any:
    device = comfy.model_management.get_torch_device()
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device=device)
    toys.fill(model.diffusion_model)
    return comfy.model_patcher.ModelPatcher(model.eval(), load_device=device, offload_device=device)
