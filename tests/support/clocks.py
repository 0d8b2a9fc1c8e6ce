"""Clocks that tests hand in: the machine's own time decides no test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from torch.nn import functional

READERS = (
    "cache_core.report",
    "cache_core.calibration.meter",
    "cache_core.calibration.session",
    "torch_settings.int8_kernel",
    "audit.timing",
    "audit.ab_test",
)
"""Modules that read the time of what runs."""

CALL_SECONDS = 1e-6
OPERATOR_SECONDS = 1e-4
"""What a call, and one of PyTorch's operators, take by the clock that counts them: about as long as
in the demo's models."""


OPERATORS = (getattr(functional.linear, "__self__", None), None)
"""What PyTorch's functions in C belong to: a module of theirs, or nothing, as no other does."""


class HandClock:
    """A clock that stands still until it is moved on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


class CallClock:
    """A clock that goes on with every call that this thread makes while it is counted."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def hear(self, _frame: FrameType, event: str, function: Any) -> None:
        if event == "call":
            self.now += CALL_SECONDS
        elif event == "c_call":
            is_operator = any(getattr(function, "__self__", self) is owner for owner in OPERATORS)
            self.now += OPERATOR_SECONDS if is_operator else CALL_SECONDS


@contextmanager
def counted_time() -> Iterator[None]:
    """Let the pack take calls for time: what does more takes longer, always."""
    clock = CallClock()
    before = sys.getprofile()
    with pytest.MonkeyPatch.context() as patch:
        for reader in READERS:
            patch.setattr(f"stepcache.{reader}.perf_counter", clock)
        sys.setprofile(clock.hear)
        try:
            yield
        finally:
            sys.setprofile(before)
