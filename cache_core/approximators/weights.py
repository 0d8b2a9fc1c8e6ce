"""How far an extrapolation goes, as a function of the time. Numbers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .approximator import Reuse


class Weight(Protocol):
    """The factor on the last change: 0 repeats the last output, 1 continues the change in full."""

    def at(self, reuse: Reuse) -> float:
        """The factor for this reuse."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same factor at every reuse. diffusers: 0.5; CogVideoX script: 0.3."""

    value: float = 0.5

    def at(self, reuse: Reuse) -> float:
        return self.value


@dataclass(frozen=True, slots=True)
class Rising:
    """From 0 at the first reused step to 1 at the last step of the run.

    Source: FasterCache, arXiv 2410.19355, section 3.2.
    """

    def at(self, reuse: Reuse) -> float:
        first, last = reuse.plan.reuse.index(True), reuse.clock.steps - 1
        return (reuse.clock.step - first) / (last - first) if last > first else 1.0


@dataclass(frozen=True, slots=True)
class Sloped:
    """A straight line over the steps, as the released scripts write it.

    Args:
        origin: step at which the line crosses zero.
        slope: rise per step.
        floor: least value.
    """

    origin: int
    slope: float
    floor: float = 0.0

    def at(self, reuse: Reuse) -> float:
        return max(self.floor, self.slope * (reuse.clock.step - self.origin))
