"""Tiny diffusers models in float64, and how a sampler asks them. Needs no ComfyUI."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from diffusers import (
    CogVideoXTransformer3DModel,
    DiTTransformer2DModel,
    LatteTransformer3DModel,
    UNet2DConditionModel,
    WanTransformer3DModel,
)
from diffusers_host import DiffusersHost, Layers
from stepcache.cache_core.methods import Method
from stepcache.cache_core.sites import SiteKind
from torch import nn

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UP = {CROSS: "CrossAttnUpBlock2D", PLAIN: "UpBlock2D"}

Predict = Callable[..., torch.Tensor]
"""(timestep, **inputs) → output of the network, all branches in one batch."""


@dataclass(frozen=True)
class Tiny:
    """One model and its questions.

    Args:
        build: makes the model with whatever weights.
        latent: shape of the noisy latents, batch 1.
        context: (tokens, width) of the text, None for class labels.
        layers: where the sites are.
        name: what people call it.
        picture: axis order of the output, in diffusers' words.
        timestep_per_row: whether the model wants one timestep per row, not one for all.
    """

    build: Callable[[], nn.Module]
    latent: tuple[int, ...]
    context: tuple[int, int] | None
    layers: Layers = field(hash=False)
    name: str = field(kw_only=True)
    picture: str = "BCHW"
    timestep_per_row: bool = True

    def __str__(self) -> str:
        return self.name

    def make(self) -> nn.Module:
        """The model, always with the same weights."""
        return seeded(self.build().double().eval())

    def noise(self, batch: int = 1, seed: int = 1) -> torch.Tensor:
        """Where a trajectory begins."""
        return _random((batch, *self.latent[1:]), seed)

    def text(self, batch: int = 2, seed: int = 2) -> torch.Tensor:
        """Embeddings, one per row; as a rule (uncond, cond)."""
        assert self.context is not None
        return _random((batch, *self.context), seed)

    def inputs(self, x: torch.Tensor, t: float, text: torch.Tensor | None = None) -> dict[str, Any]:
        """The keyword arguments of one call, rows (uncond, cond) unless `text` says otherwise."""
        timestep = torch.tensor(t)
        if self.timestep_per_row:
            timestep = timestep.expand(len(x))
        if self.context is None:
            return {"hidden_states": x, "timestep": timestep, "class_labels": torch.tensor([9, 1])}
        name = "hidden_states" if self.timestep_per_row else "sample"
        text = self.text() if text is None else text
        return {name: x, "timestep": timestep, "encoder_hidden_states": text}


def seeded(model: nn.Module) -> nn.Module:
    """Random weights that depend on nothing but their names and shapes.

    They keep activations near one; norms are away from one and gates away from zero.
    """
    for name, parameter in model.named_parameters():
        noise = _random(tuple(parameter.shape), zlib.crc32(name.encode())).to(parameter.dtype)
        if parameter.ndim >= 2:
            noise /= math.sqrt(parameter[0].numel())
        elif name.endswith("bias"):
            noise *= 0.02
        else:
            noise = 1 + 0.05 * noise
        parameter.data.copy_(noise)
    return model


def ddim_timesteps(steps: int) -> tuple[int, ...]:
    """The timesteps of DDIM with leading spacing and offset 1, as in the published runs."""
    return tuple(1 + step * (1000 // steps) for step in reversed(range(steps)))


def sample(tiny: Tiny, predict: Predict, timesteps: Sequence[int]) -> list[torch.Tensor]:
    """Follow a trajectory of one's own under guidance; the network's output at every step."""
    x, outputs = tiny.noise(), []
    for t in timesteps:
        outputs.append(predict(t, **tiny.inputs(torch.cat([x, x]), t)))
        uncond, cond = outputs[-1][:, : x.shape[1]].chunk(2)
        x = x - 0.05 * (uncond + 6.0 * (cond - uncond))
    return outputs


def plain(model: nn.Module) -> Predict:
    """The model itself."""
    return lambda t, *args, **inputs: model(*args, **inputs, return_dict=False)[0]


@cache
def shared(tiny: Tiny) -> nn.Module:
    """One model for all runs of ours, so that leaks show; references get one of their own."""
    return tiny.make()


@cache
def uncached(tiny: Tiny, timesteps: tuple[int, ...]) -> list[torch.Tensor]:
    """What the model answers by itself."""
    return sample(tiny, plain(shared(tiny)), timesteps)


def cached(tiny: Tiny, timesteps: tuple[int, ...], *methods: Method) -> list[torch.Tensor]:
    """What it answers with our methods."""
    with DiffusersHost(shared(tiny), methods, timesteps, tiny.layers) as host:
        return sample(tiny, host, timesteps)


def _random(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _unet(down: Sequence[str]) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, layers_per_block=2,
        block_out_channels=(16, 32, 32), norm_num_groups=8, cross_attention_dim=24,
        attention_head_dim=4, down_block_types=tuple(down),
        up_block_types=tuple(UP[kind] for kind in reversed(down)),
    )  # fmt: skip


def _cogvideox() -> CogVideoXTransformer3DModel:
    return CogVideoXTransformer3DModel(
        num_attention_heads=4, attention_head_dim=8, in_channels=4, out_channels=4,
        time_embed_dim=2, text_embed_dim=32, num_layers=2, sample_width=8, sample_height=8,
        sample_frames=9, patch_size=2, temporal_compression_ratio=4, max_text_seq_length=16,
    )  # fmt: skip


def _latte() -> LatteTransformer3DModel:
    return LatteTransformer3DModel(
        sample_size=8, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=3,
        caption_channels=32, in_channels=4, cross_attention_dim=24, out_channels=8,
        attention_bias=True, activation_fn="gelu-approximate", num_embeds_ada_norm=1000,
        norm_type="ada_norm_single", norm_elementwise_affine=False, norm_eps=1e-6, video_length=3,
    )  # fmt: skip


def _wan() -> WanTransformer3DModel:
    return WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4,
        out_channels=4, text_dim=16, freq_dim=32, ffn_dim=32, num_layers=2, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
    )  # fmt: skip


def _dit() -> DiTTransformer2DModel:
    return DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=3,
        sample_size=8, patch_size=2, num_embeds_ada_norm=1000, norm_num_groups=4,
    )  # fmt: skip


SELF, CROSS_ATTENTION, TEMPORAL, FEED_FORWARD = (
    SiteKind.SELF_ATTENTION,
    SiteKind.CROSS_ATTENTION,
    SiteKind.TEMPORAL_ATTENTION,
    SiteKind.FEED_FORWARD,
)
_UNET_LAYERS = {
    r".*\.transformer_blocks\.\d+\.attn1": SELF,
    r".*\.transformer_blocks\.\d+\.attn2": CROSS_ATTENTION,
}
_unet_tiny = partial(
    Tiny, latent=(1, 4, 16, 16), context=(5, 24), layers=_UNET_LAYERS, timestep_per_row=False
)

COGVIDEOX = Tiny(
    _cogvideox, (1, 3, 4, 8, 8), (16, 32), {r"transformer_blocks\.\d+\.attn1": SELF},
    name="CogVideoX", picture="BFCHW",
)  # fmt: skip
LATTE = Tiny(
    _latte, (1, 4, 3, 8, 8), (16, 32),
    {
        r"transformer_blocks\.\d+\.attn1": SELF,
        r"transformer_blocks\.\d+\.attn2": CROSS_ATTENTION,
        r"temporal_transformer_blocks\.\d+\.attn1": TEMPORAL,
    },
    name="Latte", picture="BCFHW",
)  # fmt: skip
WAN = Tiny(
    _wan, (1, 4, 2, 8, 8), (4, 16),
    {
        r"blocks\.\d+\.attn1": SELF,
        r"blocks\.\d+\.attn2": CROSS_ATTENTION,
        r"blocks\.\d+\.ffn": FEED_FORWARD,
    },
    name="Wan", picture="BCFHW",
)  # fmt: skip
DIT = Tiny(
    _dit, (1, 4, 8, 8), None,
    {r"transformer_blocks\.\d+\.attn1": SELF, r"transformer_blocks\.\d+\.ff": FEED_FORWARD},
    name="DiT",
)  # fmt: skip
SD = _unet_tiny(partial(_unet, (CROSS, CROSS, PLAIN)), name="SD UNet")
SDXL = _unet_tiny(partial(_unet, (PLAIN, CROSS, CROSS)), name="SDXL UNet")
