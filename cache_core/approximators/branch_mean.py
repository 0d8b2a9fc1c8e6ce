"""After the gate, return the mean of what both branches computed last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .combine import combine

if TYPE_CHECKING:
    from ..values import Value
    from .approximator import History, Reuse


@dataclass(frozen=True, slots=True)
class BranchMean:
    """T-GATE: hold each branch's output before the gate, and the mean of both from the gate on.

    Args:
        gate_step: first step of the single branch; the mean is that of the step before.

    Source: arXiv 2404.02747, equation 6; HaozheLiu-ST/T-GATE ab2a88f, ``tgate_utils.py``.
    """

    gate_step: int
    min_history: int = 1
    max_history: int = 1

    def update(self, history: History, output: Value) -> History:
        return (output,)

    def predict(self, history: History, reuse: Reuse) -> tuple[Value, History]:
        return history[-1], history

    def merges_branches(self, step: int) -> bool:
        """Whether a reuse at this step means the mean of both branches."""
        return step >= self.gate_step

    def merge(self, one: History, other: History) -> History:
        """The common history of two branches."""
        # Branches may have been computed on two devices.
        return (combine(one[-1], other[-1], lambda a, b: (a + b.to(a.device)) / 2),)
