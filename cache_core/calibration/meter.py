"""What the parts of a network cost: seconds and floating-point operations."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ..session import Answer, Compute
from ..sites import Part, SiteKind
from .groups import part_of_group

aten = torch.ops.aten

TINY = 1e-9
"""Seconds, where a clock says none."""


_PRODUCTS = frozenset({aten.linear, aten.matmul, aten.mm, aten.bmm})
_CONVOLUTIONS = frozenset({aten.conv1d, aten.conv2d, aten.conv3d})
_TRANSPOSED = frozenset({aten.conv_transpose1d, aten.conv_transpose2d, aten.conv_transpose3d})
_COUNTED_HERE = (
    _PRODUCTS | _CONVOLUTIONS | _TRANSPOSED | {aten.einsum, aten.scaled_dot_product_attention}
)
"""Composite operations, and those of which torch's own formula takes longer."""


class BySteps(defaultdict[int, float]):
    """Seconds by sampler step."""

    def __init__(self) -> None:
        super().__init__(float)


class FlopCounter(TorchDispatchMode):
    """Counts multiplications and additions of matrix products, convolutions and attention.

    Every operation is called as it is, so that results stay the same to the last bit. PyTorch's
    `FlopCounterMode` takes composite operations apart first, which may choose another kernel, and
    does not count attention on the CPU.
    """

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  # PyTorch's has no types
        self.total = 0
        self.draws = False
        """Whether something was drawn from a generator; attention without dropout draws nothing."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket
        # Most operations are none of these, and every one of a call comes by here.
        if packet not in _COUNTED_HERE and packet not in flop_registry:
            if torch.Tag.nondeterministic_seeded in func.tags:
                self.draws = self.draws or packet is not aten.dropout or args[2]
            return func(*args, **kwargs)
        if packet is aten.einsum:
            with self:
                return func.decompose(*args, **kwargs)
        result = func(*args, **kwargs)
        if packet in _PRODUCTS:
            self.total += 2 * result.numel() * args[0].shape[-1]
        elif packet in _CONVOLUTIONS:
            self.total += 2 * result.numel() * args[1][0].numel()
        elif packet is aten.scaled_dot_product_attention:
            # torch's own formula refuses three axes, and keys that are broadcast.
            self.total += 2 * args[1].shape[-2] * (args[0].numel() + result.numel())
        elif packet in _TRANSPOSED:
            self.total += 2 * args[0].numel() * args[1][0].numel()
        else:
            self.total += flop_registry[packet](*args, **kwargs, out_val=result)
        return result


class Meter:
    """Adds up what parts cost: seconds while `is_timing`, operations inside `counting_flops`.

    Seconds are kept by sampler step, so that a step in which the machine did something else does
    not count.

    Args:
        device: where the model runs; on CUDA the device's own clock is used, and nothing waits.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.flops: Counter[Part] = Counter()
        self.all_flops = 0
        self.draws: bool | None = None
        """Whether calls draw from PyTorch's generators; None where operations are not counted."""
        self.step = 0
        self.is_timing = False
        self.seconds: defaultdict[Part, BySteps] = defaultdict(BySteps)
        self.answers: defaultdict[Part, BySteps] = defaultdict(BySteps)
        self.keeping: defaultdict[Part, BySteps] = defaultdict(BySteps)
        self.calls = BySteps()
        self.asking: defaultdict[Part | None, BySteps] = defaultdict(BySteps)
        self.probed: defaultdict[str, BySteps] = defaultdict(BySteps)
        self._events: list[tuple[BySteps, int, int, Any, Any]] = []
        self._counter: FlopCounter | None = None
        self.own_seconds = 0.0
        """Seconds that measuring itself took, which count for no part."""

    @property
    def is_measuring(self) -> bool:
        """Whether parts are measured now."""
        return self.is_timing or self._counter is not None

    @contextmanager
    def not_counted(self) -> Generator[None]:
        """Leave what happens inside out of the seconds of the parts around it."""
        began = perf_counter()
        try:
            yield
        finally:
            self.own_seconds += perf_counter() - began

    @contextmanager
    def counting_flops(self) -> Generator[None]:
        """Count the operations of one model call."""
        with FlopCounter() as self._counter:
            try:
                yield
            finally:
                self.all_flops += self._counter.total
                self.draws = self.draws or self._counter.draws
                self._counter = None

    def start(self, part: Part) -> Callable[[], None]:
        """Begin to measure a part; call what is returned when it is done."""
        counter = self._counter
        if counter is not None:
            before = counter.total
            return lambda: self.flops.update({part: counter.total - before})
        return self._timed(self.seconds[part])

    @contextmanager
    def timing(self, seconds: BySteps, times: int = 1) -> Generator[None]:
        """What happens inside belongs to these: a whole call, an answer from memory, keeping.

        Args:
            times: how often it counts.
        """
        stop = self._timed(seconds, times)
        yield
        stop()

    def timed_dispatch(self, answer: Answer, part: Part | None) -> Answer:
        """The same answer, of which is measured what it takes beside what it computes.

        That is the processor's time; other devices go on meanwhile, and it counts for nothing.

        Args:
            answer: for a part, or for a whole call of the network.
            part: None for the whole call.
        """
        if self.device.type != "cpu":
            return answer

        def ask(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            inside = 0.0

            def computed(*args: Any, **kwargs: Any) -> Any:
                nonlocal inside
                began = self._now()
                try:
                    return compute(*args, **kwargs)
                finally:
                    inside += self._now() - began

            began = self._now()
            result = answer(computed, args, kwargs)
            self.asking[part][self.step] += self._now() - began - inside
            return result

        return ask

    def _now(self) -> float:
        """Seconds, without those of measuring."""
        return perf_counter() - self.own_seconds

    def _timed(self, seconds: BySteps, times: int = 1) -> Callable[[], None]:
        step = self.step
        if self.device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            self._events.append((seconds, step, times, begin, end))
            return end.record
        began = self._now()

        def stop() -> None:
            seconds[step] += times * (self._now() - began)

        return stop

    def _read(self) -> None:
        """Add up what the device measured; waits for it, so only when the run is over."""
        if self._events:
            torch.cuda.synchronize()
        for seconds, step, times, begin, end in self._events:
            seconds[step] += times * begin.elapsed_time(end) / 1000
        self._events.clear()

    def flop_shares(self) -> dict[Part, float]:
        """FLOPs as shares of the whole; none where a part's kernels could not be counted."""
        # The deepest branch of a UNet without a middle block has no operations.
        layers = (n for (kind, _), n in self.flops.items() if kind is not SiteKind.DEEP_BRANCH)
        if not self.all_flops or not all(layers):
            return {}
        return {part: min(n / self.all_flops, 1.0) for part, n in self.flops.items()}

    def second_shares(self, steps: Steps) -> dict[Part, float]:
        """What reusing a part saves: seconds to compute it less those to answer for it.

        Of one that was probed it is what the network really took less. That is believed where it is
        more; less it is also where that one call was disturbed.

        Args:
            steps: those in which parts were timed.

        Returns:
            Shares of an evaluation.
        """
        self._read()
        if not steps.are_known:
            return {}
        found = {part: steps.of_all(each) for part, each in self.seconds.items()}
        for part in found.keys() & self.answers.keys():
            found[part] -= steps.of_one(self.answers[part])
        for name in self.probed:
            part = part_of_group(name)
            if part in found:
                found[part] = max(found[part], self._probed(name, steps))
        return {part: _limited(share) for part, share in found.items()}

    def layers_share(self, steps: Steps) -> float:
        """What reusing all layers together saved when they were probed; 0 if they were not."""
        self._read()
        if not steps.are_known or "layers" not in self.probed:
            return 0.0
        return _limited(self._probed("layers", steps))

    def _probed(self, name: str, steps: Steps) -> float:
        return steps.of_all(self.calls) - steps.of_one(self.probed[name])

    def keeping_shares(self, steps: Steps) -> dict[Part, float]:
        """What keeping what a part computed adds to an evaluation; arguments as before."""
        self._read()
        if not steps.are_known:
            return {}
        return {part: _limited(steps.of_one(each)) for part, each in self.keeping.items()}

    def asking_shares(self, steps: Steps) -> dict[Part | None, float]:
        """What asking parts takes of an evaluation; under None what a whole call takes besides."""
        if not steps.are_known:
            return {}
        return {part: _limited(steps.of_one(each)) for part, each in self.asking.items()}


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a run that was measured.

    Args:
        seconds: by step, without those of measuring.
        evaluations: of the model, by step.
        timed: the steps in which parts were timed.
    """

    seconds: Mapping[int, float]
    evaluations: Mapping[int, int]
    timed: frozenset[int]

    @property
    def are_known(self) -> bool:
        """Whether there is anything that parts can be shares of."""
        return bool(self.timed) and 0 < self._usual < math.inf

    @property
    def _usual(self) -> float:
        return median(self.seconds[step] for step in self.timed)

    def of_all(self, part: BySteps) -> float:
        """The share of what was timed in every evaluation of these steps."""
        return median(part[step] / max(self.seconds[step], TINY) for step in self.timed)

    def of_one(self, part: BySteps) -> float:
        """The share of what was timed in one evaluation of a step, or of several steps."""
        return median(n * self.evaluations.get(step, 1) for step, n in part.items()) / self._usual


def _limited(share: float) -> float:
    return min(max(share, 0.0), 1.0)
