"""Scores caches by what they break: two trained models, held-out captions, an exact judge.

See README.md beside this file.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import booted_on_device
from pack import ROOT

import torch
from stepcache.cache_core.host import attach

from . import RESULTS
from . import quality_hosts as hosts
from .quality_records import Record, rows_of, write_json
from .quality_runs import STEPS, Subject, score
from .quality_settings import SETTINGS, Setting

RESULT = RESULTS / "quality.json"
METHOD = (
    "Held-out captions; caption, seed and starting noise are the same for every setting. "
    "fully_correct: share of pictures in which the judge finds every word of the caption and "
    "nothing else. broken, repaired: pictures that only the plain run, only the cached run got "
    "right. psnr (dB) and ssim: means over decoded 8-bit pictures against the plain run; identical "
    "pictures have no PSNR and are counted. speedup: plain ÷ cached seconds of a whole sampling "
    "run without decoding, timed one right after the other in one process on every n-th batch "
    "(see pairs), order swapped, median. The host's caches run at the threshold whose probed "
    "speedup was nearest to that of our default setting (see matches; threshold null: too little "
    "speedup to match). bfloat16, because EasyCache of this host corrupts the sampler's latent in "
    "float32."
)


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    count: int
    only: str
    batch: int
    pair_every: int
    precision: str
    steps: int
    threads: int | None
    work: Path
    merge_only: bool


def score_ours(subject: Subject, settings: list[Setting], arguments: Options) -> dict[str, Record]:
    """Score our settings on one model; the records of the default ones by method."""
    defaults: dict[str, Record] = {}
    for one in settings:
        method = one.make()
        record = subject.record(one.name, one.label, method.describe())
        print(f"{one.model}/{one.name} {one.label}", flush=True)
        score(subject, record, _attached(method), arguments.count, arguments.pair_every)
        if one.label == "default":
            defaults[one.name] = record
    return defaults


def _attached(method: Any) -> Callable[[Any], Any]:
    return lambda model: attach(model, method)


def score_hosts(
    subject: Subject, names: list[str], defaults: dict[str, Record], arguments: Options
) -> None:
    """Score the host's caches, each as fast as each of our default settings."""
    for name in names:
        cache = hosts.HostCache(name, subject, arguments.work)
        for method, record in defaults.items():
            target = record.row(subject.plain)["speedup"]["median"]
            print(f"{subject.name}/{name} as fast as {method} ({target:.3f}×)", flush=True)
            threshold = cache.match(method, target)
            if threshold is None:
                print("  too little speedup to match", flush=True)
                continue
            label = f"threshold {threshold}"
            result = subject.record(name, label, f"{name} (reuse_{label}, 0.15-0.95)")
            score(
                subject, result, lambda m, c=cache, t=threshold: c.patch(m, t),
                arguments.count, arguments.pair_every,
            )  # fmt: skip


def run(arguments: Options) -> None:
    """Everything that is asked for and not done yet."""

    def is_wanted(model: str, name: str) -> bool:
        return fnmatch(f"{model}/{name}".lower(), arguments.only.lower())

    for model in ("dit", "unet"):
        every = [one for one in SETTINGS if one.model == model]
        theirs = [name for name in hosts.NODES if is_wanted(model, name)]
        # A host cache is compared with all our default settings, so these are needed first.
        chosen = [
            one for one in every
            if is_wanted(model, one.name) or (theirs and one.label == "default")
        ]  # fmt: skip
        if not chosen:
            continue
        subject = Subject(
            model, arguments.precision, arguments.work, arguments.batch, arguments.steps
        )
        defaults = score_ours(subject, chosen, arguments)
        score_hosts(subject, theirs, defaults, arguments)


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "torch": torch.__version__,
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def merge(work: Path) -> None:
    """Write the table of all records in the work folder."""
    rows = rows_of(work / "records")
    matches = hosts.matches_of(work)
    write_json(RESULT, {"machine": machine(), "method": METHOD, "matches": matches, "rows": rows})
    for row in rows:
        speed = f"{row['speedup']['median']:.3f}×" if "speedup" in row else ""
        print(
            f"{row['model']:4} {row['method']:11} {row['label']:17} "
            f"{row['captions']:4} {100 * row['fully_correct']:6.1f} % {speed:>8} "
            f"{row.get('psnr') or '':>6} {row.get('ssim', ''):>7}"
        )
    print(f"wrote {RESULT}")


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks quality", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="captions per setting")
    parser.add_argument("--only", default="*", metavar="MODEL/NAME", help='such as "dit/PAB*"')
    parser.add_argument("--batch", type=int, default=25, help="captions sampled at once")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the sampler")
    parser.add_argument("--pair-every", type=int, default=4, help="time every n-th batch in a pair")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--threads", type=int, help="of the processor; otherwise all")
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "quality")
    parser.add_argument("--merge-only", action="store_true", help="only write the table")
    arguments = Options(**vars(parser.parse_args(given)))
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if not arguments.merge_only:
        run(arguments)
    merge(arguments.work)
