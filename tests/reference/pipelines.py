"""Tiny diffusers pipelines without text encoders, for references that replace a pipeline's loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tiny
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
    StableDiffusionPipeline,
)
from torch import nn

SCALE = 7.5

PIXART = tiny.Tiny(
    partial(
        PixArtTransformer2DModel,
        sample_size=8, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=3,
        caption_channels=32, in_channels=4, cross_attention_dim=24, out_channels=8,
        attention_bias=True, activation_fn="gelu-approximate", num_embeds_ada_norm=1000,
        norm_type="ada_norm_single", norm_elementwise_affine=False, norm_eps=1e-6,
        use_additional_conditions=False,
    ),
    (1, 4, 8, 8), (5, 32),
    {
        r"transformer_blocks\.\d+\.attn1": tiny.SELF,
        r"transformer_blocks\.\d+\.attn2": tiny.CROSS_ATTENTION,
    },
    name="PixArt",
)  # fmt: skip


def scheduler() -> DDIMScheduler:
    """The scheduler of the published runs."""
    return DDIMScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        clip_sample=False, set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip


def pipeline(model: tiny.Tiny) -> Any:
    """A pipeline around a fresh model; its VAE is for show."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",),
        block_out_channels=(8,), norm_num_groups=4, sample_size=16,
    ).double()  # fmt: skip
    parts = {"vae": vae, "text_encoder": None, "tokenizer": None, "scheduler": scheduler()}
    if model is PIXART:
        made: Any = PixArtAlphaPipeline(transformer=model.make(), **parts)
    else:
        made = StableDiffusionPipeline(
            unet=model.make(), safety_checker=None, feature_extractor=None,
            requires_safety_checker=False, **parts,
        )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


def network(pipe: Any) -> nn.Module:
    """The part of a pipeline that is cached."""
    return pipe.transformer if hasattr(pipe, "transformer") else pipe.unet


def run(
    call: Callable[..., Any],
    model: tiny.Tiny,
    steps: int,
    text: torch.Tensor | None = None,
    **settings: Any,
) -> list[torch.Tensor]:
    """Let a pipeline sample; the latents after every step."""
    latents: list[torch.Tensor] = []
    negative, positive = model.text().chunk(2) if text is None else (None, text)
    embeds = {"prompt_embeds": positive, "negative_prompt_embeds": negative}
    if model is PIXART:
        mask = torch.ones(1, len(positive[0]))
        embeds |= {"prompt_attention_mask": mask, "negative_prompt_attention_mask": mask}
        embeds |= {"use_resolution_binning": False, "negative_prompt": None, "callback_steps": 1}
        embeds["callback"] = lambda step, t, x: latents.append(x.clone())
    else:
        embeds["callback_on_step_end"] = lambda pipe, step, t, kept: _keep(latents, kept)
    size = model.latent[-1]
    settings = {"guidance_scale": SCALE, **settings}
    call(
        **embeds, latents=model.noise(len(positive)), num_inference_steps=steps, height=size,
        width=size, output_type="latent", **settings,
    )  # fmt: skip
    return latents


def _keep(latents: list[torch.Tensor], kept: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    latents.append(kept["latents"].clone())
    return {}


def denoise(
    model: tiny.Tiny,
    predict: tiny.Predict,
    steps: int,
    text: torch.Tensor | None = None,
    sampler: Any = None,
) -> list[torch.Tensor]:
    """The same loop of our own; the latents after every evaluation.

    Args:
        text: embeddings of several prompts that are sampled without guidance; None for guidance.
    """
    sampler = sampler or scheduler()
    sampler.set_timesteps(steps)
    x, latents = model.noise(1 if text is None else len(text)), []
    for t in sampler.timesteps.tolist():
        scaled = sampler.scale_model_input(x, t)
        doubled = torch.cat([scaled, scaled]) if text is None else scaled
        output = predict(t, **_inputs(model, doubled, t, text))
        if text is None:
            uncond, cond = output.chunk(2)
            output = uncond + SCALE * (cond - uncond)
        x = sampler.step(output[:, : x.shape[1]], t, x, return_dict=False)[0]
        latents.append(x)
    return latents


def _inputs(
    model: tiny.Tiny, x: torch.Tensor, t: float, text: torch.Tensor | None
) -> dict[str, Any]:
    inputs = model.inputs(x, t, text)
    if model is PIXART:
        inputs["encoder_attention_mask"] = torch.ones(
            len(x), inputs["encoder_hidden_states"].shape[1]
        )
        inputs["added_cond_kwargs"] = {"resolution": None, "aspect_ratio": None}
    return inputs


def timesteps(steps: int, sampler: Any = None) -> Sequence[float]:
    """Every timestep that the loop visits, once."""
    sampler = sampler or scheduler()
    sampler.set_timesteps(steps)
    return list(dict.fromkeys(sampler.timesteps.tolist()))
