"""Scores what calibrating is good for: schedules for a wished speed, and the advisor's choices
among methods inside the network.

Writes results/calibration.json; records and thresholds lie in the same work folder as those of
quality.py, whose options these are. See README.md beside this file.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import booted_on_device
from pack import ROOT

import torch
from stepcache.cache_core.advisor import Advice, advise
from stepcache.cache_core.calibration import Calibration, Target
from stepcache.cache_core.calibration import file as calibration_file
from stepcache.cache_core.host import attach, timeline_of
from stepcache.cache_core.methods import (
    CalibratedSmoothCache,
    DeepCache,
    Method,
    SmoothCache,
)
from stepcache.cache_core.methods.presets import fora
from stepcache.cache_core.sites import SiteKind

from demo import calibrate

from . import RESULTS
from . import quality_hosts as hosts
from .quality import machine
from .quality_records import Record, read_json, rows_of, write_json
from .quality_runs import STEPS, Patch, Subject, retime, score

RESULT = RESULTS / "calibration.json"
SPEEDS = (1.5, 2.0, 3.0)
METHOD = (
    "As quality.json. SmoothCache and the advisor's choices rest on one calibrating run over 8 "
    "captions of the training set, drawn at once, in the same precision; predicted is what it "
    "promised before sampling: speedup (from shares of time), flop_bound and error. The host's "
    "caches run at the threshold whose probed speedup was nearest to each wished one."
)


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    count: int
    models: list[str]
    batch: int
    pair_every: int
    precision: str
    steps: int
    threads: int | None
    work: Path
    merge_only: bool
    retime: bool
    without_hosts: bool


def in_turns(steps: int) -> Method:
    """FORA's every 2nd step, but self-attention reuses where the other layers compute."""
    schedule = fora("FORA: every 2nd step", steps)
    turned = tuple(not 2 <= step < steps - 1 or step % 2 == 1 for step in range(steps))
    rows = tuple(
        (kind, index, turned if kind is SiteKind.SELF_ATTENTION else compute)
        for kind, index, compute in schedule.rows
    )
    return SmoothCache(rows, "layers in turns", is_for_any_model=True)


UNCALIBRATED: dict[str, dict[tuple[str, str], Callable[[int], Method]]] = {
    "dit": {
        ("whole blocks", "every 2nd step"): partial(fora, "whole blocks: every 2nd step"),
        ("whole blocks", "every 3rd step"): partial(fora, "whole blocks: every 3rd step"),
        ("layers in turns", "every 2nd step"): in_turns,
    },
    "unet": {("DeepCache", "interval 4"): lambda _: DeepCache(4)},
}
"""Settings without a calibration that the table of quality.json lacks, for so many steps."""


def calibration_of(subject: Subject, work: Path) -> Calibration:
    """The calibration of a subject, made once."""
    path = work / "calibrations" / f"{subject.name}_{subject.precision}.json"
    if not path.exists():
        calibration_file.write(path, calibrate.calibrated(subject.model, subject.options))
    return calibration_file.read(path)


def settings_of(subject: Subject, calibration: Calibration) -> dict[tuple[str, str], Method]:
    """What is scored on one model, by method and label."""
    found: dict[tuple[str, str], Method] = {}
    for parts, speed in product(("layers", "blocks"), SPEEDS):
        method = CalibratedSmoothCache(calibration, Target("speedup", speed, 4, parts))
        is_reached = method.own_choice.prediction.speedup >= 0.99 * speed
        # What is out of reach is the same fastest schedule each time.
        label = f"{speed:g}×" if is_reached else "fastest"
        found.setdefault((f"SmoothCache {parts}", label), method)
    for speed, advice in advices_of(subject, calibration).items():
        if all(advice.method.rules() != method.rules() for method in found.values()):
            found["Advisor", f"{speed:g}×"] = advice.method
    for place, make in UNCALIBRATED[subject.name].items():
        found[place] = make(subject.options.steps)
    return found


def advices_of(subject: Subject, calibration: Calibration) -> dict[float, Advice]:
    """What the advisor chooses inside the network for each speed."""
    sampling = subject.model.get_model_object("model_sampling")
    timeline = timeline_of(sampling, torch.tensor(calibration.table.sigmas))
    # As if by a sampler with which no evaluation is forecast.
    inside = replace(calibration, run=replace(calibration.run, sampler="dpm_adaptive"))
    return {speed: advise(inside, timeline, speed, "calibration") for speed in SPEEDS}


def run_ours(subject: Subject, calibration: Calibration, arguments: Options) -> None:
    """Score our settings."""
    settings = settings_of(subject, calibration)
    advised: dict[str, Any] = {}
    for speed, advice in advices_of(subject, calibration).items():
        rules = advice.method.rules()
        row = next(place for place, method in settings.items() if method.rules() == rules)
        advised[f"{speed:g}×"] = {"row": row, "reason": advice.reason.splitlines()}
    write_json(arguments.work / "advised" / f"{subject.name}.json", advised)
    for (name, label), method in settings.items():
        if arguments.retime and method.prediction is None:
            continue
        record = subject.record(name, label, method.describe())
        predicted = method.prediction.to_dict() if method.prediction else None
        write_json(arguments.work / "predicted" / f"{subject.name}_{name}_{label}.json", predicted)
        print(f"{subject.name}/{name} {label}: {method.describe()} {method.prediction}", flush=True)
        _measure(subject, record, lambda m, method=method: attach(m, method), arguments)


def _measure(subject: Subject, record: Record, patch: Patch, arguments: Options) -> None:
    if arguments.retime:
        retime(subject, record, patch, arguments.pair_every)
        print(f"  {record.row(subject.plain)['speedup']}", flush=True)
    else:
        score(subject, record, patch, arguments.count, arguments.pair_every)


def run_hosts(subject: Subject, arguments: Options) -> None:
    """Score the host's caches at the wished speeds."""
    for name in hosts.NODES:
        cache = hosts.HostCache(name, subject, arguments.work)
        for speed in SPEEDS:
            threshold = cache.match(f"{speed:g}×", speed)
            if threshold is None:
                continue
            print(f"{subject.name}/{name} threshold {threshold} for {speed:g}×", flush=True)
            label = f"threshold {threshold}"
            record = subject.record(name, label, f"{name} (reuse_{label}, 0.15-0.95)")
            _measure(subject, record, lambda m, c=cache, t=threshold: c.patch(m, t), arguments)


def merge(work: Path) -> None:
    """Write the table of all records in the work folder."""
    rows: list[dict[str, Any]] = []
    for row in rows_of(work / "records"):
        name = f"{row['model']}_{row['method']}_{row['label']}.json"
        predicted = read_json(work / "predicted" / name)
        rows.append({**row, "predicted": predicted} if predicted else row)
    result = {
        "machine": machine(),
        "method": METHOD,
        "matches": hosts.matches_of(work),
        "advised": {path.stem: read_json(path) for path in (work / "advised").glob("*.json")},
        "rows": rows,
    }
    write_json(RESULT, result)
    for row in rows:
        speed = f"{row['speedup']['median']:.3f}×" if "speedup" in row else ""
        wished = f"{row['predicted']['speedup']:.3f}×" if row.get("predicted") else ""
        print(
            f"{row['model']:4} {row['method']:18} {row['label']:17} {row['captions']:4} "
            f"{100 * row['fully_correct']:6.1f} % {wished:>8} {speed:>8} {row.get('psnr') or '':>6}"
        )


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks quality_calibrated", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="captions per setting")
    parser.add_argument("--models", nargs="+", default=["dit", "unet"])
    parser.add_argument("--batch", type=int, default=25, help="captions sampled at once")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the sampler")
    parser.add_argument("--pair-every", type=int, default=4, help="time every n-th batch in a pair")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--threads", type=int, help="of the processor; otherwise all")
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "calibration")
    parser.add_argument("--merge-only", action="store_true", help="only write the table")
    parser.add_argument(
        "--retime", action="store_true", help="only measure again how fast predicted settings are"
    )
    parser.add_argument("--without-hosts", action="store_true", help="score only our settings")
    arguments = Options(**vars(parser.parse_args(given)))
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for name in arguments.models if not arguments.merge_only else ():
        subject = Subject(
            name, arguments.precision, arguments.work, arguments.batch, arguments.steps
        )
        run_ours(subject, calibration_of(subject, arguments.work), arguments)
        if not arguments.without_hosts:
            run_hosts(subject, arguments)
    merge(arguments.work)
