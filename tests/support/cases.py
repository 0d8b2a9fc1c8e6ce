"""Every method × every model family: who works, who refuses, and the settings to try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from stepcache.cache_core.methods import PAB, DeepCache
from stepcache.cache_core.schedules import PercentRange

WHOLE_RUN = PercentRange(0.0, 1.0)


@dataclass(frozen=True)
class Case:
    """One method on one model.

    Args:
        reusing: settings that reuse in a short run.
        idle: settings that never reuse.
    """

    model: str
    reusing: Callable[[], Any]
    idle: Callable[[], Any]

    def __str__(self) -> str:
        return f"{type(self.reusing()).__name__}-{self.model}"


def _pab(model: str) -> Case:
    return Case(model, lambda: PAB(2, 3, 3, WHOLE_RUN), lambda: PAB(1, 1, 1, WHOLE_RUN))


def _deepcache(model: str, branch: int) -> Case:
    return Case(model, lambda: DeepCache(3, branch), lambda: DeepCache(1, branch))


UNETS = ("sd15", "sdxl", "svd", "shapes_unet")
ATTENTION_MODELS = (*UNETS, "wan", "shapes_dit")
CASES = [_pab(name) for name in ATTENTION_MODELS] + [_deepcache(name, 0) for name in UNETS]
REFUSALS = [(DeepCache(), name) for name in ("wan", "shapes_dit", "sd3", "flux")] + [
    (PAB(), name) for name in ("sd3", "flux")
]
SAMPLERS = ("euler", "heun", "dpmpp_2m", "dpmpp_sde", "uni_pc", "dpm_adaptive", "lcm")

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_fast_case = pytest.mark.parametrize(
    "case", [c for c in CASES if c.model in ("sd15", "wan")], ids=str
)
"""One UNet and one DiT: for laws whose other axis (steps, runs) is long."""
each_trained_or_fast_case = pytest.mark.parametrize(
    "case", [c for c in CASES if c.model in ("sd15", "wan", "shapes_unet", "shapes_dit")], ids=str
)
"""With the reference models: for the samplers."""
each_unet_variant = pytest.mark.parametrize(
    "case",
    [
        case(name)
        for name in ("sd2", "inpaint", "refiner")
        for case in (_pab, partial(_deepcache, branch=4))
    ],
    ids=str,
)
"""The host's other UNets: the identities are enough, the mechanism is the same."""
