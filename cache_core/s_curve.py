"""A given number of computed steps, dense at both ends of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .clock import Clock, Timeline
from .effort import spend
from .errors import ConfigError
from .schedules import Schedule

LEAST = 3
"""Steps that compute in any run: two for a line, and the last, which nothing mends."""


@dataclass(frozen=True, slots=True)
class SCurve(Schedule):
    """Compute so many steps, the first two and the last among them, and reuse between.

    Args:
        speed: steps ÷ computed steps, >= 1; 1 never reuses. A run computes at least `LEAST`.
        bend: how much denser the ends are than the middle, 0 … 1; 0 spreads evenly.
    """

    speed: float
    bend: float = 0.4

    def __post_init__(self) -> None:
        if not self.speed >= 1.0:
            raise ConfigError(f"speed is {self.speed:g}; expected 1 or more (1 computes all steps)")
        if not 0.0 <= self.bend <= 1.0:
            raise ConfigError(f"bend is {self.bend:g}; expected 0 … 1")

    def may_reuse(self, clock: Clock) -> bool:
        return clock.step not in self.computed_steps(clock.steps)

    def laid_out(self, timeline: Timeline) -> tuple[bool, ...]:
        computed = self.computed_steps(timeline.steps)
        return tuple(step not in computed for step in range(timeline.steps))

    @property
    def never_reuses(self) -> bool:
        return self.speed == 1.0

    def computed_steps(self, steps: int) -> frozenset[int]:
        """The steps that compute in a run of `steps` steps."""
        spend(steps)
        count = count_for(self.speed, steps)
        if count >= steps:
            return frozenset(range(steps))
        # Step 0 by itself; the curve leads from step 1 to the last.
        even = np.linspace(0.0, 1.0, count - 1)
        bent = even - self.bend * np.sin(2 * np.pi * even) / (2 * np.pi)
        chosen = [0]
        for number, place in enumerate(1 + bent * (steps - 2), start=1):
            # Where the curve is flat, two places round to one step.
            first, last = chosen[-1] + 1, steps - count + number
            chosen.append(min(max(math.floor(place + 0.5), first), last))
        return frozenset(chosen)


def count_for(speed: float, steps: int) -> int:
    """How many of the steps compute at a speed."""
    return min(steps, max(LEAST, math.floor(steps / speed + 0.5)))
