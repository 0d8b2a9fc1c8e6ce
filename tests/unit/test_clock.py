"""The clock: which step a noise level belongs to, and how far the run is."""

from __future__ import annotations

import pytest
from stepcache.cache_core.clock import Timeline, percents_of
from stepcache.cache_core.errors import ConfigError

QUARTERS = Timeline(
    sigmas=(1.0, 0.75, 0.5, 0.25, 0.0),
    timesteps=(1000.0, 750.0, 500.0, 250.0),
    percents=(0.0, 0.25, 0.5, 0.75),
)


def timeline(*sigmas: float) -> Timeline:
    """A timeline of which only the sigmas matter."""
    steps = len(sigmas) - 1
    return Timeline(sigmas, (None,) * steps, (0.0,) * steps)


@pytest.mark.parametrize(
    ("sigmas", "timesteps", "percents", "found"),
    [
        ((1.0, 0.5, 0.0), (1000.0,), (0.0, 0.5), "3 sigmas, 1 timesteps and 2 percents"),
        ((1.0, 0.5, 0.0), (1000.0, 500.0), (0.0,), "3 sigmas, 2 timesteps and 1 percents"),
        ((1.0, 0.5, 0.0), (1000.0, 500.0, 0.0), (0.0, 0.5, 1.0), "3 sigmas, 3 timesteps"),
        ((1.0,), (), (), "1 sigmas"),
        ((), (), (), "0 sigmas"),
    ],
)
def test_a_timeline_without_one_timestep_and_percent_per_step_is_refused(
    sigmas: tuple[float, ...],
    timesteps: tuple[float, ...],
    percents: tuple[float, ...],
    found: str,
) -> None:
    with pytest.raises(ConfigError, match=found):
        Timeline(sigmas, timesteps, percents)


@pytest.mark.parametrize("step", range(4))
def test_a_point_of_the_schedule_is_its_own_step(step: int) -> None:
    assert QUARTERS.locate(QUARTERS.sigmas[step]) == step


@pytest.mark.parametrize(
    ("sigma", "step"),
    [
        (0.9999667, 0),  # what SNR-type samplers make of a flow model's first sigma
        (0.50004, 2),  # 8e-5 above 0.5
        (0.49996, 2),  # 8e-5 below 0.5
        (0.5001, 1),  # 2e-4 above 0.5 is no longer the point itself
    ],
)
def test_a_sigma_within_a_ten_thousandth_of_a_point_is_that_point(sigma: float, step: int) -> None:
    assert QUARTERS.locate(sigma) == step


@pytest.mark.parametrize(("sigma", "step"), [(0.9, 0), (0.625, 1), (0.3, 2), (0.1, 3)])
def test_a_sigma_between_two_points_belongs_to_the_step_that_passes_it(
    sigma: float, step: int
) -> None:
    assert QUARTERS.locate(sigma) == step


def test_sigmas_outside_the_schedule_belong_to_its_ends() -> None:
    assert QUARTERS.locate(14.6) == 0
    assert QUARTERS.locate(0.0) == 3
    part_of_a_run = timeline(0.5, 0.25, 0.125)
    assert part_of_a_run.locate(0.125) == 1
    assert part_of_a_run.locate(0.01) == 1


@pytest.mark.parametrize(
    ("sigma", "step"), [(0.0, 0), (0.1, 0), (0.25, 1), (0.3, 1), (0.75, 3), (0.9, 3), (1.0, 3)]
)
def test_a_rising_schedule_is_read_the_same_way(sigma: float, step: int) -> None:
    assert timeline(0.0, 0.25, 0.5, 0.75, 1.0).locate(sigma) == step


def test_a_repeated_sigma_is_the_first_step_that_has_it() -> None:
    repeated = timeline(1.0, 0.5, 0.5, 0.25, 0.0)
    assert repeated.locate(0.5) == 1
    assert repeated.locate(0.4) == 2
    assert repeated.locate(0.25) == 3


def test_one_step_takes_every_sigma() -> None:
    assert {timeline(1.0, 0.0).locate(sigma) for sigma in (1.0, 0.5, 0.0)} == {0}


def test_even_divides_all_three_scales() -> None:
    assert Timeline.even(4) == QUARTERS


def test_even_needs_a_step() -> None:
    with pytest.raises(ConfigError):
        Timeline.even(0)


def test_a_clock_reads_one_step_of_the_timeline() -> None:
    clock = QUARTERS.clock(2, evaluation=5)
    assert (clock.step, clock.steps, clock.evaluation) == (2, 4, 5)
    assert (clock.sigma, clock.timestep, clock.percent) == (0.5, 500.0, 0.5)


def test_percents_invert_a_linear_map() -> None:
    percents = percents_of((1.0, 0.75, 0.5, 0.1), lambda percent: 1.0 - percent)
    assert percents == pytest.approx((0.0, 0.25, 0.5, 0.9), abs=1e-6)


def test_percents_invert_a_shifted_flow() -> None:
    def shift_by_3(percent: float) -> float:
        time = 1.0 - percent
        return 3 * time / (1 + 2 * time)

    # Half way, time 1/2, the shifted sigma is 1.5 / 2.
    assert percents_of((1.0, 0.75), shift_by_3) == pytest.approx((0.0, 0.5), abs=1e-6)


def test_a_guess_is_asked_about_once_and_believed_if_it_is_right() -> None:
    asked: list[float] = []

    def falling(percent: float) -> float:
        asked.append(percent)
        return 1.0 - percent

    assert percents_of((0.75, 0.5), falling, (0.25, 0.5)) == (0.25, 0.5)
    assert len(asked) == 2
    wrong = percents_of((0.75, 0.5, 1.0), falling, (0.3, 0.5001, 0.0))
    assert wrong == pytest.approx((0.25, 0.5, 0.0), abs=1e-6)


def test_the_first_sigma_of_a_full_run_is_at_exactly_0() -> None:
    def host_map(percent: float) -> float:
        return 999999999.9 if percent <= 0.0 else 14.6 * (1.0 - percent)

    assert percents_of((14.6,), host_map) == (0.0,)
    assert percents_of((1.0,), lambda percent: 1.0 - percent) == (0.0,)


def test_the_end_of_a_run_is_at_1() -> None:
    assert percents_of((0.0,), lambda percent: 1.0 - percent) == pytest.approx((1.0,), abs=1e-6)


def test_of_several_near_points_the_nearest_is_meant() -> None:
    timeline = Timeline((1.0, 0.99992, 0.5, 0.0), (1000.0, 999.9, 500.0), (0.0, 0.3, 0.6))
    assert timeline.locate(0.99992) == 1
    assert timeline.locate(0.99998) == 0


def test_a_schedule_that_rises_again_counts_from_the_last_step() -> None:
    timeline = Timeline((1.0, 0.5, 1.0, 0.5, 0.0), (None,) * 4, (0.0, 0.5, 0.0, 0.5))
    assert [timeline.locate(0.5), timeline.locate(0.5, since=2)] == [1, 3]
    assert [timeline.locate(1.0), timeline.locate(1.0, since=1)] == [0, 2]
    assert timeline.locate(0.7, since=2) == 2


def test_a_clock_tells_the_level_of_the_evaluation_beside_that_of_the_step() -> None:
    clock = QUARTERS.clock(2, evaluation=5, half_log_snr=0.25)
    assert (clock.sigma, clock.evaluation, clock.half_log_snr) == (0.5, 5, 0.25)
    assert QUARTERS.clock(2).half_log_snr == 0.0
