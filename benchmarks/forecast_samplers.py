"""Tries the forecast on training captions: every sampler and scheduler of the host, few steps.

``python benchmarks/forecast_samplers.py``; a run that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "support")]
sys.path.append(str(HERE.parent / "scripts"))

import host  # noqa: E402
import pack  # noqa: E402

pack.load()
host.boot(cpu=False)

import comfy.samplers  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from demonstration.measure import psnr  # noqa: E402
from quality_records import read_json, write_json  # noqa: E402
from stepcache.cache_core.approximators import Forecast  # noqa: E402
from stepcache.cache_core.methods import StepCache  # noqa: E402
from stepcache.cache_core.methods.step_cache import DENOISED  # noqa: E402
from stepcache.cache_core.patching import attach, last_report  # noqa: E402
from stepcache.cache_core.patching.added_noise import Sort, sort_of  # noqa: E402
from stepcache.cache_core.rules import Rule  # noqa: E402

from demo import evaluate  # noqa: E402
from demo.shapes import scenes  # noqa: E402
from demo.shapes.judge import judge  # noqa: E402

RESULT = HERE / "results" / "forecast_samplers.json"
SEED = 7
CAPTION_SEED = 23
STEPS, SPEEDS = 20, (2.0, 3.0)
FEW: dict[int, tuple[float, ...]] = {4: (4 / 3,), 8: (8 / 6,), STEPS: (STEPS / 8,)}
"""Speeds of runs of few steps, and of a longer one in which as few evaluations run the model."""
GUIDED, STRONG = ("euler", "dpmpp_2m"), 6.0
"""Samplers that are tried with the guidance that many people draw with, which is stronger than what
suits the demo's models best."""
METHOD = (
    "Captions of training scenes, never held-out ones: constants are chosen by these numbers. "
    "psnr: mean over the pictures against the plain run of the same sampler, scheduler, seed and "
    "steps, dB. computed: evaluations that ran the model, of those that the sampler asked for. "
    "right, plain_right: pictures that the judge finds right. broken: right in the plain run only. "
    "fewer: the same sampler with so many steps fewer that as many evaluations run."
)


HELD = Forecast("denoised", slope=0.0)


@dataclass(frozen=True, slots=True)
class Carrying(StepCache):
    """Step Cache with a forecast that is given."""

    what: Forecast = HELD

    def rules(self) -> tuple[Rule, ...]:
        # No super(): slots make the class anew, which the short form does not know.
        return tuple(replace(rule, what=self.what) for rule in StepCache.rules(self))


FORECASTS: dict[str, Forecast | None] = {
    "auto": None,
    "noise": Forecast("noise"),
    "denoised held": HELD,
    "denoised, half": Forecast("denoised", slope=0.5),
    "denoised, a quarter": DENOISED,
}
SAME_AS_AUTO: dict[Sort, str] = {
    "one step": "noise",
    "multistep": "denoised, half",
    "adds noise": "denoised, a quarter",
}
"""What "auto" is for samplers of a known sort, which need no second run."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line; each as its help says."""

    models: list[str]
    samplers: list[str]
    schedulers: list[str]
    count: int
    threads: int
    out: Path


@dataclass(frozen=True)
class Cell:
    """One sampler and scheduler on one model, at some speeds."""

    model: str
    sampler: str = "euler"
    scheduler: str = "simple"
    steps: int = STEPS
    speeds: tuple[float, ...] = SPEEDS
    cfg: float | None = None

    def __str__(self) -> str:
        speeds = ",".join(f"{speed:.3g}" for speed in self.speeds)
        cfg = "" if self.cfg is None else f"/CFG {self.cfg:g}"
        return f"{self.model}/{self.sampler}/{self.scheduler}/{self.steps} steps/{speeds}{cfg}"


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    conditions = {
        "captions": options.count, "seed": SEED, "torch": torch.__version__, "method": METHOD,
    }  # fmt: skip
    found = read_json(options.out) or {**conditions, "cells": {}}
    if {name: found.get(name) for name in conditions} != conditions:
        raise SystemExit(f"{options.out} was made under other conditions; give another --out")
    cells: dict[str, Any] = found["cells"]
    texts = training_captions(options.count)
    for name in options.models:
        model = evaluate.load_model(evaluate.sampling_of(name, STEPS))
        for cell in cells_of(name, options):
            if str(cell) in cells:
                continue
            cells[str(cell)] = measured(model, cell, texts)
            write_json(options.out, {**conditions, "cells": dict(sorted(cells.items()))})
            print(line_of(str(cell), cells[str(cell)]), flush=True)
    print(table(cells))


def cells_of(model: str, options: Options) -> Iterator[Cell]:
    """Few steps, strong guidance, every sampler with the scheduler "simple", then every scheduler
    with Euler."""
    for steps, speeds in FEW.items():
        yield Cell(model, steps=steps, speeds=speeds)
    for sampler in GUIDED:
        yield Cell(model, sampler, cfg=STRONG)
    for sampler in options.samplers:
        yield Cell(model, sampler, "simple")
    for scheduler in options.schedulers:
        if scheduler != "simple":
            yield Cell(model, "euler", scheduler)


def training_captions(count: int) -> list[str]:
    """Captions of scenes that the models were trained on."""
    rng = np.random.default_rng(CAPTION_SEED)
    return [scenes.caption(scenes.random_scene(rng)) for _ in range(count)]


def measured(model: Any, cell: Cell, texts: list[str]) -> dict[str, Any]:
    """Every forecast at every speed beside the plain run."""
    usual = evaluate.sampling_of(cell.model, cell.steps)
    sampling = replace(
        usual, sampler=cell.sampler, scheduler=cell.scheduler,
        cfg=usual.cfg if cell.cfg is None else cell.cfg,
    )  # fmt: skip
    plain = evaluate.sample(model, texts, sampling, SEED).numpy()
    right = rights(plain, texts)
    row: dict[str, Any] = {"plain_right": sum(right), "speeds": {}}
    same = SAME_AS_AUTO.get(sort_of(comfy.samplers.sampler_object(cell.sampler)))
    for speed in cell.speeds:
        settings: dict[str, Any] = {}
        share = 1.0
        for name, what in FORECASTS.items():
            if name == same:
                settings[name] = settings["auto"]
                continue
            method = StepCache(speed) if what is None else Carrying(speed, what=what)
            patched = attach(model, method)
            pictures = evaluate.sample(patched, texts, sampling, SEED).numpy()
            report = last_report(patched)
            assert report is not None
            strip = report.strip_of("evaluation")
            share = strip.count("C") / len(strip)
            settings[name] = {
                **likeness(pictures, plain, texts, right), "strip": strip,
                "computed": report.counts_of("evaluation")[0], "evaluations": report.evaluations,
                "notes": [*report.notes, *report.reasons],
            }  # fmt: skip
        fewer = max(1, round(share * cell.steps))
        pictures = evaluate.sample(model, texts, replace(sampling, steps=fewer), SEED).numpy()
        settings["fewer"] = {**likeness(pictures, plain, texts, right), "steps": fewer}
        row["speeds"][f"{speed:.3g}"] = settings
    return row


def rights(pictures: Any, texts: list[str]) -> list[bool]:
    """Which pictures are what their captions say."""
    return [judge(picture, text).correct for picture, text in zip(pictures, texts, strict=True)]


def likeness(pictures: Any, plain: Any, texts: list[str], right: list[bool]) -> dict[str, Any]:
    """How near pictures are to the plain ones, None where all are equal."""
    decibels = [psnr(a, b) for a, b in zip(pictures, plain, strict=True)]
    mean = float(np.mean(decibels))
    now = rights(pictures, texts)
    broken = sum(before and not after for before, after in zip(right, now, strict=True))
    return {
        "psnr": round(mean, 2) if math.isfinite(mean) else None,
        "right": sum(now),
        "broken": broken,
    }


def line_of(name: str, row: dict[str, Any]) -> str:
    """A cell as one line."""
    parts: list[str] = []
    for speed, settings in row["speeds"].items():
        found = [_shown(settings[one]) for one in (*FORECASTS, "fewer")]
        parts.append(f"{speed}×: {' '.join(found)}")
    return f"{name:52} right {row['plain_right']}  {'   '.join(parts)}"


def _shown(setting: dict[str, Any]) -> str:
    decibels = "   =" if setting["psnr"] is None else f"{setting['psnr']:4.1f}"
    return decibels + ("!" * setting["broken"])


def table(cells: dict[str, Any]) -> str:
    """All cells; one exclamation mark for each picture that broke."""
    head = f"PSNR (dB) of: {', '.join(FORECASTS)}, fewer steps"
    return "\n".join([head, *(line_of(name, row) for name, row in sorted(cells.items()))])


def arguments() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["dit", "unet"])
    parser.add_argument("--samplers", nargs="*", default=list(comfy.samplers.SAMPLER_NAMES))
    parser.add_argument("--schedulers", nargs="*", default=list(comfy.samplers.SCHEDULER_NAMES))
    parser.add_argument("--count", type=int, default=4, help="captions")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    return Options(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
