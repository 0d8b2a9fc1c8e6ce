"""The networks that are timed: real classes of the host at real widths, random weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sample
import comfy.supported_models as supported
import torch


@dataclass(frozen=True)
class Bench:
    """A model to time.

    Args:
        latent: shape of the latents, batch 1.
        context: (tokens, width) of the text conditioning.
        pooled: width of the pooled conditioning, 0 without.
        cfg: guidance scale; at 1 the host leaves uncond out.
    """

    name: str
    model: Any
    latent: tuple[int, ...]
    context: tuple[int, int]
    pooled: int = 0
    cfg: float = 4.0

    def sample(self, model: Any, steps: int) -> torch.Tensor:
        """One Euler run with CFG; cond and uncond share a batch."""
        generator = torch.Generator().manual_seed(0)
        conds = [self._conditioning(generator) for _ in range(2)]
        latent = torch.zeros(self.latent)
        noise = comfy.sample.prepare_noise(latent, 0)
        with torch.inference_mode():
            return comfy.sample.sample(
                model, noise, steps, self.cfg, "euler", "simple", *conds, latent, seed=0,
                disable_pbar=True,
            )  # fmt: skip

    def _conditioning(self, generator: torch.Generator) -> list[Any]:
        text = torch.randn(1, *self.context, generator=generator)
        if not self.pooled:
            return [[text, {}]]
        return [[text, {"pooled_output": torch.randn(1, self.pooled, generator=generator)}]]


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


def wan(side: int = 32) -> Bench:
    """A Wan 2.1 text-to-video layout at the width of the 1.3 B model, two layers.

    Args:
        side: of the square latent picture; four latent pixels make a token.
    """
    config = supported.WAN21_T2V({
        "model_type": "t2v", "patch_size": (1, 2, 2), "in_dim": 16, "dim": 1536, "ffn_dim": 8960,
        "freq_dim": 256, "text_dim": 4096, "out_dim": 16, "num_heads": 12, "num_layers": 2,
        "image_model": "wan2.1",
    })  # fmt: skip
    name = f"Wan-type DiT, width 1536, {side * side // 4} tokens"
    return Bench(name, _patcher(config), (1, 16, 1, side, side), (128, 4096))


def sdxl() -> Bench:
    """SDXL base as published: 2.6 B parameters, bf16, one picture of 1024 × 1024."""
    config = supported.SDXL({
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320,
        "num_res_blocks": [2] * 3, "channel_mult": [1, 2, 4], "use_spatial_transformer": True,
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "transformer_depth_middle": 10, "context_dim": 2048, "use_linear_in_transformer": True,
        "legacy": False, "adm_in_channels": 2816, "num_classes": "sequential",
        "use_temporal_attention": False,
    })  # fmt: skip
    model = _patcher(config, torch.bfloat16)
    return Bench("SDXL, 1024 × 1024", model, (1, 4, 128, 128), (77, 2048), 1280)


def flux() -> Bench:
    """Flux.1 dev as published: 12 B parameters, bf16, one picture of 1024 × 1024, no CFG."""
    config = supported.Flux({
        "in_channels": 16, "out_channels": 16, "vec_in_dim": 768, "context_in_dim": 4096,
        "hidden_size": 3072, "mlp_ratio": 4.0, "num_heads": 24, "depth": 19,
        "depth_single_blocks": 38, "axes_dim": [16, 56, 56], "theta": 10000, "patch_size": 2,
        "qkv_bias": True, "guidance_embed": True, "txt_ids_dims": [], "image_model": "flux",
    })  # fmt: skip
    model = _patcher(config, torch.bfloat16)
    return Bench("Flux.1 dev, 1024 × 1024", model, (1, 16, 128, 128), (512, 4096), 768, cfg=1.0)


def wan_14b() -> Bench:
    """Wan 2.1 text-to-video as published: 14 B parameters, bf16, 33 frames of 832 × 480."""
    config = supported.WAN21_T2V({
        "model_type": "t2v", "patch_size": (1, 2, 2), "in_dim": 16, "dim": 5120,
        "ffn_dim": 13824, "freq_dim": 256, "text_dim": 4096, "out_dim": 16, "num_heads": 40,
        "num_layers": 40, "image_model": "wan2.1",
    })  # fmt: skip
    model = _patcher(config, torch.bfloat16)
    return Bench("Wan 2.1 14B T2V, 832 × 480 × 33", model, (1, 16, 9, 60, 104), (512, 4096))


def _patcher(config: Any, dtype: torch.dtype = torch.float32) -> Any:
    device = comfy.model_management.get_torch_device()
    config.set_inference_dtype(dtype, None)
    model = config.get_model({}, "", device=device)
    _fill(model.diffusion_model, device)
    return comfy.model_patcher.ModelPatcher(model.eval(), load_device=device, offload_device=device)


@torch.no_grad()
def _fill(network: torch.nn.Module, device: torch.device) -> None:
    """Random weights, made on the device, that keep activations near one."""
    generator = torch.Generator(device).manual_seed(0)
    for name, parameter in network.named_parameters():
        parameter.normal_(generator=generator)
        if parameter.ndim >= 2 and not name.endswith("modulation"):
            parameter.div_(math.sqrt(parameter[0].numel()))
        elif name.endswith("bias"):
            parameter.mul_(0.02)
        else:
            parameter.mul_(0.05).add_(1)
