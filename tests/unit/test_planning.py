"""Plans by measured noise estimates: matrices that a reader can follow, and what holds of any."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from stepcache.cache_core.approximators import Forecast, Reuse
from stepcache.cache_core.calibration.noise import NoiseChanges
from stepcache.cache_core.calibration.planning import MAX_SEARCHED, STARTS, Planner
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.effort import Effort
from stepcache.cache_core.errors import ConfigError, EffortError
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.s_curve import SCurve, count_for

LEVELS = (0.0, math.log(2), math.log(4), math.log(8), 16.0)
"""sigma / alpha is 1, 1/2, 1/4, 1/8, and 0 at the end; even in log-SNR."""
WEIGHTS = tuple(move / math.hypot(1, ratio) for move, ratio in
                ((1 / 2, 1), (1 / 4, 1 / 2), (1 / 8, 1 / 4), (1 / 8, 1 / 8)))  # fmt: skip
"""How far each step moves latents of length 1: the change of sigma / alpha, at alpha 1."""


def of_estimates(estimates: list[list[float]], levels: tuple[float, ...]) -> NoiseChanges:
    """What is measured of noise estimates, one row per level."""
    changes = np.diff(np.array(estimates), axis=0)
    return NoiseChanges.of(levels, changes @ changes.T / changes.shape[1])


def of_series(*values: float) -> Planner:
    """Of estimates with one element, over `LEVELS`."""
    return Planner(of_estimates([[value] for value in values], LEVELS), LEVELS)


def measured(steps: int, seed: int = 0, elements: int = 40) -> tuple[NoiseChanges, list[float]]:
    """Estimates that wander at random and less and less, and the levels of the run."""
    rng = np.random.default_rng(seed)
    levels = [*np.sort(rng.uniform(-2.5, 2.5, steps)).tolist(), 16.0]
    moves = rng.normal(size=(steps, elements)) * np.exp(-np.arange(steps) / steps)[:, None]
    return of_estimates(moves.cumsum(0).tolist(), tuple(levels)), levels


# By hand.


def test_what_lies_on_a_line_is_not_missed() -> None:
    planner = of_series(10, 8, 6, 4)
    for computed in ({0, 1}, {0, 1, 2}, {0, 1, 3}):
        assert planner.error(computed) == pytest.approx(0, abs=1e-12)


def test_a_miss_counts_as_far_as_its_step_moves_the_latents() -> None:
    # From 16 and 8 a line leads to 0 where 4 is true, and from 8 and 4 to 0 where 2 is.
    planner = of_series(16, 8, 4, 2)
    assert planner.error({0, 1, 3}) == pytest.approx(4 * WEIGHTS[2])
    assert planner.error({0, 1, 2}) == pytest.approx(2 * WEIGHTS[3])
    # The line goes on to -8.
    assert planner.error({0, 1}) == pytest.approx(4 * WEIGHTS[2] + 10 * WEIGHTS[3])


def test_one_computed_step_is_held() -> None:
    planner = of_series(10, 7, 7, 7)
    assert planner.error({0, 2, 3}) == pytest.approx(3 * WEIGHTS[1])


def test_misses_may_cancel_each_other() -> None:
    # The line stays at 0; the truth is once above and once below it.
    up, down = 1 / WEIGHTS[2], 1 / WEIGHTS[3]
    assert of_series(0, 0, up, -down).error({0, 1}) == pytest.approx(0, abs=1e-5)
    assert of_series(0, 0, up, down).error({0, 1}) == pytest.approx(2)


def test_no_line_leads_through_noise_alone() -> None:
    levels = (-16.0, 0.0, 1.0, 2.0, 16.0)
    changes = of_estimates([[99.0], [5.0], [5.0], [5.0]], levels)
    assert Planner(changes, levels).error({0, 1}) == pytest.approx(0, abs=1e-9)


def test_the_step_that_a_line_misses_is_computed() -> None:
    assert of_series(10, 8, 6, 0).plan(4 / 3) == {0, 1, 3}
    # After a bend in step 2 the line from 1 to 2 holds.
    assert of_series(5, 5, 0, -5).plan(4 / 3) == {0, 1, 2}


# Whatever was measured.


@pytest.mark.parametrize("seed", range(4))
def test_the_error_is_that_of_real_forecasts(seed: int) -> None:
    """Beside the approximator itself, run over tensors."""
    steps = 9
    changes, levels = measured(steps, seed)
    rng = np.random.default_rng(seed)
    rng.uniform(-2.5, 2.5, steps)
    moves = rng.normal(size=(steps, 40)) * np.exp(-np.arange(steps) / steps)[:, None]
    truth = torch.from_numpy(moves.cumsum(0))
    even = Timeline.even(steps)
    clocks = [even.clock(step, half_log_snr=levels[step]) for step in range(steps)]
    ratios = np.exp(-np.array(levels))
    weights = np.abs(np.diff(ratios)) / np.hypot(1, ratios[:-1])
    planner, what = Planner(changes, levels), Forecast()
    for others in combinations(range(2, steps), 3):
        computed = (0, 1, *others)
        missed = torch.zeros(40, dtype=torch.float64)
        for step in set(range(steps)) - set(computed):
            before = [each for each in computed if each < step][-2:]
            history = (truth[before[0]], truth[before[1]])
            plan = Plan(tuple(each not in computed for each in range(steps)))
            reuse = Reuse(clocks[step], plan, times=tuple(clocks[each] for each in before))
            told, _ = what.predict(history, reuse)
            assert isinstance(told, torch.Tensor)
            missed += weights[step] * (told - truth[step])
        expected = missed.square().mean().sqrt().item()
        assert planner.error(computed) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("steps", [3, 5, 12, 30])
def test_nothing_is_missed_where_all_is_computed(steps: int) -> None:
    planner = Planner(*measured(steps))
    assert planner.error(range(steps)) == 0
    assert planner.plan(1.0) == set(range(steps))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [3, 4, 7, 20])
def test_a_plan_misses_no_more_than_any_curve_and_computes_as_much(steps: int, seed: int) -> None:
    planner = Planner(*measured(steps, seed))
    for speed in (1.2, 2.0, 3.0, 5.0):
        plan = planner.plan(speed)
        assert len(plan) == count_for(speed, steps)
        assert {0, 1} <= plan <= set(range(steps))
        for bend in STARTS:
            curve = SCurve(speed, bend).computed_steps(steps)
            assert planner.error(plan) <= planner.error(curve) * (1 + 1e-9)


def test_of_a_short_run_the_plan_is_the_best_of_all() -> None:
    planner = Planner(*measured(9, seed=5))
    every = ({0, 1, *others} for others in combinations(range(2, 9), 3))
    assert planner.error(planner.plan(9 / 5)) == pytest.approx(min(map(planner.error, every)))


# Other runs than the measured one.


def test_between_measured_levels_estimates_lie_on_lines() -> None:
    changes, levels = measured(8, seed=2)
    between = [(a + b) / 2 for a, b in pairwise(levels[:-1])]
    finer = sorted([*levels[:-1], *between])
    matrix = changes.at(finer)
    # Every change falls into two halves.
    assert matrix == pytest.approx(np.kron(changes.matrix, np.full((2, 2), 0.25)))
    assert changes.at(levels[:-1]) == pytest.approx(changes.matrix)


def test_steps_at_one_noise_level_change_nothing() -> None:
    changes, levels = measured(6)
    twice = [*levels[:3], *levels[2:]]
    assert not Planner(changes, twice).error(set(range(7)) - {3}) > 0
    doubled = NoiseChanges((0.0, 1.0, 1.0, 2.0, 16.0), ((1.0, 0.0, 0.0), (9.0, 0.0), (1.0,)))
    assert doubled.at((0.0, 1.0, 2.0)) == pytest.approx(np.diag([1.0, 10.0]))


def test_a_run_beyond_what_was_measured_is_refused_in_words() -> None:
    levels = [*np.linspace(-2.0, 2.0, 20).tolist(), 16.0]
    changes, _ = measured(20)
    changes = NoiseChanges(tuple(levels), changes.products)
    Planner(changes, [*np.linspace(-2.0, 2.4, 20).tolist(), 16.0])
    late = NoiseChanges((*np.linspace(-1.0, 2.0, 20).tolist(), 16.0), changes.products)
    with pytest.raises(ConfigError, match=r"% of this run's way from noise to picture .*Calibrate"):
        Planner(late, levels)
    with pytest.raises(ConfigError, match=r"noise levels of this run rise.*none"):
        Planner(changes, [*levels[:5], 0.0, *levels[6:]])


def test_what_is_looked_at_is_counted() -> None:
    changes, levels = measured(50)
    effort = Effort(1_000_000)
    with effort.limits():
        Planner(changes, levels).plan(2.0)
    assert 1_000 < effort.spent < 1_000_000
    with pytest.raises(EffortError), Effort(effort.spent / 2).limits():
        Planner(changes, levels).plan(2.0)


def test_of_a_long_run_a_curve_is_taken() -> None:
    changes, levels = measured(30)
    long = [*np.linspace(levels[0], levels[-2], MAX_SEARCHED + 1).tolist(), 16.0]
    curves = {SCurve(3.0, bend).computed_steps(len(long) - 1) for bend in STARTS}
    assert Planner(changes, long).plan(3.0) in curves


def test_means_count_as_many_samples_as_they_are_of() -> None:
    one, _ = measured(5)
    more = NoiseChanges.of(one.half_log_snrs, 5 * one.matrix)
    assert one.mixed(1, more, 3).matrix == pytest.approx(4 * one.matrix)
    assert one.mixed(1, None, 3) == one
    other, _ = measured(5, seed=1)
    assert one.mixed(1, other, 3) == one
