"""Continue the change between two outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .combine import combine
from .weights import Rising, Weight

if TYPE_CHECKING:
    from ..values import Value
    from .approximator import History, Reuse


@dataclass(frozen=True, slots=True)
class Extrapolate:
    """FasterCache's dynamic feature reuse: last + (last - second to last) × weight.

    The two outputs are the last two *computed* ones, as in the paper and the released scripts.

    Args:
        weight: how far to go.

    Source: arXiv 2410.19355, equation 2; Vchitect/FasterCache 02d05ef, ``scripts/``.
    """

    weight: Weight = field(default=Rising())
    min_history: int = 2
    max_history: int = 2

    def update(self, history: History, output: Value) -> History:
        return (*history, output)[-2:]

    def predict(self, history: History, reuse: Reuse) -> tuple[Value, History]:
        weight = self.weight.at(reuse)
        value = combine(
            history[-1], history[-2], lambda last, before: last + (last - before) * weight
        )
        return value, history
