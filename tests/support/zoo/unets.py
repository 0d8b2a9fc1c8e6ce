"""What else the host builds on its UNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.supported_models as supported
import torch
from stepcache.cache_core.sites import SiteKind
from toy import Toy, random_weights

KINDS = frozenset({
    SiteKind.SELF_ATTENTION, SiteKind.CROSS_ATTENTION, SiteKind.FEED_FORWARD, SiteKind.BLOCK,
    SiteKind.DEEP_BRANCH,
})  # fmt: skip

SDXL = {
    "use_linear_in_transformer": True, "adm_in_channels": 2816, "num_classes": "sequential",
}  # fmt: skip


def _built(
    cls: Callable[[dict], Any], depth: list[int], depth_out: list[int], middle: int, **over: Any
) -> Any:
    """A configuration of half the usual depth and 32 channels."""
    levels = over.pop("levels", 2)
    config = cls({
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32,
        "num_res_blocks": [len(depth) // levels] * levels, "channel_mult": [1] * (levels - 1) + [2],
        "use_spatial_transformer": True, "transformer_depth": depth,
        "transformer_depth_output": depth_out, "transformer_depth_middle": middle,
        "context_dim": 24, "use_linear_in_transformer": False, "legacy": False,
        "adm_in_channels": None, "use_temporal_attention": False, **over,
    })  # fmt: skip
    if config.unet_config.get("num_heads", -1) == -1:
        config.unet_config["num_head_channels"] = 16
    return config


def ssd1b_config() -> Any:
    return _built(supported.SSD1B, [0, 0, 2, 2], [0, 0, 0, 1, 2, 3], -1, **SDXL)


def vega_config() -> Any:
    return _built(supported.Segmind_Vega, [0, 0, 1, 1], [0, 0, 0, 1, 1, 1], -1, **SDXL)


def koala_config() -> Any:
    return _built(supported.KOALA_700M, [0, 2, 3], [0, 0, 2, 2, 3, 3], -2, levels=3, **SDXL)


def koala_1b_config() -> Any:
    return _built(supported.KOALA_1B, [0, 1, 2], [0, 0, 1, 1, 2, 2], 2, levels=3, **SDXL)


def playground_config() -> Any:
    class Playground(supported.SDXL):
        def get_model(self, state_dict: dict, prefix: str = "", device: Any = None) -> Any:
            return super().get_model({"edm_mean": 0.0, "edm_std": 1.0}, prefix, device)

    return _built(Playground, [0, 0, 1, 1], [0, 0, 0, 1, 1, 1], 1, **SDXL)


def sdxl_instructpix2pix_config() -> Any:
    cls = supported.SDXL_instructpix2pix
    return _built(cls, [0, 0, 1, 1], [0, 0, 0, 1, 1, 1], 1, in_channels=8, **SDXL)


def instructpix2pix_config() -> Any:
    return _built(supported.SD15_instructpix2pix, [1, 1, 1, 1], [1] * 6, 1, in_channels=8)


def zero123_config() -> Any:
    class Zero123(supported.Stable_Zero123):
        def get_model(self, state_dict: dict, prefix: str = "", device: Any = None) -> Any:
            weights = {
                "cc_projection.weight": torch.ones(768, 772),
                "cc_projection.bias": torch.zeros(768),
            }
            return super().get_model(weights, prefix, device)

    return _built(Zero123, [1, 1, 1, 1], [1] * 6, 1, in_channels=8, context_dim=768)


def x4_upscaler_config() -> Any:
    config = _built(
        supported.SD_X4Upscaler, [1, 1, 1, 1], [1] * 6, 1, in_channels=7,
        use_linear_in_transformer=True,
    )  # fmt: skip
    # As many levels as this has: where set, both attentions of a block look at the prompt.
    config.unet_config["disable_self_attentions"] = [True, False]
    return config


def lotus_config() -> Any:
    over = {"use_linear_in_transformer": True, "adm_in_channels": 4}
    return _built(supported.LotusD, [1, 1, 1, 1], [1] * 6, 1, **over)


def unclip_config() -> Any:
    over = {"use_linear_in_transformer": True, "adm_in_channels": 1536, "num_classes": "sequential"}
    return _built(supported.SD21UnclipL, [1, 1, 1, 1], [1] * 6, 1, **over)


def _orbit(cls: Callable[[dict], Any], width: int) -> Any:
    return _built(
        cls, [1, 1, 1, 1], [1] * 6, 1, in_channels=8, adm_in_channels=width,
        num_classes="sequential", use_temporal_attention=True, use_temporal_resblock=True,
        video_kernel_size=[3, 1, 1], extra_ff_mix_layer=True, use_spatial_context=True,
        merge_strategy="learned_with_images", merge_factor=0.0, use_linear_in_transformer=True,
    )  # fmt: skip


def sv3d_u_config() -> Any:
    return _orbit(supported.SV3D_u, 256)


def sv3d_p_config() -> Any:
    return _orbit(supported.SV3D_p, 1280)


def _unet(config: Callable[[], Any], **over: Any) -> Toy:
    """A toy that everything works on, with 8 × 8 latents and 7 tokens unless said otherwise."""
    settings: dict[str, Any] = {
        "latent": (1, 4, 8, 8), "context": (7, 24), "family": "UNet", "kinds": KINDS,
        **over,
    }  # fmt: skip
    return Toy(random_weights(config), **settings)


VIDEO = KINDS | {SiteKind.TEMPORAL_ATTENTION}
TOYS: dict[str, Toy] = {
    "ssd1b": _unet(ssd1b_config, pooled=1280),
    "vega": _unet(vega_config, pooled=1280),
    "koala": _unet(koala_config, pooled=1280),
    "koala_1b": _unet(koala_1b_config, pooled=1280),
    "playground": _unet(playground_config, pooled=1280),
    "sdxl_instructpix2pix": _unet(sdxl_instructpix2pix_config, pooled=1280),
    "instructpix2pix": _unet(instructpix2pix_config),
    "zero123": _unet(zero123_config, context=(1, 768)),
    "x4_upscaler": _unet(x4_upscaler_config),
    "lotus": _unet(lotus_config),
    "unclip": _unet(unclip_config),
    "sv3d_u": _unet(sv3d_u_config, latent=(3, 4, 8, 8), context=(1, 24), kinds=VIDEO),
    "sv3d_p": _unet(sv3d_p_config, latent=(3, 4, 8, 8), context=(1, 24), kinds=VIDEO),
}
