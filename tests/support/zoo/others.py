"""Everything else: audio, three dimensions, upscaling."""

from __future__ import annotations

import inspect
from typing import Any

import comfy.model_patcher
import comfy.ops
import comfy.supported_models as supported
import torch
from comfy.ldm.ace.ace_step15 import AceStepConditionGenerationModel
from comfy.ldm.ace.lyric_encoder import ConformerEncoder
from comfy.ldm.audio.dit import AudioDiffusionTransformer
from comfy.ldm.audio.embedders import NumberConditioner
from stepcache.cache_core.sites import SiteKind
from torch import nn
from toy import CPU, Toy, accepted, fill, random_weights

BLOCK, FEED_FORWARD = SiteKind.BLOCK, SiteKind.FEED_FORWARD
SELF, CROSS, JOINT = (
    SiteKind.SELF_ATTENTION, SiteKind.CROSS_ATTENTION, SiteKind.JOINT_ATTENTION,
)  # fmt: skip


def stage_c_config() -> Any:
    return supported.Stable_Cascade_C({
        "stable_cascade_stage": "c", "c_cond": 32, "c_hidden": [32, 32], "nhead": [2, 2],
        "blocks": [[1, 2], [2, 1]], "c_clip_text": 24, "c_clip_text_pooled": 24, "c_r": 16,
    })  # fmt: skip


def stage_b_config() -> Any:
    return supported.Stable_Cascade_B({
        "stable_cascade_stage": "b", "c_cond": 32, "c_hidden": [16, 16, 32, 32],
        "nhead": [-1, -1, 2, 2], "blocks": [[1, 1, 2, 1], [1, 2, 1, 1]],
        "block_repeat": [[1, 1, 1, 1], [3, 3, 2, 2]], "c_clip": 24, "c_r": 16,
    })  # fmt: skip


def mochi_config() -> Any:
    # The host asserts that the feed-forward of the video is 12288 wide.
    return supported.GenmoMochi({
        "image_model": "mochi_preview", "depth": 3, "patch_size": 2, "num_heads": 2,
        "hidden_size_x": 32, "hidden_size_y": 24, "mlp_ratio_x": 384.0, "mlp_ratio_y": 4.0,
        "learn_sigma": False, "in_channels": 12, "qk_norm": True, "qkv_bias": False,
        "out_bias": True, "attn_drop": 0.0, "patch_embed_bias": True, "timestep_mlp_bias": True,
        "posenc_preserve_area": True, "attend_to_padding": False, "timestep_scale": 1000.0,
        "use_t5": True, "t5_feat_dim": 24, "t5_token_length": 7, "rope_theta": 10000.0,
    })  # fmt: skip


def pixeldit_settings() -> dict[str, Any]:
    return {
        "in_channels": 3, "num_groups": 2, "hidden_size": 32, "pixel_hidden_size": 8,
        "pixel_attn_hidden_size": 32, "pixel_num_groups": 2, "patch_depth": 3, "pixel_depth": 2,
        "patch_size": 4, "txt_embed_dim": 24, "txt_max_length": 16,
    }  # fmt: skip


def pixeldit_config() -> Any:
    return supported.PixelDiTT2I({"image_model": "pixeldit_t2i", **pixeldit_settings()})


def pid_config() -> Any:
    from comfy.ldm.pixeldit.pid import PidNet

    return supported.PiD({
        "image_model": "pid", **pixeldit_settings(), "lq_latent_channels": 4, "lq_hidden_dim": 16,
        "lq_num_res_blocks": 1, "lq_interval": 2, "latent_spatial_down_factor": 1,
        "rope_ref_h": 16, "rope_ref_w": 16, **accepted(PidNet, pit_lq_inject=True),
    })  # fmt: skip


def seedvr2_config() -> Any:
    return supported.SeedVR2({
        "image_model": "seedvr2", "vid_dim": 48, "heads": 2, "head_dim": 24, "rope_dim": 24,
        "num_layers": 4, "mm_layers": 2, "norm_eps": 1e-5, "mlp_type": "swiglu", "txt_in_dim": 24,
        "vid_out_norm": True,
    })  # fmt: skip


def minimax_config() -> Any:
    return supported.MiniMaxH3({
        "image_model": "minimax_h3", "hidden_size": 48, "num_layers": 3,
        "token_refiner_num_layers": 1, "num_attention_heads": 2, "attention_head_dim": 24,
        "ffn_hidden_size": 64, "text_dim": 24, "rope_inv_freq_len": 4, "timestep_input_dim": 16,
        "time_embed_hidden_size": 32, "time_embed_dim": 32,
    })  # fmt: skip


def triposplat_config() -> Any:
    return supported.TripoSplat({
        "image_model": "triposplat", "q_token_length": 12, "model_channels": 48,
        "cond_channels": 24, "num_blocks": 3, "num_refiner_blocks": 2, "num_heads": 2,
        "num_head_channels": 24, "cond2_channels": 8,
    })  # fmt: skip


def ace_step_config() -> Any:
    return supported.ACEStep({
        "audio_model": "ace", "num_layers": 3, "attention_head_dim": 16, "num_attention_heads": 2,
        "mlp_ratio": 2.0, "max_position": 64, "text_embedding_dim": 24, "lyric_hidden_size": 32,
        "lyric_encoder_vocab_size": 16, "ssl_latent_dims": [8, 8],
    })  # fmt: skip


def ace_step_15_config() -> Any:
    encoder = accepted(
        AceStepConditionGenerationModel,
        encoder_hidden_size=32, encoder_intermediate_size=48, encoder_num_heads=2,
    )  # fmt: skip
    return supported.ACEStep15({
        "audio_model": "ace1.5", "hidden_size": 32, "text_hidden_dim": 24, "num_dit_layers": 3,
        "num_lyric_layers": 1, "num_timbre_layers": 1, "num_tokenizer_layers": 1, "num_heads": 2,
        "num_kv_heads": 1, "head_dim": 16, "intermediate_size": 48, "sliding_window": 4,
        "fsq_dim": 32, **encoder,
    })  # fmt: skip


def stable_audio_settings() -> dict[str, Any]:
    return {
        "audio_model": "dit1.0", "io_channels": 8, "embed_dim": 64, "num_heads": 2, "depth": 3,
        "cond_token_dim": 768, "project_cond_tokens": True,
    }  # fmt: skip


def stable_audio_config() -> Any:
    class StableAudio(supported.StableAudio):
        def get_model(self, state_dict: dict, prefix: str = "", device: Any = None) -> Any:
            return super().get_model(_seconds("seconds_start") | _seconds("seconds_total"), prefix)

    return StableAudio({
        **stable_audio_settings(), "global_cond_dim": 1536,
        **accepted(AudioDiffusionTransformer, timestep_features_type="learned"),
    })  # fmt: skip


def stable_audio_3_config() -> Any:
    class StableAudio3(supported.StableAudio3):
        def get_model(self, state_dict: dict, prefix: str = "", device: Any = None) -> Any:
            return super().get_model(
                _seconds("seconds_total", fourier_features_type="expo"), prefix
            )

    return StableAudio3({
        **stable_audio_settings(), "global_cond_dim": 768, "timestep_features_type": "expo",
        "global_cond_shared_embed": True, "global_cond_type": "adaLN", "norm_type": "rms_norm",
        "attn_kwargs": {"qk_norm": "rms", "differential": True}, "num_memory_tokens": 2,
        "local_add_cond_dim": 9,
    })  # fmt: skip


def _seconds(name: str, **options: Any) -> dict[str, torch.Tensor]:
    """Weights for a number of seconds, which the host takes from the checkpoint."""
    conditioner = NumberConditioner(768, **options)
    fill(conditioner)
    weights = conditioner.state_dict()
    return {f"conditioner.conditioners.{name}.{key}": value for key, value in weights.items()}


def _set_stable_audio(network: Any) -> None:
    network.transformer.rotary_pos_emb.inv_freq.copy_(0.5 ** torch.arange(16.0))


def _set_minimax(network: Any) -> None:
    network.rope.inv_freq.copy_(0.5 ** torch.arange(4.0))


def _separate_timbres(network: Any) -> None:
    """One reference sound per sample.

    The host takes all samples of a batch for sounds of the first one, so that its own results
    depend on what is batched. No law about batches could be tested.
    """
    timbre = network.encoder.timbre_encoder
    timbre.unpack_timbre_embeddings = lambda states, _: (states.unsqueeze(1), None)


def _narrow_lyrics(network: Any) -> None:
    """The lyric encoder's widths are fixed; this is the same class at 32 channels."""
    encoder = ConformerEncoder(
        input_size=32, output_size=32, attention_heads=2, linear_units=32, num_blocks=1,
        static_chunk_size=0, dtype=torch.float32, device=CPU,
        operations=comfy.ops.disable_weight_init,
    )  # fmt: skip
    network.lyric_encoder = encoder.requires_grad_(False)


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def minimax_music_config() -> Any:
    younger: Any = supported
    return younger.MiniMaxMusic3({"audio_model": "minimax_music3"})


def _small_music(network: Any) -> None:
    """The host fixes its widths at 36 blocks of 2048; the sound has 128 channels, as there."""
    module: Any = inspect.getmodule(type(network))
    settings = {"dtype": None, "device": CPU, "operations": comfy.ops.disable_weight_init}
    told, width = 16, 32
    network.latent_conditioners[0] = nn.Conv1d(4096, told, 3, padding=1)
    transformer = network.diffusion_transformer
    channels = 2 * 128 + told
    transformer.preprocess_conv = nn.Conv1d(channels, channels, 1, bias=False)
    transformer.to_timestep_embed = nn.Linear(256, width)
    inner = transformer.transformer
    inner.project_in, inner.project_out = nn.Linear(channels, width), nn.Linear(width, 128)
    inner.rotary_pos_emb = module.RotaryEmbedding(8, None, CPU)
    inner.rotary_pos_emb.inv_freq.fill_(0.5)
    inner.layers = nn.ModuleList(
        [module.TransformerBlock(width, 16, 2 * width, **settings) for _ in range(2)]
    )
    for name, buffer in inner.named_buffers():
        if name.endswith("beta"):
            buffer.zero_()


TOYS: dict[str, Toy] = {
    "cascade_c": Toy(
        random_weights(stage_c_config), (1, 16, 6, 6), (7, 24), pooled=24,
        family="Stable Cascade", kinds=frozenset({JOINT, FEED_FORWARD}),
    ),
    "cascade_b": Toy(
        random_weights(stage_b_config), (1, 4, 16, 16), (7, 24), pooled=24,
        family="Stable Cascade", kinds=frozenset({JOINT, FEED_FORWARD}),
    ),
    "mochi": Toy(
        random_weights(mochi_config), (1, 12, 2, 4, 4), (7, 24),
        extra=(("attention_mask", torch.tensor([[1, 1, 1, 1, 1, 0, 0]])),),
        family="Mochi", kinds=frozenset({JOINT, FEED_FORWARD, BLOCK}),
    ),
    "pixeldit": Toy(
        random_weights(pixeldit_config), (1, 3, 16, 16), (7, 24),
        family="PixelDiT", kinds=frozenset({JOINT, SELF, FEED_FORWARD, BLOCK}),
    ),
    "pid": Toy(
        random_weights(pid_config), (1, 3, 16, 16), (7, 24),
        extra=(("lq_latent", _random(1, 4, 4, 4)), ("degrade_sigma", torch.tensor([0.3]))),
        family="PixelDiT", kinds=frozenset({JOINT, SELF, FEED_FORWARD, BLOCK}),
    ),
    "seedvr2": Toy(
        # One frame is one window: with several of them the host mixes up the texts of a batch.
        random_weights(seedvr2_config), (1, 16, 1, 8, 8), (7, 24), grows=(),
        extra=(("condition", _random(1, 17, 1, 8, 8)),),
        family="SeedVR2", kinds=frozenset({JOINT, BLOCK}),
    ),
    "minimax": Toy(
        random_weights(minimax_config, _set_minimax), (1, 24, 2, 4, 4), (7, 24),
        also=((1, 32, 2, 3),), has_batches=False,
        family="MiniMax H3", kinds=frozenset({JOINT, FEED_FORWARD, BLOCK}),
    ),
    "minimax_music": Toy(
        random_weights(minimax_music_config, _small_music),
        (1, 128, 6), (2, 8 * 4096), extra=(("conditioning_scale", torch.ones(1, 1, 1)),),
        family="MiniMax Music", kinds=frozenset({SELF, FEED_FORWARD, BLOCK}),
    ),
    "triposplat": Toy(
        random_weights(triposplat_config), (1, 12, 16), (7, 24), also=((1, 1, 5),), grows=(),
        extra=(("reference_latents", [_random(1, 8, 2, 2)]),),
        family="TripoSplat", kinds=frozenset({SELF, JOINT, FEED_FORWARD, BLOCK}),
    ),
    "ace_step": Toy(
        random_weights(ace_step_config, _narrow_lyrics), (1, 8, 16, 12), (7, 24), grows=(-1,),
        extra=(("conditioning_lyrics", torch.tensor([[3, 1, 4, 1, 5]])),),
        family="ACE-Step", kinds=frozenset({SELF, CROSS, FEED_FORWARD, BLOCK}),
    ),
    "ace_step_15": Toy(
        random_weights(ace_step_15_config, _separate_timbres), (1, 64, 20), (7, 24),
        extra=(("conditioning_lyrics", _random(1, 5, 24)),),
        family="ACE-Step 1.5", kinds=frozenset({SELF, CROSS, FEED_FORWARD, BLOCK}),
    ),
    "stable_audio": Toy(
        random_weights(stable_audio_config, _set_stable_audio), (1, 8, 24), (7, 768),
        family="Stable Audio", kinds=frozenset({SELF, CROSS, FEED_FORWARD, BLOCK}),
    ),
    "stable_audio_3": Toy(
        random_weights(stable_audio_3_config, _set_stable_audio), (1, 8, 24), (7, 768),
        family="Stable Audio", kinds=frozenset({SELF, CROSS, FEED_FORWARD, BLOCK}),
    ),
}  # fmt: skip
