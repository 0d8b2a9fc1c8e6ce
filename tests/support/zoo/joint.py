"""Image models whose attention modules join prompt and picture."""

from __future__ import annotations

from typing import Any

import comfy.supported_models as supported
import torch
from stepcache.cache_core.sites import SiteKind
from toy import Toy, random_weights

JOINT = frozenset({SiteKind.JOINT_ATTENTION, SiteKind.FEED_FORWARD, SiteKind.BLOCK})
REFINED = JOINT | {SiteKind.SELF_ATTENTION}
"""With refiner blocks, where the picture attends to itself."""


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _settled(config: Any, **over: Any) -> Any:
    """A configuration whose widths the host's class fixes, with other ones."""
    config.unet_config.update(over)
    return config


def auraflow_config() -> Any:
    return supported.AuraFlow({
        "in_channels": 4, "out_channels": 4, "patch_size": 2, "dim": 32, "n_layers": 4,
        "n_double_layers": 2, "n_heads": 2, "global_conddim": 32, "cond_seq_dim": 24,
        "max_seq": 256,
    })  # fmt: skip


def hidream_config() -> Any:
    return supported.HiDream({
        "image_model": "hidream", "patch_size": 2, "in_channels": 16, "out_channels": 16,
        "num_layers": 2, "num_single_layers": 2, "attention_head_dim": 16,
        "num_attention_heads": 2, "caption_channels": [24, 20], "text_emb_dim": 24,
        "num_routed_experts": 2, "num_activated_experts": 1, "axes_dims_rope": (8, 4, 4),
        "max_resolution": [16, 16], "llama_layers": [0, 1, 1, 2],
    })  # fmt: skip


def hidream_o1_config() -> Any:
    return supported.HiDreamO1({
        "image_model": "hidream_o1",
        "text_config_overrides": {
            "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
            "rope_dims": [2, 1, 1],
        },
        "vision_config_overrides": {
            "hidden_size": 16, "num_heads": 2, "intermediate_size": 32, "depth": 1,
            "num_position_embeddings": 16,
        },
    })  # fmt: skip


def qwen_config(**over: Any) -> Any:
    return supported.QwenImage({
        "image_model": "qwen_image", "patch_size": 2, "in_channels": 64, "out_channels": 16,
        "num_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2,
        "joint_attention_dim": 24, "axes_dims_rope": (4, 6, 6), **over,
    })  # fmt: skip


def qwen_edit_config() -> Any:
    return qwen_config(default_ref_method="index_timestep_zero")


def mage_config() -> Any:
    return supported.MageFlow({
        "image_model": "mage_flow", "in_channels": 128, "out_channels": 128, "num_layers": 2,
        "attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": 24,
        "axes_dims_rope": (4, 6, 6),
    })  # fmt: skip


def lens_config() -> Any:
    return supported.Lens({
        "image_model": "lens", "patch_size": 2, "in_channels": 128, "out_channels": 32,
        "num_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2,
        "enc_hidden_dim": 12, "axes_dims_rope": (4, 6, 6), "selected_layer_index": (0, 1),
    })  # fmt: skip


def joyimage_config() -> Any:
    config = supported.JoyImage({
        "image_model": "joyimage", "patch_size": [1, 2, 2], "in_channels": 16,
        "out_channels": 16, "hidden_size": 32, "num_attention_heads": 2, "text_dim": 24,
        "num_layers": 2,
    })  # fmt: skip
    return _settled(config, rope_dim_list=[4, 6, 6])


def omnigen2_config() -> Any:
    return supported.Omnigen2({
        "image_model": "omnigen2", "patch_size": 2, "in_channels": 16, "hidden_size": 48,
        "num_layers": 2, "num_refiner_layers": 2, "num_attention_heads": 2, "num_kv_heads": 1,
        "multiple_of": 16, "axes_dim_rope": (8, 8, 8), "text_feat_dim": 24,
        "timestep_scale": 1000.0,
    })  # fmt: skip


def boogu_config() -> Any:
    return supported.Boogu({
        "image_model": "boogu", "patch_size": 2, "in_channels": 16, "hidden_size": 48,
        "num_layers": 2, "num_double_stream_layers": 2, "num_refiner_layers": 2,
        "num_attention_heads": 2, "num_kv_heads": 1, "multiple_of": 16,
        "axes_dim_rope": (8, 8, 8), "instruction_feat_dim": 24,
    })  # fmt: skip


LUMINA = {
    "image_model": "lumina2", "patch_size": 2, "in_channels": 16, "dim": 48, "n_layers": 2,
    "n_refiner_layers": 2, "n_heads": 2, "n_kv_heads": 1, "qk_norm": True, "multiple_of": 16,
    "cap_feat_dim": 24, "axes_dims": [8, 8, 8], "axes_lens": [64, 64, 64],
}  # fmt: skip
Z_IMAGE = {
    # Its timestep embedding is 256 wide, whatever the width of the blocks.
    "dim": 256, "n_kv_heads": 2, "axes_dims": [32, 48, 48], "ffn_dim_multiplier": 0.25,
    "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 8,
}  # fmt: skip


def lumina2_config() -> Any:
    return supported.Lumina2(dict(LUMINA))


def zimage_config() -> Any:
    return supported.ZImage({**LUMINA, **Z_IMAGE})


def zimage_pixel_config() -> Any:
    return supported.ZImagePixelSpace({
        **LUMINA, **Z_IMAGE, "image_model": "zimage_pixel", "patch_size": 8, "in_channels": 3,
        "decoder_hidden_size": 16, "decoder_num_res_blocks": 1, "decoder_max_freqs": 2,
    })  # fmt: skip


def ernie_config() -> Any:
    return supported.ErnieImage({
        "image_model": "ernie", "hidden_size": 48, "num_attention_heads": 2, "num_layers": 2,
        "ffn_hidden_size": 64, "in_channels": 128, "out_channels": 128, "patch_size": 1,
        "text_in_dim": 24, "rope_axes_dim": (8, 8, 8),
    })  # fmt: skip


def ideogram4_config() -> Any:
    config = supported.Ideogram4({"image_model": "ideogram4", "in_channels": 128, "num_layers": 2})
    return _settled(
        config, num_attention_heads=2, attention_head_dim=16, intermediate_size=64,
        adaln_dim=16, llm_features_dim=24, mrope_section=[3, 3, 2],
    )  # fmt: skip


def krea2_config() -> Any:
    return supported.Krea2({
        "image_model": "krea2", "features": 32, "tdim": 32, "txtdim": 16, "heads": 2,
        "kvheads": 1, "layers": 2, "patch": 2, "channels": 16, "txtlayers": 2, "txtheads": 2,
        "txtkvheads": 2, "default_ref_method": "index_timestep_zero",
    })  # fmt: skip


LATENT, VIDEO, FLUX2 = (1, 16, 8, 8), (1, 16, 1, 8, 8), (1, 128, 4, 4)
TEXT = (7, 24)
MASK = ("attention_mask", torch.ones(1, 7, dtype=torch.long))
REFERENCE = ("reference_latents", [_random(*LATENT)])
REFERENCE_VIDEO = ("reference_latents", [_random(*VIDEO)])


def _o1_prompt(*tokens: int) -> tuple[tuple[str, Any]]:
    """A prompt of tokens; the last one is where the network puts the timestep."""
    return (("text_input_ids", torch.tensor([[*tokens, 151673]])),)


TOYS: dict[str, Toy] = {
    "auraflow": Toy(
        random_weights(auraflow_config), (1, 4, 8, 8), TEXT,
        family="AuraFlow", kinds=JOINT,
    ),
    "hidream": Toy(
        random_weights(hidream_config), LATENT, TEXT, pooled=24,
        extra=(("conditioning_llama3", _random(1, 3, 5, 20)),),
        family="HiDream I1", kinds=JOINT,
    ),
    "hidream_o1": Toy(
        random_weights(hidream_o1_config), (1, 3, 64, 64), TEXT,
        extra=_o1_prompt(5, 6, 7, 8, 9), negative=_o1_prompt(5, 6, 4),
        family="HiDream O1",
    ),
    "qwen": Toy(
        random_weights(qwen_config), VIDEO, TEXT,
        family="Qwen-Image", kinds=JOINT,
    ),
    "qwen_edit": Toy(
        random_weights(qwen_edit_config), VIDEO, TEXT, extra=(REFERENCE_VIDEO,),
        family="Qwen-Image", kinds=JOINT,
    ),
    "mage_flow": Toy(
        random_weights(mage_config), FLUX2, TEXT,
        family="Mage-Flow", kinds=JOINT,
    ),
    "lens": Toy(
        random_weights(lens_config), FLUX2, TEXT,
        family="Lens", kinds=JOINT,
    ),
    "joyimage": Toy(
        random_weights(joyimage_config), VIDEO, TEXT, extra=(REFERENCE_VIDEO,),
        family="JoyImage", kinds=JOINT,
    ),
    "omnigen2": Toy(
        random_weights(omnigen2_config), LATENT, TEXT, extra=(MASK, REFERENCE),
        family="OmniGen2", kinds=REFINED,
    ),
    "boogu": Toy(
        random_weights(boogu_config), LATENT, TEXT, extra=(MASK,),
        family="Boogu", kinds=REFINED,
    ),
    "lumina2": Toy(
        random_weights(lumina2_config), LATENT, TEXT,
        family="Lumina 2 / Z-Image", kinds=REFINED,
    ),
    "zimage": Toy(
        random_weights(zimage_config), LATENT, TEXT,
        family="Lumina 2 / Z-Image", kinds=REFINED,
    ),
    "zimage_pixel": Toy(
        random_weights(zimage_pixel_config), (1, 3, 16, 16), TEXT,
        family="Lumina 2 / Z-Image", kinds=REFINED,
    ),
    "ernie": Toy(
        random_weights(ernie_config), FLUX2, TEXT,
        family="Ernie-Image", kinds=JOINT,
    ),
    "ideogram4": Toy(
        random_weights(ideogram4_config), FLUX2, TEXT,
        family="Ideogram 4", kinds=JOINT,
    ),
    "krea2": Toy(
        random_weights(krea2_config), VIDEO, (7, 32), extra=(REFERENCE_VIDEO,),
        family="Krea 2", kinds=JOINT,
    ),
}  # fmt: skip
