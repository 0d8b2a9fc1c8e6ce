"""A forecast is queued for the device like any other operation: the host does not wait for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import StepCache
from torch.utils._python_dispatch import TorchDispatchMode

STEPS = 8
ATEN = torch.ops.aten


class Reads(TorchDispatchMode):
    """Counts how often a number is read out of a tensor, for which a device has to be done."""

    count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> torch.Tensor:
        self.count += func in (ATEN.item.default, ATEN._local_scalar_dense.default)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["sd15", "wan", "flux"])
def test_a_forecast_waits_for_no_device(name: str) -> None:
    counted: list[int] = []

    def watch(executor: Any, *args: Any) -> Any:
        with Reads() as reads:
            answers = executor(*args)
        counted.append(reads.count)
        return answers

    watched = toys.load(name).clone()
    watched.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "watch", watch)
    patched = attach(watched, StepCache(2.0))
    toys.sample(patched, name, steps=STEPS, **dict(toys.TOYS[name].options))
    strip = last_report(patched).strip_of("evaluation")
    assert len(counted) == len(strip) == STEPS
    assert [n for n, letter in zip(counted, strip, strict=True) if letter == "R"] == [0] * 4
