"""Values that nothing of ours expects, and the methods that meet them."""

from __future__ import annotations

from functools import cache
from typing import Any

import cases
import torch
import toys
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods import PAB, FasterCache, StepCache, TGate

WHOLE = cases.WHOLE_RUN
BOTH = FasterCache(2, 2, 2, WHOLE, guidance_interval=2, guidance_window=WHOLE)
STEPS = 6
METHODS = {
    "PAB": PAB(2, 2, 2, WHOLE), "blocks": PAB(block=2, window=WHOLE), "both": BOTH,
    "gate": TGate(3, 0, 2, 2), "whole": StepCache(2.0),
}  # fmt: skip
MISSING = object()


class Hostile:
    """Answers nothing that is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no {name} here")

    def __float__(self) -> float:
        raise OverflowError("too much")

    def __bool__(self) -> bool:
        raise RuntimeError("neither nor")

    def __len__(self) -> int:
        raise TypeError("without end")

    def __iter__(self) -> Any:
        raise TypeError("nothing to see")


@cache
def drawn(method: str | None = None) -> torch.Tensor:
    """What Wan's toy draws, with one of the methods or none."""
    model = toys.load("wan")
    return toys.sample(model if method is None else attach(model, METHODS[method]), "wan")
