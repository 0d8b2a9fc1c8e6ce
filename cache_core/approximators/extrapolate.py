"""Continue the change between two outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .combine import combine
from .weights import Rising, Weight

if TYPE_CHECKING:
    from ..values import Value
    from .approximator import Past, Reuse


@dataclass(frozen=True, slots=True)
class Extrapolate:
    """FasterCache's dynamic feature reuse: last + (last - second to last) × weight.

    The two outputs are the last two *computed* ones, as in the paper and the released scripts.

    Args:
        weight: how far to go.

    Source: arXiv 2410.19355, equation 2; Vchitect/FasterCache 02d05ef, ``scripts/``.
    """

    weight: Weight = field(default=Rising())
    needs: int = 2
    remembers: int = 2

    def observe(self, past: Past, output: Value) -> Past:
        return (*past, output)[-2:]

    def approximate(self, past: Past, reuse: Reuse) -> tuple[Value, Past]:
        return self._continued(past, reuse), past

    def _continued(self, past: Past, reuse: Reuse) -> Value:
        weight = self.weight.at(reuse)
        return combine(past[-1], past[-2], lambda last, before: last + (last - before) * weight)


@dataclass(frozen=True, slots=True)
class ExtrapolateFromCalls(Extrapolate):
    """The same over the outputs of the last two *calls*, reused ones included.

    Source: huggingface/diffusers 0.42.1, ``hooks/faster_cache.py``. Its history begins with the
    first output twice. Kept to be compared with; the last two computed outputs are the published
    rule.
    """

    needs: int = 1

    def observe(self, past: Past, output: Value) -> Past:
        return (past[-1], output) if past else (output, output)

    def approximate(self, past: Past, reuse: Reuse) -> tuple[Value, Past]:
        value = self._continued(past, reuse)
        return value, (past[-1], value)
