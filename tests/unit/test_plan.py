"""Plans: what a schedule does in a run. The traces are those of the authors' implementations."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.non_uniform import NonUniform
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.schedules import From, Interval, Never, TimestepRange


def run_at(timesteps: Sequence[float]) -> Timeline:
    """A run that visits these timesteps, one per step."""
    steps = len(timesteps)
    return Timeline(
        sigmas=(*(float(t) for t in timesteps), 0.0),
        timesteps=tuple(float(t) for t in timesteps),
        percents=tuple(i / steps for i in range(steps)),
    )


def plan(strip: str) -> Plan:
    return Plan(tuple(letter == "R" for letter in strip))


DDIM_20 = run_at(range(951, 0, -50))


@pytest.mark.parametrize(
    ("interval", "trace"),
    [
        (1, "CCCCCCCCCCCCCCCCCCCC"),
        (2, "CCCRCRCRCRCRCRCRCRCC"),
        (3, "CCCCRRCRRCRRCRRCRRCC"),
        (4, "CCCRCRRRCRRRCRRRCRCC"),
    ],
)
def test_pab_in_20_ddim_steps(interval: int, trace: str) -> None:
    # t = 951, 901, 851 lie above the window, 51 and 1 below; 801 … 101 lie in it.
    assert Plan.of(Interval(interval) & TimestepRange(100, 850), DDIM_20).strip == trace


def test_deepcache_every_third_step() -> None:
    assert Plan.of(Interval(3), DDIM_20).strip == "CRRCRRCRRCRRCRRCRRCR"


def test_deepcache_non_uniform() -> None:
    # 0 5 9 13 17 21 26 31 37 43 of 50
    strip = Plan.of(NonUniform(5, 15, 1.4), Timeline.even(50)).strip
    assert strip == "CRRRRCRRRCRRRCRRRCRRRCRRRRCRRRRCRRRRRCRRRRRCRRRRRR"


def pab_trace(timesteps: Sequence[int], period: int, low: int, high: int) -> str:
    """PAB as its authors state it: one layer, one counter of calls, one output."""
    calls, trace = 0, ""
    for t in timesteps:
        may_broadcast = low < t < high
        trace += "R" if calls % period != 0 and may_broadcast else "C"
        calls += 1  # noqa: SIM113 (the counter is the rule)
    return trace


def test_interval_and_window_are_the_call_counter_rule_of_pab() -> None:
    chance = random.Random(2408_12588)
    reused, on_an_end = 0, 0
    for _ in range(2000):
        timesteps = sorted(chance.sample(range(1001), chance.randint(1, 60)), reverse=True)
        period = chance.randint(1, 9)
        low, high = sorted(chance.sample([*timesteps, -1, 100, 850, 1001], 2))
        expected = pab_trace(timesteps, period, low, high)
        schedule = Interval(period) & TimestepRange(low, high)
        assert Plan.of(schedule, run_at(timesteps)).strip == expected, (timesteps, period, low)
        reused += expected.count("R")
        on_an_end += low in timesteps or high in timesteps
    assert reused > 1000, "the configurations hardly ever reuse: they test nothing"
    assert on_an_end > 1000, "the ends of the window are hardly ever met: they are not tested"


def test_the_source_of_a_step_is_the_newest_step_that_computes() -> None:
    planned = plan("CRRCR")
    assert [planned.source(step) for step in range(5)] == [0, 0, 0, 3, 3]


def test_the_source_is_step_0_where_none_computes() -> None:
    planned = Plan.of(From(0), Timeline.even(3))
    assert planned.strip == "RRR"
    assert [planned.source(step) for step in range(3)] == [0, 0, 0]


def test_nothing_is_needed_after_the_last_reuse_but_one_step_of_slack() -> None:
    planned = plan("CRCRCCC")
    assert [planned.is_needed_after(step) for step in (0, 2, 3)] == [True, True, True]
    assert planned.is_needed_after(4), "a sampler may step back by one, to step 3"
    assert [planned.is_needed_after(step) for step in (5, 6)] == [False, False]


def test_nothing_is_needed_in_a_plan_that_never_reuses() -> None:
    planned = Plan.of(Never(), Timeline.even(4))
    assert planned.strip == "CCCC"
    assert not any(planned.is_needed_after(step) for step in range(4))
