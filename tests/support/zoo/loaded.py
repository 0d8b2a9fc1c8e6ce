"""Tiny models that come out of the host's own loader, recognised by their files alone.

Only where its detection lets widths be small; the other families are built as their classes.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.ops
import comfy.sd
import torch
from safetensors.torch import save_file
from stepcache.cache_core.sites import SiteKind
from toy import CPU, Toy, fill

SELF, CROSS, JOINT = (
    SiteKind.SELF_ATTENTION, SiteKind.CROSS_ATTENTION, SiteKind.JOINT_ATTENTION,
)  # fmt: skip
REST = frozenset({SiteKind.FEED_FORWARD, SiteKind.BLOCK})


def _from_file(network: str, **settings: Any) -> Callable[[], Any]:
    """Writes random weights of a class into a file, and loads it as ComfyUI does.

    Args:
        network: qualified name of the host's class; older hosts do not have every one.
        settings: its arguments.
    """

    def make() -> Any:
        module, _, name = network.rpartition(".")
        build = getattr(importlib.import_module(module), name)
        operations = comfy.ops.disable_weight_init
        made = build(**settings, dtype=torch.float32, device=CPU, operations=operations)
        fill(made)
        for name, buffer in made.named_buffers():
            if name.endswith("pos_embed"):
                # The host leaves it uninitialised, because files bring it.
                torch.nn.init.normal_(buffer, std=0.02)
        weights = {name: tensor.contiguous().clone() for name, tensor in made.state_dict().items()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tiny.safetensors"
            save_file(weights, path)
            return comfy.sd.load_diffusion_model(str(path))

    return make


DOUBLE_STREAM = {
    "hidden_size": 128, "mlp_ratio": 4.0, "num_heads": 1, "depth": 2, "depth_single_blocks": 2,
    "axes_dim": [16, 56, 56], "qkv_bias": True, "guidance_embed": True, "context_in_dim": 24,
    "in_channels": 16, "out_channels": 16,
}  # fmt: skip

TOYS: dict[str, Toy] = {
    "sd15_file": Toy(
        _from_file(
            "comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel",
            image_size=32, in_channels=4, out_channels=4,
            model_channels=320, num_res_blocks=[1], channel_mult=[1], transformer_depth=[1],
            transformer_depth_output=[1, 1], transformer_depth_middle=1, context_dim=768,
            use_spatial_transformer=True, use_linear_in_transformer=False, legacy=False,
            num_heads=8, num_head_channels=-1, adm_in_channels=None,
        ),
        (1, 4, 8, 8), (7, 768), family="UNet",
        kinds=REST | {SELF, CROSS, SiteKind.DEEP_BRANCH},
    ),
    "pixart_file": Toy(
        _from_file(
            "comfy.ldm.pixart.pixartms.PixArtMS",
            input_size=64, patch_size=2, in_channels=4, hidden_size=1152,
            depth=1, num_heads=16, model_max_length=120, micro_condition=True,
        ),
        (1, 4, 34, 34), (7, 4096), family="PixArt", kinds=REST | {SELF, CROSS},
    ),
    "sd3_file": Toy(
        _from_file(
            "comfy.ldm.modules.diffusionmodules.mmdit.OpenAISignatureMMDITWrapper",
            input_size=None, patch_size=2, in_channels=16,
            depth=2, adm_in_channels=24, out_channels=16, num_patches=144, pos_embed_max_size=12,
            qk_norm="rms", pos_embed_scaling_factor=None, x_block_self_attn_layers=[],
            context_embedder_config={
                "target": "torch.nn.Linear", "params": {"in_features": 24, "out_features": 128},
            },
        ),
        (1, 16, 8, 8), (7, 24), pooled=24, family="SD3", kinds=REST | {JOINT},
    ),
    "flux_file": Toy(
        _from_file(
            "comfy.ldm.flux.model.Flux",
            **DOUBLE_STREAM, vec_in_dim=24, theta=10000, patch_size=2, txt_ids_dims=[]
        ),
        (1, 16, 8, 8), (7, 24), pooled=24, family="Flux", kinds=REST | {JOINT},
    ),
    "hunyuan_video_file": Toy(
        _from_file(
            "comfy.ldm.hunyuan_video.model.HunyuanVideo",
            **DOUBLE_STREAM, vec_in_dim=768, theta=256,
            patch_size=[1, 2, 2], byt5=False, meanflow=False, use_cond_type_embedding=False,
            vision_in_dim=None, meanflow_sum=False,
        ),
        (1, 16, 2, 8, 8), (7, 24), pooled=768, family="HunyuanVideo",
        kinds=REST | {JOINT, SELF},
    ),
    "wan_file": Toy(
        _from_file(
            "comfy.ldm.wan.model.WanModel",
            model_type="t2v", patch_size=(1, 2, 2), in_dim=16, dim=128, ffn_dim=256,
            freq_dim=256, text_dim=4096, out_dim=16, num_heads=1, num_layers=2,
        ),
        (1, 16, 2, 8, 8), (7, 4096), family="Wan", kinds=REST | {SELF, CROSS},
    ),
    "ltxv_file": Toy(
        _from_file(
            "comfy.ldm.lightricks.model.LTXVModel",
            in_channels=128, cross_attention_dim=64, attention_head_dim=2,
            num_attention_heads=32, caption_channels=4096, num_layers=2,
        ),
        (1, 128, 2, 4, 4), (7, 4096), extra=(("attention_mask", torch.ones(1, 7).long()),),
        family="LTX-Video", kinds=REST | {SELF, CROSS},
    ),
    "cosmos_predict2_file": Toy(
        _from_file(
            "comfy.ldm.cosmos.predict2.MiniTrainDIT",
            max_img_h=240, max_img_w=240, max_frames=128, in_channels=16,
            out_channels=16, patch_spatial=2, patch_temporal=1, concat_padding_mask=True,
            model_channels=192, num_blocks=10, num_heads=16, crossattn_emb_channels=1024,
            pos_emb_cls="rope3d", pos_emb_learnable=True, pos_emb_interpolation="crop", min_fps=1,
            max_fps=30, use_adaln_lora=True, adaln_lora_dim=256, rope_h_extrapolation_ratio=4.0,
            rope_w_extrapolation_ratio=4.0, rope_t_extrapolation_ratio=1.0,
            extra_per_block_abs_pos_emb=False, rope_enable_fps_modulation=False,
        ),
        (1, 16, 1, 8, 8), (7, 1024), family="Cosmos Predict2", kinds=REST | {SELF, CROSS},
    ),
    "cogvideox_file": Toy(
        _from_file(
            "comfy.ldm.cogvideo.model.CogVideoXTransformer3DModel",
            num_attention_heads=1, attention_head_dim=64,
            in_channels=16, out_channels=16, time_embed_dim=64, text_embed_dim=24, num_layers=2,
            use_rotary_positional_embeddings=True, use_learned_positional_embeddings=False,
        ),
        (1, 16, 2, 8, 8), (7, 24), family="CogVideoX", kinds=REST | {JOINT},
    ),
}  # fmt: skip
