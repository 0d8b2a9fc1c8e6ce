"""Two threads that sample one loaded model: each draws what it draws alone, and leaves no mark."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import cases
import observe
import pytest
import torch
import toys
from relay import Relay, at_every_module
from stepcache.cache_core.patching import attach, last_report

STEPS = 4
MODELS = ("sd15", "wan", "flux")
CASES = {
    model: {c.method: c for c in cases.CASES if c.model == model and c.method not in cases.FORMS}
    for model in MODELS
}
PLAIN = "plain"
Draw = Callable[[], torch.Tensor]


@cache
def _alone(model: str, form: str) -> tuple[torch.Tensor, Any]:
    """The picture of a run that is by itself, and what was counted in it."""
    patched = _patched(model, form)
    return _draw(patched, model)(), _counted(patched)


def _patched(model: str, form: str) -> Any:
    plain = toys.load(model)
    return plain.clone() if form == PLAIN else attach(plain, CASES[model][form].reusing(STEPS))


def _draw(patched: Any, model: str) -> Draw:
    return partial(toys.sample, patched, model, steps=STEPS, **dict(toys.TOYS[model].options))


def _counted(patched: Any) -> Any:
    try:
        report = last_report(patched)
    except LookupError:
        return None
    return report.computed, report.reused, report.forced, report.outcome


PAIRS = [
    pytest.param(model, form, other, id=f"{model}-{form}-{other}")
    for model in MODELS
    for form in CASES[model]
    for other in dict.fromkeys((PLAIN, form, "PAB", "DeepCache"))
    if other == PLAIN or other in CASES[model]
]


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize(("model", "one", "other"), PAIRS)
def test_calls_that_interleave_anywhere_draw_as_one_after_the_other(
    model: str, one: str, other: str, seed: int | None
) -> None:
    """Threads change wherever a module is called, before its forward is."""
    alone = [_alone(model, form) for form in (one, other)]
    marks = observe.fingerprint(toys.load(model))
    clones = [_patched(model, form) for form in (one, other)]
    relay = Relay(seed)
    with at_every_module(relay):
        pictures = relay.run(*(_draw(relay.wrapped(clone), model) for clone in clones))
    assert relay.switches > 100, "the threads were in the middle of each other's calls"
    for picture, clone, (expected, counted) in zip(pictures, clones, alone, strict=True):
        assert torch.equal(picture, expected)
        assert _counted(clone) == counted
    assert observe.fingerprint(toys.load(model)) == marks
    assert observe.stored_bytes() == 0


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize(
    ("model", "form"), [(model, form) for model in MODELS for form in CASES[model]]
)
def test_one_clone_in_two_threads_draws_twice_the_same(
    model: str, form: str, seed: int | None
) -> None:
    expected, counted = _alone(model, form)
    marks = observe.fingerprint(toys.load(model))
    clone = _patched(model, form)
    relay = Relay(seed)
    with at_every_module(relay):
        pictures = relay.run(*(_draw(relay.wrapped(clone), model) for _ in range(2)))
    assert all(torch.equal(picture, expected) for picture in pictures)
    assert _counted(clone) == counted
    assert observe.fingerprint(toys.load(model)) == marks
