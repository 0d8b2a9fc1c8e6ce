"""ComfyUI's Wan under our methods equals diffusers' Wan, with its weights, under the authors'."""

from __future__ import annotations

from functools import partial

import authors
import comfyui
import pytest
import tiny
import twins
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from diffusers_fastercache import DiffusersFasterCache
from parity import Table
from stepcache.cache_core.approximators import Constant
from stepcache.cache_core.methods import PAB, SmoothCache
from stepcache.cache_core.schedules import TimestepRange

ON = "ComfyUI's Wan, float32"


def _asking(predict: tiny.Predict) -> comfyui.Ask:
    return lambda call: predict(
        float(call.timestep[0]), hidden_states=call.x, timestep=call.timestep,
        encoder_hidden_states=call.context,
    )  # fmt: skip


@pytest.mark.parametrize(("self_range", "cross_range"), [(2, 1), (2, 6), (3, 4)])
def test_pab_equals_the_hooks(self_range: int, cross_range: int, table: Table) -> None:
    model, reference = twins.wan_twins()
    window = (100, 990)
    run = comfyui.sample(model, "wan", 12, PAB(self_range, 1, cross_range, TimestepRange(*window)))
    switch_on = partial(authors.pab_on_images, reference, self_range, cross_range, window)
    comfyui.assert_calls_agree(
        table, ("PAB", authors.NAMES["diffusers"], ON), run, _asking(tiny.plain(reference)),
        lambda: _asking(switch_on()),
    )  # fmt: skip


def test_smoothcache_equals_the_general_helper(table: Table) -> None:
    model, reference = twins.wan_twins()
    rows = {"attn1": "101010101011", "attn2": "100010001001", "ffn": "110100100101"}
    kinds = (tiny.SELF, tiny.CROSS_ATTENTION, tiny.FEED_FORWARD)
    method = SmoothCache(
        tuple(
            (kind, None, tuple(flag == "1" for flag in row))
            for kind, row in zip(kinds, rows.values(), strict=True)
        )
    )
    run = comfyui.sample(model, "wan", 12, method)
    comfyui.assert_calls_agree(
        table, ("SmoothCache", authors.NAMES["dit-smoothcache"], ON), run,
        _asking(tiny.plain(reference)),
        lambda: _asking(authors.smoothcache(reference, rows, WanTransformerBlock, list(rows))),
    )  # fmt: skip


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_fastercache_equals_the_hooks(spatial: int, table: Table) -> None:
    model, reference = twins.wan_twins()
    window = (-1, 990)
    method = DiffusersFasterCache(
        **comfyui.GUIDANCE, self_attention=spatial, attention_window=TimestepRange(*window),
        weight=Constant(0.3),
    )  # fmt: skip
    run = comfyui.sample(model, "wan", 12, method)
    timesteps = [float(call.timestep[0]) for call in run.record.calls]
    switch_on = partial(
        authors.fastercache, reference, Constant(0.3), timesteps, tensor_format="BCFHW",
        spatial_attention_block_skip_range=spatial,
        spatial_attention_timestep_skip_range=window,
        **comfyui.GUIDANCE_CONFIG,
    )  # fmt: skip
    comfyui.assert_branches_agree(
        table, ("FasterCache", authors.NAMES["diffusers"], ON), run,
        _asking(tiny.plain(reference)), lambda: _asking(switch_on()),
    )  # fmt: skip
