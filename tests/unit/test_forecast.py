"""The forecast of whole evaluations: series that a reader can continue in the head."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from stepcache.cache_core.approximators import Forecast, Reuse
from stepcache.cache_core.approximators.forecast import MAX_REACH, NOISE_ALONE, reach_of
from stepcache.cache_core.clock import Clock, Timeline
from stepcache.cache_core.plan import Plan

LINE, PLAN = Timeline.even(8), Plan((False, False, *[True] * 6))
LINEAR = Forecast()


def at(alpha: float, sigma: float) -> Clock:
    """An evaluation of latents of so much picture and noise."""
    return LINE.clock(0, half_log_snr=math.log(alpha / sigma))


def forecast(what: Forecast, computed: list[tuple[Clock, float]], now: Clock) -> float:
    """What stands in now for what was computed then."""
    history: tuple[torch.Tensor, ...] = ()
    for _, value in computed:
        history = what.update(history, torch.tensor([value], dtype=torch.float64))  # type: ignore[assignment]
    times = tuple(clock for clock, _ in computed)
    value, after = what.predict(history, Reuse(now, PLAN, times=times))
    assert after is history, "a forecast is no history"
    assert isinstance(value, torch.Tensor)
    return value.item()


EVEN_FLOW = [at(2**n / (1 + 2**n), 1 / (1 + 2**n)) for n in range(5)]
"""Of flow models: alpha / sigma doubles."""
EVEN_EPS = [at(1, 2.0**-n) for n in range(5)]
"""Of latents whose picture is not scaled."""
FALLING, RISING = [10.0, 8.0, 6.0, 4.0, 2.0], [1.0, 4.0, 7.0, 10.0, 13.0]


@pytest.mark.parametrize("clocks", [EVEN_FLOW, EVEN_EPS], ids=["flow", "eps"])
@pytest.mark.parametrize("series", [FALLING, RISING], ids=["falling", "rising"])
def test_any_two_of_an_even_series_tell_all_that_follow(
    series: list[float], clocks: list[Clock]
) -> None:
    points = list(zip(clocks, series, strict=True))
    for older, newer in combinations(range(4), 2):
        for now in range(newer + 1, 5):
            told = forecast(LINEAR, [points[older], points[newer]], points[now][0])
            assert told == pytest.approx(series[now], rel=1e-12), (older, newer, now)


@pytest.mark.parametrize(("now", "expected"), [(2, 7.5), (3, 7.5), (4, 7.5)])
def test_a_line_that_ends_early_is_held_from_there_on(now: int, expected: float) -> None:
    """Of a fall by 2 in one length a quarter is followed, for one length."""
    what = Forecast("denoised", slope=0.25, furthest=1.0)
    points = list(zip(EVEN_FLOW, FALLING, strict=True))
    assert forecast(what, points[:2], EVEN_FLOW[now]) == pytest.approx(expected, rel=1e-12)


def test_no_line_leads_through_latents_that_are_nothing_but_noise() -> None:
    for half_log_snr in (-16.0, NOISE_ALONE - 0.1):
        noise = LINE.clock(0, half_log_snr=half_log_snr)
        assert forecast(LINEAR, [(noise, 10.0), (EVEN_FLOW[0], 8.0)], EVEN_FLOW[1]) == 8.0
        later = LINE.clock(1, half_log_snr=half_log_snr)
        assert forecast(LINEAR, [(later, 10.0), (EVEN_FLOW[0], 8.0)], EVEN_FLOW[1]) < 8.0


def test_a_line_that_begins_in_noise_is_continued_by_its_length() -> None:
    older, newer, near, far = (
        LINE.clock(step, half_log_snr=NOISE_ALONE + at)
        for step, at in ((1, -0.1), (2, 0.1), (3, 0.2), (4, 0.5))
    )
    assert reach_of([older, newer], near) == pytest.approx(0.5)
    assert reach_of([older, newer], far) == 1.0
    assert reach_of([newer, near], far) == pytest.approx(3.0)


def test_what_lies_on_a_line_is_met_whatever_the_coordinate_is() -> None:
    clocks = [LINE.clock(0, half_log_snr=at) for at in (-1.0, 0.0, 0.5, 1.0, 1.5)]
    line = [0.0, 1.0, *(1 + reach_of(clocks[:2], clock) for clock in clocks[2:])]
    assert line == sorted(line), "less noise is further on"
    for older, newer, now in combinations(range(5), 3):
        if reach_of([clocks[older], clocks[newer]], clocks[now]) < MAX_REACH:
            pair = [(clocks[n], 5 - 2 * line[n]) for n in (older, newer)]
            assert forecast(LINEAR, pair, clocks[now]) == pytest.approx(5 - 2 * line[now])


def test_the_two_newest_outputs_count() -> None:
    points = list(zip(EVEN_FLOW, [99.0, 8.0, 6.0], strict=False))
    assert forecast(LINEAR, points, EVEN_FLOW[3]) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("older", "newer"), [(EVEN_FLOW[1], EVEN_FLOW[1]), (EVEN_FLOW[2], EVEN_FLOW[1])]
)
def test_without_less_noise_there_is_no_line_and_the_newest_is_held(
    older: Clock, newer: Clock
) -> None:
    assert forecast(LINEAR, [(older, 3.0), (newer, 7.0)], EVEN_FLOW[4]) == 7.0


def test_a_line_is_not_continued_without_end() -> None:
    near = LINE.clock(0, half_log_snr=EVEN_FLOW[0].half_log_snr + 1e-6)
    told = forecast(LINEAR, [(EVEN_FLOW[0], 1.0), (near, 2.0)], EVEN_FLOW[4])
    assert told == 2.0 + MAX_REACH
    assert reach_of([EVEN_FLOW[0], near], EVEN_FLOW[4]) == MAX_REACH


@pytest.mark.parametrize(("slope", "told"), [(0.0, 8.0), (0.5, 7.0), (1.0, 6.0)])
def test_a_slope_is_followed_in_part(slope: float, told: float) -> None:
    pair = [(EVEN_FLOW[0], 10.0), (EVEN_FLOW[1], 8.0)]
    assert forecast(Forecast("denoised", slope), pair, EVEN_FLOW[2]) == pytest.approx(told)


def test_a_forecast_is_as_precise_as_what_it_is_made_of() -> None:
    history = (torch.ones(2, dtype=torch.float32), torch.full((2,), 2.0, dtype=torch.float32))
    value, _ = LINEAR.predict(history, Reuse(EVEN_FLOW[2], PLAN, times=tuple(EVEN_FLOW[:2])))
    assert isinstance(value, torch.Tensor) and value.dtype is torch.float32
    assert history[1].tolist() == [2.0, 2.0], "what is stored is not written into"


DAMPED = Forecast("denoised", slope=0.5, damps=True)


def damped(*computed: list[float]) -> list[float]:
    """What stands in after these values of a batch, at even distances."""
    history: tuple[torch.Tensor, ...] = ()
    for values in computed:
        history = DAMPED.update(history, torch.tensor(values).reshape(-1, 1, 1))  # type: ignore[assignment]
    times = tuple(EVEN_FLOW[: len(computed)][-2:])
    value, _ = DAMPED.predict(history, Reuse(EVEN_FLOW[len(computed)], PLAN, times=times))
    assert isinstance(value, torch.Tensor)
    return value.flatten().tolist()


@pytest.mark.parametrize(
    ("newest", "told"),
    [(12.0, 10.5), (10.0, 9.0), (8.5, 8.1875), (8.0, 9.0), (6.0, 6.0), (2.0, 0.0)],
    ids=["swings more", "swings", "swings less", "by half", "stays", "goes on"],
)
def test_values_that_swing_are_damped(newest: float, told: float) -> None:
    """10, 6, then the newest: it goes back by 6, 4, 2.5 of 4; else half the slope is followed."""
    assert damped([10.0], [6.0], [newest]) == [told]


def test_two_values_are_no_swing() -> None:
    assert damped([10.0], [6.0]) == [4.0]


def test_a_swing_is_one_of_the_newest_three_values() -> None:
    assert damped([10.0], [6.0], [10.0], [12.0]) == [13.0]


def test_pictures_of_a_batch_swing_each_by_itself() -> None:
    series = ([10.0, 10.0, math.nan, 5.0], [6.0, 6.0, 1.0, 5.0], [10.0, 2.0, 2.0, 5.0])
    told = damped(*series)
    assert told[:2] == [9.0, 0.0]
    # No number, and no change: nothing that swings.
    assert told[2:] == [2.5, 5.0]
    assert told[0] == damped(*([values[0]] for values in series))[0]


def test_of_what_swings_no_third_latent_is_kept() -> None:
    history: tuple[torch.Tensor, ...] = ()
    for _ in range(4):
        history = DAMPED.update(history, torch.randn(3, 4, 8, 8))  # type: ignore[assignment]
    assert [each.numel() for each in history] == [3, 768, 768]
