"""Schedules: the moments at which a stored value may stand in."""

from __future__ import annotations

import pytest
from stepcache.cache_core.clock import Clock, Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.non_uniform import NonUniform
from stepcache.cache_core.schedules import (
    Broadcast,
    From,
    Interval,
    Mask,
    Never,
    PercentRange,
    Schedule,
    StepRange,
    TimestepRange,
)


def clock(
    step: int = 0, *, steps: int = 10, timestep: float | None = 500.0, percent: float = 0.5
) -> Clock:
    return Clock(step=step, steps=steps, sigma=1.0, timestep=timestep, percent=percent)


def strip(schedule: Schedule, steps: int) -> str:
    """One letter per step of an even run: R may be reused, C must be computed."""
    line = Timeline.even(steps)
    return "".join("R" if schedule.may_reuse(line.clock(i)) else "C" for i in range(steps))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Never(), "CCCCCCCC"),
        (Interval(1), "CCCCCCCC"),
        (Interval(2), "CRCRCRCR"),
        (Interval(3), "CRRCRRCR"),
        (Interval(8), "CRRRRRRR"),
        (Interval(100), "CRRRRRRR"),
        (StepRange(2, 5), "CCRRRCCC"),
        (StepRange(0, 8), "RRRRRRRR"),
        (StepRange(3, 3), "CCCCCCCC"),
        (From(6), "CCCCCCRR"),
        (From(8), "CCCCCCCC"),
    ],
)
def test_schedules_that_count_steps(schedule: Schedule, expected: str) -> None:
    assert strip(schedule, 8) == expected


def test_a_mask_computes_where_it_says_so() -> None:
    assert strip(Mask((True, False, False, True, False)), 5) == "CRRCR"


@pytest.mark.parametrize("steps", [3, 8])
def test_a_mask_is_for_one_number_of_steps(steps: int) -> None:
    with pytest.raises(ConfigError, match=f"for 5 steps, this run has {steps}"):
        strip(Mask((True, False, False, True, False)), steps)


def test_a_gate_lies_inside_the_run() -> None:
    with pytest.raises(ConfigError, match="gate_step 9 lies beyond this run of 8 steps"):
        strip(From(9), 8)
    with pytest.raises(ConfigError, match="gate_step is 0; expected 1 or more"):
        From(0)


@pytest.mark.parametrize(
    ("starts", "count", "expected"),
    [
        ((0.2,), 2, "CCCRRCCCCC"),
        ((0.2, 0.6), 1, "CCCRCCCRCC"),
        ((0.0,), 3, "CRRRCCCCCC"),
        ((0.9,), 3, "CCCCCCCCCC"),
        # Between two steps: from the later one on.
        ((0.15,), 1, "CCCRCCCCCC"),
        ((0.5,), 0, "CCCCCCCCCC"),
        ((), 3, "CCCCCCCCCC"),
    ],
)
def test_a_broadcast_reuses_after_its_starts(
    starts: tuple[float, ...], count: int, expected: str
) -> None:
    assert strip(Broadcast(starts, count), 10) == expected


def test_fractions_of_the_steps_are_the_published_timesteps() -> None:
    # Latte, 50 DDIM steps, MLP at t = 720, 640, 560, 480, 400: the steps 14, 18, 22, 26, 30.
    starts = tuple(1 - t / 1000 for t in (720, 640, 560, 480, 400))
    reused = [i for i, letter in enumerate(strip(Broadcast(starts, 2), 50)) if letter == "R"]
    assert reused == [15, 16, 19, 20, 23, 24, 27, 28, 31, 32]


@pytest.mark.parametrize(("starts", "count"), [((1.0,), 1), ((-0.1,), 1), ((0.5,), -1)])
def test_a_broadcast_outside_the_run_is_refused(starts: tuple[float, ...], count: int) -> None:
    with pytest.raises(ConfigError, match="expected starts from 0 to below 1"):
        Broadcast(starts, count)


@pytest.mark.parametrize(
    ("schedule", "is_idle"),
    [
        (Never(), True),
        (Interval(1), True),
        (Interval(2), False),
        (Interval(1) & From(2), True),
        (Interval(1) | From(2), False),
        (Interval(1) | Never(), True),
        (Mask((True, True)), True),
        (Mask((True, False)), False),
        (Broadcast((0.5,), 0), True),
        (Broadcast((0.5,), 1), False),
    ],
)
def test_a_schedule_knows_whether_it_can_ever_reuse(schedule: Schedule, is_idle: bool) -> None:
    assert schedule.never_reuses == is_idle


def test_an_interval_may_count_from_one() -> None:
    assert strip(Interval(3, phase=1), 8) == "RRCRRCRR"


@pytest.mark.parametrize(
    ("percent", "may_reuse"),
    [
        (0.24, False),
        (0.25, True),
        (0.25 - 6e-8, True),  # as exact as the inverted percent scale is
        (0.5, True),
        (0.75, True),
        (0.75 + 6e-8, True),
        (0.76, False),
    ],
)
def test_a_percent_range_includes_both_ends(percent: float, may_reuse: bool) -> None:
    assert PercentRange(0.25, 0.75).may_reuse(clock(percent=percent)) is may_reuse


@pytest.mark.parametrize(
    ("timestep", "may_reuse"),
    [(99, False), (100, False), (100.7, True), (101, True), (849, True), (850, False)],
)
def test_a_timestep_range_excludes_both_ends(timestep: float, may_reuse: bool) -> None:
    assert TimestepRange(100, 850).may_reuse(clock(timestep=timestep)) is may_reuse


def test_a_timestep_range_may_reach_past_the_scale() -> None:
    everywhere = TimestepRange(-1, 1001)
    assert everywhere.may_reuse(clock(timestep=0.0))
    assert everywhere.may_reuse(clock(timestep=1000.0))


def test_a_timestep_range_refuses_a_model_without_timesteps() -> None:
    with pytest.raises(ConfigError, match=r"\(100, 850\) on a model without .* percent instead"):
        TimestepRange(100, 850).may_reuse(clock(timestep=None))


def test_and_reuses_where_both_do() -> None:
    assert strip(Interval(3) & StepRange(2, 6), 8) == "CCRCRRCC"


def test_or_reuses_where_one_does() -> None:
    assert strip(Interval(2) | From(5), 8) == "CRCRCRRR"


def test_and_and_or_can_be_nested() -> None:
    # T-GATE's self-attention: now and then before step 4, always from step 6 on.
    assert strip((Interval(2) & StepRange(0, 4)) | From(6), 8) == "CRCRCCRR"


def test_equal_schedules_are_one_key() -> None:
    def pab() -> Schedule:
        return Interval(2) & TimestepRange(100, 850)

    assert len({pab(), pab(), Interval(3) & TimestepRange(100, 850)}) == 2


@pytest.mark.parametrize(
    ("steps", "interval", "computed"),
    [
        (50, 5, "0 5 9 13 17 21 26 31 37 43"),
        (50, 3, "0 3 6 8 11 13 15 17 20 22 25 28 32 35 38 42 46"),
        (50, 10, "0 9 17 26 37"),
    ],
)
def test_non_uniform_gives_the_lists_of_the_reference(
    steps: int, interval: int, computed: str
) -> None:
    schedule = NonUniform(interval, center=15, power=1.4)
    expected = [int(step) for step in computed.split()]
    assert list(schedule.computed_steps(steps)) == expected
    assert [i for i, letter in enumerate(strip(schedule, steps)) if letter == "C"] == expected


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_non_uniform_with_interval_1_never_reuses(steps: int) -> None:
    assert strip(NonUniform(1, center=15, power=1.4), steps) == "C" * steps


def test_non_uniform_computes_once_in_a_run_shorter_than_the_interval() -> None:
    assert strip(NonUniform(5, center=2, power=1.4), 4) == "CRRR"


@pytest.mark.parametrize("interval", range(2, 11))
def test_non_uniform_computes_as_often_as_uniform(interval: int) -> None:
    computed = NonUniform(interval, center=15, power=1.4).computed_steps(50)
    assert len(set(computed)) == strip(Interval(interval), 50).count("C")
    assert computed[0] == 0
    assert computed[-1] < 50


def test_non_uniform_lowers_the_power_by_0_02_until_the_list_is_long_enough() -> None:
    def computed(power: float) -> tuple[int, ...]:
        return NonUniform(2, center=5, power=power).computed_steps(50)

    assert computed(1.40) == computed(1.38)
    assert computed(1.40) != computed(1.36)


def test_non_uniform_says_when_no_list_exists() -> None:
    # Truncation towards 0 merges the two offsets next to the center, at every power.
    with pytest.raises(ConfigError, match="no non-uniform list of 5 steps exists for 10 steps"):
        NonUniform(2, center=5, power=1.4).computed_steps(10)


@pytest.mark.parametrize(
    ("make", "found", "expected"),
    [
        (lambda: Interval(0), "interval is 0", "expected 1 or more"),
        (lambda: Interval(-2), "interval is -2", "expected 1 or more"),
        (lambda: StepRange(-1, 3), "-1 … 3", "expected 0 <= start <= stop"),
        (lambda: StepRange(4, 3), "4 … 3", "expected 0 <= start <= stop"),
        (lambda: PercentRange(-0.1, 0.5), "-0.1 … 0.5", "expected values from 0 to 1"),
        (lambda: PercentRange(0.5, 1.1), "0.5 … 1.1", "expected values from 0 to 1"),
        (lambda: PercentRange(0.9, 0.1), "0.9", "is not before end_percent 0.1"),
        (lambda: PercentRange(0.5, 0.5), "0.5", "lower the start or raise the end"),
        (lambda: TimestepRange(850, 100), "(850, 100)", "expected low < high"),
        (lambda: TimestepRange(100, 100), "(100, 100)", "expected low < high"),
        (lambda: NonUniform(0, 15, 1.4), "interval is 0", "expected 1 or more"),
        (lambda: NonUniform(3, -1, 1.4), "center is -1", "expected a step number, 0 or more"),
        (lambda: NonUniform(3, 15, 1.0), "power is 1;", "expected more than 1"),
    ],
)
def test_errors_say_what_was_found_and_what_was_expected(
    make: type[Schedule], found: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert found in str(caught.value)
    assert expected in str(caught.value)
