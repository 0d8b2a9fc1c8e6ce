"""Approximators: numbers that a reader can check in the head."""

from __future__ import annotations

import pytest
import torch
from diffusers_fastercache import ExtrapolateFromCalls, SpectralDelta
from stepcache.cache_core.approximators import (
    BranchMean,
    Constant,
    CopyBranch,
    Extrapolate,
    FrequencyDelta,
    Hold,
    Reuse,
    Rising,
    Sloped,
)
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.schedules import Never, PercentRange, Schedule
from stepcache.cache_core.values import Value

LINE = Timeline.even(10)
PLAN = Plan(tuple(letter == "R" for letter in "CCRCRCRCRR"))
ALWAYS = PercentRange(0.0, 1.0)


def at(step: int, given: Value | None = None) -> Reuse:
    """A reuse at a step of a run of ten."""
    return Reuse(LINE.clock(step), PLAN, given)


def number(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def test_hold_repeats_the_last_output() -> None:
    history = Hold().update(Hold().update((), number(1)), number(2))
    value, after = Hold().predict(history, at(2))
    assert value.item() == 2 and after is history and len(history) == 1


def test_extrapolate_continues_the_change_between_computed_outputs() -> None:
    what = Extrapolate(Constant(0.5))
    history = what.update(what.update(what.update((), number(7)), number(10)), number(14))
    for _ in range(3):
        value, history = what.predict(history, at(4))
        assert value.item() == 14 + 0.5 * (14 - 10), "the same again: reuse is no history"


def test_extrapolate_works_on_tuples_of_tensors() -> None:
    what = Extrapolate(Constant(1.0))
    history = what.update(what.update((), (number(1), number(10))), (number(2), number(30)))
    value, _ = what.predict(history, at(4))
    assert [part.item() for part in value] == [3, 50]


def test_diffusers_extrapolates_from_its_own_answers() -> None:
    what = ExtrapolateFromCalls(Constant(0.5))
    history = what.update((), number(10))
    assert what.predict(history, at(2))[0].item() == 10, "one output counts twice"
    history = what.update(history, number(14))
    value, history = what.predict(history, at(4))
    assert value.item() == 16
    value, history = what.predict(history, at(5))
    assert value.item() == 16 + 0.5 * (16 - 14)


def test_the_weight_of_the_paper_rises_from_the_first_reuse_to_the_last_step() -> None:
    # First reuse at step 2, last step 9: seven steps apart.
    assert [round(Rising().at(at(step)) * 7, 9) for step in (2, 4, 9)] == [0, 2, 7]


def test_the_weights_of_the_scripts() -> None:
    # Open-Sora counts c from 1: 0.9 (c - 7) / 20. Mochi: at least a half.
    open_sora = Sloped(origin=6, slope=0.9 / 20)
    assert open_sora.at(at(9)) == pytest.approx(0.9 * (10 - 7) / 20)
    assert Sloped(0, 1 / 63, floor=0.5).at(at(9)) == 0.5


def test_the_mean_of_two_branches() -> None:
    what = BranchMean(gate_step=4)
    assert what.merge((number(2),), (number(6),))[0].item() == 4
    assert [what.merges_branches(step) for step in (3, 4, 5)] == [False, True, True]


def test_copying_a_branch_needs_nothing_stored() -> None:
    given = number(3)
    assert CopyBranch().min_history == 0
    assert CopyBranch().predict((), at(5, given))[0] is given


def pictures(seed: int, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    cond, uncond = torch.randn(2, *shape, generator=generator)
    return cond, uncond


def delta(low: float, high: float, window: Schedule = ALWAYS) -> FrequencyDelta:
    return FrequencyDelta(low, high, window, window)


@pytest.mark.parametrize("shape", [(2, 4, 8, 12), (1, 3, 5, 7, 9), (1, 2, 3, 3)])
def test_gains_of_one_give_back_the_difference(shape: tuple[int, ...]) -> None:
    cond, uncond = pictures(1, *shape)
    what = delta(1.0, 1.0)
    history = what.update((), (cond, uncond))
    value, after = what.predict(history, at(4, cond))
    # Two real tensors; their sum differs from the difference by one rounding.
    torch.testing.assert_close(value, uncond, rtol=0, atol=1e-6)
    assert after is history
    assert [part.shape for part in history[0]] == [cond.shape, cond.shape]


def test_a_flat_difference_is_all_low_and_a_checkerboard_is_all_high() -> None:
    cond = torch.zeros(1, 1, 10, 10)
    flat = torch.full_like(cond, 3.0)
    checkerboard = flat * (-1.0) ** (torch.arange(10)[:, None] + torch.arange(10)[None, :])
    for uncond, low, high in ((flat, 2.0, 5.0), (checkerboard, 5.0, 2.0)):
        what = delta(low, high)
        value, _ = what.predict(what.update((), (cond, uncond)), at(4, cond))
        # The transforms round at 1e-6 of 3.
        torch.testing.assert_close(value, 2.0 * uncond, rtol=0, atol=1e-5)


def test_only_inside_its_window_a_band_is_amplified() -> None:
    cond, uncond = pictures(2, 1, 4, 10, 10)
    history = delta(9.0, 9.0, Never()).update((), (cond, uncond))
    value, _ = delta(9.0, 9.0, Never()).predict(history, at(4, cond))
    torch.testing.assert_close(value, uncond, rtol=0, atol=1e-6)


def test_the_paper_amplifies_once_and_the_scripts_every_time() -> None:
    cond = torch.zeros(1, 1, 10, 10)
    uncond = torch.ones_like(cond)
    once = FrequencyDelta(1.1, 1.1, ALWAYS, ALWAYS)
    again = FrequencyDelta(1.1, 1.1, ALWAYS, ALWAYS, compounds=True)
    for what, factors in ((once, (1.1, 1.1, 1.1)), (again, (1.1, 1.21, 1.331))):
        history = what.update((), (cond, uncond))
        for factor in factors:
            value, history = what.predict(history, at(4, cond))
            torch.testing.assert_close(value, factor * uncond, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 4, 8, 12), (1, 3, 5, 7, 9)])
def test_the_real_form_equals_the_spectral_one(shape: tuple[int, ...]) -> None:
    old_cond, old_uncond = pictures(3, *shape)
    cond, _ = pictures(4, *shape)
    answers: list[torch.Tensor] = []
    for form in (FrequencyDelta, SpectralDelta):
        what = form(1.3, 0.8, ALWAYS, ALWAYS)
        value, _ = what.predict(what.update((), (old_cond, old_uncond)), at(4, cond))
        answers.append(value)
    # Forward and backward transforms round at about 1e-6 of values near 1.
    torch.testing.assert_close(*answers, rtol=0, atol=5e-6)
