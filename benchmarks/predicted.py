"""Sets predicted beside measured speedups, with as many pictures at once as when calibrating.

Writes results/predicted.json; calibrations come from the work folder of `quality_calibrated`,
where they are made once. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import booted_on_device
from pack import ROOT

import torch
from stepcache.cache_core.host import attach, last_report

from demo.shapes import scenes

from . import RESULTS
from . import quality_calibrated as calibrated
from .quality import machine
from .quality_records import read_json, write_json
from .quality_runs import STEPS, Subject

RESULT = RESULTS / "predicted.json"
AT_ONCE = 8
METHOD = (
    f"{AT_ONCE} pictures at once, as when calibrating. paired: plain seconds ÷ seconds of whole "
    "runs, each between two plain ones; in_one_run: what the report measures, seconds if every "
    "step had computed everything and kept nothing ÷ seconds. Medians. The C library keeps freed "
    "memory, as allocators of devices do."
)
KEPT = str(2**33)
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": KEPT, "MALLOC_MMAP_THRESHOLD_": KEPT}
"""Otherwise glibc gives large blocks back to the system and fetches them anew. Of one setting five
runs lay within 7 % with it, seven within 23 % without."""


def rows_of(subject: Subject, work: Path, pairs: int) -> list[dict[str, Any]]:
    """Every calibrated setting of a model."""
    calibration = calibrated.calibration_of(subject, work)
    settings = calibrated.settings_of(subject, calibration)
    texts = scenes.held_out_captions(AT_ONCE)
    rows: list[dict[str, Any]] = []
    for (name, label), method in settings.items():
        if method.prediction is None:
            continue
        patched = attach(subject.model, method)
        for model in (subject.model, patched):
            subject.draw(model, texts, 0)
        alone: list[float] = []
        ours: list[float] = []
        plain = [subject.draw(subject.model, texts, 0)[1]]
        for _ in range(pairs):
            ours.append(subject.draw(patched, texts, 0)[1])
            report = last_report(patched)
            gained = report.measured_speedup if report is not None else None
            assert gained is not None, "every run reuses"
            alone.append(gained)
            plain.append(subject.draw(subject.model, texts, 0)[1])
        around = (sum(two) / 2 for two in pairwise(plain))
        paired = [p / seconds for p, seconds in zip(around, ours, strict=True)]
        rows.append(
            {
                "model": subject.name,
                "method": name,
                "label": label,
                "predicted": round(method.prediction.speedup, 4),
                "paired": round(median(paired), 4),
                "in_one_run": round(median(alone), 4),
                "pairs": pairs,
            }
        )
        print(rows[-1], flush=True)
    return rows


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    work: Path
    pairs: int
    batch: int
    precision: str
    models: list[str]
    threads: int | None
    steps: int


def main(given: list[str]) -> None:
    if not ALLOCATOR.items() <= os.environ.items():
        command = [sys.executable, "-m", "benchmarks", "predicted", *given]
        os.execve(sys.executable, command, {**os.environ, **ALLOCATOR})
    parser = argparse.ArgumentParser("python -m benchmarks predicted", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "calibration")
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--batch", type=int, default=25, help="as quality_calibrated was told")
    parser.add_argument(
        "--precision", choices=("bfloat16", "float32"), default="bfloat16", help="as --batch"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help="of the sampler")
    parser.add_argument("--models", nargs="+", default=["dit", "unet"])
    parser.add_argument(
        "--threads", type=int, help="of PyTorch, when calibrating too; --work has those of no other"
    )
    arguments = Options(**vars(parser.parse_args(given)))
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    kept = [row for row in _earlier() if row["model"] not in arguments.models]
    rows: list[dict[str, Any]] = []
    for name in arguments.models:
        subject = Subject(
            name, arguments.precision, arguments.work, arguments.batch, arguments.steps
        )
        subject.warm_up(subject.model)
        rows += rows_of(subject, arguments.work, arguments.pairs)
    found = {"machine": machine(), "threads": torch.get_num_threads(), "method": METHOD}
    write_json(RESULT, {**found, "rows": [*kept, *rows]})


def _earlier() -> list[dict[str, Any]]:
    return (read_json(RESULT) or {}).get("rows", [])
