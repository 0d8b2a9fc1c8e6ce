"""How long tests wait for what has to come: a clock ends what hangs, and decides nothing else."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

T = TypeVar("T")

HANG = 300.0
"""Seconds after which a wait is an error."""

PAUSE = 0.02
"""Seconds between two looks."""


def until(is_so: Callable[[], T], pause: Callable[[], object] = lambda: sleep(PAUSE)) -> T:
    """Look again and again until something is so.

    Args:
        is_so: looks.
        pause: what happens between two looks.

    Returns:
        What was found in the end.
    """
    end = monotonic() + HANG
    while not (found := is_so()):
        assert monotonic() < end, f"not so after {HANG:.0f} s"
        pause()
    return found
