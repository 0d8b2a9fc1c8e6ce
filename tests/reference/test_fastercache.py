"""FasterCache under diffusers' rule equals its hooks, each side on its own trajectory.

Frames are nowhere folded into the batch here: the transforms act on the last two axes alone.
"""

from __future__ import annotations

from typing import Any

import authors
import pytest
import tiny
import torch
from diffusers import FluxTransformer2DModel
from diffusers_fastercache import DiffusersFasterCache
from diffusers_host import COND, DiffusersHost
from parity import Table, assert_identical
from stepcache.cache_core.approximators import Constant, Sloped, Weight
from stepcache.cache_core.schedules import TimestepRange

TIMESTEPS = tiny.ddim_timesteps(20)
WHAT = ("FasterCache", authors.NAMES["diffusers"], "diffusers modules, float64")
ALWAYS = (-1, 1001)
DIFFUSERS: dict[str, Any] = {"compounds": True, "cross_attention": 1}

SETTINGS = [
    *((m, n, 1, every, (-1, 681), (-1, 781))
      for m in (tiny.COGVIDEOX, tiny.LATTE, tiny.WAN) for n, every in ((2, 5), (3, 2), (3, 5))),
    (tiny.LATTE, 2, 3, 4, (-1, 681), (-1, 641)),
    (tiny.LATTE, 3, 2, 5, (200, 900), (100, 800)),
    (tiny.LATTE, 2, 1, 5, ALWAYS, ALWAYS),
    (tiny.WAN, 4, 1, 7, ALWAYS, ALWAYS),
    (tiny.WAN, 1, 1, 3, ALWAYS, (-1, 641)),
]  # fmt: skip
"""(model, range of self-attention, of temporal attention, interval of guidance, their windows)."""


@pytest.mark.parametrize(
    ("model", "spatial", "temporal", "guidance", "attention_window", "guidance_window"),
    SETTINGS, ids=str,
)  # fmt: skip
def test_fastercache_equals_the_hooks(
    model: tiny.Tiny,
    spatial: int,
    temporal: int,
    guidance: int,
    attention_window: tuple[int, int],
    guidance_window: tuple[int, int],
    table: Table,
) -> None:
    _assert_parity(
        table, model, Constant(0.3),
        spatial, temporal, guidance, attention_window, guidance_window,
    )  # fmt: skip


def test_a_weight_that_changes_with_the_time_is_used_alike(table: Table) -> None:
    _assert_parity(table, tiny.WAN, Sloped(4, 0.06, 0.1), 2, 1, 5, (-1, 781), (-1, 781))


def _assert_parity(
    table: Table,
    model: tiny.Tiny,
    weight: Weight,
    spatial: int,
    temporal: int,
    guidance: int,
    attention_window: tuple[int, int],
    guidance_window: tuple[int, int],
) -> None:
    low, high = (99, 641), (-1, 301)
    reference = authors.fastercache(
        model.make(),
        weight=weight,
        timesteps=TIMESTEPS,
        tensor_format=model.picture,
        spatial_attention_block_skip_range=spatial,
        temporal_attention_block_skip_range=temporal,
        spatial_attention_timestep_skip_range=attention_window,
        temporal_attention_timestep_skip_range=attention_window,
        unconditional_batch_skip_range=guidance,
        unconditional_batch_timestep_skip_range=guidance_window,
        low_frequency_weight_update_timestep_range=low,
        high_frequency_weight_update_timestep_range=high,
    )
    ours = DiffusersFasterCache(
        self_attention=spatial, temporal_attention=temporal,
        attention_window=TimestepRange(*attention_window), weight=weight,
        guidance_interval=guidance, guidance_window=TimestepRange(*guidance_window),
        low_gain=1.1, high_gain=1.1,
        low_window=TimestepRange(*low), high_window=TimestepRange(*high), **DIFFUSERS,
    )  # fmt: skip
    assert_identical(
        table,
        WHAT,
        tiny.cached(model, TIMESTEPS, ours),
        tiny.sample(model, reference, TIMESTEPS),
        tiny.uncached(model, TIMESTEPS),
    )


@pytest.mark.parametrize("spatial", [2, 3])
def test_a_distilled_model_reuses_the_whole_batch(spatial: int, table: Table) -> None:
    reference = authors.fastercache(
        _flux(),
        weight=Constant(0.3),
        timesteps=TIMESTEPS,
        is_guidance_distilled=True,
        spatial_attention_block_skip_range=spatial,
        spatial_attention_timestep_skip_range=(-1, 681),
    )
    # One branch from the first step on, and no other branch that would ever come back.
    ours = DiffusersFasterCache(
        self_attention=spatial, attention_window=TimestepRange(-1, 681), weight=Constant(0.3),
        guidance_interval=len(TIMESTEPS), guidance_window=TimestepRange(*ALWAYS), **DIFFUSERS,
    )  # fmt: skip
    layers = {r"(single_)?transformer_blocks\.\d+\.attn": tiny.SELF}
    with DiffusersHost(_flux(), [ours], TIMESTEPS, layers, branches=[COND]) as host:
        own = _sample_flux(host)
    assert_identical(table, WHAT, own, _sample_flux(reference), _sample_flux(tiny.plain(_flux())))


def _flux() -> torch.nn.Module:
    model = FluxTransformer2DModel(
        patch_size=1, in_channels=4, num_layers=2, num_single_layers=2, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8], guidance_embeds=True,
    )  # fmt: skip
    return tiny.seeded(model.double().eval())


def _sample_flux(predict: tiny.Predict) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x, text, pooled, guidance = (
        torch.randn(1, *shape, generator=generator, dtype=torch.float64)
        for shape in ((16, 4), (6, 32), (32,), ())
    )
    places = torch.cartesian_prod(*(torch.arange(n, dtype=x.dtype) for n in (1, 4, 4)))
    outputs = []
    for t in TIMESTEPS:
        outputs.append(
            predict(
                t, hidden_states=x, timestep=torch.tensor([t / 1000], dtype=x.dtype),
                encoder_hidden_states=text, pooled_projections=pooled, guidance=guidance,
                img_ids=places, txt_ids=x.new_zeros(6, 3),
            )
        )  # fmt: skip
        x = x - 0.05 * outputs[-1]
    return outputs
