"""PAB equals the hooks of diffusers, each side on its own trajectory."""

from __future__ import annotations

import authors
import pytest
import tiny
from parity import Table, assert_identical
from stepcache.cache_core.methods import PAB
from stepcache.cache_core.schedules import TimestepRange

TIMESTEPS = tiny.ddim_timesteps(20)
PUBLISHED, LATTES = (100, 850), (100, 800)

SETTINGS = [
    *((tiny.COGVIDEOX, (n, 1, 1), PUBLISHED) for n in (2, 3, 4)),
    *((tiny.LATTE, ranges, LATTES) for ranges in ((2, 3, 6), (2, 4, 7), (3, 5, 2), (1, 1, 4))),
    (tiny.LATTE, (2, 4, 6), (450, 930)),
    *((tiny.WAN, ranges, PUBLISHED) for ranges in ((2, 1, 1), (2, 1, 6), (3, 1, 4))),
    (tiny.WAN, (4, 1, 5), (-1, 1001)),
    *((tiny.SD, ranges, PUBLISHED) for ranges in ((2, 1, 1), (2, 1, 3))),
]


@pytest.mark.parametrize(("model", "ranges", "window"), SETTINGS, ids=str)
def test_pab_equals_the_hooks(
    model: tiny.Tiny, ranges: tuple[int, int, int], window: tuple[int, int], table: Table
) -> None:
    reference = authors.pab(
        model.make(),
        **dict(zip(authors.PAB_RANGES, ranges, strict=True)),
        **dict.fromkeys(authors.PAB_WINDOWS, window),
        spatial_attention_block_identifiers=authors.NOT_TEMPORAL,
    )
    ours = PAB(*ranges, window=TimestepRange(*window))
    assert_identical(
        table,
        ("PAB", authors.NAMES["diffusers"], "diffusers modules, float64"),
        tiny.cached(model, TIMESTEPS, ours),
        tiny.sample(model, reference, TIMESTEPS),
        tiny.uncached(model, TIMESTEPS),
    )
