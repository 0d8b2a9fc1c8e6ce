"""A calibration by which methods are advised, and the advice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from calibration_files import BLOCK, CROSS, DEEP, FEED_FORWARD, GUIDANCE, SELF
from stepcache.cache_core.advisor import Advice, advise
from stepcache.cache_core.calibration import (
    Calibration,
    Costs,
    ErrorTable,
    ModelFacts,
    Place,
    RunFacts,
)
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.methods import METHODS, PAB, SmoothCache

STEPS, LOOKAHEAD = 12, 3
LINE = Timeline.even(STEPS)
PLACES = {
    "self": Place(SELF), "cross": Place(CROSS), "feed": Place(FEED_FORWARD),
    "block": Place(BLOCK), "deep": Place(DEEP, 1), "guidance": Place(GUIDANCE),
}  # fmt: skip
SHARES = {
    (SELF, None): 0.25, (CROSS, None): 0.15, (FEED_FORWARD, None): 0.3, (BLOCK, None): 0.9,
    (DEEP, 1): 0.6, (DEEP, 2): 0.5,
}  # fmt: skip
ADAPTIVE, EULER = (RunFacts(name, "normal", 7.0, (4, 8, 8)) for name in ("dpm_adaptive", "euler"))
"""Runs in which no evaluation is forecast, and in which they are."""
INFLUENCE = {"layers": 0.5, "attention": 0.6, "block": 0.9, "deep_branch 1": 0.8, "guidance": 0.5}


def calibration(but: Mapping[str, float] | None = None, **changes: Any) -> Calibration:
    """All changes grow with the distance and are greatest in the middle of the run, in which no
    evaluation is forecast.

    Args:
        but: by place another size of its changes; 0 leaves the place out.
        changes: of fields.
    """
    sizes = {**dict.fromkeys(PLACES, 0.1), **(but or {})}
    rows = {PLACES[name]: lags(size) for name, size in sizes.items() if size}
    counts = {SELF: 4, CROSS: 4, FEED_FORWARD: 4, BLOCK: 4, DEEP: 6, GUIDANCE: 1}
    made = Calibration(
        ModelFacts("toy", "ToyNet", "0123", counts),
        ADAPTIVE,
        ErrorTable(LINE.sigmas, LOOKAHEAD, rows),
        samples=1,
        costs=Costs(SHARES, SHARES, "toy device"),
        influence=INFLUENCE,
    )
    return replace(made, **changes)


def lags(size: float) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(
            size * lag * (0.5 + math.sin(math.pi * (source + lag / 2) / STEPS))
            for source in range(STEPS - lag)
        )
        for lag in range(1, LOOKAHEAD + 1)
    )


def advised(found: Calibration, speedup: float) -> Advice:
    return advise(found, LINE, speedup, "toy.json")


def inside(found: Calibration) -> set[str]:
    """What an advisor compares inside the network: methods that propose settings, SmoothCache, and
    whole blocks of both that reuse them."""
    proposed = {each.name for each in METHODS if next(each.proposals(found), None) is not None}
    on_blocks = {f"{each.name} on whole blocks" for each in (SmoothCache, PAB)}
    return {SmoothCache.name, *proposed, *on_blocks}
