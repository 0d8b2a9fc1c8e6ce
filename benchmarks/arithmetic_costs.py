"""Seconds of what leaves out no work: methods that are idle, calibrating, settings of PyTorch."""

from __future__ import annotations

from functools import partial
from typing import Any

import observe
import torch
import toys
from stepcache.cache_core.calibration import Study
from stepcache.cache_core.host import attach, attached
from stepcache.cache_core.methods import PAB, Calibrate, DeepCache, StepCache
from stepcache.torch_settings import AttentionBackend, DynamicInt8, FusedProjections, apply, told_by
from stepcache.torch_settings.int8 import ANYWAY

from . import measure
from .arithmetic_scale import Scale


def overhead(pairs: int, scale: Scale) -> list[dict[str, Any]]:
    """Everything attached, nothing reused."""
    rows: list[dict[str, Any]] = []
    idle = PAB(1, 1, 1)
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
