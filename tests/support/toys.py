"""Tiny random-weight models of the host's real classes, sampled by the host's real samplers."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import pack

import comfy.model_patcher
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.supported_models as supported
import host
import torch
import zoo
from toy import CPU as CPU
from toy import Toy, random_weights
from toy import fill as fill
from zoo import double_stream

SHIPPED = pack.ROOT / "demo" / "models"


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


def _two_heads(config: Any) -> Any:
    """Of 16 channels, instead of eight of four: what a head looks at has no width."""
    config.unet_config["num_heads"] = 2
    return config


def sd15_config() -> Any:
    return _two_heads(supported.SD15(unet_config(4, [1] * 6 + [0] * 2, [1] * 9 + [0] * 3, 1)))


def sd2_config() -> Any:
    over = {"use_linear_in_transformer": True}
    return _narrow_heads(
        supported.SD20(unet_config(4, [1] * 6 + [0] * 2, [1] * 9 + [0] * 3, 1, **over))
    )


def inpaint_config() -> Any:
    return _two_heads(
        supported.SD15(unet_config(4, [1] * 6 + [0] * 2, [1] * 9 + [0] * 3, 1, in_channels=9))
    )


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


def _shapes_dit() -> comfy.model_patcher.ModelPatcher:
    return comfy.sd.load_diffusion_model(str(SHIPPED / "shapes_dit.safetensors"))


def _shapes_unet() -> comfy.model_patcher.ModelPatcher:
    from demo.nodes.unet import load_unet

    return load_unet(SHIPPED / "shapes_unet.safetensors")


TOYS: dict[str, Toy] = {
    "sd15": Toy(random_weights(sd15_config), (1, 4, 16, 16), (7, 24)),
    "sdxl": Toy(random_weights(sdxl_config), (1, 4, 8, 8), (7, 24), pooled=1280),
    "sd2": Toy(random_weights(sd2_config), (1, 4, 16, 16), (7, 24)),
    "inpaint": Toy(random_weights(inpaint_config), (1, 4, 16, 16), (7, 24)),
    # Flux Fill: channels for the picture and, eight by eight, for the mask.
    "flux_fill": double_stream.joint_toy(
        "Flux", partial(double_stream.flux_config, in_channels=96), (1, 16, 8, 8), pooled=24
    ),
    "refiner": Toy(random_weights(refiner_config), (1, 4, 16, 16), (7, 24), pooled=1280),
    "svd": Toy(random_weights(svd_config), (3, 4, 8, 8), (1, 24)),
    "wan": Toy(random_weights(wan_config), (1, 16, 2, 8, 8), (7, 24)),
    "shapes_unet": Toy(_shapes_unet, (1, 4, 32, 32), (3, 4096)),
    "shapes_dit": Toy(_shapes_dit, (1, 16, 1, 16, 16), (3, 4096)),
    **zoo.TOYS,
    **zoo.UNETS,
    **zoo.LOADED,
}


def load(name: str) -> comfy.model_patcher.ModelPatcher:
    """The toy's patcher; every caller shares it, so that leaks show.

    Skips the running test, naming the model, where the host is older than that.
    """
    return _load(name)


# Apart from `load`: to a checker, what `cache` returns takes any arguments.
@cache
def _load(name: str) -> comfy.model_patcher.ModelPatcher:
    if name in zoo.SINCE:
        host.skip_if_older(*zoo.SINCE[name])
    return TOYS[name].make()


def conditioning(name: str, batch: int = 1, seed: int = 5) -> tuple[list, list]:
    """Positive and negative conditioning of random embeddings."""
    toy = TOYS[name]
    generator = torch.Generator().manual_seed(seed)
    pair = []
    for own in ((), toy.negative):
        # Text encoders always say so, if there is no pooled output; older hosts rely on it.
        entries: dict[str, Any] = {"pooled_output": None, **dict((*toy.extra, *own))}
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
    latent = TOYS[name].empty(batch, size) if latent is None else latent
    positive, negative = conds or conditioning(name)
    noise = comfy.sample.prepare_noise(latent, seed)
    with torch.inference_mode():
        result = comfy.sample.sample(
            model, noise, steps, cfg, sampler, scheduler, positive, negative, latent,
            seed=seed, disable_pbar=True, **options,
        )  # fmt: skip
    return flat(result)


@cache
def plain(name: str) -> torch.Tensor:
    """A toy's picture without us, drawn once: whatever happens to it later, this is its picture."""
    return sample(load(name), name)


def flat(latent: torch.Tensor) -> torch.Tensor:
    """Latents of several kinds in one row; of one kind as they are."""
    return torch.cat([part.flatten() for part in latent.unbind()]) if latent.is_nested else latent
