"""When a stored value may stand in: pure predicates of the clock, joined with ``&`` and ``|``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from .clock import Clock, Timeline
from .errors import ConfigError

PERCENT_TOLERANCE = 1e-6
"""Slack at the ends of a percent window: percents are exact to 1e-7."""


class Schedule(ABC):
    """A predicate of the clock: True where reuse is allowed, False where computing is due."""

    __slots__ = ()

    @abstractmethod
    def may_reuse(self, clock: Clock) -> bool:
        """Whether a stored value may be used at this moment."""

    def laid_out(self, timeline: Timeline) -> tuple[bool, ...]:
        """`may_reuse` at every step of a run."""
        return tuple(self.may_reuse(timeline.clock(step)) for step in range(timeline.steps))

    @property
    def never_reuses(self) -> bool:
        """Whether reuse is ruled out whatever the time, so that another rule may take the site."""
        return False

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

    def laid_out(self, timeline: Timeline) -> tuple[bool, ...]:
        # The other one is not asked about a run where its answer does not count: it may refuse it.
        left = self.left.laid_out(timeline)
        if not any(left):
            return left
        right = self.right.laid_out(timeline)
        return tuple(one and other for one, other in zip(left, right, strict=True))

    @property
    def never_reuses(self) -> bool:
        return self.left.never_reuses or self.right.never_reuses


@dataclass(frozen=True, slots=True)
class Either(Schedule):
    """Reuse where at least one schedule allows it."""

    left: Schedule
    right: Schedule

    def may_reuse(self, clock: Clock) -> bool:
        return self.left.may_reuse(clock) or self.right.may_reuse(clock)

    def laid_out(self, timeline: Timeline) -> tuple[bool, ...]:
        left = self.left.laid_out(timeline)
        if all(left):
            return left
        right = self.right.laid_out(timeline)
        return tuple(one or other for one, other in zip(left, right, strict=True))

    @property
    def never_reuses(self) -> bool:
        return self.left.never_reuses and self.right.never_reuses


@dataclass(frozen=True, slots=True)
class Never(Schedule):
    """Always compute."""

    def may_reuse(self, clock: Clock) -> bool:
        return False

    @property
    def never_reuses(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Interval(Schedule):
    """Compute every `interval`-th step, counted from step 0, and reuse between.

    Args:
        interval: period in steps, >= 1; 1 never reuses.
        phase: added to the step before counting; 1 for sources that count steps from 1.
    """

    interval: int
    phase: int = 0

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise ConfigError(
                f"interval is {self.interval}; expected 1 or more "
                f"(1 computes every step, 3 computes every third step)"
            )

    def may_reuse(self, clock: Clock) -> bool:
        return (clock.step + self.phase) % self.interval != 0

    @property
    def never_reuses(self) -> bool:
        return self.interval == 1


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


Window = PercentRange | TimestepRange
"""Part of a run in which a method may reuse."""


@dataclass(frozen=True, slots=True)
class From(Schedule):
    """Reuse in every step from a gate on.

    Args:
        step: the gate, 1 … number of steps; equal to the number of steps it never reuses.
    """

    step: int

    def __post_init__(self) -> None:
        if self.step < 1:
            raise ConfigError(f"gate_step is {self.step}; expected 1 or more")

    def may_reuse(self, clock: Clock) -> bool:
        if self.step > clock.steps:
            raise ConfigError(
                f"gate_step {self.step} lies beyond this run of {clock.steps} steps; lower it, set "
                f"it to 0 for a gate by share, or sample more steps (a partial run counts its own "
                f"steps only)"
            )
        return clock.step >= self.step


@dataclass(frozen=True, slots=True)
class Mask(Schedule):
    """One flag per step of a run of exactly this length, True computes."""

    compute: tuple[bool, ...]

    def may_reuse(self, clock: Clock) -> bool:
        if clock.steps != len(self.compute):
            raise ConfigError(
                f"the schedule is for {len(self.compute)} steps, this run has {clock.steps}; "
                f"sample {len(self.compute)} steps, or take a schedule made for {clock.steps} (a "
                f"built-in one follows the sampler where steps is 0)"
            )
        return not self.compute[clock.step]

    @property
    def never_reuses(self) -> bool:
        return all(self.compute)


@dataclass(frozen=True, slots=True)
class Broadcast(Schedule):
    """Compute at chosen points of the run and reuse in the few steps after each.

    Args:
        starts: the points as a fraction of the steps, 0 <= start < 1.
        count: steps that reuse after each, >= 0.

    Source: PAB's MLP broadcast, NUS-HPC-AI-Lab/VideoSys 4cce477, which lists exact timesteps of one
    schedule; fractions mean the same steps there and work for any other number of steps.
    """

    starts: tuple[float, ...]
    count: int

    def __post_init__(self) -> None:
        if self.count < 0 or not all(0.0 <= start < 1.0 for start in self.starts):
            raise ConfigError(
                f"broadcast from {list(self.starts)} for {self.count} steps; expected starts from "
                f"0 to below 1 and a count of 0 or more"
            )

    def may_reuse(self, clock: Clock) -> bool:
        # A start that falls between two steps means the later one; rounding is not a fraction.
        first = [math.ceil(start * clock.steps - 1e-9) for start in self.starts]
        return any(step < clock.step <= step + self.count for step in first)

    @property
    def never_reuses(self) -> bool:
        return not self.starts or self.count == 0
