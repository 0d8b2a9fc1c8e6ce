"""The way of measured errors to the noise levels of another run."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import pytest
from calibration_files import scanned
from stepcache.cache_core.calibration import ErrorTable, Lags, Place
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.sites import SiteKind

SELF = Place(SiteKind.SELF_ATTENTION)
FEED_FORWARD = Place(SiteKind.FEED_FORWARD)

Sigmas = tuple[float, ...]
Curve = Callable[[float], float]


# Schedules of the host, as formulas.


def karras(steps: int, low: float = 0.0292, high: float = 14.6146, rho: float = 7.0) -> Sigmas:
    ends = high ** (1 / rho), low ** (1 / rho)
    ramp = (step / (steps - 1) for step in range(steps))
    return (*((ends[0] + part * (ends[1] - ends[0])) ** rho for part in ramp), 0.0)


def trained() -> Sigmas:
    """The noise levels of Stable Diffusion's 1000 timesteps, from the least on."""
    kept, found = 1.0, []
    for t in range(1000):
        kept *= 1 - (0.00085**0.5 + t / 999 * (0.012**0.5 - 0.00085**0.5)) ** 2
        found.append(math.sqrt((1 - kept) / kept))
    return tuple(found)


TRAINED = trained()


def simple(steps: int) -> Sigmas:
    return (*(TRAINED[-1 - int(step * 1000 / steps)] for step in range(steps)), 0.0)


def flow(steps: int, shift: float = 3.0) -> Sigmas:
    even = (1 - step / steps for step in range(steps + 1))
    return tuple(shift * t / (1 + (shift - 1) * t) for t in even)


def lags_of(sigmas: Sigmas, curve: Curve, lookahead: int) -> Lags:
    """Exact errors of outputs that follow a curve: how far it goes between two evaluations."""
    heights = [curve(sigma) for sigma in sigmas[:-1]]
    return tuple(
        tuple(abs(heights[i + lag] - heights[i]) for i in range(max(len(heights) - lag, 0)))
        for lag in range(1, lookahead + 1)
    )


def table_of(sigmas: Sigmas, curve: Curve, lookahead: int = 5) -> ErrorTable:
    return ErrorTable(sigmas, lookahead, {SELF: lags_of(sigmas, curve, lookahead)})


def steps_in(sigmas: Sigmas, slope: float = 0.01) -> Curve:
    """A curve that rises evenly from step to step of a schedule, straight between them."""
    falling = sigmas[::-1]

    def curve(sigma: float) -> float:
        at = min(max(bisect_left(falling, sigma), 1), len(falling) - 1)
        part = (sigma - falling[at - 1]) / (falling[at] - falling[at - 1])
        return slope * (len(falling) - at - part)

    return curve


# What is read off.


@pytest.mark.parametrize("sigmas", [karras(20), simple(20), flow(20), flow(2)], ids=len)
def test_the_same_noise_levels_give_the_same_table(sigmas: Sigmas) -> None:
    table = table_of(sigmas, steps_in(sigmas))
    assert table.at(sigmas) is table
    # Samplers nudge noise levels; the host computes them in float32.
    assert table.at([sigma * (1 + 5e-5) for sigma in sigmas]) is table
    assert table.at((*sigmas[:-1], 1e-7)) is table


SCHEDULES = {
    "fewer steps": (flow(30), flow(12)),
    "more steps": (flow(30), flow(45)),
    "another shift": (flow(30), flow(30, shift=2.0)),
    "karras instead of simple": (simple(30), karras(30, TRAINED[0], TRAINED[-1])),
    "simple instead of karras": (karras(30, TRAINED[0], TRAINED[-1]), simple(30)),
    "half the steps of karras": (karras(30), karras(15)),
}
every_way = pytest.mark.parametrize(("measured", "run"), SCHEDULES.values(), ids=SCHEDULES)


def known(table: ErrorTable) -> dict[tuple[int, int], float]:
    """What a table knows, by source and target."""
    return {
        (source, source + lag): error
        for lag, row in enumerate(table.rows[SELF], start=1)
        for source, error in enumerate(row)
        if math.isfinite(error)
    }


@every_way
def test_changes_that_are_even_between_steps_are_read_off_exactly(
    measured: Sigmas, run: Sigmas
) -> None:
    curve = steps_in(measured)
    found = table_of(measured, curve).at(run)
    assert found.sigmas == run and found.lookahead == 5
    exact = table_of(run, curve).rows[SELF]
    assert len(known(found)) > found.steps / 2
    for (source, target), error in known(found).items():
        assert error == pytest.approx(exact[target - source - 1][source], rel=1e-9, abs=1e-12)


@every_way
def test_what_is_too_far_apart_is_not_known_and_never_reused(measured: Sigmas, run: Sigmas) -> None:
    position = steps_in(measured, slope=1.0)
    found = table_of(measured, position).at(run)
    for lag, row in enumerate(found.rows[SELF], start=1):
        for source, error in enumerate(row):
            distance = position(run[source + lag]) - position(run[source])
            assert math.isfinite(error) == (distance <= 5 + 1e-6), (source, lag)
    compute = scanned(found.rows[SELF], found.steps, 1000.0, 5)
    source = 0
    for step in range(1, found.steps):
        if compute[step]:
            hop = step - 1 - source
            assert not hop or math.isfinite(found.rows[SELF][hop - 1][source])
            source = step


@every_way
def test_changes_of_a_smooth_curve_are_read_off_nearly(measured: Sigmas, run: Sigmas) -> None:
    """Straight lines between measured steps cut a curve's corners, most where it is steepest."""

    def curve(sigma: float) -> float:
        return math.log(1 + 10 * sigma)

    found = known(table_of(measured, curve).at(run))
    exact = table_of(run, curve).rows[SELF]
    # Below the last noise level that was evaluated, nothing but the last change is known.
    inside = {
        (source, target): error / exact[target - source - 1][source]
        for (source, target), error in found.items()
        if run[target] >= measured[-2]
    }
    assert median(abs(part - 1) for part in inside.values()) < 0.01
    assert max(abs(part - 1) for part in inside.values()) < 0.13
    assert all(error > 0 for error in found.values())


@pytest.mark.parametrize("sigmas", [flow(20), karras(20), simple(20)], ids=["flow", "karras", "sd"])
@pytest.mark.parametrize("begin", [1, 7, 18])
def test_a_run_that_begins_later_has_the_measured_errors(sigmas: Sigmas, begin: int) -> None:
    table = table_of(sigmas, steps_in(sigmas), lookahead=3)
    found = table.at(sigmas[begin:])
    assert found.steps == 20 - begin
    assert found.rows[SELF] == tuple(row[begin:] for row in table.rows[SELF])


def test_a_run_may_begin_below_the_first_measured_noise_level_or_a_trifle_above() -> None:
    table = table_of(flow(20), steps_in(flow(20)))
    assert table.at([sigma * 0.9 for sigma in flow(20)]).steps == 20
    assert table.at([sigma * 1.02 for sigma in flow(20)]).steps == 20


def test_a_run_that_begins_above_what_was_measured_is_refused() -> None:
    table = table_of(flow(20)[5:], steps_in(flow(20)))
    message = (
        r"the run begins at noise level 1, the calibration at 0\.9: what lies before was not "
        r"measured\. Calibrate with this sampler, scheduler and shift"
    )
    with pytest.raises(ConfigError, match=message):
        table.at(flow(20))


def test_a_run_that_goes_on_below_what_was_measured_is_refused() -> None:
    """A calibration of the first of two networks says nothing about the second one's steps."""
    table = table_of(flow(20)[:11], steps_in(flow(20)))
    assert table.at(flow(30)[:16]).steps == 15
    message = (
        r"the run goes on to noise level 0\.1364, the calibration ended at 0\.75: what lies below "
        r"was not measured\. Calibrate a run of all its steps"
    )
    with pytest.raises(ConfigError, match=message):
        table.at(flow(20))


@pytest.mark.parametrize("sigmas", [(1.0, 0.0), (1.0,)], ids=len)
def test_a_run_of_one_step_is_refused(sigmas: Sigmas) -> None:
    table = table_of(flow(20), steps_in(flow(20)))
    message = rf"a run of {len(sigmas) - 1} steps has nothing to reuse; expected 2 or more"
    with pytest.raises(ConfigError, match=message):
        table.at(sigmas)


def test_a_run_of_too_few_steps_is_refused() -> None:
    table = table_of(flow(20), steps_in(flow(20)), lookahead=2)
    assert table.at(flow(10)).steps == 10
    message = (
        r"the steps of this run \(5\) are longer than the 2 steps over which the calibration of 20 "
        r"steps looked: no change over one of them is known\. Calibrate with 5 steps"
    )
    with pytest.raises(ConfigError, match=message):
        table.at(flow(5))


@pytest.mark.parametrize("sigmas", [flow(200), flow(21), karras(300, 1e-3, 1.0)], ids=len)
def test_of_more_steps_every_change_is_known(sigmas: Sigmas) -> None:
    table = table_of(flow(20), steps_in(flow(20)))
    found = table.at(sigmas)
    assert len(known(found)) == sum(len(row) for row in found.rows[SELF])
    assert all(error >= 0 for error in known(found).values())
    whole = math.fsum(found.rows[SELF][0])
    # From the first evaluation to the last is a little more than the 19 measured steps.
    assert 0.19 - 1e-9 <= whole <= 0.2


@pytest.mark.parametrize("unknown", [0, 7, 18])
def test_an_unknown_change_stays_alone_and_is_no_nan(unknown: int) -> None:
    sigmas = flow(20)
    table = table_of(sigmas, steps_in(sigmas), lookahead=2)
    rows = [list(row) for row in table.rows[SELF]]
    rows[0][unknown] = math.inf
    table = replace(table, rows={SELF: tuple(tuple(row) for row in rows)})
    for run in (sigmas[1:], (*sigmas[:12], *sigmas[13:]), flow(33), flow(14)):
        errors = [error for row in table.at(run).rows[SELF] for error in row]
        assert not any(math.isnan(error) for error in errors)
    later = table.at(sigmas[1:]).rows[SELF][0]
    assert [i for i, error in enumerate(later, start=1) if error == math.inf] == (
        [unknown] if unknown else []
    )


def test_a_table_that_was_read_off_can_be_read_off_again() -> None:
    position = steps_in(karras(30, TRAINED[0], TRAINED[-1]))
    once = table_of(karras(30, TRAINED[0], TRAINED[-1]), position).at(simple(30))
    assert any(math.isinf(error) for row in once.rows[SELF] for error in row)
    again = once.at(simple(20))
    assert not any(math.isnan(error) for row in again.rows[SELF] for error in row)


def test_every_row_is_read_off() -> None:
    sigmas = flow(10)
    rows = {SELF: lags_of(sigmas, steps_in(sigmas), 2)}
    rows[FEED_FORWARD] = tuple(tuple(2 * error for error in row) for row in rows[SELF])
    found = ErrorTable(sigmas, 2, rows).at(flow(15))
    for row, twice in zip(found.rows[SELF], found.rows[FEED_FORWARD], strict=True):
        assert twice == pytest.approx([2 * error for error in row])
