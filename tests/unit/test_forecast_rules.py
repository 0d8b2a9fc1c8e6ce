"""The rules that the comparison runs in its harness, on sequences worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch

from benchmarks.forecast_rules import (
    Chebyshev,
    FirstBlock,
    Magnitudes,
    Planned,
    Series,
    Taylor,
    even_steps,
    magnitude_steps,
)


def value(number: float) -> torch.Tensor:
    return torch.full((2, 3), number, dtype=torch.float64)


def after(series: Series, values: dict[int, float]) -> Series:
    for step, number in values.items():
        series.add(step, value(number))
    return series


@pytest.mark.parametrize(
    ("order", "values", "at", "expected"),
    [
        (0, {0: 1, 2: 5}, 3, 5),  # held
        (1, {0: 1}, 4, 1),  # one value has no slope
        (1, {0: 1, 2: 5}, 3, 7),  # 5 + 2 · 1
        (1, {0: 1, 2: 5}, 4, 9),
        (1, {0: 9, 1: 1, 3: 5}, 5, 9),  # only the last two count
        # Slopes 2 and 6, their difference ÷ 2 is 2: 16 + 6 · 1 + 2 · 1/2; 16 + 6 · 2 + 2 · 4/2.
        (2, {0: 0, 2: 4, 4: 16}, 5, 23),
        (2, {0: 0, 2: 4, 4: 16}, 6, 32),
        (2, {0: 0, 2: 4}, 3, 6),  # as order 1 until there are three
    ],
)
def test_taylor(order: int, values: dict[int, float], at: int, expected: float) -> None:
    assert torch.equal(after(Taylor(order), values).at(at), value(expected))


SQUARES = {step: float(step**2) for step in range(6)}


def test_chebyshev_continues_a_polynomial_of_its_degree() -> None:
    fit = after(Chebyshev(2, 1e-12, 1.0, 11), SQUARES)
    assert torch.allclose(fit.at(8), value(64), rtol=1e-6)


def test_chebyshev_is_pulled_towards_zero_by_its_ridge() -> None:
    weak, strong = (after(Chebyshev(2, ridge, 1.0, 11), SQUARES).at(8) for ridge in (0.1, 1e9))
    assert strong.abs().max() < 1e-3 < weak.abs().max() < 64


def test_chebyshev_is_blended_with_a_line() -> None:
    line = after(Chebyshev(4, 0.1, 0.0, 11), SQUARES)
    assert torch.equal(line.at(8), value(25 + 9 * 3))
    ends = [after(Chebyshev(4, 0.1, blend, 11), SQUARES).at(8) for blend in (0.0, 0.5, 1.0)]
    assert torch.allclose(ends[1], (ends[0] + ends[2]) / 2)


@pytest.mark.parametrize("is_of_hidden", [False, True])
def test_a_plan_computes_its_steps_and_forecasts_the_others(is_of_hidden: bool) -> None:
    rule = Planned({0, 2}, Taylor(1), is_of_hidden)
    entered = value(0)
    for step, arrived, added in ((0, 10.0, 1.0), (2, 20.0, 5.0)):
        assert rule.answer(step, entered, value(arrived)) is None
        rule.observe(step, entered, value(arrived), value(added))
    # What was added: 1, 5, so 7. The hidden state: 11, 25, so 32, of which 30 are there.
    answer = rule.answer(3, entered, value(30))
    assert answer is not None and torch.equal(answer, value(2 if is_of_hidden else 7))


@pytest.mark.parametrize(
    ("first", "threshold", "is_reused"),
    [(1.1, 0.2, True), (1.1, 0.05, False), (0.9, 0.2, True), (1.5, 0.5, False), (1.0, 0.0, False)],
)
def test_the_first_block_decides(first: float, threshold: float, is_reused: bool) -> None:
    rule = FirstBlock(threshold)
    assert rule.answer(0, value(3), value(4)) is None
    rule.observe(0, value(3), value(4), value(7))
    answer = rule.answer(1, value(8), value(8 + first))
    assert (answer is not None) == is_reused
    assert answer is None or torch.equal(answer, value(7))


@pytest.mark.parametrize("count", range(1, 31))
def test_an_even_plan_has_as_many_steps_as_asked_for(count: int) -> None:
    steps = even_steps(30, count)
    assert len(set(steps)) == count and list(steps) == sorted(steps)
    assert steps[:3] == tuple(range(min(count, 3)))
    if count > 3:
        gaps = [after - before for before, after in pairwise(steps[2:])]
        assert steps[-1] == 29 and max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(
    ("threshold", "longest", "expected"),
    [
        (0.0, 9, (0, 1, 2, 3, 4)),
        # Products 0.9, 0.81, 0.729: distances 0.1, 0.19, 0.271, summed 0.1, 0.29, 0.561.
        (0.3, 9, (0, 3)),
        (0.2, 9, (0, 2, 4)),
        (9.0, 9, (0,)),
        (9.0, 1, (0, 2, 4)),
    ],
)
def test_magnitudes_sum_up(threshold: float, longest: int, expected: Sequence[int]) -> None:
    assert magnitude_steps([1.0, 0.9, 0.9, 0.9, 0.9], threshold, longest) == expected


def test_magnitudes_are_retained_at_the_start() -> None:
    assert magnitude_steps([1.0] * 10, 9.0, 9, retained=0.3) == (0, 1, 2)


@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 3, 4, 4)])
def test_magnitudes_are_ratios_of_lengths(shape: tuple[int, ...]) -> None:
    rule, added = Magnitudes(), torch.rand(shape) + 1
    for factor in (1.0, 0.5, 1.5):
        assert rule.answer(0, added, added) is None
        rule.observe(0, added, added, factor * added)
    assert rule.ratios == pytest.approx([1.0, 0.5, 3.0])
