"""What Dynamic Int8 changes in pictures: two trained models, held-out captions, an exact judge.

Asked and timed as in quality.py. See README.md beside this file.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import booted_on_device
from pack import ROOT

import torch
from stepcache import torch_settings
from stepcache.cache_core.host import attach
from stepcache.nodes.pab import ApplyPAB
from stepcache.torch_settings.int8 import ANYWAY

from . import RESULTS
from .quality import machine
from .quality_records import rows_of, write_json
from .quality_runs import STEPS, Patch, Subject, score

RESULT = RESULTS / "int8.json"
MIN_WIDTH = 16
"""The models are narrow (32 to 768): with this, every layer that may be is in int8."""
METHOD = (
    "As results/quality.json says, in float32. Every linear layer of attention and feed-forward "
    f"that is asked about 32 tokens or more is in int8 (least_width {MIN_WIDTH}); these models "
    "are too narrow to gain by it, so the rows are about pictures, not about speed."
)
INT8 = torch_settings.DynamicInt8(MIN_WIDTH, ANYWAY)
BROADCAST = ApplyPAB.as_it_comes()
PATCHES: dict[str, tuple[str, Patch]] = {
    "Dynamic Int8": (str(INT8), lambda model: torch_settings.apply(model, INT8)),
    "PAB": (BROADCAST.describe(), lambda model: attach(model, BROADCAST)),
    "Dynamic Int8 and PAB": (
        f"{INT8}, {BROADCAST.describe()}",
        lambda model: attach(torch_settings.apply(model, INT8), BROADCAST),
    ),
}
"""What is scored, with its parameters in words."""


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    count: int
    batch: int
    pair_every: int
    threads: int | None
    models: list[str]
    steps: int
    work: Path


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks int8_quality", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="captions per setting")
    parser.add_argument("--models", nargs="+", default=["dit", "unet"])
    parser.add_argument("--batch", type=int, default=25, help="captions sampled at once")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the sampler")
    parser.add_argument("--pair-every", type=int, default=4, help="time every n-th batch in a pair")
    parser.add_argument("--threads", type=int, help="of the processor; otherwise all")
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "int8")
    arguments = Options(**vars(parser.parse_args(given)))
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for model in arguments.models:
        subject = Subject(model, "float32", arguments.work, arguments.batch, arguments.steps)
        for name, (parameters, patch) in PATCHES.items():
            print(f"{model}: {name}", flush=True)
            record = subject.record(name, "", parameters)
            score(subject, record, patch, arguments.count, arguments.pair_every)
    rows = rows_of(arguments.work / "records")
    write_json(RESULT, {"machine": machine(), "method": METHOD, "rows": rows})
    print(f"wrote {RESULT}")
