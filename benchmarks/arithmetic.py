"""Full width against the arithmetic that is saved: `python -m benchmarks arithmetic`."""

from __future__ import annotations

import json
import math
import platform
import statistics
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import observe
import torch
import toys
from comfy.patcher_extension import WrappersMP
from setup.stamps import write_atomically
from stepcache.cache_core.calibration import Study
from stepcache.cache_core.methods import (
    PAB,
    Calibrate,
    DeepCache,
    FasterCache,
    SmoothCache,
    StepCache,
    TGate,
)
from stepcache.cache_core.patching import attach, attached
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind
from stepcache.speed import AttentionBackend, DynamicInt8, FusedProjections, apply, told_by
from stepcache.speed.int8 import ANYWAY

from . import measure, models
from .record import BenchmarkError

RESULTS = Path(__file__).resolve().parent / "results"
TINY_RESULTS = RESULTS.parents[1] / "output" / "arithmetic_tiny"
WHOLE_RUN = PercentRange(0.0, 1.0)
WAN_LAYERS = 2
WIDE, AREA = 64, 4
"""Where a branch is left out the picture has twice the side, so AREA times the tokens: the more
rows a matrix product has, the nearer half a batch comes to half the time."""
WAN_PICTURE_BYTES = 16 * WIDE * WIDE * 4


@dataclass(frozen=True, slots=True)
class Scale:
    """How wide the networks are.

    Args:
        unet: channels of the first level of SD1.5's layout.
        dit: width of Wan's layout.
        int8: inputs and outputs that a layer has at least to be multiplied in int8.
        has_trained: whether the demo's models are timed too.
    """

    unet: int
    dit: int
    int8: int
    has_trained: bool

    @property
    def layer_bytes(self) -> int:
        """Of one layer of Wan's layout: cond and uncond × tokens × width × bytes."""
        return 2 * 256 * self.dit * 4

    def both(self) -> tuple[models.Bench, models.Bench]:
        """Both networks."""
        return models.sd15(channels=self.unet), models.wan(width=self.dit)


FULL, TINY = Scale(320, 1536, 512, True), Scale(32, 128, 16, False)
"""The widths of published models; and to try the code, in a moment."""


def overhead(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """Everything attached, nothing reused."""
    rows: list[dict[str, Any]] = []
    idle = PAB(1, 1, 1, WHOLE_RUN)
    for bench in scale.both():
        inside = attach(bench.model, idle)
        if "SD1.5" in bench.name:
            inside = attach(inside, DeepCache(1, 0))
        for patched in (inside, attach(bench.model, StepCache(speed=1.0))):
            same = torch.equal(bench.sample(patched, 1), bench.sample(bench.model, 1))
            ratio = measure.paired(
                partial(bench.sample, bench.model, 1), partial(bench.sample, patched, 1), pairs
            )
            told = " + ".join(method.describe() for method in attached(patched))
            row = {"model": bench.name, "methods": told}
            rows.append({**row, "bit_identical": same, "ratio": ratio.to_dict()})
    tiny = toys.load("sd15")
    patched = attach(attach(tiny, idle), DeepCache(1, 0))
    steps = 10
    added = measure.added_milliseconds(
        lambda: toys.sample(tiny, "sd15", steps=steps),
        lambda: toys.sample(patched, "sd15", steps=steps),
        steps,
        pairs,
    )
    rows.append({"model": "SD1.5 layout, tiny", "added_ms_per_evaluation": round(added, 3)})
    return rows


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


def calibrate(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """What it costs to measure a run: plain ÷ calibrating seconds, so 0.87 is 15 % more."""
    wide = [(bench.name, bench.model, lambda m, b=bench: b.sample(m, 12)) for bench in scale.both()]
    trained = [
        (f"{name}, {batch} at once", toys.load(name), partial(_drawn, name, batch))
        for name in ("shapes_dit", "shapes_unet")
        for batch in (1, 8)
        if scale.has_trained
    ]
    rows: list[dict[str, Any]] = []
    for name, model, sample in [*wide, *trained]:
        patched = attach(model, Calibrate(Study(lambda calibration: (calibration, ()))))
        same = torch.equal(sample(patched), sample(model))
        ratio = measure.paired(
            lambda m=model, s=sample: s(m), lambda p=patched, s=sample: s(p), pairs
        )
        notes = [note for note in observe.report_of(patched).notes if "MiB" in note]
        rows.append(
            {"model": name, "bit_identical": same, "ratio": ratio.to_dict(), "memory": notes}
        )
    return rows


def settings(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """Settings of PyTorch alone: plain ÷ set seconds, and how far the pictures lie apart."""
    wide = [(b.name, b.model, partial(b.sample, steps=4)) for b in scale.both()]
    trained = [
        (f"{name}, 8 at once", toys.load(name), partial(_drawn, name, 8))
        for name in ("shapes_dit", "shapes_unet")
        if scale.has_trained
    ]
    every = (AttentionBackend("flash"), AttentionBackend("math"), FusedProjections())
    return _set_beside_plain([*wide, *trained], every, 1, pairs)


def int8(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """Dynamic Int8 alone on the models that are wide enough, as `settings`; and by itself."""
    wide = [(b.name, b.model, partial(b.sample, steps=4)) for b in scale.both()]
    return _set_beside_plain(wide, (DynamicInt8(scale.int8, ANYWAY),), 2, pairs)


def _set_beside_plain(
    subjects: list[tuple[str, Any, Any]], every: tuple[Any, ...], lines: int, pairs: int
) -> list[dict[str, Any]]:
    """A row for every setting on every model, with the first lines of what was told."""
    rows: list[dict[str, Any]] = []
    for name, model, sample in subjects:
        plain = sample(model)
        for setting in every:
            print(f"  {name}: {setting}", flush=True)
            patched = apply(model, setting)
            apart = float((sample(patched) - plain).abs().max() / plain.abs().max())
            ratio = measure.paired(
                lambda m=model, s=sample: s(m), lambda p=patched, s=sample: s(p), pairs
            )
            rows.append(
                {
                    "model": name,
                    "setting": str(setting),
                    "speedup": ratio.to_dict(),
                    "greatest_difference": apart,
                    "told": told_by(patched)[:lines],
                }
            )
    return rows


def _drawn(name: str, batch: int, model: Any) -> torch.Tensor:
    return toys.sample(model, name, steps=30, batch=batch, cfg=2.0)


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


BENCHMARKS = {
    "overhead": (overhead, 15),
    "step_cache": (step_cache, 5),
    "deepcache": (deepcache, 5),
    "pab": (pab, 5),
    "fastercache": (fastercache, 5),
    "tgate": (tgate, 5),
    "smoothcache": (smoothcache, 5),
    "calibrate": (calibrate, 5),
    "settings": (settings, 5),
    "int8_speed": (int8, 5),
}
"""What is timed, and in how many pairs unless asked otherwise."""


def run(names: list[str], pairs: int | None, is_tiny: bool) -> None:
    """Time benchmarks and write their results.

    Args:
        names: of `BENCHMARKS`.
        pairs: timed pairs per row, instead of each benchmark's own number.
        is_tiny: try the code on tiny networks; results go elsewhere.

    Raises:
        BenchmarkError: there is no such benchmark.
    """
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise BenchmarkError(
            f"there is no benchmark {', '.join(unknown)}; expected some of {', '.join(BENCHMARKS)}"
        )
    machine = {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "system": platform.system(),
        "architecture": platform.machine(),
    }
    scale, folder = (TINY, TINY_RESULTS) if is_tiny else (FULL, RESULTS)
    for name in names:
        print(name, flush=True)
        benchmark, own_pairs = BENCHMARKS[name]
        result = {"machine": machine, "rows": benchmark(pairs or own_pairs, scale)}
        path = folder / f"{name}.json"
        write_atomically(path, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        print(json.dumps(result["rows"], indent=2, ensure_ascii=False), flush=True)
