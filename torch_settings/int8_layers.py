"""Which linear layers may multiply in int8, and one of them during a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from weakref import ReferenceType, ref

import torch
from torch import nn

from ..cache_core.host.families import family_by_structure, family_of
from ..cache_core.host.intercept.module_swap import Compute, ModuleSwap
from .int8_kernel import Int8Weight, Kernel
from .weights import hindrance_of, weights_of

STEERING = re.compile(
    r"(^|[._])(adaln\w*|mod[A-Z]*|\w*modulation\w*|norm\d*|\w*embed\w*)([._]|$)", re.IGNORECASE
)
"""What models call the layers that scale and shift all tokens at once."""
FEWEST_ROWS = 32
"""A product with fewer waits for its weight, whatever the numbers."""

NOT_ASKED = f"they were never asked about {FEWEST_ROWS} tokens at once"


def linears_of(network: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers of attention, feed-forward and repeated blocks, by path.

    Of a known family, or of one found by its structure; without layers that steer all others.
    """
    family = family_of(network)
    if family is None or not family.layers:
        family = family_by_structure(network)
    if family is None:
        return {}
    places = {site.path for site, way in family.sites(network).items() if way is not None}
    return {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear)
        and not STEERING.search(path)
        and not places.isdisjoint(_above(path))
    }


def compiled_in(network: nn.Module) -> Iterator[nn.Module]:
    """Every module inside of what another node compiled."""
    for module in network.modules():
        own: Any = module
        if hasattr(own, "_orig_mod") or getattr(own, "_compiled_call_impl", None) is not None:
            yield from module.modules()


def size_of(layer: nn.Linear) -> tuple[int, int]:
    """Inputs and outputs."""
    return layer.in_features, layer.out_features


class Int8Layer:
    """One linear layer during a run; its weight is rounded when it is first asked."""

    def __init__(self, module: nn.Linear, kernel: Kernel) -> None:
        self.module, self._kernel = module, kernel
        self.weight: Int8Weight | None = None
        self.left = NOT_ASKED
        """Why it is as it was, as long as it has no weight in int8."""
        self._bias: torch.Tensor | None = None
        self._source: ReferenceType[torch.Tensor] | None = None

    def swap(self, swap: ModuleSwap) -> None:
        """Answer for the layer until the swap ends, where nothing hinders."""
        reason = hindrance_of(self.module)
        if reason is None:
            swap.answer(self.module, self._answer)
        elif self.weight is None:
            self.left = reason

    def _answer(
        self, compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> torch.Tensor:
        x, *others = args
        if others or kwargs or x.numel() < FEWEST_ROWS * x.shape[-1]:
            return compute(*args, **kwargs)
        return self._kernel.multiply(x, self._quantized(x), self._bias)

    def _quantized(self, x: torch.Tensor) -> Int8Weight:
        """The weight as it is now; the host and nodes may put another one in place of it."""
        source = self.module.weight
        if self.weight is None or self._source is None or self._source() is not source:
            with weights_of(self.module, x) as (weight, bias):
                self.weight = self._kernel.quantized(weight)
                self._bias = None if bias is None else bias.detach().clone()
            self._source = ref(source)
        return self.weight


def _above(path: str) -> Iterator[str]:
    """A path, and those of all modules around it."""
    while path:
        yield path
        path = path.rpartition(".")[0]
