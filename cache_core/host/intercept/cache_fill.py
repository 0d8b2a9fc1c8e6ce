"""Calls by which a network fills a cache of its own: nothing of ours answers within them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from ...session import Answer, Compute
from ..families import CacheFill
from .module_swap import ModuleSwap


class CacheFilling:
    """Whether such a call is going on, in one model call.

    Args:
        fill: which calls these are; None where the network has no such cache.
    """

    def __init__(self, fill: CacheFill | None) -> None:
        self._fill, self._is_on = fill, False

    def aside(self, answer: Answer) -> Answer:
        """The same answer, but none while the network fills its cache."""
        if self._fill is None:
            return answer

        def answer_or_compute(
            compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            return compute(*args, **kwargs) if self._is_on else answer(compute, args, kwargs)

        return answer_or_compute

    def watch(self, swap: ModuleSwap, modules: Iterable[nn.Module]) -> None:
        """Notice such calls, until the swap ends; nothing else may answer for the modules later."""
        for module in modules:
            swap.answer(module, self._watched)

    def _watched(self, compute: Compute, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._fill is None or not self._fill.is_one(*args, **kwargs):
            return compute(*args, **kwargs)
        self._is_on = True
        try:
            return compute(*args, **kwargs)
        finally:
            self._is_on = False
