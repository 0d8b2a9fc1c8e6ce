"""DeepCache's non-uniform list of full steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .clock import Clock, Timeline
from .effort import spend
from .errors import ConfigError
from .schedules import Interval, Schedule


@dataclass(frozen=True, slots=True)
class NonUniform(Schedule):
    """DeepCache's non-uniform steps: dense around `center`, sparse away from it.

    Args:
        interval: mean period N, >= 1; ceil(steps / N) steps are computed.
        center: step around which computing is densest, in steps.
        power: how strongly the steps gather there, > 1.

    Source: DeepCache, horseee/DeepCache 1691a3a, ``sample_from_quad_center``. The reference lets
    a negative base through numpy's complex power and truncates the real part; the principal root
    is part of the published step lists, so it is kept here.
    """

    interval: int
    center: int
    power: float

    def __post_init__(self) -> None:
        Interval(self.interval)
        if self.power <= 1.0:
            raise ConfigError(f"power is {self.power:g}; expected more than 1 (published: 1.2-1.5)")
        if self.center < 0:
            raise ConfigError(f"center is {self.center}; expected a step number, 0 or more")

    def may_reuse(self, clock: Clock) -> bool:
        return clock.step not in self.computed_steps(clock.steps)

    def laid_out(self, timeline: Timeline) -> tuple[bool, ...]:
        # The list is made once for all steps, not anew for each of them.
        computed = frozenset(self.computed_steps(timeline.steps))
        return tuple(step not in computed for step in range(timeline.steps))

    def computed_steps(self, steps: int) -> tuple[int, ...]:
        """The steps that compute in a run of `steps` steps.

        Raises:
            ConfigError: no list of the right length exists for this center and step count.
        """
        count = -(-steps // self.interval)
        if count >= steps:
            return tuple(range(steps))
        power = self.power
        while power > 1.0:
            spend(count)
            chosen = _gathered(steps, count, self.center, power)
            if len(chosen) == count and chosen[-1] < steps:
                return chosen
            power -= 0.02
        raise ConfigError(
            f"no non-uniform list of {count} steps exists for {steps} steps with center "
            f"{self.center} and power {self.power:g}; move the center by a step, inside the run, "
            f"or use the uniform schedule"
        )


def _gathered(steps: int, count: int, center: int, power: float) -> tuple[int, ...]:
    """One try of the reference's list: evenly spaced roots, raised back, truncated."""
    first = complex(-center) ** (1 / power)
    last = complex(steps - center) ** (1 / power)
    points: list[complex] = np.linspace(first, last, count + 1).tolist()
    offsets = sorted({int((point**power).real) for point in points})
    return (0, *(offset + center for offset in offsets[1:-1]))
