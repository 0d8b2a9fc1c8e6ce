"""What the parts of a network cost: seconds and floating-point operations."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ..sites import Part, SiteKind

aten = torch.ops.aten


class FlopCounter(TorchDispatchMode):
    """Counts multiplications and additions of matrix products, convolutions and attention.

    Every operation is called as it is, so that results stay the same to the last bit; torch's own
    counter takes composite operations apart first, which may choose another kernel.
    """

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket
        if packet is aten.einsum:
            with self:
                return func.decompose(*args, **kwargs)
        result = func(*args, **kwargs)
        if packet in (aten.linear, aten.matmul):
            self.total += 2 * result.numel() * args[0].shape[-1]
        elif packet in (aten.conv1d, aten.conv2d, aten.conv3d):
            self.total += 2 * result.numel() * args[1][0].numel()
        elif packet is aten.scaled_dot_product_attention:
            # torch's own formula refuses three axes, and keys that are broadcast.
            self.total += 2 * args[1].shape[-2] * (args[0].numel() + result.numel())
        elif packet in (aten.conv_transpose1d, aten.conv_transpose2d, aten.conv_transpose3d):
            self.total += 2 * args[0].numel() * args[1][0].numel()
        elif packet in flop_registry:
            self.total += flop_registry[packet](*args, **kwargs, out_val=result)
        return result


class _NotCounted:
    """The context of `Meter.not_counted`; a class, as every value passes through it."""

    __slots__ = ("_meter", "_started")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._meter.add_own(time.perf_counter() - self._started)


class Meter:
    """Adds up what parts cost: seconds while `is_timing`, operations inside `counting_flops`.

    Args:
        device: where the model runs; on CUDA the device's own clock is used, and nothing waits.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.flops: Counter[Part] = Counter()
        self.all_flops = 0
        self.seconds: dict[Part, float] = defaultdict(float)
        self.answers: dict[Part, float] = defaultdict(float)
        self.keeping: dict[Part, float] = defaultdict(float)
        self.is_timing = False
        self._events: list[tuple[dict[Part, float], Part, Any, Any]] = []
        self._counter: FlopCounter | None = None
        self._own_seconds = 0.0

    @property
    def own_seconds(self) -> float:
        """Seconds that measuring itself took, which count for no part."""
        return self._own_seconds

    def not_counted(self) -> _NotCounted:
        """Leave what happens inside out of the seconds of the parts around it."""
        return _NotCounted(self)

    def add_own(self, seconds: float) -> None:
        """So much time has gone into measuring itself."""
        self._own_seconds += seconds

    @contextmanager
    def counting_flops(self) -> Generator[None]:
        """Count the operations of one model call."""
        with FlopCounter() as self._counter:
            try:
                yield
            finally:
                self.all_flops += self._counter.total
                self._counter = None

    def start(self, part: Part) -> Callable[[], None] | None:
        """Begin to measure a part; call what is returned when it is done."""
        counter = self._counter
        if counter is not None:
            before = counter.total
            return lambda: self.flops.update({part: counter.total - before})
        return self._timed(self.seconds, part) if self.is_timing else None

    @contextmanager
    def rehearsing(self, part: Part, is_kept: bool = False) -> Generator[None]:
        """What happens inside is what it takes to answer for a part from memory, or to keep it."""
        stop = self._timed(self.keeping if is_kept else self.answers, part)
        try:
            yield
        finally:
            stop()

    def _timed(self, seconds: dict[Part, float], part: Part) -> Callable[[], None]:
        if self.device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            self._events.append((seconds, part, begin, end))
            return end.record
        began, own = time.perf_counter(), self._own_seconds

        def stop() -> None:
            seconds[part] += time.perf_counter() - began - (self._own_seconds - own)

        return stop

    def _read(self) -> None:
        """Add up what the device measured; waits for it, so only when the run is over."""
        if self._events:
            torch.cuda.synchronize()
        for seconds, part, begin, end in self._events:
            seconds[part] += begin.elapsed_time(end) / 1000
        self._events.clear()

    def flop_shares(self) -> dict[Part, float]:
        """FLOPs as shares of the whole; none where a part's kernels could not be counted."""
        # The deepest branch of a UNet without a middle block has no operations.
        layers = (n for (kind, _), n in self.flops.items() if kind is not SiteKind.DEEP_BRANCH)
        if not self.all_flops or not all(layers):
            return {}
        return {part: min(n / self.all_flops, 1.0) for part, n in self.flops.items()}

    def second_shares(self, total: float, evaluations: int) -> dict[Part, float]:
        """What reusing a part saves: seconds to compute it less those to answer for it.

        Args:
            total: seconds of all timed evaluations.
            evaluations: how many were timed; answers are rehearsed in one of them.

        Returns:
            Shares of `total`.
        """
        self._read()
        saved = {part: n - evaluations * self.answers[part] for part, n in self.seconds.items()}
        return _shares(saved, total)

    def keeping_shares(self, total: float, evaluations: int) -> dict[Part, float]:
        """What keeping what a part computed adds to an evaluation; arguments as before."""
        self._read()
        return _shares({part: evaluations * n for part, n in self.keeping.items()}, total)


def _shares(seconds: Mapping[Part, float], total: float) -> dict[Part, float]:
    if not math.isfinite(total) or total <= 0:
        return {}
    return {part: min(max(each / total, 0.0), 1.0) for part, each in seconds.items()}
