"""Plans: what a schedule does in a run. The traces are those of the authors' implementations."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.non_uniform import NonUniform
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.schedules import Interval, Never, StepRange, TimestepRange


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


def test_step_0_computes_whatever_the_schedule_says() -> None:
    planned = Plan.of(StepRange(0, 3), Timeline.even(3))
    assert planned.strip == "CRR", "nothing can be stored before step 0"
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


def test_an_output_is_needed_until_enough_later_ones_were_computed() -> None:
    planned = plan("CCCCRCC")
    assert [planned.is_needed_after(step, needs=2) for step in range(4)] == [
        False,
        False,
        True,
        True,
    ]
    assert not any(planned.is_needed_after(step, needs=0) for step in range(7))


def test_steps_can_be_made_to_compute() -> None:
    assert plan("CRRRRR").computing_at({0, 2, 3}).strip == "CRCCRR"


def test_a_branch_that_was_away_has_nothing_to_reuse() -> None:
    # Steps 3 and 4 run one branch; the value of step 3 is of no use to the other one at step 5.
    guidance = plan("CCCRRCRR")
    assert plan("CRRCRRCR").with_branches(guidance).strip == "CRRCRCCR"
    assert plan("CRRRRRRR").with_branches(guidance).strip == "CRRRRRRR", "both ran at step 0"
    assert plan("CCCCCCCC").with_branches(guidance).strip == "CCCCCCCC"


PHASE_OF_SCRIPTS = 1
"""The released scripts count steps from 1."""


@pytest.mark.parametrize(
    ("first", "interval", "first_attention", "attention", "cfg_trace", "attention_trace"),
    [
        # Latte: CFG from c = 18 in fives, attention from c = 16 at even c.
        (
            17, 5, 15, Interval(2),
            "FFFFFFFFFFFFFFFFFccFccccFccccFccccFccccFccccFccccF",
            "CCCCCCCCCCCCCCCrCrCCCrCrCrCrCCCrCrCrCrCCCrCrCrCrCC",
        ),
        # CogVideoX: the same for CFG, attention from c = 18 unless c mod 3 = 0.
        (
            17, 5, 17, Interval(3, PHASE_OF_SCRIPTS),
            "FFFFFFFFFFFFFFFFFccFccccFccccFccccFccccFccccFccccF",
            "CCCCCCCCCCCCCCCCCCrCCrrCCrCrrCrrCrCCrrCCrCrrCrrCrC",
        ),
    ],
)  # fmt: skip
def test_fastercache_as_the_scripts_run_it(
    first: int,
    interval: int,
    first_attention: int,
    attention: Interval,
    cfg_trace: str,
    attention_trace: str,
) -> None:
    line = Timeline.even(50)
    guidance = Plan.of(StepRange(first, 50) & Interval(interval, PHASE_OF_SCRIPTS), line)
    assert guidance.strip.replace("C", "F").replace("R", "c") == cfg_trace
    planned = Plan.of(StepRange(first_attention, 50) & attention, line).with_branches(guidance)
    assert planned.strip.replace("R", "r") == attention_trace


# Whole evaluations that are reused: nothing is asked in their steps.


@pytest.mark.parametrize(
    ("wanted", "evaluation", "strip"),
    [
        # No turn falls on a skipped step.
        ("CRRRCR", "CCRRCC", "CR..CR"),
        # Step 2 would compute, and step 4 does so by itself.
        ("CRCRCR", "CCRRCC", "CR..CR"),
        # Step 3 would compute: step 5 does, and steps after it reuse again.
        ("CRRCRRR", "CCCRRCC", "CRR..CR"),
        # Two turns that are missed are made up for once.
        ("CRCCRRR", "CCRRCCC", "CR..CRR"),
        # Nothing is left to make up for.
        ("CRRRRC", "CCRRRR", "CR...."),
        ("CCCC", "CCCC", "CCCC"),
        ("CRRR", "CRRC", "C..R"),
    ],
)
def test_where_the_turn_falls_on_a_step_that_is_not_asked_the_next_one_computes(
    wanted: str, evaluation: str, strip: str
) -> None:
    inside = plan(wanted).inside(plan(evaluation))
    assert inside.strip == strip
    assert inside.not_asked == {step for step, letter in enumerate(evaluation) if letter == "R"}


def skipping(strip: str) -> Plan:
    """A plan in which "." is not asked."""
    skipped = frozenset(step for step, letter in enumerate(strip) if letter == ".")
    return Plan(tuple(letter == "R" for letter in strip), skipped)


def test_the_source_of_a_step_is_one_that_was_asked() -> None:
    planned = skipping("CR..RC.R")
    assert planned.strip == "CR..RC.R"
    assert [planned.source(step) for step in range(8)] == [0, 0, 0, 0, 0, 5, 5, 5]
    assert planned.sources == (0, 0, 0, 0, 0, 5, 5, 5)


def test_as_many_steps_compute_first_as_are_asked() -> None:
    assert skipping("C..RRR").computing_first(2).strip == "C..CRR"
    assert skipping("CR..RR").computing_first(3).strip == "CC..CR"


def test_an_output_is_needed_over_steps_that_are_not_asked() -> None:
    planned = skipping("C...RC.C")
    assert planned.is_needed_after(0), "the next step that is asked reuses"
    assert not planned.is_needed_after(7)
    assert not skipping("C..CR").is_needed_after(0), "step 3 computes it anew"
    assert skipping("C..CR").is_needed_after(0, needs=2)


def test_a_second_branch_has_nothing_of_a_step_that_was_not_asked() -> None:
    # Guidance leaves a branch out in 1 and 4; what is reused in 5 was computed in 3 by both.
    assert skipping("CR.CRR").with_branches(skipping("CR.CRC")).strip == "CR.CRR"
    # In 1 one branch computes, 2 is not asked, and in 3 both have to be there.
    assert skipping("CC.RRR").with_branches(skipping("CR.CCC")).strip == "CC.CRR"
