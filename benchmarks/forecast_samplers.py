"""Step Cache with every sampler and scheduler of the host, in few steps, and strongly guided.

``python -m benchmarks forecast_samplers``; a run that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import booted_on_device

import comfy.samplers
import numpy as np
import torch
from demonstration.measure import psnr
from stepcache.cache_core.approximators import Forecast
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.evaluation.added_noise import sort_of
from stepcache.cache_core.methods import StepCache
from stepcache.cache_core.methods.step_cache import DENOISED
from stepcache.cache_core.rules import Rule

from demo import evaluate
from demo.shapes import scenes
from demo.shapes.judge import judge

from . import RESULTS
from .forecast_samplers_page import AUTO, FEWER, HELD, page_of
from .quality_records import read_json, write_json

RESULT = RESULTS / "forecast_samplers.json"
SEED = 7
CAPTION_SEED = 23
USUAL = "simple"
STEPS, SPEED = 20, 2.0
FEW: dict[int, float] = {4: 4 / 3, 8: 8 / 6, STEPS: STEPS / 8}
"""Speeds of runs of few steps, and of a longer one in which as few evaluations run the model."""
GUIDED, STRONG = ("euler", "dpmpp_2m"), 6.0
"""Samplers that are tried with the guidance that many people draw with, which is stronger than what
suits the demo's models best."""
WITH_CFG_PP = 1.0
"""CFG of samplers of CFG++, whose own scale ends there; at the models' usual one most of them draw
nothing that is right."""
SORTS = ("euler", "dpmpp_2m", "dpmpp_2m_sde")
"""One sampler of each sort, for all schedulers: from one answer, from several, and adding noise."""
METHOD = (
    "Captions of training scenes, never held-out ones: constants are chosen by these numbers. "
    "psnr: mean over the pictures against the plain run of the same sampler, scheduler, seed and "
    "steps, dB; none where they are equal. computed: evaluations that ran the model, of those "
    "that the sampler asked for. right, plain_right: pictures that the judge finds right. broken: "
    "right in the plain run only. auto: Step Cache as it is. fewer: the same sampler with so many "
    "steps fewer that as many evaluations run. Samplers of CFG++ draw with CFG 1. Those named _gpu "
    "draw their noise on the device; on a CPU they are the same as the others, and left out."
)

FORECASTS: dict[str, Forecast] = {
    HELD: Forecast("denoised", slope=0.0),
    "noise": Forecast("noise"),
    "denoised, half": Forecast("denoised", slope=0.5),
    "denoised, a quarter": DENOISED,
}


@dataclass(frozen=True, slots=True)
class Carrying(StepCache):
    """Step Cache with a forecast that is given."""

    what: Forecast = FORECASTS[HELD]

    def rules(self) -> tuple[Rule, ...]:
        # No super(): slots make the class anew, which the short form does not know.
        return tuple(replace(rule, what=self.what) for rule in StepCache.rules(self))


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line; each as its help says."""

    models: list[str]
    samplers: list[str]
    schedulers: list[str]
    beside: list[str]
    count: int
    threads: int
    out: Path


@dataclass(frozen=True)
class Cell:
    """One sampler and scheduler on one model, at one speed.

    Args:
        beside: what is tried besides Step Cache: of `FORECASTS`, or fewer steps.
    """

    model: str
    sampler: str = "euler"
    scheduler: str = USUAL
    steps: int = STEPS
    speed: float = SPEED
    cfg: float | None = None
    beside: tuple[str, ...] = (HELD,)

    @property
    def key(self) -> str:
        cfg = "" if self.cfg is None else f"/CFG {self.cfg:g}"
        run = f"{self.steps} steps/{self.speed:.3g}"
        return f"{self.model}/{self.sampler}/{self.scheduler}/{run}{cfg}"


def main(given: list[str]) -> None:
    options = options_of(given)
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
            if cell.key in cells:
                continue
            cells[cell.key] = measured(model, cell, texts)
            found = {**conditions, "cells": dict(sorted(cells.items()))}
            write_json(options.out, found)
            options.out.with_suffix(".md").write_text(page_of(found), encoding="utf-8")
            print(line_of(cell.key, cells[cell.key]), flush=True)


def cells_of(model: str, options: Options) -> Iterator[Cell]:
    """Every sampler with the usual scheduler, every scheduler with one sampler of each sort, few
    steps, and strong guidance."""
    beside = tuple(options.beside)
    for sampler in options.samplers:
        cfg = WITH_CFG_PP if sampler.endswith("_cfg_pp") else None
        yield Cell(model, sampler, cfg=cfg, beside=beside)
    for scheduler in options.schedulers:
        for sampler in SORTS:
            if scheduler != USUAL:
                yield Cell(model, sampler, scheduler, beside=beside)
    for steps, speed in FEW.items():
        yield Cell(model, steps=steps, speed=speed, beside=(*beside, FEWER))
    for sampler in GUIDED:
        yield Cell(model, sampler, cfg=STRONG, beside=beside)


def training_captions(count: int) -> list[str]:
    """Captions of scenes that the models were trained on."""
    rng = np.random.default_rng(CAPTION_SEED)
    return [scenes.caption(scenes.random_scene(rng)) for _ in range(count)]


def measured(model: Any, cell: Cell, texts: list[str]) -> dict[str, Any]:
    """Step Cache, and what is tried beside it, against the plain run."""
    usual = evaluate.sampling_of(cell.model, cell.steps)
    sampling = replace(
        usual, sampler=cell.sampler, scheduler=cell.scheduler,
        cfg=usual.cfg if cell.cfg is None else cell.cfg,
    )  # fmt: skip
    plain = evaluate.sample(model, texts, sampling, SEED).numpy()
    right = rights(plain, texts)
    settings: dict[str, Any] = {}
    for name in (AUTO, *cell.beside):
        if name == FEWER:
            strip = settings[AUTO]["strip"]
            steps = max(1, round(strip.count("C") / len(strip) * cell.steps))
            pictures = evaluate.sample(model, texts, replace(sampling, steps=steps), SEED).numpy()
            settings[name] = {**likeness(pictures, plain, texts, right), "steps": steps}
            continue
        method = StepCache(cell.speed)
        if name != AUTO:
            method = Carrying(cell.speed, what=FORECASTS[name])
        patched = attach(model, method)
        pictures = evaluate.sample(patched, texts, sampling, SEED).numpy()
        report = last_report(patched)
        assert report is not None
        # Of each list of prompts one is counted.
        computed, reused = report.counts_of("evaluation")
        share = computed / (computed + reused)
        settings[name] = {
            **likeness(pictures, plain, texts, right),
            "strip": report.strip_of("evaluation"),
            "computed": round(share * report.evaluations), "evaluations": report.evaluations,
            "notes": [*report.notes, *report.reasons],
        }  # fmt: skip
    place = {
        "model": cell.model, "sampler": cell.sampler, "scheduler": cell.scheduler,
        "steps": cell.steps, "speed": round(cell.speed, 3), "cfg": sampling.cfg,
        "sort": sort_of(comfy.samplers.sampler_object(cell.sampler)),
    }  # fmt: skip
    return {**place, "plain_right": sum(right), "settings": settings}


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
    """A cell as one line; an exclamation mark for each picture that broke."""
    found = [f"{name} {_shown(setting)}" for name, setting in row["settings"].items()]
    return f"{name:52} right {row['plain_right']}  {', '.join(found)}"


def _shown(setting: dict[str, Any]) -> str:
    decibels = "equal" if setting["psnr"] is None else f"{setting['psnr']:.1f}"
    return decibels + "!" * setting["broken"]


def samplers() -> list[str]:
    """The host's; on a CPU without those that differ in where they draw their noise alone."""
    return [
        name for name in comfy.samplers.SAMPLER_NAMES
        if torch.cuda.is_available() or not name.endswith("_gpu")
    ]  # fmt: skip


def options_of(given: list[str]) -> Options:
    parser = argparse.ArgumentParser("python -m benchmarks forecast_samplers", description=__doc__)
    parser.add_argument("--models", nargs="+", default=["dit", "unet"])
    parser.add_argument("--samplers", nargs="*", default=samplers())
    parser.add_argument("--schedulers", nargs="*", default=list(comfy.samplers.SCHEDULER_NAMES))
    parser.add_argument("--beside", nargs="*", default=[HELD], choices=[*FORECASTS, FEWER])
    parser.add_argument("--count", type=int, default=4, help="captions")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    return Options(**vars(parser.parse_args(given)))
