"""Queries, keys and values by one product instead of three, while a model samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.functional import linear

from ..cache_core.errors import ConfigError, UnsupportedModelError
from ..cache_core.host.intercept.module_swap import Answer, Compute, ModuleSwap
from .setting import Setting, Watch, goes_through_compiler
from .weights import HOOKED, MOVED, has_room, hindrance_of, is_moved

TRIPLES = (
    ("to_q", "to_k", "to_v"), ("q", "k", "v"), ("q_proj", "k_proj", "v_proj"),
    ("wq", "wk", "wv"), ("to_query", "to_key", "to_value"), ("linear_q", "linear_k", "linear_v"),
    ("add_q_proj", "add_k_proj", "add_v_proj"), ("to_q_t", "to_k_t", "to_v_t"),
    ("img_to_q", "img_to_k", "img_to_v"), ("instruct_to_q", "instruct_to_k", "instruct_to_v"),
    ("w1q", "w1k", "w1v"), ("w2q", "w2k", "w2v"), ("k_img", "v_img"),
)  # fmt: skip
"""What the host's models call their projections; queries, where there are any, come first."""

SPARE = 2
"""So many times the memory of the fused weights has to be free before they are made."""

NOT_ALIKE = "they are not called with one and the same tensor"
NO_ROOM = "there is too little free memory"


@dataclass(frozen=True, slots=True)
class FusedProjections(Setting):
    """Projections of attention that are asked about one tensor are asked at once.

    Which ones are is seen in the first evaluation, not assumed. Their weights are copied side by
    side then, as they are patched, and dropped when the run is over.
    """

    name: ClassVar[str] = "Fused Projections"
    keeps_tensors: ClassVar[bool] = True

    def check(self, model: Any) -> None:
        if goes_through_compiler(model.model_options):
            raise ConfigError(
                f"{self.name}: the model goes through TorchCompileModel, which fuses what can be "
                f"fused by itself; expected a model that is not compiled. Take one of the two out"
            )
        network: nn.Module = model.model.diffusion_model
        if not projections_of(network):
            raise UnsupportedModelError(
                f"{self.name}: {type(network).__name__} has no separate projections of queries, "
                f"keys and values; most models without them were made with fused ones. Take this "
                f"node out"
            )

    @contextmanager
    def scope(self, guider: Any) -> Generator[Watch]:
        watch = _Fusing()
        try:
            yield watch
        finally:
            watch.forget()


def projections_of(network: nn.Module) -> list[tuple[nn.Linear, ...]]:
    """Linear layers of one module that may be asked about the same tensor."""
    found: list[tuple[nn.Linear, ...]] = []
    for module in network.modules():
        children = dict(module.named_children())
        for names in TRIPLES:
            layers = [children.get(name) for name in names]
            linears = tuple(layer for layer in layers if isinstance(layer, nn.Linear))
            if len(linears) == len(names):
                found.append(linears)
    return found


class _Fusing(Watch):
    """The fused projections of one run, by network."""

    def __init__(self) -> None:
        self._groups: WeakKeyDictionary[nn.Module, list[_Group]] = WeakKeyDictionary()
        self._left: Counter[str] = Counter()
        self._sizes: Counter[int] = Counter()
        self._nbytes = 0

    def call(self, compute: Callable[[], Any], model: Any) -> Any:
        network: nn.Module = model.diffusion_model
        if getattr(model.current_patcher, "current_hooks", None) is not None:
            self._left[HOOKED] = 1
            return compute()
        groups = self._groups.get(network)
        with ModuleSwap() as swap:
            if groups is not None:
                for group in groups:
                    group.swap(swap)
                return compute()
            met = [_Meeting(linears) for linears in projections_of(network)]
            for meeting in met:
                meeting.swap(swap)
            result = compute()
        self._groups[network] = [group for each in met if (group := self._fused(each))]
        return result

    def _fused(self, meeting: _Meeting) -> _Group | None:
        """The group of a meeting; None where it has to stay as it is, and why is written down."""
        linears = meeting.alike
        reason = _hindrance(linears) if linears else NOT_ALIKE
        if reason is not None:
            self._left[reason] += 1
            return None
        group = _Group(linears)
        self._sizes[len(linears)] += 1
        self._nbytes += group.nbytes
        return group

    def lines(self) -> list[str]:
        name = FusedProjections.name
        return [
            self._done(),
            *(f"{name}: {n} left as they are: {why}" for why, n in self._left.items()),
        ]

    def _done(self) -> str:
        # Whole sentences, for other languages.
        name, pairs, triples = FusedProjections.name, self._sizes[2], self._sizes[3]
        size = f"{self._nbytes / 2**20:.1f}"
        if pairs and triples:
            return (
                f"{name}: keys and values of {pairs} layers and queries, keys and values of "
                f"{triples} layers, {size} MiB beside the weights"
            )
        if pairs:
            return f"{name}: keys and values of {pairs} layers, {size} MiB beside the weights"
        if triples:
            return (
                f"{name}: queries, keys and values of {triples} layers, {size} MiB beside the "
                f"weights"
            )
        return f"{name}: nothing could be fused, the model ran as it is"

    def forget(self) -> None:
        """Drop the copied weights."""
        self._groups.clear()


class _Meeting:
    """Finds out which of some projections are asked about one tensor."""

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        self._linears = linears
        self._asked: list[Any] = [None] * len(linears)
        self._alike: tuple[nn.Linear, ...] | None = None

    def swap(self, swap: ModuleSwap) -> None:
        """Listen until the swap ends."""
        for number, module in enumerate(self._linears):
            swap.answer(module, self._listening(number))
        swap.callback(self._asked.clear)

    def _listening(self, number: int) -> Answer:
        def listen(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
            x = args[0]
            self._asked[number] = x
            if number == len(self._linears) - 1:
                same = tuple(
                    linear
                    for linear, asked in zip(self._linears, self._asked, strict=True)
                    if asked is x
                )
                is_known = self._alike is None or self._alike == same
                self._alike = same if is_known else ()
                self._asked = [None] * len(self._linears)
            return compute(*args, **kwargs)

        return listen

    @property
    def alike(self) -> tuple[nn.Linear, ...]:
        """Those that always were; empty if fewer than two."""
        return self._alike if self._alike is not None and len(self._alike) > 1 else ()


class _Group:
    """Projections as one product; asked about the same tensor, the others have their part ready."""

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        self._linears = linears
        self._widths = [layer.weight.shape[0] for layer in linears]
        self._weight = torch.cat([layer.weight.detach() for layer in linears])
        biases = [layer.bias.detach() for layer in linears if layer.bias is not None]
        self._bias = torch.cat(biases) if biases else None
        self._asked: torch.Tensor | None = None
        self._ready: dict[int, torch.Tensor] = {}

    @property
    def nbytes(self) -> int:
        """Of the copied weights."""
        return self._weight.nbytes + (self._bias.nbytes if self._bias is not None else 0)

    def swap(self, swap: ModuleSwap) -> None:
        """Answer for the projections until the swap ends."""
        for number, module in enumerate(self._linears):
            swap.answer(module, self._answering(number))
        swap.callback(self._release)

    def _answering(self, number: int) -> Answer:
        def first(_: Compute, args: tuple[Any, ...], __: dict[str, Any]) -> torch.Tensor:
            x = args[0]
            mine, *others = linear(x, self._weight, self._bias).split(self._widths, -1)
            self._asked, self._ready = x, dict(enumerate(others, 1))
            return mine

        def later(compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
            part = self._ready.pop(number, None) if args[0] is self._asked else None
            if not self._ready:
                self._asked = None
            return compute(*args, **kwargs) if part is None else part

        return later if number else first

    def _release(self) -> None:
        self._asked, self._ready = None, {}


def _hindrance(linears: Sequence[nn.Linear]) -> str | None:
    """Why the weights cannot be laid side by side, in words; None if they can."""
    for layer in linears:
        reason = MOVED if is_moved(layer) else hindrance_of(layer)
        if reason is not None:
            return reason
    alike = {
        (layer.weight.device, layer.weight.dtype, layer.weight.shape[1], layer.bias is None)
        for layer in linears
    }
    if len(alike) > 1:
        return "they are not of one sort"
    needed = SPARE * sum(layer.weight.nbytes for layer in linears)
    (device, *_), *_ = alike
    return None if has_room(device, needed) else NO_ROOM
