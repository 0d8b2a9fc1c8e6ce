"""Models with cross-attention to the prompt; Wan's variants have a file of their own."""

from __future__ import annotations

from typing import Any

import comfy.model_patcher
import comfy.ops
import comfy.supported_models as supported
import torch
from comfy.ldm.anima.model import LLMAdapter
from stepcache.cache_core.sites import SiteKind
from toy import Toy, random_weights

from . import wan_variants

CROSSED = frozenset(
    {
        SiteKind.SELF_ATTENTION,
        SiteKind.CROSS_ATTENTION,
        SiteKind.FEED_FORWARD,
        SiteKind.BLOCK,
    }
)
WIDTH = 24
TOKENS = 7


def pixart_config(variant: type, **over: Any) -> Any:
    return variant({
        "input_size": 64, "patch_size": 2, "in_channels": 4, "hidden_size": 48, "depth": 3,
        "num_heads": 4, "caption_channels": WIDTH, "model_max_length": 12, **over,
    })  # fmt: skip


def pixart_alpha_config() -> Any:
    return pixart_config(supported.PixArtAlpha, micro_condition=True)


def pixart_sigma_config() -> Any:
    over = {"micro_condition": False, "pe_interpolation": 1}
    return pixart_config(supported.PixArtSigma, **over)


def hunyuan_dit_config() -> Any:
    return supported.HunyuanDiT({
        "image_model": "hydit", "depth": 6, "hidden_size": 64, "num_heads": 2,
        "text_states_dim": WIDTH, "text_states_dim_t5": 32, "text_len": TOKENS, "text_len_t5": 9,
    })  # fmt: skip


def hunyuan_3d_21_config() -> Any:
    return supported.Hunyuan3Dv2_1({
        "image_model": "hunyuan3d2_1", "in_channels": 64, "context_dim": WIDTH,
        "hidden_size": 48, "mlp_ratio": 4.0, "num_heads": 4, "depth": 5, "qkv_bias": False,
        "guidance_cond_proj_dim": None, "num_moe_layers": 2, "num_experts": 3,
    })  # fmt: skip


def _ltx(variant: type, **over: Any) -> Any:
    return variant({
        "in_channels": 128, "cross_attention_dim": 64, "attention_head_dim": 32,
        "num_attention_heads": 2, "caption_channels": WIDTH, "num_layers": 3, **over,
    })  # fmt: skip


def ltxv_config() -> Any:
    return _ltx(supported.LTXV, image_model="ltxv")


def ltxav_config() -> Any:
    return _ltx(
        supported.LTXAV, image_model="ltxav", audio_cross_attention_dim=32,
        audio_attention_head_dim=16, audio_num_attention_heads=2, connector_num_layers=1,
        connector_attention_head_dim=12, connector_num_attention_heads=2,
    )  # fmt: skip


COSMOS = {
    "max_img_h": 240, "max_img_w": 240, "max_frames": 128, "in_channels": 16, "out_channels": 16,
    "patch_spatial": 2, "patch_temporal": 1, "concat_padding_mask": True, "pos_emb_cls": "rope3d",
    "pos_emb_interpolation": "crop", "model_channels": 64, "num_blocks": 3, "num_heads": 2,
    "crossattn_emb_channels": WIDTH, "use_adaln_lora": True, "adaln_lora_dim": 8,
}  # fmt: skip


def cosmos_config() -> Any:
    return supported.CosmosT2V({
        **COSMOS, "image_model": "cosmos", "block_config": "FA-CA-MLP", "affline_emb_norm": True,
        "block_x_format": "THWBD", "pos_emb_learnable": False,
        "extra_per_block_abs_pos_emb": True, "extra_per_block_abs_pos_emb_type": "learnable",
    })  # fmt: skip


def _cosmos_2(variant: type, image_model: str) -> Any:
    return variant({
        **COSMOS, "image_model": image_model, "pos_emb_learnable": True,
        "extra_per_block_abs_pos_emb": False, "rope_enable_fps_modulation": False,
    })  # fmt: skip


def cosmos_predict2_config() -> Any:
    return _cosmos_2(supported.CosmosT2IPredict2, "cosmos_predict2")


def _small_adapter(network: Any) -> None:
    """The host fixes the widths of the adapter of prompts, which has 130 million weights."""
    network.llm_adapter = LLMAdapter(
        WIDTH, WIDTH, WIDTH, num_layers=1, num_heads=2, operations=comfy.ops.disable_weight_init
    )


def anima_config() -> Any:
    return _cosmos_2(supported.Anima, "anima")


def _kandinsky(variant: type, **over: Any) -> Any:
    return variant({
        "image_model": "kandinsky5", "model_dim": 64, "axes_dims": (8, 12, 12), "time_dim": 32,
        "ff_dim": 96, "in_text_dim": WIDTH, "in_text_dim2": 12, "num_text_blocks": 2,
        "num_visual_blocks": 3, **over,
    })  # fmt: skip


def kandinsky5_config() -> Any:
    return _kandinsky(supported.Kandinsky5, visual_embed_dim=132)


def kandinsky5_image_config() -> Any:
    return _kandinsky(
        supported.Kandinsky5Image, visual_embed_dim=64, rope_scale_factor=(1.0, 1.0, 1.0)
    )


def crossed(config: Any, family: str, latent: tuple[int, ...], **over: Any) -> Toy:
    return Toy(
        random_weights(config, over.pop("adjust", None)), latent,
        over.pop("context", (TOKENS, WIDTH)), family=family, kinds=CROSSED, **over,
    )  # fmt: skip


def _t5(tokens: int) -> tuple[tuple[str, Any], ...]:
    generator = torch.Generator().manual_seed(3)
    return (
        ("attention_mask", torch.ones(1, TOKENS)),
        ("conditioning_mt5xl", torch.randn(1, tokens, 32, generator=generator)),
        ("attention_mask_mt5xl", torch.ones(1, tokens)),
    )


MASK = (("attention_mask", torch.ones(1, TOKENS, dtype=torch.long)),)
SMALL_VIDEO = (1, 16, 2, 8, 8)

TOYS: dict[str, Toy] = {
    # Below 34 pixels of latent the host divides by zero.
    "pixart_alpha": crossed(pixart_alpha_config, "PixArt", (1, 4, 34, 34)),
    "pixart_sigma": crossed(pixart_sigma_config, "PixArt", (1, 4, 34, 34)),
    "hunyuan_dit": crossed(hunyuan_dit_config, "HunyuanDiT", (1, 4, 16, 16), extra=_t5(9)),
    "hunyuan3d_21": crossed(hunyuan_3d_21_config, "Hunyuan3D 2.1", (1, 64, 12), grows=(-1,)),
    "ltxv": crossed(ltxv_config, "LTX-Video", (1, 128, 2, 4, 4), extra=MASK),
    "ltxav": crossed(
        ltxav_config, "LTX-2", (1, 128, 2, 4, 4), extra=MASK, context=(TOKENS, 2 * WIDTH),
        also=((1, 8, 5, 16),),
    ),
    "cosmos": crossed(cosmos_config, "Cosmos", SMALL_VIDEO),
    "cosmos_predict2": crossed(cosmos_predict2_config, "Cosmos Predict2", SMALL_VIDEO),
    "anima": crossed(
        anima_config, "Cosmos Predict2", (1, 16, 1, 8, 8), adjust=_small_adapter
    ),
    "kandinsky5": crossed(kandinsky5_config, "Kandinsky 5", SMALL_VIDEO, pooled=12),
    "kandinsky5_image": crossed(
        kandinsky5_image_config, "Kandinsky 5", (1, 16, 8, 8), pooled=12
    ),
    **wan_variants.TOYS,
}  # fmt: skip
