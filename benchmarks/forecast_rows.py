"""What is set beside Step Cache, each as near as it comes to a share of computed evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any

from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import Method
from stepcache.cache_core.methods.step_cache import StepCache

from .forecast_patches import fewer_steps, host_cache
from .forecast_rules import Chebyshev, FirstBlock, Planned, Taylor, even_steps, magnitude_steps
from .forecast_training import Training
from .forecast_trunk import ruled
from .quality_runs import Patch, Subject

SPEEDS = (1.5, 2.0, 2.5, 3.0, 4.0)
"""Plain evaluations ÷ computed ones."""
LONGEST = (2, 4, 6, 12)
"""MagCache's most reuses in a row that are tried."""
POLYNOMIALS = ((4, 0.1, 0.5), (2, 0.1, 0.5), (4, 0.1, 1.0))
"""Degree, ridge and blend that are tried; the first as published."""


@dataclass(frozen=True)
class Contender:
    """Something that is scored.

    Args:
        parameters: in words.
        patch: attaches it.
    """

    parameters: str
    patch: Patch


@dataclass(frozen=True)
class Bench:
    """One model and its training captions."""

    subject: Subject
    training: Training

    def count(self, speed: float) -> int:
        """Computed steps of a run for a speed, met from above."""
        return math.ceil(self.subject.options.steps / speed - 1e-9)

    def share(self, speed: float) -> float:
        """Computed steps ÷ all steps."""
        return self.count(speed) / self.subject.options.steps


Make = Callable[[Bench, float], Contender | None]
"""A row at a speed; None where it does not come near."""


def ours(method: Method) -> Contender:
    """A method of the pack."""
    return Contender(method.describe(), lambda model: attach(model, method))


def step_cache(bench: Bench, speed: float) -> Contender:
    return ours(StepCache(speed=speed))


def fewer(sampler: str | None, bench: Bench, speed: float) -> Contender:
    """Fewer steps: by the run's sampler, or by another one."""
    steps, chosen = bench.count(speed), sampler or bench.subject.options.sampler
    return Contender(f"{steps} steps of {chosen}", lambda model: fewer_steps(model, steps, chosen))


def host(name: str, bench: Bench, speed: float) -> Contender:
    """A cache of the host's."""
    patch = partial(_host_cache, name)
    found = _threshold(bench, name, patch, speed)
    return Contender(f"reuse_threshold {found}", lambda model: patch(model, found))


def _host_cache(name: str, model: Any, threshold: float) -> Any:
    return host_cache(model, name, threshold)


def first_block(bench: Bench, speed: float) -> Contender:
    def patch(model: Any, threshold: float) -> Any:
        return ruled(model, lambda: FirstBlock(threshold))

    found = _threshold(bench, "First Block Cache", patch, speed)
    return Contender(f"threshold {found}", lambda model: patch(model, found))


def _threshold(bench: Bench, name: str, patch: Callable[[Any, float], Any], speed: float) -> float:
    return bench.training.chosen(
        f"{name} {speed:g}×", lambda: bench.training.threshold(name, patch, bench.share(speed))
    )


def magnitudes(bench: Bench, speed: float) -> Contender:
    """MagCache: its threshold follows from ratios that were measured once."""
    ratios = bench.training.chosen("MagCache ratios", bench.training.magnitude_ratios)
    plans = {n: _magnitude_steps(ratios, bench.count(speed), n) for n in LONGEST}
    fewest = min(len(steps) for steps in plans.values())
    candidates = (
        {"longest": longest, "steps": steps}
        for longest, steps in plans.items()
        if len(steps) == fewest
    )
    found = _best(bench, f"MagCache {speed:g}×", candidates, _held)
    return Contender(f"longest {found['longest']}, computes {found['steps']}", _held(found))


def _magnitude_steps(ratios: list[float], count: int, longest: int) -> tuple[int, ...]:
    """Its steps at the threshold that computes so many, or hardly more."""
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        is_enough = len(magnitude_steps(ratios, middle, longest)) >= count
        low, high = (middle, high) if is_enough else (low, middle)
    return magnitude_steps(ratios, low, longest)


def _held(found: Mapping[str, Any]) -> Patch:
    return lambda model: ruled(model, lambda: Planned(found["steps"], Taylor(0)))


def taylor(order: int, bench: Bench, speed: float) -> Contender:
    """TaylorSeer on its own plan, or on that of Step Cache if it is better off with it."""

    def patch(found: Mapping[str, Any]) -> Patch:
        return lambda model: ruled(model, lambda: Planned(found["steps"], Taylor(order)))

    plans = ({"plan": name, "steps": steps} for name, steps in _plans(bench, speed))
    found = _best(bench, f"TaylorSeer {order} {speed:g}×", plans, patch)
    return Contender(f"{found['plan']}, computes {found['steps']}", patch(found))


def chebyshev(bench: Bench, speed: float) -> Contender:
    """Spectrum's forecast."""
    count = bench.subject.options.steps

    def patch(found: Mapping[str, Any]) -> Patch:
        def rule() -> Planned:
            series = Chebyshev(found["degree"], found["ridge"], found["blend"], count)
            return Planned(found["steps"], series, is_of_hidden=True)

        return lambda model: ruled(model, rule)

    settings = (
        {"plan": name, "steps": steps, "degree": degree, "ridge": ridge, "blend": blend}
        for (name, steps), (degree, ridge, blend) in product(_plans(bench, speed), POLYNOMIALS)
    )
    found = _best(bench, f"Chebyshev {speed:g}×", settings, patch)
    words = ", ".join(f"{name} {found[name]}" for name in ("degree", "ridge", "blend"))
    return Contender(f"{words}, {found['plan']}, computes {found['steps']}", patch(found))


def _plans(bench: Bench, speed: float) -> Iterator[tuple[str, list[int]]]:
    steps = bench.subject.options.steps
    yield "even plan", list(even_steps(steps, bench.count(speed)))
    own = bench.training.chosen(
        f"plan of Step Cache {speed:g}×",
        lambda: bench.training.computed_steps(step_cache(bench, speed).patch),
    )
    yield "plan of Step Cache", own


def _best(
    bench: Bench,
    name: str,
    candidates: Iterable[dict[str, Any]],
    patch: Callable[[Mapping[str, Any]], Patch],
) -> dict[str, Any]:
    """The candidate that is nearest to the plain training pictures."""

    def choose() -> dict[str, Any]:
        tried = [{**each, **asdict(bench.training.try_out(patch(each)))} for each in candidates]
        best = max(tried, key=lambda each: each["psnr"])
        others = [{**each, "steps": len(each["steps"])} for each in tried if each is not best]
        return {**best, "others": others}

    return bench.training.chosen(name, choose)
