"""How much it matters to the network's output that groups of sites change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...calibration import ErrorTable
from ...calibration.meter import Meter
from ...sites import SiteKind
from ..evaluation.guidance import network_outputs
from .probes import change_of


class Sensitivity:
    """Takes in outputs of one run, on their own device and without waiting.

    Args:
        sampling: the host's sampling object.
        cfg: scale of guidance.
        meter: leaves out what this takes.
    """

    def __init__(self, sampling: Any, cfg: float, meter: Meter) -> None:
        self._sampling, self._cfg, self._meter = sampling, cfg, meter
        self._changes: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}

    def compare(
        self, name: str, other: Any, x: torch.Tensor, sigma: torch.Tensor, answer: Any
    ) -> None:
        """Take in what a call answered, and what it answered while a group was probed."""
        if not isinstance(answer, torch.Tensor) or answer.shape != x.shape:
            return
        output, changed = network_outputs(self._sampling, x, sigma, answer, other)
        self._add(name, (changed - output).abs().sum(), output.abs().sum())

    def guided(self, x: torch.Tensor, sigma: torch.Tensor, answers: Sequence[Any]) -> None:
        """Take in both branches of one evaluation: how much of the output guidance makes.

        In the timed steps alone, as they are spread over the run.
        """
        if not self._meter.is_timing:
            return
        with self._meter.not_counted():
            cond, uncond = network_outputs(self._sampling, x, sigma, *answers)
            difference = cond - uncond
            guided = uncond + self._cfg * difference
            change = abs(self._cfg - 1) * difference
            self._add(SiteKind.GUIDANCE.value, change.abs().sum(), guided.abs().sum())

    def _add(self, name: str, change: torch.Tensor, norm: torch.Tensor) -> None:
        self._changes.setdefault(name, []).append((change, norm))

    def by_group(self, table: ErrorTable, probed_at: Mapping[str, int]) -> dict[str, float]:
        """Relative error of the output per relative change of what a group returns.

        Args:
            table: how much groups changed.
            probed_at: the step in which each group was probed.
        """
        found: dict[str, float] = {}
        for name, pairs in self._changes.items():
            change = sum(float(change) for change, _ in pairs)
            norm = sum(float(norm) for _, norm in pairs)
            own = 1.0 if name == SiteKind.GUIDANCE else change_of(table, name, probed_at[name])
            if own and norm and math.isfinite(change / norm / own):
                found[name] = change / norm / own
        return found
