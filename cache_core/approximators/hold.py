"""Return the last computed output unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..clock import Clock
    from ..values import Value


@dataclass(frozen=True, slots=True)
class Hold:
    """Zero-order hold: what PAB, DeepCache, SmoothCache and T-GATE's self-attention do."""

    needs: int = 1

    def observe(self, past: tuple[Value, ...], output: Value) -> tuple[Value, ...]:
        return (output,)

    def approximate(self, past: tuple[Value, ...], clock: Clock) -> Value:
        return past[-1]
