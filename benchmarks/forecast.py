"""Sets Step Cache beside everything that a user would do instead, at equal shares of evaluations.

See README.md beside this file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import booted_on_device
from pack import ROOT

import torch

from demo import evaluate

from . import RESULTS
from . import forecast_combined_page as combined
from .forecast_page import page_of
from .forecast_patches import metered
from .forecast_records import chosen_of, rows_of, timed_path
from .forecast_rows import SPEEDS, Bench, Contender
from .forecast_table import ROWS, TIMED
from .forecast_training import Training
from .quality import machine
from .quality_records import Record, read_json, write_json
from .quality_runs import (
    SEED,
    STEPS,
    Subject,
    likeness,
    timed_pair,
)

RESULT = RESULTS / "forecast.json"
PAGE = RESULT.with_suffix(".md")
PAIRS = RESULTS / "forecast_combined.json"
"""Of Step Cache with another method inside it."""
TIMED_PICTURES = 4
METHOD = (
    "Held-out captions in float32; caption, seed and starting noise are the same for every row. "
    "A row at a speed computes wanted_share of the plain FLOPs (a whole number of steps, met from "
    "above) or comes as near as it can; share is what PyTorch counted in the scored runs. For what "
    "leaves out whole evaluations that is the share of evaluations. psnr (dB, with its standard "
    "error) and ssim: means over decoded 8-bit pictures against the plain run of the same sampler; "
    "identical pictures have no PSNR and are counted. behind: Step Cache's PSNR less the row's, "
    "picture by picture, with the standard error. fully_correct, broken, repaired: as in "
    "quality.json. speedup: plain ÷ own seconds of whole sampling runs of 4 pictures without "
    "decoding, in one process, order swapped from pair to pair, median. chosen: thresholds, plans "
    "and settings, chosen on captions of the training set."
)


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    count: int
    only: list[str]
    speeds: list[float]
    seeds: list[int]
    sampler: str
    batch: int
    steps: int
    pairs: int
    threads: int | None
    work: Path
    merge_only: bool


def score(bench: Bench, record: Record, contender: Contender, count: int) -> None:
    """Draw, judge and compare all batches that a record lacks, and count their FLOPs."""
    subject = bench.subject
    captions = subject.captions(count)
    missing = [i for i in range(0, count, subject.batch) if record.find(i) is None]
    patched, meter = metered(contender.patch(subject.model))
    for first in missing:
        texts = captions[first : first + subject.batch]
        stored = subject.plain_pictures(texts, first)
        pictures, seconds = subject.draw(patched, texts, first)
        share = meter.flops / (len(texts) * bench.training.flops_per_picture)
        batch = {"first": first, "seconds": seconds, "share": round(share, 5)}
        record.add(batch | subject.verdicts(pictures, texts) | likeness(pictures, stored))
    if missing:
        row = record.row(subject.plain)
        print(
            f"  {row['captions']:4} captions  share {record.batches[-1]['share']:.3f}  "
            f"PSNR {row['psnr']} dB  right {100 * row['fully_correct']:5.1f} % "
            f"(plain {100 * row['plain_fully_correct']:.1f} %)",
            flush=True,
        )


def compare_times(bench: Bench, record: Record, contender: Contender, pairs: int) -> None:
    """Time a record's pairs that are missing against the plain model."""
    subject, path = bench.subject, timed_path(record)
    found = read_json(path) or []
    if len(found) >= pairs:
        return
    patched = contender.patch(subject.model)
    subject.warm_up(subject.model)
    subject.warm_up(patched)
    texts = subject.captions(TIMED_PICTURES)
    for number in range(len(found), pairs):
        is_plain_first = number % 2 == 0
        _, own, plain = timed_pair(subject, patched, texts, 0, plain_first=is_plain_first)
        found.append([round(plain, 4), round(own, 4)])
        write_json(path, found)
    print(f"  timed: {[round(plain / own, 2) for plain, own in found]}", flush=True)


def wanted(model: str, only: list[str]) -> Iterator[str]:
    """The rows that are asked for on a model."""
    for name in ROWS:
        if any(fnmatch(f"{model}/{name}".lower(), pattern.lower()) for pattern in only):
            yield name


def run(model: str, seed: int, arguments: Options) -> None:
    """Everything that is asked for on a model and not done yet."""
    names = list(wanted(model, arguments.only))
    if not names:
        return
    folder = arguments.work / arguments.sampler
    subject = Subject(
        model, "float32", folder / f"seed{seed}", arguments.batch, arguments.steps,
        seed=seed, sampler=arguments.sampler,
    )  # fmt: skip
    bench = Bench(subject, Training(subject, folder))
    for name in names:
        for speed in arguments.speeds:
            contender = ROWS[name](bench, speed)
            if contender is None:
                print(f"{model}/{name} {speed:g}×: does not come near", flush=True)
                continue
            print(f"{model}/{name} {speed:g}×: {contender.parameters}", flush=True)
            record = subject.record(
                name, f"{speed:g}×", contender.parameters,
                speed=speed, wanted_share=round(bench.share(speed), 4),
            )  # fmt: skip
            score(bench, record, contender, arguments.count)
            if name in TIMED and seed == SEED:
                compare_times(bench, record, contender, arguments.pairs)


def merge(work: Path) -> None:
    """Write the tables of all records in the work folder."""
    rows = rows_of(work)
    found: dict[str, Any] = {
        "machine": machine(),
        "method": METHOD,
        "chosen": chosen_of(work),
        "rows": [row for row in rows if not combined.is_pair(row)],
    }
    write_json(RESULT, found)
    PAGE.write_text(page_of(found), encoding="utf-8")
    print(f"wrote {RESULT} and {PAGE.name}")
    pairs = [row for row in rows if combined.is_pair(row)]
    if pairs:
        told = {"machine": machine(), "method": combined.METHOD, "rows": pairs}
        write_json(PAIRS, told)
        PAIRS.with_suffix(".md").write_text(combined.page_of(told), encoding="utf-8")
        print(f"wrote {PAIRS.name}")


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks forecast", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="captions per row and speed")
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="MODEL/ROW", help='such as "dit/Taylor*"'
    )
    parser.add_argument("--speeds", nargs="+", type=float, default=list(SPEEDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[SEED])
    parser.add_argument("--sampler", default="euler", help="of the plain run")
    parser.add_argument("--batch", type=int, default=25, help="captions sampled at once")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the sampler")
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs, where time is compared")
    parser.add_argument("--threads", type=int, help="of the processor; otherwise all")
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "forecast")
    parser.add_argument("--merge-only", action="store_true", help="only write the table")
    arguments = Options(**vars(parser.parse_args(given)))
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for model in evaluate.DEFAULTS if not arguments.merge_only else ():
        for seed in arguments.seeds:
            run(model, seed, arguments)
    merge(arguments.work)
