"""What only a GPU or a compiler can tell: waits, peak memory, recompiles."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from comfy_extras.nodes_torch_compile import TorchCompileModel

PACK = Path(__file__).resolve().parents[1] / "cache_core"
TORCH = Path(torch.__file__).parent
COMPILE_STEPS = 6
WARM_RUNS = 2
Sample = Callable[[Any, int], Any]


@dataclass
class Waits:
    """How often the host waited for the device inside model evaluations, and at whose line."""

    ours: int = 0
    host: int = 0
    evaluations: int = 0


def waits_and_memory(model: Any, sample: Sample, steps: int) -> tuple[Waits, int]:
    """One run on a GPU, its waits and its peak of allocated bytes.

    Every evaluation is watched from the moment that our wrapper has told the clock (the sigma is
    read before, once a step, where samplers read it too) until its end. PyTorch's watch is set to
    "warn", not "error": the host copies conditioning to the device with a wait of its own, which
    would end the run. A wait is ours if the innermost line outside PyTorch is in this pack.
    """
    waits = Waits()
    clone = model.clone()

    def watch(executor: Any, *args: Any, **kwargs: Any) -> Any:
        waits.evaluations += 1
        with _watched(waits):
            return executor(*args, **kwargs)

    # Added last, so it stands inside our own wrapper, behind the clock.
    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "watch_waits", watch)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    sample(clone, steps)
    return waits, torch.cuda.max_memory_allocated()


@contextmanager
def _watched(waits: Waits) -> Iterator[None]:
    def note(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        if "synchronizing" not in str(message):
            return
        frames = (Path(frame.filename) for frame in reversed(traceback.extract_stack()[:-1]))
        outside = (path for path in frames if not _is_machinery(path))
        if PACK in next(outside, Path()).parents:
            waits.ours += 1
        else:
            waits.host += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


def _is_machinery(path: Path) -> bool:
    return TORCH in path.parents or path.name in ("warnings.py", "_py_warnings.py", "gpu_checks.py")


def compiled(model: Any, sample: Sample, backend: str) -> dict[str, Any]:
    """Graphs that torch.compile makes in two runs, and the new ones that a third run needs."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    patched = TorchCompileModel.execute(model, backend).args[0]
    try:
        for _ in range(WARM_RUNS):
            sample(patched, COMPILE_STEPS)
        graphs = counters["stats"]["unique_graphs"]
        sample(patched, COMPILE_STEPS)
    except TorchDynamoException as error:
        return {"backend": backend, "failed": str(error).strip().splitlines()[0]}
    again = counters["stats"]["unique_graphs"] - graphs
    return {"backend": backend, "graphs": graphs, "recompiles_after_warm_up": again}
