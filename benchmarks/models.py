"""The networks that are timed: real classes of the host at real widths, random weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sample
import comfy.supported_models as supported
import torch
import toys

Device = torch.device | None
"""Where weights are made: by default where the host computes, on "meta" nowhere."""


@dataclass(frozen=True)
class Bench:
    """A model to time.

    Args:
        latent: shape of the latents, batch first.
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

    def at(self, behind: tuple[int, ...], batch: int) -> Bench:
        """The same at another size.

        Args:
            behind: the axes of the latent behind its channels.
            batch: pictures at once.
        """
        return replace(self, latent=(batch, self.latent[1], *behind))

    def sample(self, model: Any, steps: int) -> torch.Tensor:
        """One Euler run with CFG; cond and uncond share a batch."""
        generator = torch.Generator().manual_seed(0)
        positive, negative = (self._conditioning(generator) for _ in range(2))
        latent = torch.zeros(self.latent)
        noise = comfy.sample.prepare_noise(latent, 0)
        with torch.inference_mode():
            return comfy.sample.sample(
                model, noise, steps, self.cfg, "euler", "simple", positive, negative, latent,
                seed=0, disable_pbar=True,
            )  # fmt: skip

    def _conditioning(self, generator: torch.Generator) -> list[Any]:
        text = torch.randn(1, *self.context, generator=generator)
        if not self.pooled:
            return [[text, {}]]
        return [[text, {"pooled_output": torch.randn(1, self.pooled, generator=generator)}]]


def trained(name: str, device: Device = None) -> Bench:
    """A reference model of the demo, with its trained weights.

    Args:
        name: "shapes_dit" or "shapes_unet".
        device: without meaning: they are loaded as ComfyUI loads them.
    """
    toy = toys.TOYS[name]
    return Bench(name, toys.load(name), toy.latent, toy.context, cfg=2.0)


def sd15(half: bool = False, device: Device = None, channels: int = 320) -> Bench:
    """SD1.5 as published: 860 M parameters, 12 input and 12 output blocks.

    Args:
        half: in bf16 instead of float32.
        channels: of the first level, a multiple of 32; fewer make a narrow network of that layout.
    """
    config = supported.SD15({
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": channels,
        "num_res_blocks": [2] * 4, "channel_mult": [1, 2, 4, 4], "use_spatial_transformer": True,
        "transformer_depth": [1] * 6 + [0] * 2, "transformer_depth_output": [1] * 9 + [0] * 3,
        "transformer_depth_middle": 1, "context_dim": 768, "use_linear_in_transformer": False,
        "legacy": False, "adm_in_channels": None, "use_temporal_attention": False,
    })  # fmt: skip
    model = _patcher(config, torch.bfloat16 if half else torch.float32, device)
    name = "SD1.5" if channels == 320 else f"SD1.5 layout, width {channels}"
    return Bench(f"{name}, 256 × 256", model, (1, 4, 32, 32), (77, 768))


def wan(side: int = 32, width: int = 1536) -> Bench:
    """A Wan 2.1 text-to-video layout, two layers.

    Args:
        side: of the square latent picture; four latent pixels make a token.
        width: a multiple of 128; by default that of the 1.3 B model.
    """
    name = f"Wan-type DiT, width {width}, {side * side // 4} tokens"
    model = _patcher(_wan(width, 35 * width // 6, width // 128, 2))
    return Bench(name, model, (1, 16, 1, side, side), (128, 4096))


def wan_small(device: Device = None) -> Bench:
    """A Wan 2.1 layout 512 wide, four layers; one picture of 256 × 256."""
    model = _patcher(_wan(512, 2048, 4, 4), device=device)
    return Bench("Wan-type DiT, width 512", model, (1, 16, 1, 32, 32), (128, 4096))


def wan_of(layers: int, width: int) -> Bench:
    """Wan's layout with many narrow layers, one picture of 256 × 256: what is paid by the layer."""
    model = _patcher(_wan(width, 4 * width, width // 64, layers))
    return Bench(
        f"Wan-type DiT, {layers} layers, width {width}", model, (1, 16, 1, 32, 32), (64, 4096)
    )


def wan_14b(device: Device = None) -> Bench:
    """Wan 2.1 text-to-video as published: 14 B parameters, bf16, 33 frames of 832 × 480."""
    model = _patcher(_wan(5120, 13824, 40, 40), torch.bfloat16, device)
    return Bench("Wan 2.1 14B T2V, 832 × 480 × 33", model, (1, 16, 9, 60, 104), (512, 4096))


def _wan(width: int, between: int, heads: int, layers: int) -> Any:
    return supported.WAN21_T2V({
        "model_type": "t2v", "patch_size": (1, 2, 2), "in_dim": 16, "dim": width,
        "ffn_dim": between, "freq_dim": 256, "text_dim": 4096, "out_dim": 16, "num_heads": heads,
        "num_layers": layers, "image_model": "wan2.1",
    })  # fmt: skip


def sdxl(device: Device = None) -> Bench:
    """SDXL base as published: 2.6 B parameters, bf16, one picture of 1024 × 1024."""
    model = _patcher(_sdxl(320), torch.bfloat16, device)
    return Bench("SDXL, 1024 × 1024", model, (1, 4, 128, 128), (77, 2048), 1280)


def sdxl_small(device: Device = None) -> Bench:
    """SDXL's layout with a fifth of its channels; one picture of 256 × 256."""
    model = _patcher(_sdxl(64), device=device)
    return Bench("SDXL-type UNet, width 64", model, (1, 4, 32, 32), (77, 2048), 1280)


def _sdxl(channels: int) -> Any:
    return supported.SDXL({
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": channels,
        "num_res_blocks": [2] * 3, "channel_mult": [1, 2, 4], "use_spatial_transformer": True,
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "transformer_depth_middle": 10, "context_dim": 2048, "use_linear_in_transformer": True,
        "legacy": False, "adm_in_channels": 2816, "num_classes": "sequential",
        "use_temporal_attention": False,
    })  # fmt: skip


def flux(device: Device = None) -> Bench:
    """Flux.1 dev as published: 12 B parameters, bf16, one picture of 1024 × 1024, no CFG."""
    model = _patcher(_flux(3072, 24, 19, 38), torch.bfloat16, device)
    return Bench("Flux.1 dev, 1024 × 1024", model, (1, 16, 128, 128), (512, 4096), 768, cfg=1.0)


def flux_small(device: Device = None) -> Bench:
    """Flux's layout 512 wide, 3 double and 6 single blocks; one picture of 256 × 256, no CFG."""
    model = _patcher(_flux(512, 4, 3, 6), device=device)
    return Bench("Flux-type DiT, width 512", model, (1, 16, 32, 32), (128, 4096), 768, cfg=1.0)


def _flux(width: int, heads: int, double: int, single: int) -> Any:
    return supported.Flux({
        "in_channels": 16, "out_channels": 16, "vec_in_dim": 768, "context_in_dim": 4096,
        "hidden_size": width, "mlp_ratio": 4.0, "num_heads": heads, "depth": double,
        "depth_single_blocks": single, "axes_dim": [16, 56, 56], "theta": 10000, "patch_size": 2,
        "qkv_bias": True, "guidance_embed": True, "txt_ids_dims": [], "image_model": "flux",
    })  # fmt: skip


def _patcher(config: Any, dtype: torch.dtype = torch.float32, device: Device = None) -> Any:
    device = device or comfy.model_management.get_torch_device()
    config.set_inference_dtype(dtype, None)
    model = config.get_model({}, "", device=device)
    if device.type != "meta":
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
