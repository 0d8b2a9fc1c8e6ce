"""Speeds of methods against the FLOPs that they save, and what they keep against the formula."""

from __future__ import annotations

import math
import statistics
import time
from functools import partial
from typing import Any

import observe
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import (
    PAB,
    DeepCache,
    FasterCache,
    SmoothCache,
    StepCache,
    TGate,
)
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

from . import measure, models
from .arithmetic_scale import Scale

WHOLE_RUN = PercentRange(0.0, 1.0)
WAN_LAYERS = 2
WIDE, AREA = 64, 4
"""Where a branch is left out the picture has twice the side, so AREA times the tokens: the more
rows a matrix product has, the nearer half a batch comes to half the time."""
WAN_PICTURE_BYTES = 16 * WIDE * WIDE * 4


def step_cache(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """Step Cache at speed 2, and what a forecast takes beside an evaluation that is computed."""
    trained = [(models.trained("shapes_dit"), 30)] if scale.has_trained else []
    rows: list[dict[str, Any]] = []
    for bench, steps in (*((bench, 12) for bench in scale.both()), *trained):
        kept = 2 * 2 * math.prod(bench.latent) * 4  # two evaluations of cond and uncond, in float32
        rows.append(_speedup(bench, StepCache(), steps, pairs, kept))
        rows[-1]["forecast_share_of_evaluation"] = round(_forecast_share(bench, steps), 5)
    return rows


def _forecast_share(bench: models.Bench, steps: int) -> float:
    """Seconds of an evaluation that is forecast ÷ those of one that is computed, medians of a run
    after another."""
    seconds: list[float] = []

    def watch(executor: Any, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        denoised = executor(*args, **kwargs)
        seconds.append(time.perf_counter() - started)
        return denoised

    watched = bench.model.clone()
    watched.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "watch", watch)
    patched = attach(watched, StepCache())
    for _ in range(2):
        seconds.clear()
        bench.sample(patched, steps)
    strip = observe.report_of(patched).strip_of(SiteKind.EVALUATION)
    forecast, computed = (
        statistics.median(took for took, each in zip(seconds, strip, strict=True) if each == letter)
        for letter in "RC"
    )
    return forecast / computed


def deepcache(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """DeepCache on SD1.5 at full width."""
    bench = models.sd15(channels=scale.unet)
    rows: list[dict[str, Any]] = []
    for interval in (3, 5):
        for branch in (0, 1):
            formula = 2 * scale.unet * 32 * 32 * 4  # both kept tensors have the first level's size
            method = DeepCache(interval, branch)
            rows.append(_speedup(bench, method, interval, pairs, formula))
    return rows


def pab(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """PAB on a wide Wan-type DiT."""
    bench = models.wan(width=scale.dit)
    one_kind = WAN_LAYERS * scale.layer_bytes
    settings = ((2, 6, 6, 2), (3, 1, 3, 1))
    return [
        _speedup(bench, PAB(s, 1, c, WHOLE_RUN), steps, pairs, kinds * one_kind)
        for s, c, steps, kinds in settings
    ]


def fastercache(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """FasterCache on a wide Wan-type DiT: each half alone, and both."""
    bench = models.wan(WIDE, scale.dit)
    method = partial(FasterCache, attention_window=WHOLE_RUN, guidance_window=WHOLE_RUN)
    attention = 2 * WAN_LAYERS * scale.layer_bytes * AREA  # two outputs of every layer
    bands = 2 * WAN_PICTURE_BYTES
    return [
        _speedup(bench, method(1, 1, 1, guidance_interval=5), 5, pairs, bands),
        _speedup(bench, method(2, 1, 1, guidance_interval=1), 6, pairs, attention),
        _speedup(
            bench, method(2, 1, 1, guidance_interval=5), 10, pairs,
            # The branch that comes back every fifth step keeps one output only.
            3 * attention // 4 + bands,
        ),
    ]  # fmt: skip


def tgate(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """T-GATE on a wide Wan-type DiT: version 1, and version 2."""
    bench = models.wan(WIDE, scale.dit)
    one_kind = WAN_LAYERS * scale.layer_bytes * AREA
    return [
        _speedup(bench, TGate(2, 0, 1, 1), 5, pairs, one_kind),
        _speedup(bench, TGate(4, 0, 2, 1), 8, pairs, 2 * one_kind),
    ]


def smoothcache(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """SmoothCache on a wide Wan-type DiT: attention alone, and feed-forward too."""
    bench = models.wan(width=scale.dit)
    row = (True, False, False, True, False, True)
    kinds = (SiteKind.SELF_ATTENTION, SiteKind.FEED_FORWARD)
    return [
        _speedup(
            bench, SmoothCache(tuple((kind, None, row) for kind in chosen), "benchmark"), len(row),
            pairs, len(chosen) * WAN_LAYERS * scale.layer_bytes,
        )
        for chosen in (kinds[:1], kinds)
    ]  # fmt: skip


def _speedup(
    bench: models.Bench, method: Any, steps: int, pairs: int, formula: int
) -> dict[str, Any]:
    patched = attach(bench.model, method)
    print(f"  {bench.name}: {method.describe()}", flush=True)
    full = sum(observe.flops_per_evaluation(bench.model, lambda m: bench.sample(m, steps)))
    computed = sum(observe.flops_per_evaluation(patched, lambda m: bench.sample(m, steps)))
    ratio = measure.paired(
        lambda: bench.sample(bench.model, steps), lambda: bench.sample(patched, steps), pairs
    )
    bound = full / computed
    return {
        "model": bench.name,
        "method": method.describe(),
        "steps": steps,
        "flop_bound": round(bound, 4),
        "speedup": ratio.to_dict(),
        "share_of_bound": round(ratio.median / bound, 4),
        "bytes": observe.report_of(patched).peak_nbytes,
        "bytes_by_formula": formula,
    }
