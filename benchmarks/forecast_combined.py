"""Step Cache with another method in the evaluations that run, at the share of one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from forecast_rows import Bench, Contender
from quality_runs import Patch
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.methods import PAB, DeepCache, FasterCache, Method, TGate
from stepcache.cache_core.methods.step_cache import StepCache
from stepcache.cache_core.patching import attach
from stepcache.cache_core.schedules import PercentRange

OUTER = (1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
"""Speeds of the forecast around the other method."""
NEAR = 0.06
"""How far a share may be from the wanted one, relative."""
WHOLE_RUN = PercentRange(0.0, 1.0)


def deepcache(_: Bench) -> Iterable[Method]:
    return [DeepCache(2), DeepCache(3), DeepCache(2, 2)]


def pab_blocks(_: Bench) -> Iterable[Method]:
    return [PAB(window=WHOLE_RUN, block=2), PAB(window=WHOLE_RUN, block=3)]


def guidance(_: Bench) -> Iterable[Method]:
    return [FasterCache(1, 1, 1, guidance_interval=n, guidance_window=WHOLE_RUN) for n in (2, 3)]


def tgate(_: Bench) -> Iterable[Method]:
    return [TGate(0, gate_share=share) for share in (0.4, 0.6, 0.8)]


def combined(
    name: str, inner: Callable[[Bench], Iterable[Method]], bench: Bench, speed: float
) -> Contender | None:
    """The pair that is nearest to the plain training pictures at a share of FLOPs, if one comes
    near the share."""
    methods = list(inner(bench))

    def patch(found: dict[str, Any]) -> Patch:
        return lambda model: attach(
            attach(model, StepCache(found["speed"])), methods[found["number"]]
        )

    def is_near(patch: Patch) -> bool:
        return abs(bench.training.share_of(patch) / bench.share(speed) - 1) <= NEAR

    def choose() -> dict[str, Any] | None:
        pairs = [{"speed": outer, "number": n} for outer in OUTER for n in range(len(methods))]
        near = [pair for pair in pairs if is_near(patch(pair))]
        tried = [{**pair, **asdict(bench.training.try_out(patch(pair)))} for pair in near]
        return max(tried, key=lambda each: each["psnr"], default=None)

    try:
        found = bench.training.chosen(f"with {name} {speed:g}×", choose)
    except StepCacheError as error:
        print(f"  {name}: {error}", flush=True)
        return None
    if found is None:
        return None
    words = f"Step Cache {found['speed']:g}× with {methods[found['number']].describe()}"
    return Contender(words, patch(found))
