"""Return the last computed output unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..values import Value
    from .approximator import Past, Reuse


@dataclass(frozen=True, slots=True)
class Hold:
    """Zero-order hold: what PAB, DeepCache, SmoothCache and T-GATE's self-attention do."""

    needs: int = 1
    remembers: int = 1

    def observe(self, past: Past, output: Value) -> Past:
        return (output,)

    def approximate(self, past: Past, reuse: Reuse) -> tuple[Value, Past]:
        return past[-1], past
