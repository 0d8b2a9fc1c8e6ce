"""SmoothCache equals the authors' helper, each side on its own trajectory."""

from __future__ import annotations

from collections.abc import Mapping

import authors
import pytest
import tiny
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from parity import Table, assert_identical
from stepcache.cache_core.methods import SmoothCache
from torch import nn

SCHEDULES = {
    "every other": {"attn1": "101010101011"},
    "calibrated": {"attn1": "100100010101"},
    "late": {"attn1": "111111100001"},
    "one layer apart": {"attn1": "100010010101", "attn1-1": "101010101011"},
    "one layer only": {"attn1-2": "100100100101"},
    "the first reused step is the last": {"attn1": "111111111110"},
}
STEPS = 12


@pytest.mark.parametrize(
    ("model", "schedule"),
    [(tiny.DIT, name) for name in SCHEDULES]
    + [(tiny.SD, "calibrated"), (tiny.LATTE, "every other"), (tiny.SDXL, "every other")],
    ids=str,
)
def test_smoothcache_equals_the_helper(model: tiny.Tiny, schedule: str, table: Table) -> None:
    timesteps = tiny.ddim_timesteps(STEPS)
    rows = SCHEDULES[schedule]
    reference = authors.smoothcache(model.make(), rows)
    assert_identical(
        table,
        ("SmoothCache", authors.NAMES["dit-smoothcache"], "diffusers modules, float64"),
        tiny.cached(model, timesteps, our_schedule(model, rows)),
        tiny.sample(model, reference, timesteps),
        tiny.uncached(model, timesteps),
    )


@pytest.mark.parametrize(
    ("model", "block", "feed_forward"),
    [(tiny.DIT, BasicTransformerBlock, "ff"), (tiny.WAN, WanTransformerBlock, "ffn")],
    ids=["DiT", "Wan"],
)
def test_smoothcache_equals_the_general_helper(
    model: tiny.Tiny, block: type[nn.Module], feed_forward: str, table: Table
) -> None:
    """Feed-forward layers, and on Wan cross-attention, each with a row of its own."""
    timesteps = tiny.ddim_timesteps(STEPS)
    rows = {"attn1": "101010101011", "attn2": "100010001001", feed_forward: "110100100101"}
    kinds = {"attn1": tiny.SELF, "attn2": tiny.CROSS_ATTENTION, feed_forward: tiny.FEED_FORWARD}
    found = [name for name in rows if any(path.endswith(name) for path in model.layers)]
    reference = authors.smoothcache(model.make(), rows, block, found)
    ours = SmoothCache(
        tuple((kinds[name], None, tuple(flag == "1" for flag in rows[name])) for name in found)
    )
    assert_identical(
        table,
        ("SmoothCache", authors.NAMES["dit-smoothcache"], "diffusers modules, float64"),
        tiny.cached(model, timesteps, ours),
        tiny.sample(model, reference, timesteps),
        tiny.uncached(model, timesteps),
    )


def our_schedule(model: tiny.Tiny, rows: Mapping[str, str]) -> SmoothCache:
    """The helper's names for rows, in our words: ``attn1`` or ``attn1-<block>``.

    Where a model also attends over time, in blocks of the same class, the helper's row is for both.
    """
    kinds = [kind for path, kind in model.layers.items() if path.endswith("attn1")]
    return SmoothCache(
        tuple(
            (kind, int(name[6:]) if name[6:] else None, tuple(flag == "1" for flag in row))
            for name, row in rows.items()
            for kind in kinds
        )
    )
