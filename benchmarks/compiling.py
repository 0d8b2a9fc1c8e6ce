"""Regional Compile beside the host's TorchCompileModel: the first run, and the runs after it.

Every variant compiles in a process of its own, with an empty folder for what is compiled; so the
first run is what a person waits for after ComfyUI was started anew. Attention is PyTorch's for all
of them, as it is on GPUs: the host's own for processors cannot be compiled.

    .venv/bin/python -m benchmarks compiling [--layers 30] [--width 256] [--pairs 15]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import RESULTS

RESULT = RESULTS / "compiling.json"
VARIANTS = ("TorchCompileModel", "Regional Compile")
STEPS = 2


def measured(variant: str, layers: int, width: int, pairs: int) -> dict[str, Any]:
    """One variant, in this process: a first run, and later ones beside plain ones."""
    import booted_on_device

    import host
    from comfy.cli_args import args

    args.use_pytorch_cross_attention = True
    from stepcache.torch_settings import RegionalCompile, apply, told_by

    from . import measure, models

    bench = models.wan_of(layers, width)
    run: Callable[[Any], Any] = lambda model: bench.sample(model, STEPS)  # noqa: E731
    plain = run(bench.model)
    begun = time.perf_counter()
    run(bench.model)
    plain_seconds = time.perf_counter() - begun
    if variant == "Regional Compile":
        compiled = apply(bench.model, RegionalCompile())
    else:
        compiled = host.applied("nodes_torch_compile", variant, backend="inductor")(bench.model)
    begun, worked = time.perf_counter(), _processor_seconds()
    picture = run(compiled)
    first, worked = time.perf_counter() - begun, _processor_seconds() - worked
    told = told_by(compiled)
    ratio = measure.paired(lambda: run(bench.model), lambda: run(compiled), pairs)
    return {
        "variant": variant,
        "first_run_seconds": round(first, 2),
        "plain_run_seconds": round(plain_seconds, 2),
        "cost_of_first_run_seconds": round(first - plain_seconds, 2),
        "processor_seconds_of_first_run": round(worked, 2),
        "speed": ratio.to_dict(),
        "difference": float((picture - plain).abs().max() / plain.abs().max()),
        "told": told,
    }


def _processor_seconds() -> float:
    """Of this process and the compilers that it called: steadier on a machine with company."""
    times = os.times()
    return sum((times.user, times.system, times.children_user, times.children_system))


def _in_own_process(variant: str, options: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        # One compiler at a time, called by the process itself, so that its work can be added up.
        own = {"TORCHINDUCTOR_CACHE_DIR": folder, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        environment = {**os.environ, **own}
        command = [sys.executable, "-m", "benchmarks", "compiling", "--variant", variant, *options]
        answer = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
    return json.loads(answer.stdout.splitlines()[-1])


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    layers: int
    width: int
    pairs: int
    variant: str | None


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks compiling", description=__doc__)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--variant", choices=VARIANTS)
    arguments = Options(**vars(parser.parse_args(given)))
    if arguments.variant:
        row = measured(arguments.variant, arguments.layers, arguments.width, arguments.pairs)
        print(json.dumps(row))
        return
    sizes = {"layers": arguments.layers, "width": arguments.width, "pairs": arguments.pairs}
    options = [word for name, n in sizes.items() for word in (f"--{name}", str(n))]
    rows = [_in_own_process(variant, options) for variant in VARIANTS]
    costs = {row["variant"]: row["cost_of_first_run_seconds"] for row in rows}
    speeds = {row["variant"]: row["speed"]["median"] for row in rows}
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "model": f"Wan-type DiT, {arguments.layers} layers, width {arguments.width}",
        "steps": STEPS,
        "rows": rows,
        "first_run_cost_lower_by": round(costs[VARIANTS[0]] / costs[VARIANTS[1]], 2),
        "speed_of_theirs": round(speeds[VARIANTS[1]] / speeds[VARIANTS[0]], 3),
    }
    earlier = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else []
    results = [*(each for each in earlier if each["model"] != result["model"]), result]
    RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
