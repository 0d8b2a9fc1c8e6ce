"""Tiny random-weight models of the host's real classes, sampled by the host's real samplers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import comfy.model_patcher
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.supported_models as supported
import pack
import torch

CPU = torch.device("cpu")
SHIPPED = pack.ROOT / "demo" / "models"


@dataclass(frozen=True)
class Toy:
    """A tiny model: how to make it and what it eats.

    Args:
        make: builds the patcher, weights included.
        latent: latent shape with batch 1.
        context: (tokens, width) of the text conditioning.
        pooled: width of the pooled conditioning, 0 without.
        extra: further conditioning entries.
    """

    make: Callable[[], comfy.model_patcher.ModelPatcher]
    latent: tuple[int, ...]
    context: tuple[int, int]
    pooled: int = 0
    extra: tuple[tuple[str, Any], ...] = ()


def unet_config(
    levels: int, depth: list[int], depth_out: list[int], middle: int, **over: Any
) -> dict:
    return {
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32,
        "num_res_blocks": [2] * levels, "channel_mult": [1] * (levels - 1) + [2],
        "use_spatial_transformer": True, "transformer_depth": depth,
        "transformer_depth_output": depth_out, "transformer_depth_middle": middle,
        "context_dim": 24, "use_linear_in_transformer": False, "legacy": False,
        "adm_in_channels": None, "use_temporal_attention": False, **over,
    }  # fmt: skip


def _narrow_heads(config: Any) -> Any:
    """Heads of 16 channels instead of 64, to fit 32 channels; set where the class overrides it."""
    config.unet_config["num_head_channels"] = 16
    return config


def sd15_config() -> Any:
    return supported.SD15(unet_config(4, [1] * 6 + [0] * 2, [1] * 9 + [0] * 3, 1))


def sd2_config() -> Any:
    over = {"use_linear_in_transformer": True}
    return _narrow_heads(
        supported.SD20(unet_config(4, [1] * 6 + [0] * 2, [1] * 9 + [0] * 3, 1, **over))
    )


def inpaint_config() -> Any:
    return supported.SD15(unet_config(4, [1] * 6 + [0] * 2, [1] * 9 + [0] * 3, 1, in_channels=9))


def refiner_config() -> Any:
    over = {"use_linear_in_transformer": True, "adm_in_channels": 2560, "num_classes": "sequential"}
    depth_out = [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    return _narrow_heads(
        supported.SDXLRefiner(unet_config(4, [0, 0, 1, 1, 1, 1, 0, 0], depth_out, 1, **over))
    )


def sdxl_config() -> Any:
    over = {"use_linear_in_transformer": True, "adm_in_channels": 2816, "num_classes": "sequential"}
    depth_out = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    return _narrow_heads(supported.SDXL(unet_config(3, [0, 0, 1, 1, 2, 2], depth_out, 2, **over)))


def svd_config() -> Any:
    over = {
        "in_channels": 8, "adm_in_channels": 768, "num_classes": "sequential",
        "use_temporal_attention": True, "use_temporal_resblock": True,
        "video_kernel_size": [3, 1, 1], "extra_ff_mix_layer": True, "use_spatial_context": True,
        "merge_strategy": "learned_with_images", "merge_factor": 0.0,
        "use_linear_in_transformer": True,
    }  # fmt: skip
    return _narrow_heads(supported.SVD_img2vid(unet_config(2, [1, 1, 1, 1], [1] * 6, 1, **over)))


def wan_config() -> Any:
    return supported.WAN21_T2V({
        "model_type": "t2v", "patch_size": (1, 2, 2), "in_dim": 16, "dim": 48, "ffn_dim": 64,
        "freq_dim": 32, "text_dim": 24, "out_dim": 16, "num_heads": 2, "num_layers": 3,
        "image_model": "wan2.1",
    })  # fmt: skip


def sd3_config() -> Any:
    return supported.SD3({
        "input_size": None, "patch_size": 2, "in_channels": 16, "depth": 2, "adm_in_channels": 24,
        "out_channels": 16, "num_patches": 36, "pos_embed_max_size": 6, "qk_norm": "rms",
        "context_embedder_config": {
            "target": "torch.nn.Linear", "params": {"in_features": 24, "out_features": 128},
        },
        "pos_embed_scaling_factor": None, "x_block_self_attn_layers": [],
    })  # fmt: skip


def flux_config() -> Any:
    return supported.Flux({
        "in_channels": 16, "out_channels": 16, "vec_in_dim": 24, "context_in_dim": 24,
        "hidden_size": 128, "mlp_ratio": 4.0, "num_heads": 1, "depth": 2, "depth_single_blocks": 2,
        "axes_dim": [16, 56, 56], "theta": 10000, "patch_size": 2, "qkv_bias": True,
        "guidance_embed": True, "txt_ids_dims": [], "image_model": "flux",
    })  # fmt: skip


def _random(config: Callable[[], Any]) -> Callable[[], comfy.model_patcher.ModelPatcher]:
    """The host's model of a configuration, with random weights."""

    def make() -> comfy.model_patcher.ModelPatcher:
        settled = config()
        settled.set_inference_dtype(torch.float32, None)
        model = settled.get_model({}, "", device=CPU)
        fill(model.diffusion_model)
        return comfy.model_patcher.ModelPatcher(model.eval(), load_device=CPU, offload_device=CPU)

    return make


def _shapes_dit() -> comfy.model_patcher.ModelPatcher:
    return comfy.sd.load_diffusion_model(str(SHIPPED / "shapes_dit.safetensors"))


def _shapes_unet() -> comfy.model_patcher.ModelPatcher:
    from demo.nodes.unet import load_unet

    return load_unet(SHIPPED / "shapes_unet.safetensors")


TOYS: dict[str, Toy] = {
    "sd15": Toy(_random(sd15_config), (1, 4, 16, 16), (7, 24)),
    "sdxl": Toy(_random(sdxl_config), (1, 4, 8, 8), (7, 24), pooled=1280),
    "sd2": Toy(_random(sd2_config), (1, 4, 16, 16), (7, 24)),
    "inpaint": Toy(_random(inpaint_config), (1, 4, 16, 16), (7, 24)),
    "refiner": Toy(_random(refiner_config), (1, 4, 16, 16), (7, 24), pooled=1280),
    "svd": Toy(_random(svd_config), (3, 4, 8, 8), (1, 24)),
    "wan": Toy(_random(wan_config), (1, 16, 2, 8, 8), (7, 24)),
    "sd3": Toy(_random(sd3_config), (1, 16, 8, 8), (7, 24), pooled=24),
    "flux": Toy(_random(flux_config), (1, 16, 8, 8), (7, 24), pooled=24),
    "shapes_unet": Toy(_shapes_unet, (1, 4, 32, 32), (3, 4096)),
    "shapes_dit": Toy(_shapes_dit, (1, 16, 1, 16, 16), (3, 4096)),
}


@cache
def load(name: str) -> comfy.model_patcher.ModelPatcher:
    """The toy's patcher; every caller shares it, so that leaks show."""
    return TOYS[name].make()


@torch.no_grad()
def fill(network: torch.nn.Module) -> None:
    """Random weights that keep activations near one, away from zero-initialised gates."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim >= 2 and not name.endswith("modulation"):
            parameter.copy_(noise / math.sqrt(parameter[0].numel()))
        elif name.endswith("bias"):
            parameter.copy_(0.02 * noise)
        else:
            parameter.copy_(1 + 0.05 * noise)


def conditioning(name: str, batch: int = 1, seed: int = 5) -> tuple[list, list]:
    """Positive and negative conditioning of random embeddings."""
    toy = TOYS[name]
    generator = torch.Generator().manual_seed(seed)
    pair = []
    for _ in range(2):
        entries: dict[str, Any] = dict(toy.extra)
        text = torch.randn(batch, *toy.context, generator=generator)
        if toy.pooled:
            entries["pooled_output"] = torch.randn(batch, toy.pooled, generator=generator)
        if name == "svd":
            entries["concat_latent_image"] = torch.randn(1, 4, 8, 8, generator=generator)
        pair.append([[text, entries]])
    return pair[0], pair[1]


def sample(
    model: Any,
    name: str,
    *,
    steps: int = 6,
    cfg: float = 3.0,
    sampler: str = "euler",
    scheduler: str = "simple",
    seed: int = 1,
    batch: int = 1,
    size: int | None = None,
    conds: tuple[list, list] | None = None,
    latent: torch.Tensor | None = None,
    **options: Any,
) -> torch.Tensor:
    """One run through the host's ``comfy.sample.sample``."""
    shape = list(TOYS[name].latent)
    shape[0] *= batch
    if size is not None:
        shape[-2:] = [size, size]
    latent = torch.zeros(shape) if latent is None else latent
    positive, negative = conds or conditioning(name)
    noise = comfy.sample.prepare_noise(latent, seed)
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, steps, cfg, sampler, scheduler, positive, negative, latent,
            seed=seed, disable_pbar=True, **options,
        )  # fmt: skip
