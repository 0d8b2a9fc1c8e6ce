"""When a stored value may stand in: pure predicates of the clock, joined with ``&`` and ``|``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from .clock import Clock
from .errors import ConfigError

PERCENT_TOLERANCE = 1e-6
"""Slack at the ends of a percent window: percents come from a bisection exact to 6e-8."""


class Schedule(ABC):
    """A predicate of the clock: True where reuse is allowed, False where computing is due."""

    __slots__ = ()

    @abstractmethod
    def may_reuse(self, clock: Clock) -> bool:
        """Whether a stored value may be used at this moment."""

    def __and__(self, other: Schedule) -> Schedule:
        return Both(self, other)

    def __or__(self, other: Schedule) -> Schedule:
        return Either(self, other)


@dataclass(frozen=True, slots=True)
class Both(Schedule):
    """Reuse where both schedules allow it."""

    left: Schedule
    right: Schedule

    def may_reuse(self, clock: Clock) -> bool:
        return self.left.may_reuse(clock) and self.right.may_reuse(clock)


@dataclass(frozen=True, slots=True)
class Either(Schedule):
    """Reuse where at least one schedule allows it."""

    left: Schedule
    right: Schedule

    def may_reuse(self, clock: Clock) -> bool:
        return self.left.may_reuse(clock) or self.right.may_reuse(clock)


@dataclass(frozen=True, slots=True)
class Never(Schedule):
    """Always compute."""

    def may_reuse(self, clock: Clock) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Interval(Schedule):
    """Compute every `interval`-th step, counted from step 0, and reuse between.

    Args:
        interval: period in steps, >= 1; 1 never reuses.
    """

    interval: int

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise ConfigError(
                f"interval is {self.interval}; expected 1 or more "
                f"(1 computes every step, 3 computes every third step)"
            )

    def may_reuse(self, clock: Clock) -> bool:
        return clock.step % self.interval != 0


@dataclass(frozen=True, slots=True)
class StepRange(Schedule):
    """Reuse only in the steps start <= step < stop."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ConfigError(f"step range {self.start} … {self.stop}; expected 0 <= start <= stop")

    def may_reuse(self, clock: Clock) -> bool:
        return self.start <= clock.step < self.stop


@dataclass(frozen=True, slots=True)
class PercentRange(Schedule):
    """Reuse only while start <= percent <= end, both ends included as in the host's own ranges."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.start <= 1.0 or not 0.0 <= self.end <= 1.0:
            raise ConfigError(
                f"percent range {self.start:g} … {self.end:g}; expected values from 0 to 1"
            )
        if self.start >= self.end:
            raise ConfigError(
                f"start_percent {self.start:g} is not before end_percent {self.end:g}; "
                f"reuse would never happen: lower the start or raise the end"
            )

    def __str__(self) -> str:
        return f"{self.start:g}-{self.end:g}"

    def may_reuse(self, clock: Clock) -> bool:
        return self.start - PERCENT_TOLERANCE <= clock.percent <= self.end + PERCENT_TOLERANCE


@dataclass(frozen=True, slots=True)
class TimestepRange(Schedule):
    """Reuse only while low < timestep < high on the 0 … 1000 scale, both ends excluded.

    This is how the published configurations are written.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ConfigError(f"timestep range ({self.low:g}, {self.high:g}); expected low < high")

    def __str__(self) -> str:
        return f"timesteps {self.high:g}-{self.low:g}"

    def may_reuse(self, clock: Clock) -> bool:
        if clock.timestep is None:
            raise ConfigError(
                f"timestep range ({self.low:g}, {self.high:g}) on a model without a 0 … 1000 "
                f"timestep scale; give the window as percent instead"
            )
        return self.low < clock.timestep < self.high


@dataclass(frozen=True, slots=True)
class From(Schedule):
    """Reuse in every step from `step` on, 0 or later."""

    step: int

    def __post_init__(self) -> None:
        if self.step < 0:
            raise ConfigError(f"reuse from step {self.step}; expected 0 or more")

    def may_reuse(self, clock: Clock) -> bool:
        return clock.step >= self.step


@dataclass(frozen=True, slots=True)
class Mask(Schedule):
    """One flag per step, True computes; steps past the end compute."""

    compute: tuple[bool, ...]

    def may_reuse(self, clock: Clock) -> bool:
        return clock.step < len(self.compute) and not self.compute[clock.step]


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
