"""Shares of one call of the model, as PyTorch's profiler sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch

# PyTorch exports it from nowhere else.
from torch.autograd import DeviceType  # pyright: ignore[reportPrivateImportUsage]
from torch.profiler import ProfilerActivity, profile, record_function

from ..cache_core.host.intercept.module_swap import ModuleSwap
from .block_lists import BlockList, block_lists_of, watched
from .run_probe import RunProbe, goes_through_compiler
from .timing import wait_for

MARK = "stepcache: "
"""Beginning of the names that mark lists of blocks in the profile."""
COPY = "Memcpy "
FROM, TO = "DtoH", "HtoD"
MAX_OPERATORS = 5


@dataclass(frozen=True, slots=True)
class Profiled:
    """Shares of one call, 0 … 1. Profiling slows a call down, so seconds are not taken from it.

    Args:
        operators: in PyTorch's operators; on CUDA: in which the device worked.
        transfer: copying between the device and the CPU.
        block_lists: in the blocks of each list, of the operators' time.
        longest: the operators that took most, of the operators' time.
        reason: why there is no profile; None if there is.
    """

    operators: float = 1.0
    transfer: float = 0.0
    block_lists: Mapping[str, float] | None = None
    longest: Mapping[str, float] | None = None
    reason: str | None = None

    @property
    def waiting(self) -> float:
        """Python's own work; on CUDA only where it leaves the device nothing to do."""
        return max(1.0 - self.operators - self.transfer, 0.0)


class Profiling(RunProbe):
    """Profiles one call of the model: the first of the third evaluation of a run."""

    def __init__(self) -> None:
        self.profiled = Profiled(reason="the model was not called often enough")
        self._evaluations = 0
        self._is_done = False

    def predict_noise(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        self._evaluations += 1
        return executor(*args, **kwargs)

    def apply_model(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        if self._is_done or self._evaluations != 3:
            return executor(*args, **kwargs)
        self._is_done = True
        model = executor.class_obj
        device = torch.device(model.current_patcher.load_device)
        if device.type not in ("cpu", "cuda"):
            self.profiled = Profiled(reason=f"the profiler does not see what {device.type} does")
            return executor(*args, **kwargs)
        is_cuda = device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_cuda else [])]
        try:
            recorder = profile(activities=activities)
            recorder.start()
        except RuntimeError as error:
            # There can be one at a time, and somebody else may have begun.
            self.profiled = Profiled(reason=f"the profiler did not start ({error})")
            return executor(*args, **kwargs)
        try:
            with ModuleSwap() as swap:
                if not goes_through_compiler(model.current_patcher):
                    watched(swap, block_lists_of(model.diffusion_model), _marked)
                started = perf_counter()
                result = executor(*args, **kwargs)
                wait_for(device)
                seconds = perf_counter() - started
        finally:
            recorder.stop()
        self.profiled = _profiled(recorder.events() or [], seconds, is_cuda)
        return result


def _marked(blocks: BlockList) -> record_function:
    return record_function(f"{MARK}{blocks.name}")


def _profiled(events: Sequence[Any], seconds: float, is_cuda: bool) -> Profiled:
    """Sum the events of a call up. Times of the profiler are microseconds."""
    marks = [event for event in events if event.name.startswith(MARK)]
    # Other nodes' marks cover the device's time as well, and are no work of it.
    named = [event for event in events if not getattr(event, "is_user_annotation", False)]
    works = [event for event in named if not event.name.startswith(MARK)]
    on_device = [event for event in works if event.device_type is DeviceType.CUDA]
    longest: Counter[str] = Counter()
    if is_cuda:
        between = (f"{COPY}{FROM}", f"{COPY}{TO}")
        copies = [event for event in on_device if event.name.startswith(between)]
        kernels = [event for event in on_device if not event.name.startswith(between)]
        busy = _covered((e.time_range.start, e.time_range.end) for e in kernels)
        transfer = _covered((e.time_range.start, e.time_range.end) for e in copies)
        for event in kernels:
            longest[event.name.split("<")[0].split("(")[0]] += event.time_range.elapsed_us()
    else:
        # What an operator calls is recorded as well; own times count every moment once.
        for event in works:
            longest[event.name] += event.self_cpu_time_total
        busy, transfer = longest.total(), 0.0
    if not busy:
        return Profiled(reason="the profiler saw no work of the device")
    times: Counter[str] = Counter()
    for mark in marks:
        if mark.device_type is DeviceType.CUDA:
            continue
        total = mark.device_time_total if is_cuda else mark.cpu_time_total
        times[mark.name.removeprefix(MARK)] += total
    # Python's own work inside of a block belongs to it where the CPU computes.
    whole = busy if is_cuda else 1e6 * seconds
    scale = 1e6 * seconds
    return Profiled(
        operators=min(busy / scale, 1.0),
        transfer=min(transfer / scale, 1.0),
        block_lists={name: min(time / whole, 1.0) for name, time in times.most_common()},
        longest={name: time / busy for name, time in longest.most_common(MAX_OPERATORS)},
    )


def _covered(ranges: Any) -> float:
    """The length of what ranges cover; what runs at the same time counts once."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(ranges):
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return total
