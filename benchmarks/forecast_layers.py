"""The pack's layer methods, at the best of the settings whose share of FLOPs is near."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import product
from typing import Literal

import pack

from stepcache.cache_core.calibration import Calibration, Selector, Target
from stepcache.cache_core.calibration import file as calibration_file
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import (
    PAB,
    CalibratedSmoothCache,
    DeepCache,
    FasterCache,
    Method,
    TGate,
    UniformSmoothCache,
)
from stepcache.cache_core.schedule_file import Rows
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

from demo import calibrate

from .forecast_rows import Bench, Contender, ours

WINDOWS = (PercentRange(0.0, 1.0), PercentRange(0.05, 0.98), PercentRange(0.15, 0.9))
WISHES = tuple(1 + number / 10 for number in range(1, 51))
"""Speeds that a calibration is asked for."""
NEAR = 0.1
"""How far a share may be from the wanted one, relative."""
LOOKAHEAD = 4
"""SmoothCache's most reuses in a row."""


def deepcache(_: Bench) -> Iterator[Method]:
    for interval, branch in product(range(2, 9), range(6)):
        yield DeepCache(interval, branch)


def blocks(bench: Bench) -> Iterable[Method]:
    return _calibrated(bench, "blocks")


def layers(bench: Bench) -> Iterable[Method]:
    return _calibrated(bench, "layers")


def uniform_blocks(_: Bench) -> Iterator[Method]:
    for interval in range(2, 7):
        yield UniformSmoothCache(interval, (SiteKind.BLOCK,), f"whole blocks, interval {interval}")


def pab_blocks(_: Bench) -> Iterator[Method]:
    for window, block in product(WINDOWS, range(2, 8)):
        yield PAB(window=window, block=block)


def pab(_: Bench) -> Iterator[Method]:
    for window, (self_attention, cross_attention) in product(WINDOWS, ((2, 6), (4, 12), (8, 24))):
        yield PAB(self_attention, 4, cross_attention, window)


def fastercache(_: Bench) -> Iterator[Method]:
    for start, interval in product((0.1, 1 / 3), (2, 5, 10)):
        window = PercentRange(start, 1.0)
        yield FasterCache(
            3, guidance_interval=interval, attention_window=window, guidance_window=window
        )


def tgate(_: Bench) -> Iterator[Method]:
    for gate in (4, 7, 10, 14, 18):
        yield TGate(gate)


@lru_cache
def _calibrated(bench: Bench, parts: Literal["layers", "blocks"]) -> tuple[Method, ...]:
    """SmoothCache's schedules for all wished speeds, each once."""
    calibration = _calibration(bench)
    selector = Selector(calibration)
    found: dict[Rows, Method] = {}
    for speed in WISHES:
        target = Target("speedup", speed, LOOKAHEAD, parts)
        method = CalibratedSmoothCache(calibration, target, selector=selector)
        found.setdefault(method.own_choice.rows, method)
    return tuple(found.values())


def _calibration(bench: Bench) -> Calibration:
    """The shipped one of a model; where there is none, one that is made now."""
    options = bench.subject.options
    path = pack.ROOT / "calibrations" / f"shapes {options.model}, {options.steps} steps.json"
    if path.exists():
        return calibration_file.read(path)
    return calibrate.calibrated(bench.subject.model, options)


def at_share(
    name: str, candidates: Callable[[Bench], Iterable[Method]], bench: Bench, speed: float
) -> Contender | None:
    """The setting nearest to the plain training pictures among those whose share is near."""
    methods = tuple(candidates(bench))

    def share(method: Method) -> float | None:
        try:
            return bench.training.share_of(lambda model: attach(model, method))
        except StepCacheError as error:
            print(f"  {name}: {error}", flush=True)
            return None

    shares = bench.training.chosen(f"{name} shares", lambda: [share(each) for each in methods])
    wanted = bench.share(speed)
    near = [
        number
        for number, share in enumerate(shares)
        if share is not None and abs(share / wanted - 1) <= NEAR
    ]

    def likeness(number: int) -> float:
        return bench.training.try_out(lambda model: attach(model, methods[number])).psnr

    if not near:
        return None
    # Settings of one share may differ by 10 dB.
    best = bench.training.chosen(f"{name} {speed:g}×", lambda: max(near, key=likeness))
    return ours(methods[best])
