"""A search finds, bit by bit, what making and judging its schedules one after the other finds."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibration_files import BLOCK, CROSS, FEED_FORWARD, SELF, scanned
from stepcache.cache_core.calibration import (
    Calibration,
    Costs,
    ErrorTable,
    Lags,
    ModelFacts,
    Place,
    Predictor,
    RunFacts,
    Selection,
    Selector,
    Target,
)
from stepcache.cache_core.calibration.choose import rules_of
from stepcache.cache_core.calibration.file import read
from stepcache.cache_core.calibration.many import MAX_CELLS, judged
from stepcache.cache_core.calibration.scan import scan
from stepcache.cache_core.calibration.search import Found, Search
from stepcache.cache_core.calibration.table import changes_of
from stepcache.cache_core.clock import Timeline

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "calibrations").glob("*.json"))
LAYERS = (CROSS, FEED_FORWARD, SELF)
SPEEDUPS, QUALITIES = (1.0, 1.3, 1.8, 2.5, 9.0), (0.5, 0.95, 0.98, 1.0)
EVERY_KIND = dict.fromkeys((*LAYERS, BLOCK), 3)


def random_lags(chance: random.Random, steps: int, lookahead: int, unknown: float) -> Lags:
    """Few different errors, so that many schedules are as good as another, and some unknown."""
    return tuple(
        tuple(
            math.inf if chance.random() < unknown else chance.randint(0, 9) * lag / 50
            for _ in range(max(steps - lag, 0))
        )
        for lag in range(1, lookahead + 1)
    )


def random_calibration(seed: int, **changes: Any) -> Calibration:
    chance = random.Random(seed)
    steps, lookahead = chance.randint(2, 14), chance.randint(1, 5)
    kinds = chance.sample(LAYERS, chance.randint(1, 3))
    places = [Place(kind, index) for kind in kinds for index in (None, 0, 1, 2)]
    unknown = chance.choice((0.0, 0.2))
    rows = {
        place: random_lags(chance, steps, lookahead, unknown) for place in (*places, Place(BLOCK))
    }
    shares: list[Any] = [
        {(kind, None): chance.random() * most for kind in (*LAYERS, BLOCK)}
        for most in (0.4, 0.5, 0.05, 0.03)
    ]
    made = Calibration(
        ModelFacts("toy", "ToyNet", "0123", EVERY_KIND),
        RunFacts("euler", "normal", 7.0, (4, 8, 8)),
        ErrorTable(Timeline.even(steps).sigmas, lookahead, rows),
        samples=1,
        costs=Costs(
            shares[0],
            shares[1],
            "",
            shares[2],
            chance.choice((0.0, chance.random())),
            shares[3],
            chance.choice((0.0, 0.1)),
        ),
        influence={"layers": chance.random(), "attention": chance.random(), "block": 2.0},
    )
    return replace(made, **changes)


def plain(calibration: Calibration, line: Timeline, places: list[Place], look: int) -> list[Any]:
    """Every schedule of a threshold by itself: scanned, made a rule of, and predicted."""
    table, predictor = calibration.table.at(line.sigmas), Predictor(calibration, line)
    alone = {place: table.rows[place] for place in places}
    in_step = dict.fromkeys(places, table.mean(places))
    found: dict[Any, Any] = {}
    for lags, hop in product((alone, in_step), range(1, min(look, table.lookahead) + 1)):
        errors = {error for each in lags.values() for row in each[:hop] for error in row}
        for alpha in (0.0, *sorted(filter(math.isfinite, errors))):
            rows = tuple(
                (place.kind, place.index, scanned(each, table.steps, alpha, hop))
                for place, each in lags.items()
            )
            if rows not in found:
                found[rows] = Selection(rows, alpha, hop, predictor.predict(rules_of(rows)))
    return list(found.values())


def places_of(calibration: Calibration, parts: str) -> list[Place]:
    """What a wish with these parts is about, in its order."""
    rows = [place for place in calibration.table.rows if place.branch == "both"]
    is_block, is_single = parts == "blocks", parts == "each layer"
    return sorted(
        place
        for place in rows
        if (place.kind is BLOCK) == is_block
        and (place.kind in LAYERS or is_block)
        and (place.index is not None) == is_single
    )


def bits(found: Found | Selection) -> tuple[Any, ...]:
    figures = found if isinstance(found, Found) else found.prediction
    return found.alpha, found.lookahead, figures.speedup.hex(), figures.error.hex()


def check(calibration: Calibration, line: Timeline, parts: Any, lookahead: int) -> None:
    places = places_of(calibration, parts)
    every = plain(calibration, line, places, lookahead)
    measured = replace(calibration, table=calibration.table.at(line.sigmas))
    search = Search(Predictor(measured, line), places, lookahead)
    assert [bits(each) for each in search.found] == [bits(each) for each in every]
    selector = Selector(calibration)
    for speedup in SPEEDUPS:
        fast = [each for each in every if each.prediction.speedup >= 0.995 * speedup]
        expected = min(fast, key=lambda each: each.prediction.error, default=None)
        if expected is None:
            expected = max(every, key=lambda each: each.prediction.speedup)
        same(selector.choose(line, Target("speedup", speedup, lookahead, parts)), expected)
    for quality in QUALITIES:
        good = [each for each in every if each.prediction.error <= 1 - quality + 1e-9]
        expected = max(good, key=lambda each: each.prediction.speedup)
        same(selector.choose(line, Target("quality", quality, lookahead, parts)), expected)


def same(found: Selection, expected: Selection) -> None:
    assert found.rows == expected.rows
    assert (bits(found), found.prediction) == (bits(expected), expected.prediction)


@pytest.mark.parametrize("steps", [13, 19, 27, 60])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_on_the_shipped_calibrations(path: Path, steps: int) -> None:
    calibration = read(path)
    points = np.interp(
        np.linspace(0, 1, steps + 1),
        np.linspace(0, 1, len(calibration.table.sigmas)),
        calibration.table.sigmas,
    )
    line = replace(Timeline.even(steps), sigmas=tuple(map(float, points)))
    check(calibration, line, "layers", 3)


@pytest.mark.parametrize("parts", ["layers", "each layer", "blocks"])
@pytest.mark.parametrize("seed", range(8))
def test_on_tables_of_chance(seed: int, parts: Any) -> None:
    calibration = random_calibration(seed)
    for lookahead in (1, 2, 9):
        check(calibration, calibration.timeline, parts, lookahead)


@pytest.mark.parametrize("parts", ["layers", "blocks"])
@pytest.mark.parametrize("part", ["flops", "seconds", "keeping", "asking"])
def test_where_a_share_was_not_measured(part: str, parts: Any) -> None:
    whole = random_calibration(3)
    calibration = replace(whole, costs=replace(whole.costs, **{part: {}}), influence={})
    check(calibration, calibration.timeline, parts, 3)


def test_only_what_is_chosen_is_predicted_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others would take a strip ten times as long."""
    calibration, predicted = read(SHIPPED[0]), list[Any]()
    predict = Predictor.predict

    def counted(self: Predictor, rules: Any) -> Any:
        predicted.append(rules)
        return predict(self, rules)

    monkeypatch.setattr(Predictor, "predict", counted)
    chosen = Selector(calibration).choose(calibration.timeline, Target("speedup", 1.5))
    assert predicted == [rules_of(chosen.rows)]


def test_where_all_layers_together_take_more_than_the_whole() -> None:
    shares = {(kind, None): 0.6 for kind in LAYERS}
    calibration = random_calibration(7, costs=Costs(shares, shares))
    assert len(places_of(calibration, "layers")) > 1
    check(calibration, calibration.timeline, "layers", 3)


def test_more_schedules_than_fit_into_memory_at_one_time_are_judged_in_order() -> None:
    calibration = random_calibration(5)
    table, predictor = calibration.table, Predictor(calibration, calibration.timeline)
    places = places_of(calibration, "layers")
    some = scan(
        changes_of([table.rows[place] for place in places], table.steps, table.lookahead),
        [0.0, 0.05, 0.1, 0.2, 0.5], table.lookahead,
    )  # fmt: skip
    often = MAX_CELLS // some.size + 2
    assert list(judged(predictor, places, np.concatenate([some] * often))) == often * list(
        judged(predictor, places, some)
    )


# The way to another run's noise levels.


def along(lags: Sequence[Sequence[float]], lag: int, source: float) -> float:
    if lag == 0:
        return 0.0
    row = lags[lag - 1] if lag <= len(lags) else ()
    if not row:
        return math.inf
    source = min(max(source, 0.0), len(row) - 1)
    left = math.floor(source)
    part = source - left
    return (1 - part) * row[left] + part * row[left + 1] if part else row[left]


def between(lags: Lags, source: float, target: float) -> float:
    distance = max(target - source, 0.0)
    below = math.floor(distance + 1e-6)
    part = max(distance - below, 0.0)
    low = along(lags, below, source)
    return low if part < 1e-6 else (1 - part) * low + part * along(lags, below + 1, source)


def positions(chance: random.Random, steps: int, count: int) -> list[float]:
    """Anywhere in a run of so many steps; some all but on a step, some in another order."""
    found = [chance.uniform(0, steps - 1) for _ in range(count)]
    found = [
        max(round(each) + chance.choice((0, 4e-7, -4e-7)), 0) if chance.random() < 0.5 else each
        for each in found
    ]
    return found if chance.random() < 0.2 else sorted(found)


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_read_off_at_other_noise_levels_as_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    steps, lookahead = chance.randint(2, 12), chance.randint(1, 14)
    rows = {Place(kind): random_lags(chance, steps, lookahead, 0.1) for kind in LAYERS}
    # The noise level is the position, from the end.
    table = ErrorTable(tuple(float(steps - step) for step in range(steps + 1)), lookahead, rows)
    where = [0.0, 0.25, *positions(chance, steps, chance.randint(1, 20))]
    found = table.at([steps - each for each in where] + [0.0])
    at = [steps - (steps - each) for each in where]
    for place, lags in rows.items():
        expected = [
            [between(lags, at[source], at[source + lag]) for source in range(len(at) - lag)]
            for lag in range(1, lookahead + 1)
        ]
        assert [list(row) for row in found.rows[place]] == expected
