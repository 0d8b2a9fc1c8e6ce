"""Pairs, medians, and the floor in FLOPs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Ratio:
    """plain ÷ patched seconds over several pairs.

    Args:
        plain_seconds, patched_seconds: medians.
        first_seconds: of the patched warm-up, in which things may be compiled or copied.
    """

    median: float
    lowest: float
    highest: float
    pairs: int
    plain_seconds: float
    patched_seconds: float
    first_seconds: float

    def to_dict(self) -> dict[str, Any]:
        return {key: round(value, 4) for key, value in asdict(self).items()}


def paired(plain: Callable[[], Any], patched: Callable[[], Any], pairs: int) -> Ratio:
    """Time both in turn, the order swapped from pair to pair, after one warm-up of each."""
    plain()
    first = _seconds(patched)
    ratios: list[float] = []
    taken: dict[Callable[[], Any], list[float]] = {plain: [], patched: []}
    for pair in range(pairs):
        order = (plain, patched) if pair % 2 == 0 else (patched, plain)
        for run in order:
            taken[run].append(_seconds(run))
        ratios.append(taken[plain][-1] / taken[patched][-1])
        print(f"    pair {pair + 1}/{pairs}: {ratios[-1]:.3f}", flush=True)
    return Ratio(
        statistics.median(ratios), min(ratios), max(ratios), pairs,
        statistics.median(taken[plain]), statistics.median(taken[patched]), first,
    )  # fmt: skip


def added_milliseconds(
    plain: Callable[[], Any], patched: Callable[[], Any], evaluations: int, pairs: int
) -> float:
    """Median over pairs of what patching adds to one evaluation, in milliseconds.

    For a tiny network, where that is a large share: on a big one it drowns in the noise.
    """
    plain()
    patched()
    added = [_seconds(patched) - _seconds(plain) for _ in range(pairs)]
    return 1000 * statistics.median(added) / evaluations


def _seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
