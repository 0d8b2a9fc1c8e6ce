"""Which schedule is chosen by a threshold, a speedup or a quality."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from calibration_files import scanned
from stepcache.cache_core.calibration import (
    Calibration,
    Costs,
    ErrorTable,
    Lags,
    ModelFacts,
    Place,
    RunFacts,
    Selection,
    Target,
    choose,
    predict,
    search,
)
from stepcache.cache_core.calibration.choose import rules_of
from stepcache.cache_core.calibration.scan import scan
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.schedule_file import Rows
from stepcache.cache_core.sites import SiteKind

SELF, CROSS, FEED_FORWARD, BLOCK = (
    SiteKind.SELF_ATTENTION, SiteKind.CROSS_ATTENTION, SiteKind.FEED_FORWARD, SiteKind.BLOCK,
)  # fmt: skip


def calibration_of(
    steps: int = 20, lookahead: int = 4, layers: int = 3, seed: int = 0, **changes: Any
) -> Calibration:
    """Errors that are least in the middle of the run, different for every layer."""
    chance = random.Random(seed)

    def lags(scale: float) -> Lags:
        return tuple(
            tuple(
                scale * chance.uniform(0.5, 1) * lag**0.8 * (0.05 + abs(i / steps - 0.5))
                for i in range(max(steps - lag, 0))
            )
            for lag in range(1, lookahead + 1)
        )

    rows = {
        Place(kind, index): lags(scale)
        for kind, scale in ((SELF, 1.0), (CROSS, 0.4), (FEED_FORWARD, 0.8), (BLOCK, 0.6))
        for index in (None, *(range(layers) if kind is not BLOCK else ()))
    }
    found = Calibration(
        ModelFacts(
            "toy", "ToyNet", "0123", {k: layers for k in (SELF, CROSS, FEED_FORWARD, BLOCK)}
        ),
        RunFacts("euler", "normal", 7.0, (4, 8, 8)),
        ErrorTable(Timeline.even(steps).sigmas, lookahead, rows),
        samples=1,
        costs=Costs(
            {(SELF, None): 0.3, (CROSS, None): 0.1, (FEED_FORWARD, None): 0.4, (BLOCK, None): 0.95},
            {(SELF, None): 0.35, (CROSS, None): 0.1, (FEED_FORWARD, None): 0.3, (BLOCK, None): 0.9},
        ),
        influence={"layers": 0.4, "attention": 0.3, "block": 0.8},
    )
    return replace(found, **changes)


SHORT = calibration_of(steps=10, layers=2)
"""For searches that are checked by trying everything."""


@cache
def every_choice(steps: int, parts: Any) -> list[Selection]:
    """The schedules of every threshold and lookahead that make a difference.

    Those of a threshold, and those of layers that all reuse in the same steps.
    """
    line = Timeline.even(steps)
    table = SHORT.table.at(line.sigmas)
    errors = {e for lags in table.rows.values() for row in lags[:3] for e in row}
    found = [
        choose(SHORT, line, Target("alpha", alpha, lookahead, parts))
        for alpha in (0.0, *sorted(filter(math.isfinite, errors)))
        for lookahead in (1, 2, 3)
    ]
    places = [Place(kind, index) for kind, index, _ in found[0].rows]
    mean = [
        [sum(row) / len(places) for row in zip(*rows, strict=True)]
        for rows in zip(*(table.rows[place] for place in places), strict=True)
    ]
    for alpha in (0.0, *filter(math.isfinite, (e for row in mean for e in row))):
        for lookahead in (1, 2, 3):
            compute = scanned(mean, steps, alpha, lookahead)
            rows = tuple((place.kind, place.index, compute) for place in places)
            found.append(Selection(rows, alpha, lookahead, predict(SHORT, rules_of(rows), line)))
    return found


every_run = pytest.mark.parametrize("steps", [10, 7, 13])
every_part = pytest.mark.parametrize("parts", ["layers", "each layer", "blocks"])


@pytest.mark.parametrize("alpha", [0.0, 0.08, 0.2, 1000.0])
def test_by_alpha_every_kind_is_scanned_with_it(alpha: float) -> None:
    calibration = calibration_of()
    found = choose(calibration, Timeline.even(20), Target("alpha", alpha, 2))
    assert found.alpha == alpha and not found.notes
    rows = calibration.table.rows
    assert found.rows == tuple(
        (kind, None, scanned(rows[Place(kind)], 20, alpha, 2))
        for kind in (CROSS, FEED_FORWARD, SELF)
    )
    assert found.prediction == predict(calibration, rules_of(found.rows), Timeline.even(20))


def test_each_layer_has_a_row_of_its_own() -> None:
    found = choose(calibration_of(), Timeline.even(20), Target("alpha", 0.2, 2, "each layer"))
    kinds = (CROSS, FEED_FORWARD, SELF)
    assert [(kind, index) for kind, index, _ in found.rows] == [
        (kind, index) for kind in kinds for index in range(3)
    ]
    assert len({compute for kind, _, compute in found.rows if kind is SELF}) > 1


def test_whole_blocks_have_one_row() -> None:
    found = choose(calibration_of(), Timeline.even(20), Target("alpha", 0.2, 2, "blocks"))
    assert [(kind, index) for kind, index, _ in found.rows] == [(BLOCK, None)]


def test_layers_are_counted_as_numbers() -> None:
    found = choose(
        calibration_of(layers=12), Timeline.even(20), Target("alpha", 0.2, 2, "each layer")
    )
    assert [index for kind, index, _ in found.rows if kind is SELF] == list(range(12))


@pytest.mark.parametrize(
    ("kept", "parts", "message"),
    [
        (BLOCK, "layers", "no errors of layers; it has those of block. Calibrate again with them"),
        (BLOCK, "each layer", "no errors of each layer; it has those of block"),
        (SELF, "blocks", "no errors of blocks; it has those of self_attention"),
    ],
)
def test_parts_that_were_not_measured_are_refused(kept: SiteKind, parts: Any, message: str) -> None:
    table = calibration_of().table
    rows = {place: lags for place, lags in table.rows.items() if place == Place(kept)}
    calibration = calibration_of(table=replace(table, rows=rows))
    for by in ("alpha", "speedup", "quality", "saved"):
        with pytest.raises(ConfigError, match=message):
            choose(calibration, Timeline.even(20), Target(by, 1.0, 3, parts))


@every_part
@every_run
def test_by_speedup_the_least_error_that_is_fast_enough(steps: int, parts: Any) -> None:
    every = every_choice(steps, parts)
    for speedup in (1.0, 1.1, 1.3):
        found = choose(SHORT, Timeline.even(steps), Target("speedup", speedup, 3, parts))
        fast = [each for each in every if each.prediction.speedup >= 0.995 * speedup]
        assert fast and found.prediction.speedup >= 0.995 * speedup
        assert found.prediction.error == min(each.prediction.error for each in fast)
        assert not any("out of reach" in note for note in found.notes)


@every_part
@every_run
def test_a_speedup_out_of_reach_says_so_and_is_as_fast_as_can_be(steps: int, parts: Any) -> None:
    fastest = max(each.prediction.speedup for each in every_choice(steps, parts))
    found = choose(SHORT, Timeline.even(steps), Target("speedup", 50.0, 3, parts))
    assert found.prediction.speedup == fastest
    assert (
        f"50.00× is out of reach: reusing {parts} gives at most {fastest:.2f}×" in found.notes[-1]
    )


@every_part
@every_run
def test_by_quality_the_fastest_that_is_good_enough(steps: int, parts: Any) -> None:
    every = every_choice(steps, parts)
    for quality in (0.0, 0.9, 0.97, 1.0):
        found = choose(SHORT, Timeline.even(steps), Target("quality", quality, 3, parts))
        good = [each for each in every if each.prediction.error <= 1 - quality + 1e-9]
        assert found.prediction.error <= 1 - quality + 1e-9
        assert found.prediction.speedup == max(each.prediction.speedup for each in good)


@every_part
@pytest.mark.parametrize("seed", range(3))
def test_who_wishes_for_more_speed_does_not_get_less(seed: int, parts: Any) -> None:
    calibration, line = calibration_of(steps=10, layers=2, seed=seed), Timeline.even(9)
    wishes = [Target("speedup", 1 + part / 8, 3, parts) for part in range(16)]
    found = [choose(calibration, line, target).prediction for target in wishes]
    assert len({each.speedup for each in found}) > 3
    for slower, faster in pairwise(found):
        assert faster.speedup >= slower.speedup
        assert faster.error >= slower.error or faster.speedup == found[-1].speedup


@pytest.mark.parametrize("seed", range(3))
def test_who_wishes_for_more_quality_does_not_get_less(seed: int) -> None:
    calibration, line = calibration_of(seed=seed), Timeline.even(20)
    wishes = [Target("quality", 0.9 + percent / 100, 3) for percent in range(11)]
    found = [choose(calibration, line, target).prediction for target in wishes]
    for worse, better in pairwise(found):
        assert better.speedup <= worse.speedup


def test_a_search_through_thousands_of_layers_leaves_thresholds_out_but_never_the_greatest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line, made = Timeline.even(10), [0]

    def counted(*args: Any) -> Any:
        compute = scan(*args)
        made[0] += compute.shape[0] * compute.shape[1]
        return compute

    monkeypatch.setattr(search, "SEARCHED_ROWS", 180)
    monkeypatch.setattr(search, "scan", counted)
    found = choose(SHORT, line, Target("speedup", 50.0, 3, "each layer"))
    # Six layers, alone and in step; for each of three lookaheads alpha 0 comes to the thresholds.
    assert 90 <= made[0] <= 180 + 2 * 3 * 6
    greatest = choose(SHORT, line, Target("alpha", 1000.0, 3, "each layer"))
    assert found.prediction.speedup >= greatest.prediction.speedup


def test_layers_reuse_in_the_same_steps_where_that_loses_less() -> None:
    """By a threshold these two take turns, so that none ever computes from what is right."""
    turns = ((0.1, 0.12) * 4 + (0.1,), (0.9,) * 8, (0.9,) * 7)
    other = ((0.12, 0.1) * 4 + (0.12,), (0.9,) * 8, (0.9,) * 7)
    table = ErrorTable(Timeline.even(10).sigmas, 3, {Place(SELF): turns, Place(CROSS): other})
    calibration, line = calibration_of(table=table), Timeline.even(10)
    alone = choose(calibration, line, Target("alpha", 0.11))
    assert [row for *_, row in alone.rows] == [
        (True, True) + (False, True) * 4,
        (True, False) * 4 + (True, True),
    ]
    found = choose(calibration, line, Target("speedup", alone.prediction.speedup))
    assert len({row for *_, row in found.rows}) == 1
    assert found.prediction.error < alone.prediction.error


def test_without_costs_there_is_no_speed_to_be_searched_for() -> None:
    calibration = calibration_of(costs=Costs())
    for by in ("speedup", "quality"):
        message = f"does not say what layers cost, so that no {by} can be searched for; choose by"
        with pytest.raises(ConfigError, match=message):
            choose(calibration, Timeline.even(20), Target(by, 1.0))
    assert choose(calibration, Timeline.even(20), Target("alpha", 0.1)).prediction.speedup == 1.0


def test_the_best_quality_is_had_even_where_a_change_comes_back() -> None:
    """A value that is the same at every other step is reused at alpha 0, and wrong in between."""
    table = ErrorTable(Timeline.even(7).sigmas, 2, {Place(SELF): ((0.5,) * 6, (0.0,) * 5)})
    calibration, line = calibration_of(table=table), Timeline.even(7)
    assert choose(calibration, line, Target("alpha", 0.0)).prediction.error > 0
    assert choose(calibration, line, Target("quality", 1.0)).prediction.error == 0


def test_saved_is_the_schedule_in_the_file() -> None:
    rows: Rows = ((SELF, None, (True, False) * 10), (SELF, 1, (True,) * 20))
    calibration = calibration_of(schedule=rows, alpha=0.7)
    found = choose(calibration, Timeline.even(20), Target())
    assert (found.rows, found.alpha, found.notes) == (rows, 0.7, ())
    assert found.prediction == predict(calibration, rules_of(rows), Timeline.even(20))


@pytest.mark.parametrize("place", [Place(SELF), Place(BLOCK), Place(SELF, 1)], ids=str)
def test_saved_for_other_noise_levels_is_made_anew_for_the_same_parts(place: Place) -> None:
    rows: Rows = ((place.kind, place.index, (True, False) * 10),)
    calibration = calibration_of(schedule=rows, alpha=0.3, lookahead=4)
    found = choose(calibration, Timeline.even(25), Target(lookahead=1))
    table = calibration.table.at(Timeline.even(25).sigmas)
    assert found.alpha == 0.3
    assert found.rows == (
        (place.kind, place.index, scanned(table.rows[place], 25, 0.3, calibration.lookahead)),
    )
    assert found.notes == (
        "this run has other noise levels than the calibration (25 steps, there 20): its errors "
        "were read off between the measured ones. Calibrate with this sampler and scheduler for "
        "the best schedule",
    )


def test_saved_without_a_schedule_is_made_from_the_saved_threshold() -> None:
    calibration = calibration_of(alpha=0.2)
    found = choose(calibration, Timeline.even(20), Target())
    assert found == choose(calibration, Timeline.even(20), Target("alpha", 0.2, 3))


@pytest.mark.parametrize(
    ("by", "value", "message"),
    [
        ("alpha", -0.1, "alpha is -0.1; expected 0 to 1000"),
        ("alpha", math.inf, "alpha is inf; expected 0 to 1000"),
        ("speedup", 0.9, "speedup is 0.9; expected 1 to 100"),
        ("speedup", math.nan, "speedup is nan; expected 1 to 100"),
        ("quality", 1.1, "quality is 1.1; expected 0 to 1"),
        ("quality", -0.1, "quality is -0.1; expected 0 to 1"),
    ],
)
def test_wishes_out_of_range_are_refused(by: Any, value: float, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Target(by, value)
    assert message in str(caught.value)


def test_a_lookahead_of_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="lookahead is 0; expected 1 or more steps"):
        Target("alpha", 0.1, 0)
