"""Step Cache with another method in the evaluations that run, at the share of one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import PAB, DeepCache, FasterCache, Method, TGate
from stepcache.cache_core.methods.step_cache import StepCache
from stepcache.cache_core.s_curve import count_for
from stepcache.cache_core.schedules import PercentRange

from .forecast_layers import WINDOWS
from .forecast_rows import Bench, Contender
from .quality_runs import Patch

OUTER = (1.25, 1.5, 1.75, 2.0, 2.5, 2.75)
"""Speeds of the forecast around the other method."""
NEAR = 0.05
"""How far a share may be from the wanted one, relative."""


def deepcache(_: Bench) -> Iterator[Method]:
    for interval, branch in product((2, 3), (0, 2)):
        yield DeepCache(interval, branch)


def smoothcache(parts: Callable[[Bench], Iterable[Method]], bench: Bench) -> Iterable[Method]:
    """Every third of the schedules, from the mildest on."""
    return tuple(parts(bench))[::3]


def pab_blocks(_: Bench) -> Iterator[Method]:
    for window, block in product(WINDOWS, (2, 3)):
        yield PAB(window=window, block=block)


def pab(_: Bench) -> Iterator[Method]:
    """The mildest is of cross-attention alone."""
    for window, (self_attention, cross_attention) in product(WINDOWS, ((1, 3), (2, 6), (4, 12))):
        yield PAB(self_attention, 4, cross_attention, window)


def guidance(_: Bench) -> Iterator[Method]:
    for start, interval in product((0.0, 0.5), (2, 5)):
        window = PercentRange(start, 1.0)
        yield FasterCache(1, 1, 1, guidance_interval=interval, guidance_window=window)


def tgate(_: Bench) -> Iterator[Method]:
    for share, interval in product((0.6, 0.8), (1, 5)):
        yield TGate(0, self_interval=interval, gate_share=share)


def combined(
    name: str, inner: Callable[[Bench], Iterable[Method]], bench: Bench, speed: float
) -> Contender | None:
    """The pair that is nearest to the plain training pictures at a share of FLOPs, if one comes
    near the share."""
    methods = tuple(inner(bench))
    pairs = tuple(product(OUTER, range(len(methods))))

    def patch(number: int) -> Patch:
        outer, within = pairs[number]
        return lambda model: attach(attach(model, StepCache(outer)), methods[within])

    def shares() -> list[float] | None:
        try:
            return [bench.training.share_of(patch(number)) for number in range(len(pairs))]
        except StepCacheError as error:
            print(f"  {name}: {error}", flush=True)
            return None

    found: list[float] | None = bench.training.chosen(f"with {name} shares", shares)
    wanted, steps = bench.share(speed), bench.subject.options.steps

    def acts(number: int, share: float) -> bool:
        """Some settings have their turn only in steps that are forecast."""
        return share < count_for(pairs[number][0], steps) / steps - 1e-6

    near = [
        number
        for number, share in enumerate(found or ())
        if abs(share / wanted - 1) <= NEAR and acts(number, share)
    ]

    def choose() -> dict[str, Any]:
        tried = {number: bench.training.try_out(patch(number)).psnr for number in near}
        best = max(tried, key=lambda number: tried[number])
        return {"pair": best, "psnr": tried[best]}

    if not near:
        return None
    number = bench.training.chosen(f"with {name} {speed:g}×", choose)["pair"]
    outer, within = pairs[number]
    words = f"Step Cache {outer:g}× with {methods[within].describe()}"
    return Contender(words, patch(number))
