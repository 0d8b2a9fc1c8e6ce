"""What operators do in one step of a run: numbers, attention, and where the program waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..cache_core.host.intercept.attention import OVERRIDE
from ..cache_core.host.intercept.module_swap import ModuleSwap
from ..cache_core.host.model_call import ModelCall
from ..torch_settings.op_counter import KERNELS, OpCounter, seen
from ..torch_settings.setting import plain
from .block_lists import BlockList, block_lists_of, watched
from .device_syncs import Taking, Wait, Waiting
from .run_probe import RunProbe, goes_through_compiler

STEPS = 3
"""Of a run that is listened to: the second is, from its evaluation up to the next one."""
NATIVE = "attention_pytorch"
"""The host's function that asks PyTorch."""
NATIVE_KERNELS = frozenset(KERNELS.values())
"""What attention may be called that PyTorch computed."""
COMPILED = "the model is compiled, and listening would have it compiled anew"


@dataclass(frozen=True, slots=True)
class OpTrace:
    """One evaluation.

    Args:
        waits: how often each of them was met.
        block_lists: per list of blocks how many it has, sorts of numbers, and attention.
        attention: what computed attention, and how often.
        dtypes: in which numbers matrices were multiplied, and how often.
        reason: why nothing was heard; None if something was.
    """

    waits: dict[Wait, int]
    block_lists: dict[str, tuple[int, dict[str, int], dict[str, int]]]
    attention: dict[str, int]
    dtypes: dict[str, int]
    reason: str | None


class _Tally:
    """What is heard in the blocks of one list."""

    def __init__(self) -> None:
        self.seeing = OpCounter()
        self.attention: Counter[str] = Counter()

    @property
    def by(self) -> dict[str, int]:
        """What computed attention; where the host was not asked for it, PyTorch's own kernels."""
        if self.attention or self.seeing.attention in (None, "math"):
            return dict(self.attention)
        return {str(self.seeing.attention): 1}


class OpTracer(RunProbe):
    """Listens to the second evaluation of a run, and to the sampler after it."""

    def __init__(self) -> None:
        self._waiting = Waiting(torch.device("cpu"))
        self._evaluations = 0
        self._whole = _Tally()
        self._tallies: dict[BlockList, _Tally] = {}
        self._now: list[_Tally] = []
        self._reason: str | None = "the model was not called often enough"

    @property
    def heard(self) -> OpTrace:
        """What was heard until now."""
        return OpTrace(
            dict(self._waiting.found),
            {
                blocks.name: (blocks.count, _named(tally.seeing), tally.by)
                for blocks, tally in self._tallies.items()
            },
            self._whole.by,
            _named(self._whole.seeing),
            self._reason,
        )

    def outer_sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        patcher = executor.class_obj.model_patcher
        if goes_through_compiler(patcher):
            self._reason = COMPILED
            return executor(*args, **kwargs)
        device = torch.device(patcher.load_device)
        self._waiting = Waiting(device)
        with self._waiting, Taking(self._waiting) if device.type == "cpu" else nullcontext():
            return executor(*args, **kwargs)

    def predict_noise(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        self._waiting.is_on = self._evaluations == 1 and self._reason is not COMPILED
        self._evaluations += 1
        return executor(*args, **kwargs)

    def apply_model(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._waiting.is_on:
            return executor(*args, **kwargs)
        self._reason = None
        options = ModelCall(args, kwargs).options
        network = executor.class_obj.diffusion_model
        with ExitStack() as stack:
            stack.callback(setattr, self._waiting, "is_in_model", False)
            self._waiting.is_in_model = True
            swap = stack.enter_context(ModuleSwap())
            watched(swap, block_lists_of(network), self._in_list)
            swap.set(options, OVERRIDE, partial(self._attend, options.get(OVERRIDE)))
            stack.enter_context(self._entered(self._whole))
            return executor(*args, **kwargs)

    def _in_list(self, blocks: BlockList) -> Any:
        return self._entered(self._tallies.setdefault(blocks, _Tally()))

    @contextmanager
    def _entered(self, tally: _Tally) -> Generator[None]:
        """What is heard inside counts for a list."""
        self._now.append(tally)
        try:
            with tally.seeing:
                yield
        finally:
            self._now.pop()

    def _attend(self, other: Any, host: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Attention goes its way, and is asked which one that is."""
        compute = partial(other, host) if other is not None else host
        result, seeing = seen(partial(compute, *args, **kwargs))
        kernel = seeing.attention or "unknown"
        own = host.__name__.removeprefix("attention_")
        name = kernel if other is not None or host.__name__ == NATIVE else own
        for tally in self._now:
            tally.attention[name] += 1
        return result


def _named(seeing: OpCounter) -> dict[str, int]:
    return {plain(dtype): count for dtype, count in seeing.dtypes.most_common()}


def shares(counts: dict[str, int]) -> str:
    """Counts in words: "90 % bfloat16, 10 % float32"."""
    total = max(sum(counts.values()), 1)
    ordered: Sequence[tuple[str, int]] = Counter(counts).most_common()
    return ", ".join(f"{100 * n / total:.0f} % {name}" for name, n in ordered)
