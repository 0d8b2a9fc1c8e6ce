"""Full-size models on a CUDA device: speed, waits, recompiles, memory. See README.md."""

from __future__ import annotations

import argparse
import gc
import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import booted_on_device
from pack import ROOT

import comfy.model_management
import observe
import torch
import toys
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attach
from stepcache.nodes.method_nodes import METHOD_NODES

from . import RESULTS, gpu_checks, measure, models
from .quality_records import read_json, write_json

MODELS = {"sdxl": (models.sdxl, 20), "flux": (models.flux, 20), "wan_14b": (models.wan_14b, 10)}
"""Every model, and its sampler steps unless asked otherwise."""

TOYS = {"sdxl": "sdxl", "flux": "flux", "wan_14b": "wan"}
METHODS = {method.title: node.as_it_comes for method, node in METHOD_NODES.items()}
RESULT = RESULTS / "gpu.json"
TINY_RESULT = ROOT / "output" / "gpu_tiny.json"


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    models: list[str]
    steps: int | None
    pairs: int
    backend: str
    result: Path
    fresh: bool
    tiny: bool


class Subject:
    """A model, and what is measured of it without a method, once it is needed."""

    def __init__(self, name: str, steps: int, arguments: Options) -> None:
        self.bench = _tiny(name) if arguments.tiny else MODELS[name][0]()
        self.steps, self.arguments = steps, arguments
        self.has_cuda = self.bench.model.load_device.type == "cuda"

    @cached_property
    def flops(self) -> int:
        """FLOPs of a plain run."""
        return sum(observe.flops_per_evaluation(self.bench.model, self._run))

    @cached_property
    def waits_and_peak(self) -> tuple[gpu_checks.Waits, int]:
        """Waits and peak bytes of a plain run."""
        return self._waits_and_peak(self.bench.model)

    @cached_property
    def compiled(self) -> dict[str, Any] | None:
        """Graphs of the plain model under torch.compile."""
        return self._compiled(self.bench.model)

    def row(self, method: Any) -> dict[str, Any]:
        """Everything that is measured of one method, or the words in which it is refused."""
        row: dict[str, Any] = {"parameters": method.describe()}
        try:
            patched = attach(self.bench.model, method)
            computed = sum(observe.flops_per_evaluation(patched, self._run))
        except StepCacheError as error:
            return {**row, "refused": str(error)}
        row["flop_bound"] = round(self.flops / computed, 4)
        ratio = measure.paired(
            lambda: self._run(self.bench.model), lambda: self._run(patched), self.arguments.pairs
        )
        row["speedup"] = ratio.to_dict()
        row["share_of_bound"] = round(ratio.median / row["flop_bound"], 4)
        row["stored_bytes"] = observe.report_of(patched).peak_nbytes
        if self.has_cuda:
            plain_waits, plain_peak = self.waits_and_peak
            waits, peak = self._waits_and_peak(patched)
            row["waits"] = {
                "ours_per_evaluation": waits.ours / waits.evaluations,
                "host_per_evaluation": waits.host / waits.evaluations,
                "host_per_evaluation_plain": plain_waits.host / plain_waits.evaluations,
            }
            row["peak_bytes"] = {"plain": plain_peak, "patched": peak}
        row["compiled"] = {"plain": self.compiled, "patched": self._compiled(patched)}
        return row

    def _run(self, model: Any) -> torch.Tensor:
        return self.bench.sample(model, self.steps)

    def _waits_and_peak(self, model: Any) -> tuple[gpu_checks.Waits, int]:
        return gpu_checks.waits_and_memory(model, self.bench.sample, self.steps)

    def _compiled(self, model: Any) -> dict[str, Any] | None:
        backend = self.arguments.backend
        if backend == "none":
            return None
        return gpu_checks.compiled(model, self.bench.sample, backend)


def _tiny(name: str) -> models.Bench:
    toy = toys.TOYS[TOYS[name]]
    cfg = 1.0 if name == "flux" else 4.0
    model = toys.load(TOYS[name])
    return models.Bench(f"{name}, tiny", model, toy.latent, toy.context, toy.pooled, cfg)


def run(arguments: Options) -> list[dict[str, Any]]:
    """Every row that the result file lacks; the file is written after each."""
    machine = {
        "device": "CPU" if arguments.tiny else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "system": platform.system(),
    }
    found = None if arguments.fresh else read_json(arguments.result)
    if found and found["machine"] != machine:
        raise SystemExit(
            f"{arguments.result} was measured on {found['machine']}, this is {machine}; --fresh "
            f"starts a new one"
        )
    rows: list[dict[str, Any]] = found["rows"] if found else []
    for name in arguments.models:
        steps = arguments.steps or MODELS[name][1]
        done = {row["method"] for row in rows if (row["model"], row["steps"]) == (name, steps)}
        missing = [method for method in METHODS if method not in done]
        if not missing:
            continue
        print(f"{name}: {steps} steps", flush=True)
        subject = Subject(name, steps, arguments)
        for method in missing:
            print(f"  {method}", flush=True)
            row = {"model": name, "size": subject.bench.name, "method": method, "steps": steps}
            rows.append({**row, **subject.row(METHODS[method]())})
            write_json(arguments.result, {"machine": machine, "rows": rows})
        del subject
        comfy.model_management.unload_all_models()
        gc.collect()
        comfy.model_management.soft_empty_cache()
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """The rows as a table."""
    print(
        f"{'model':8} {'method':12} {'bound':>6} {'speed':>6} {'waits':>6} {'again':>6} {'GiB':>13}"
    )
    for row in rows:
        start = f"{row['model']:8} {row['method']:12} "
        if "refused" in row:
            print(f"{start}refused: {row['refused']}")
            continue
        waits = row["waits"]["ours_per_evaluation"] if "waits" in row else "–"
        patched = row["compiled"]["patched"]
        again = patched.get("recompiles_after_warm_up", "failed") if patched else "–"
        peak = row.get("peak_bytes")
        memory = f"{peak['plain'] / 2**30:.1f} → {peak['patched'] / 2**30:.1f}" if peak else "–"
        bound, speed = row["flop_bound"], row["speedup"]["median"]
        print(f"{start}{bound:6.2f} {speed:6.2f} {waits!s:>6} {again!s:>6} {memory:>13}")


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks gpu", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="model", help=", ".join(MODELS))
    parser.add_argument("--steps", type=int, help="sampler steps, instead of the model's own")
    parser.add_argument("--pairs", type=int, default=3, help="timed pairs per row")
    parser.add_argument("--backend", default="inductor", help="of torch.compile, or none")
    parser.add_argument("--result", type=Path)
    parser.add_argument("--fresh", action="store_true", help="forget the rows of the result file")
    parser.add_argument("--tiny", action="store_true", help="try the code on tiny models, on a CPU")
    parsed = parser.parse_args(given)
    parsed.models = parsed.models or list(MODELS)
    parsed.result = parsed.result or (TINY_RESULT if parsed.tiny else RESULT)
    arguments = Options(**vars(parsed))
    unknown = [name for name in arguments.models if name not in MODELS]
    if unknown:
        parser.error(f"unknown model {', '.join(unknown)}; expected {', '.join(MODELS)}")
    if not arguments.tiny and not torch.cuda.is_available():
        print("No CUDA device here: nothing measured. --tiny tries the same code on the CPU.")
        return
    show(run(arguments))
    print(f"wrote {arguments.result}")
