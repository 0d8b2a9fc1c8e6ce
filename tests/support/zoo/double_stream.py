"""Families made of Flux's blocks, and others whose attention is woven into blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import comfy.supported_models as supported
import torch
from comfy.ldm.chroma_radiance.model import ChromaRadianceParams
from stepcache.cache_core.sites import SiteKind
from toy import Toy, accepted, random_weights

JOINT = frozenset({SiteKind.JOINT_ATTENTION, SiteKind.FEED_FORWARD, SiteKind.BLOCK})
REFINED = JOINT | {SiteKind.SELF_ATTENTION}

BODY = {
    "hidden_size": 32, "num_heads": 2, "mlp_ratio": 4.0, "depth": 2, "depth_single_blocks": 2,
    "qkv_bias": True,
}  # fmt: skip
"""The blocks of every double-stream network."""


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def sd3_config(self_attention_in: tuple[int, ...] = ()) -> Any:
    return supported.SD3({
        "input_size": None, "patch_size": 2, "in_channels": 16, "depth": 2, "adm_in_channels": 24,
        "out_channels": 16, "num_patches": 144, "pos_embed_max_size": 12, "qk_norm": "rms",
        "context_embedder_config": {
            "target": "torch.nn.Linear", "params": {"in_features": 24, "out_features": 128},
        },
        "pos_embed_scaling_factor": None, "x_block_self_attn_layers": [*self_attention_in],
    })  # fmt: skip


def positions(network: Any) -> None:
    """SD3 keeps its positions in a buffer, which the host leaves uninitialised."""
    network.pos_embed.copy_(0.5 * noise(*network.pos_embed.shape))


def flux_config(kind: Callable[[dict], Any] = supported.Flux, **over: Any) -> Any:
    return kind({
        **BODY, "in_channels": 16, "out_channels": 16, "vec_in_dim": 24, "context_in_dim": 24,
        "axes_dim": [4, 6, 6], "theta": 10000, "patch_size": 2, "guidance_embed": True,
        "txt_ids_dims": [], "image_model": "flux", **over,
    })  # fmt: skip


def ovis_config() -> Any:
    """Ovis: gated feed-forwards."""
    over = {"guidance_embed": False, "yak_mlp": True, "txt_norm": True, "txt_ids_dims": [1, 2]}
    return flux_config(supported.FluxSchnell, vec_in_dim=None, **over)


def longcat_config() -> Any:
    over = {"guidance_embed": False, "txt_ids_dims": [1, 2]}
    return flux_config(supported.LongCatImage, vec_in_dim=None, **over)


def flux2_config(guidance_embed: bool = True) -> Any:
    """Flux.2: one modulation for all blocks, four axes of positions, no biases."""
    return flux_config(
        supported.Flux2, in_channels=128, out_channels=128, vec_in_dim=None, mlp_ratio=3.0,
        hidden_size=16, num_heads=1, axes_dim=[4, 4, 4, 4], theta=2000, patch_size=1,
        global_modulation=True, mlp_silu_act=True, qkv_bias=False, ops_bias=False,
        default_ref_method="index", ref_index_scale=10.0, txt_ids_dims=[3], image_model="flux2",
        guidance_embed=guidance_embed,
    )  # fmt: skip


def chroma_config(kind: Callable[[dict], Any] = supported.Chroma, **over: Any) -> Any:
    return kind({
        **BODY, "in_channels": 64, "out_channels": 64, "context_in_dim": 24, "vec_in_dim": None,
        "axes_dim": [4, 6, 6], "theta": 10000, "patch_size": 2, "txt_ids_dims": [],
        "in_dim": 64, "out_dim": 32, "hidden_dim": 32, "n_layers": 2, "image_model": "chroma",
        **over,
    })  # fmt: skip


def radiance_config() -> Any:
    newer = accepted(ChromaRadianceParams, use_sequential_txt_ids=True)
    return chroma_config(
        supported.ChromaRadiance, in_channels=3, out_channels=3, patch_size=4, nerf_hidden_size=8,
        nerf_mlp_ratio=2, nerf_depth=2, nerf_max_freqs=4, nerf_tile_size=512,
        nerf_final_head_type="conv", nerf_embedder_dtype=torch.float32, use_x0=False,
        image_model="chroma_radiance", **newer,
    )  # fmt: skip


def hunyuan_config(kind: Callable[[dict], Any] = supported.HunyuanVideo, **over: Any) -> Any:
    return kind({
        **BODY, "in_channels": 16, "out_channels": 16, "vec_in_dim": 24, "context_in_dim": 24,
        "axes_dim": [4, 6, 6], "theta": 256, "patch_size": [1, 2, 2], "guidance_embed": True,
        "byt5": False, "meanflow": False, "use_cond_type_embedding": False, "vision_in_dim": None,
        "meanflow_sum": False, "image_model": "hunyuan_video", **over,
    })  # fmt: skip


def hunyuan_i2v_config() -> Any:
    return hunyuan_config(supported.HunyuanVideoI2V, in_channels=33, guidance_embed=False)


def hunyuan_15_config(kind: Callable[[dict], Any] = supported.HunyuanVideo15, **over: Any) -> Any:
    return hunyuan_config(kind, **{
        "in_channels": 65, "out_channels": 32, "vec_in_dim": None, "patch_size": [1, 1, 1],
        "guidance_embed": False, "use_cond_type_embedding": True, "vision_in_dim": 24,
        "meanflow_sum": True, **over,
    })  # fmt: skip


def hunyuan_sr_config() -> Any:
    """The super-resolution model of HunyuanVideo 1.5: it reads the next noise level, too."""
    kind = supported.HunyuanVideo15_SR_Distilled
    return hunyuan_15_config(kind, in_channels=98, meanflow=True)


def hunyuan_image_config() -> Any:
    return hunyuan_config(
        supported.HunyuanImage21, in_channels=64, out_channels=64, vec_in_dim=None,
        axes_dim=[8, 8], patch_size=[1, 1], guidance_embed=False, byt5=True,
    )  # fmt: skip


def hunyuan_refiner_config() -> Any:
    return hunyuan_config(
        supported.HunyuanImage21Refiner, in_channels=128, out_channels=64, vec_in_dim=None,
        patch_size=[1, 1, 1], guidance_embed=False, meanflow=True,
    )  # fmt: skip


def hunyuan3d_config() -> Any:
    return supported.Hunyuan3Dv2({
        **BODY, "in_channels": 64, "context_in_dim": 24, "guidance_embed": True,
        "image_model": "hunyuan3d2",
    })  # fmt: skip


def cogvideox_config(kind: str = "CogVideoX_T2V", **over: Any) -> Any:
    """By name: an older host has not the class."""
    return getattr(supported, kind)({
        "num_attention_heads": 3, "attention_head_dim": 16, "in_channels": 16, "out_channels": 16,
        "time_embed_dim": 32, "text_embed_dim": 24, "num_layers": 2, "sample_width": 16,
        "sample_height": 16, "sample_frames": 9, "image_model": "cogvideox",
        "use_learned_positional_embeddings": True, **over,
    })  # fmt: skip


def cogvideox_i2v_config() -> Any:
    """CogVideoX 1.5: rotary positions, patches in time, and a picture to begin with."""
    return cogvideox_config(
        "CogVideoX_I2V", in_channels=32, patch_size_t=2, ofs_embed_dim=32,
        use_rotary_positional_embeddings=True, use_learned_positional_embeddings=False,
    )  # fmt: skip


def joint_toy(
    family: str,
    make: Callable[[], Any],
    latent: tuple[int, ...],
    kinds: frozenset[SiteKind] = JOINT,
    pooled: int = 0,
    adjust: Callable[[Any], None] | None = None,
    **extra: Any,
) -> Toy:
    return Toy(
        random_weights(make, adjust), latent, (7, 24), pooled=pooled, extra=tuple(extra.items()),
        family=family, kinds=kinds,
    )  # fmt: skip


TOYS: dict[str, Toy] = {
    "sd3": joint_toy("SD3", sd3_config, (1, 16, 8, 8), pooled=24, adjust=positions),
    # SD3.5 medium: the first block attends over the picture alone, too.
    "sd35": joint_toy(
        "SD3", partial(sd3_config, (0,)), (1, 16, 8, 8), pooled=24, adjust=positions
    ),
    "flux": joint_toy("Flux", flux_config, (1, 16, 8, 8), pooled=24),
    "kontext": joint_toy(
        "Flux", flux_config, (1, 16, 8, 8), pooled=24, reference_latents=[noise(1, 16, 6, 4)]
    ),
    "ovis": joint_toy("Flux", ovis_config, (1, 16, 8, 8)),
    "longcat": joint_toy("Flux", longcat_config, (1, 16, 8, 8)),
    "flux2": joint_toy("Flux", flux2_config, (1, 128, 4, 4)),
    # The references are modulated as if without noise: modulation then writes into what it scales.
    "flux2_edit": joint_toy(
        "Flux", partial(flux2_config, guidance_embed=False), (1, 128, 4, 4),
        reference_latents=[noise(1, 128, 3, 3)], reference_latents_method="index_timestep_zero",
    ),
    "chroma": joint_toy("Chroma", chroma_config, (1, 16, 8, 8)),
    "chroma_radiance": joint_toy("Chroma", radiance_config, (1, 3, 16, 16)),
    "hunyuan_video": joint_toy(
        "HunyuanVideo", hunyuan_config, (1, 16, 2, 8, 8), REFINED, pooled=24
    ),
    # The first frame is modulated as if without noise.
    "hunyuan_video_i2v": joint_toy(
        "HunyuanVideo", hunyuan_i2v_config, (1, 16, 2, 8, 8), REFINED, pooled=24,
        guiding_frame_index=0,
    ),
    "hunyuan_video_15": joint_toy(
        "HunyuanVideo", hunyuan_15_config, (1, 32, 2, 4, 4), REFINED, pooled_output=None,
        clip_vision_output=SimpleNamespace(last_hidden_state=noise(1, 3, 24)),
    ),
    "hunyuan_video_sr": joint_toy(
        "HunyuanVideo", hunyuan_sr_config, (1, 32, 2, 4, 4), REFINED, pooled_output=None
    ),
    "hunyuan_image": joint_toy(
        "HunyuanVideo", hunyuan_image_config, (1, 64, 4, 4), REFINED,
        conditioning_byt5small=noise(1, 2, 1472),
    ),
    "hunyuan_image_refiner": joint_toy(
        "HunyuanVideo", hunyuan_refiner_config, (1, 64, 2, 4, 4), REFINED
    ),
    "hunyuan3d": joint_toy("Hunyuan3D", hunyuan3d_config, (1, 64, 12)),
    "cogvideox": joint_toy("CogVideoX", cogvideox_config, (1, 16, 3, 8, 8)),
    "cogvideox_i2v": joint_toy("CogVideoX", cogvideox_i2v_config, (1, 16, 3, 8, 8)),
}  # fmt: skip
