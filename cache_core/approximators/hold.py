"""Return the last computed output unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..values import Value
    from .approximator import History, Reuse


@dataclass(frozen=True, slots=True)
class Hold:
    """Zero-order hold: what PAB, DeepCache and SmoothCache do."""

    min_history: int = 1
    max_history: int = 1

    def update(self, history: History, output: Value) -> History:
        return (output,)

    def predict(self, history: History, reuse: Reuse) -> tuple[Value, History]:
        return history[-1], history
