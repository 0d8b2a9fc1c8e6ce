"""Every row of the comparison, by its name."""

from __future__ import annotations

from functools import partial

from . import forecast_combined as pairs
from . import forecast_layers as layers
from . import forecast_rows as rows
from .forecast_rows import Make

ROWS: dict[str, Make] = {
    "Step Cache": rows.step_cache,
    "fewer steps": partial(rows.fewer, None),
    "fewer steps, DPM++ 2M": partial(rows.fewer, "dpmpp_2m"),
    "EasyCache": partial(rows.host, "EasyCache"),
    "LazyCache": partial(rows.host, "LazyCache"),
    "DeepCache": partial(layers.at_share, "DeepCache", layers.deepcache),
    "SmoothCache, blocks": partial(layers.at_share, "SmoothCache blocks", layers.blocks),
    "SmoothCache, layers": partial(layers.at_share, "SmoothCache layers", layers.layers),
    "uniform blocks": partial(layers.at_share, "uniform blocks", layers.uniform_blocks),
    "PAB, blocks": partial(layers.at_share, "PAB blocks", layers.pab_blocks),
    "PAB": partial(layers.at_share, "PAB", layers.pab),
    "FasterCache": partial(layers.at_share, "FasterCache", layers.fastercache),
    "T-GATE": partial(layers.at_share, "T-GATE", layers.tgate),
    "Step Cache + DeepCache": partial(pairs.combined, "DeepCache", pairs.deepcache),
    "Step Cache + SmoothCache, blocks": partial(
        pairs.combined, "SmoothCache blocks", partial(pairs.smoothcache, layers.blocks)
    ),
    "Step Cache + SmoothCache, layers": partial(
        pairs.combined, "SmoothCache layers", partial(pairs.smoothcache, layers.layers)
    ),
    "Step Cache + PAB, blocks": partial(pairs.combined, "PAB blocks", pairs.pab_blocks),
    "Step Cache + PAB": partial(pairs.combined, "PAB", pairs.pab),
    "Step Cache + guidance": partial(pairs.combined, "guidance", pairs.guidance),
    "Step Cache + T-GATE": partial(pairs.combined, "T-GATE", pairs.tgate),
    "TaylorSeer, order 1": partial(rows.taylor, 1),
    "TaylorSeer, order 2": partial(rows.taylor, 2),
    "First Block Cache": rows.first_block,
    "MagCache": rows.magnitudes,
    "Spectrum": rows.chebyshev,
}
TIMED = frozenset({"Step Cache", "fewer steps", "EasyCache"})
"""Rows whose seconds are compared with those of the plain model."""
