"""Planned steps: how many, where they have to be, and where never."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.s_curve import LEAST, SCurve

SPEEDS = [tenths / 10 for tenths in range(10, 51)]
BENDS = (0.0, 0.3, 0.7, 1.0)
LENGTHS = range(1, 61)


@pytest.mark.parametrize("bend", BENDS)
def test_as_many_steps_compute_as_the_speed_says(bend: float) -> None:
    for speed in SPEEDS:
        for steps in LENGTHS:
            computed = SCurve(speed, bend).computed_steps(steps)
            # Halves are rounded up; of a short run three compute, or as many as it has.
            wanted = min(steps, max(LEAST, math.floor(steps / speed + 0.5)))
            assert len(computed) == wanted, (speed, steps)
            assert computed <= set(range(steps))
            assert {0, min(1, steps - 1), steps - 1} <= computed


def test_a_plan_is_the_curve() -> None:
    for steps in LENGTHS:
        curve, line = SCurve(2.3), Timeline.even(steps)
        plan, computed = Plan.of(curve, line), curve.computed_steps(steps)
        letters = ["C" if step in computed else "R" for step in range(steps)]
        assert plan.strip == "".join(letters)
        asked = ["R" if curve.may_reuse(line.clock(step)) else "C" for step in range(steps)]
        assert asked == letters


def test_faster_never_computes_more() -> None:
    for steps in LENGTHS:
        counts = [len(SCurve(speed).computed_steps(steps)) for speed in SPEEDS]
        assert counts == sorted(counts, reverse=True)


def test_speed_1_reuses_nothing_and_says_so() -> None:
    assert SCurve(1.0).never_reuses
    assert not SCurve(1.1).never_reuses
    for steps in LENGTHS:
        assert SCurve(1.0).computed_steps(steps) == set(range(steps))


@pytest.mark.parametrize("bend", BENDS)
def test_both_ends_are_as_dense_as_each_other_and_no_less_than_the_middle(bend: float) -> None:
    for steps in (20, 30, 50):
        for speed in (2.0, 3.0, 4.0):
            # Step 0 stands by itself: with step 1 it gives the first line.
            places = sorted(SCurve(speed, bend).computed_steps(steps))[1:]
            gaps = [b - a for a, b in pairwise(places)]
            assert max(gaps[0], gaps[-1]) <= max(gaps)
            # Rounding moves a step by one.
            mirrored = zip(gaps, reversed(gaps), strict=True)
            assert all(abs(gap - other) <= 1 for gap, other in mirrored), gaps


@pytest.mark.parametrize(
    ("speed", "bend", "fault"),
    [(0.9, 0.4, "speed is 0.9"), (math.nan, 0.4, "speed"), (2, -0.1, "bend"), (2, 1.1, "bend")],
)
def test_settings_outside_their_range_are_refused(speed: float, bend: float, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        SCurve(speed, bend)
