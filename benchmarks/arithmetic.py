"""Full width against the arithmetic that is saved."""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import dataclass

import booted_on_device
from pack import ROOT

import torch
from setup.stamps import write_atomically

from . import RESULTS
from . import arithmetic_bounds as bounds
from . import arithmetic_costs as costs
from .arithmetic_scale import FULL, TINY
from .record import BenchmarkError
from .run import count

TINY_RESULTS = ROOT / "output" / "arithmetic_tiny"

BENCHMARKS = {
    "overhead": (costs.overhead, 15),
    "step_cache": (bounds.step_cache, 5),
    "deepcache": (bounds.deepcache, 5),
    "pab": (bounds.pab, 5),
    "fastercache": (bounds.fastercache, 5),
    "tgate": (bounds.tgate, 5),
    "smoothcache": (bounds.smoothcache, 5),
    "calibrate": (costs.calibrate, 5),
    "settings": (costs.settings, 5),
    "int8_speed": (costs.int8, 5),
}
"""What is timed, and in how many pairs unless asked otherwise."""


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    names: list[str]
    pairs: int | None
    tiny: bool


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks arithmetic", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--pairs", type=count, help="timed pairs a row")
    parser.add_argument("--tiny", action="store_true", help="try the code on tiny networks")
    arguments = Options(**vars(parser.parse_args(given)))
    run(arguments.names or list(BENCHMARKS), arguments.pairs, arguments.tiny)


def run(names: list[str], pairs: int | None, is_tiny: bool) -> None:
    """Time benchmarks and write their results.

    Args:
        names: of `BENCHMARKS`.
        pairs: timed pairs per row, instead of each benchmark's own number.
        is_tiny: try the code on tiny networks; results go elsewhere.

    Raises:
        BenchmarkError: there is no such benchmark.
    """
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise BenchmarkError(
            f"there is no benchmark {', '.join(unknown)}; expected some of {', '.join(BENCHMARKS)}"
        )
    machine = {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "system": platform.system(),
        "architecture": platform.machine(),
    }
    scale, folder = (TINY, TINY_RESULTS) if is_tiny else (FULL, RESULTS)
    for name in names:
        print(name, flush=True)
        benchmark, own_pairs = BENCHMARKS[name]
        result = {"machine": machine, "rows": benchmark(pairs or own_pairs, scale)}
        path = folder / f"{name}.json"
        write_atomically(path, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        print(json.dumps(result["rows"], indent=2, ensure_ascii=False), flush=True)
