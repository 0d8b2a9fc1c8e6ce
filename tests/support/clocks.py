"""Clocks that tests hand in: the machine's own time decides no test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from work import Calls

READERS = (
    "cache_core.report",
    "cache_core.calibration.meter",
    "cache_core.calibration.session",
    "speed.int8_kernel",
    "speed.timing",
    "speed.trying",
)
"""Modules that read the time of what runs."""

CALL_SECONDS = 1e-6
"""What the call of a function takes by a clock that counts them: about as long as in truth."""


class HandClock:
    """A clock that stands still until it is moved on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def counted_time() -> Iterator[None]:
    """Let the pack take the calls of functions for time: what does more takes longer, always."""
    calls = Calls()
    with pytest.MonkeyPatch.context() as patch, calls.counted():
        for reader in READERS:
            patch.setattr(f"stepcache.{reader}.perf_counter", lambda: CALL_SECONDS * calls.count)
        yield
