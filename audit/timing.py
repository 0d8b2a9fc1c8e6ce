"""What a run takes: seconds by part, memory, and what was compiled on the way."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import psutil
import torch

from ..cache_core.host.model_call import ModelCall
from .run_probe import RunProbe

BOTH = frozenset({0, 1})
"""How the host marks the rows of the two branches of guidance."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A run in which nothing was listened to, only clocks were read.

    Args:
        seconds: from the first evaluation to the end.
        loading: seconds before it: weights go to the device, prompts are prepared.
        model: seconds in calls of the model.
        evaluations: how often the sampler asked.
        calls: how often the model was called; more where the branches of guidance go one by one.
        has_two_branches: whether guidance ran both.
        latent: shape of the noisy latents of the largest call.
        nbytes: most memory, see `memory`.
        memory: which memory that is, in words.
        compiled: what the compiler did, by name; empty where it was not there.
        sigmas: the schedule.
    """

    seconds: float
    loading: float
    model: float
    evaluations: int
    calls: int
    has_two_branches: bool
    latent: tuple[int, ...]
    nbytes: int
    memory: str
    compiled: dict[str, int]
    sigmas: tuple[float, ...]

    @property
    def sampler(self) -> float:
        """Seconds between the calls of the model."""
        return max(self.seconds - self.model, 0.0)


class Stopwatch:
    """Adds up seconds; on CUDA by the device's own clock, for which nothing waits.

    Args:
        device: what works.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds = 0.0
        self._events: list[tuple[Any, Any]] = []

    @contextmanager
    def running(self) -> Generator[None]:
        """The time inside counts."""
        if self._device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            try:
                yield
            finally:
                end.record()
                self._events.append((begin, end))
            return
        started = perf_counter()
        try:
            yield
        finally:
            self._seconds += perf_counter() - started

    def read(self) -> float:
        """All seconds; waits for the device."""
        wait_for(self._device)
        self._seconds += sum(begin.elapsed_time(end) / 1000 for begin, end in self._events)
        self._events.clear()
        return self._seconds


def wait_for(device: torch.device) -> None:
    """Until the device has done all that it was asked to."""
    synchronize = getattr(getattr(torch, device.type, None), "synchronize", None)
    if device.type != "cpu" and synchronize is not None:
        synchronize()


class Timing(RunProbe):
    """Reads clocks at the beginnings and ends of what the host calls."""

    def __init__(self) -> None:
        self.timed: Timed | None = None
        """None until a run is over that has called the model."""
        self._watch = Stopwatch(torch.device("cpu"))
        self._first: float | None = None
        self._evaluations = self._calls = self._nbytes = 0
        self._branches: set[int] = set()
        self._latent: tuple[int, ...] = ()

    def outer_sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        device = torch.device(executor.class_obj.model_patcher.load_device)
        is_cuda = device.type == "cuda"
        sigmas = kwargs["sigmas"] if "sigmas" in kwargs else args[3]
        self._watch = Stopwatch(device)
        if is_cuda:
            torch.cuda.reset_peak_memory_stats(device)
        before, started = _compiled(), perf_counter()
        result = executor(*args, **kwargs)
        wait_for(device)
        over = perf_counter()
        if self._first is not None:
            self.timed = Timed(
                seconds=over - self._first,
                loading=self._first - started,
                model=self._watch.read(),
                evaluations=self._evaluations,
                calls=self._calls,
                has_two_branches=self._branches >= BOTH,
                latent=self._latent,
                nbytes=torch.cuda.max_memory_allocated(device) if is_cuda else self._nbytes,
                memory="of the device" if is_cuda else "of the whole process, between evaluations",
                compiled=dict(_compiled() - before),
                sigmas=tuple(map(float, sigmas)),
            )
        return result

    def predict_noise(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        self._begin()
        self._evaluations += 1
        return executor(*args, **kwargs)

    def apply_model(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        # Guiders that predict in a way of their own begin here.
        self._begin()
        call = ModelCall(args, kwargs)
        self._calls += 1
        self._branches.update(call.options.get("cond_or_uncond", ()))
        self._latent = max(self._latent, tuple(call.x.shape))
        with self._watch.running():
            result = executor(*args, **kwargs)
        self._nbytes = max(self._nbytes, psutil.Process().memory_info().rss)
        return result

    def _begin(self) -> None:
        if self._first is None:
            self._first = perf_counter()


def _compiled() -> Counter[str]:
    """What the compiler has counted so far; nothing where nobody has loaded it."""
    utils = sys.modules.get("torch._dynamo.utils")
    if utils is None:
        return Counter()
    counters = utils.counters
    return Counter(
        {
            "graphs compiled": counters["stats"]["unique_graphs"],
            "graph breaks": sum(counters["graph_break"].values()),
            "frames given up": sum(counters["unimplemented"].values()),
        }
    )
