"""Sets the error that Step Cache predicts beside the one that is measured, on training captions.

Writes results/forecast_predicted.json after every setting, and goes on from there. See README.md
beside this file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import booted_on_cpu
from pack import ROOT

import torch
from scipy.stats import spearmanr
from stepcache.cache_core.calibration import Calibration, Study
from stepcache.cache_core.calibration.file import read, write
from stepcache.cache_core.calibration.planning import STARTS, Planner
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.host import attach, timeline_of
from stepcache.cache_core.methods import Calibrate, StepCache
from stepcache.cache_core.s_curve import SCurve
from stepcache.cache_core.schedules import Mask

from demo import calibrate, evaluate

from . import RESULTS
from .quality_records import read_json, write_json

RESULT = RESULTS / "forecast_predicted.json"
STEPS = 30
SPEEDS = (1.5, 2.0, 2.5, 3.0, 3.75)
CARRIED_SPEEDS = (2.0, 3.0)
FIRST, COUNT, SEED = 8, 4, 12
"""Which training captions are drawn; those before them were calibrated with."""
PLANNED = "planned"
METHOD = (
    f"{COUNT} captions of the training set, others than were calibrated with. predicted: share of "
    "the noise that a run begins with. measured: root of the mean square difference of decoded "
    "pictures (0 … 1) to the plain run. All by one calibration a model, of 30 steps, scheduler "
    "simple and the model's own cfg."
)
OTHERS: dict[str, dict[str, Any]] = {
    "20 steps": {"steps": 20},
    "50 steps": {"steps": 50},
    "karras": {"scheduler": "karras"},
    "beta": {"scheduler": "beta"},
    "cfg 1": {"cfg": 1.0},
    "cfg 4": {"cfg": 4.0},
}
"""Runs unlike the calibrated one."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """A kind of run, and what it draws without Step Cache."""

    model: Any
    options: evaluate.Sampling
    texts: list[str]
    plain: torch.Tensor
    timeline: Timeline
    planner: Planner

    @classmethod
    def of(cls, model: Any, options: evaluate.Sampling, texts: list[str], by: Calibration) -> Drawn:
        import comfy.samplers

        sampling = model.get_model_object("model_sampling")
        sigmas = comfy.samplers.calculate_sigmas(sampling, options.scheduler, options.steps)
        timeline = timeline_of(sampling, sigmas)
        assert by.noise is not None, "it was measured"
        planner = Planner(by.noise, timeline.half_log_snrs)
        plain = evaluate.sample(model, texts, options, SEED)
        return cls(model, options, texts, plain, timeline, planner)

    def measured(self, speed: float, steps: str) -> Row:
        """One setting.

        Args:
            steps: bend of a curve, or `PLANNED`.
        """
        if steps == PLANNED:
            computed = self.planner.plan(speed)
        else:
            computed = SCurve(speed, float(steps)).computed_steps(self.timeline.steps)
        mask = Mask(tuple(step in computed for step in range(self.timeline.steps)))
        patched = attach(self.model, StepCache(speed, planned=mask))
        pictures = evaluate.sample(patched, self.texts, self.options, SEED)
        error = (pictures - self.plain).square().mean((1, 2, 3)).mean().sqrt()
        return {
            "predicted": float(f"{self.planner.error(computed):.4g}"),
            "measured": float(f"{error.item():.4g}"),
            "computed": sorted(computed),
        }


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    models: Iterable[str]
    speeds: Sequence[float]
    work: Path
    out: Path


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks forecast_predicted", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=evaluate.DEFAULTS, default=evaluate.DEFAULTS)
    parser.add_argument("--speeds", nargs="+", type=float, default=SPEEDS)
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "forecast")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = Options(**vars(parser.parse_args(given)))
    rows: dict[str, Row] = (read_json(arguments.out) or {}).get("rows", {})
    for name in arguments.models:
        model = evaluate.load_model(evaluate.sampling_of(name, STEPS))
        by = _calibration_of(name, model, arguments.work)
        _measure(name, model, by, rows, arguments)
    correlations = {name: _rank_correlation(name, rows) for name in arguments.models}
    for name, correlation in correlations.items():
        print(f"{name}: rank correlation {correlation:.3f}")


def _measure(
    name: str, model: Any, by: Calibration, rows: dict[str, Row], arguments: Options
) -> None:
    options = evaluate.sampling_of(name, STEPS)
    texts = calibrate.captions(FIRST + 2 * COUNT, name)
    bends = [*map(str, STARTS), PLANNED]
    runs: list[tuple[str, evaluate.Sampling, list[str], Sequence[float], list[str]]] = [
        ("as calibrated", options, texts[FIRST : FIRST + COUNT], SPEEDS, bends)
    ]
    for label, changes in OTHERS.items():
        changed = replace(options, **changes)
        some = texts[FIRST : FIRST + COUNT]
        runs.append((label, changed, some, CARRIED_SPEEDS, ["0.4", PLANNED]))
    runs.append(("other captions", options, texts[-COUNT:], CARRIED_SPEEDS, ["0.4", PLANNED]))
    for label, changed, some, speeds, kinds in runs:
        wanted = {
            f"{name}/{label}/{speed:g}/{kind}": (speed, kind)
            for speed in speeds
            if speed in arguments.speeds
            for kind in kinds
        }
        missing = {key: each for key, each in wanted.items() if key not in rows}
        if not missing:
            continue
        try:
            drawn = Drawn.of(model, changed, some, by)
        except ConfigError as error:
            print(f"{name}/{label}: {error}", flush=True)
            continue
        for key, (speed, kind) in missing.items():
            rows[key] = drawn.measured(speed, kind)
            print(key, rows[key], flush=True)
            write_json(arguments.out, {"method": METHOD, "rows": rows})


def _calibration_of(name: str, model: Any, work: Path) -> Calibration:
    path = work / f"{name}.json"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        options, found = evaluate.sampling_of(name, STEPS), list[Calibration]()

        def deliver(calibration: Calibration) -> tuple[Calibration, tuple[str, ...]]:
            found.append(calibration)
            return calibration, ()

        measuring = attach(model, Calibrate(Study(deliver)))
        evaluate.sample(measuring, calibrate.captions(FIRST, name), options, calibrate.SEED)
        write(path, found[0])
    return read(path)


def _rank_correlation(name: str, rows: dict[str, Row]) -> float:
    mine = [row for key, row in rows.items() if key.startswith(f"{name}/as calibrated/")]
    found: Any = spearmanr([row["predicted"] for row in mine], [row["measured"] for row in mine])
    return float(found.statistic)
