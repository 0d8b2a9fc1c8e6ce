"""A guider that asks two models: what is attached to the first rules the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import runtime_sampling
import torch
import toys
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.remarks import SECOND_MODEL
from stepcache.cache_core.methods import PAB, StepCache
from stepcache.cache_core.schedules import PercentRange
from stepcache.nodes.step_cache_report import StepCacheReport

NAME = "wan"
WHOLE_RUN = PercentRange(0.0, 1.0)
METHODS = [StepCache(1.25), PAB(2, 1, 1, WHOLE_RUN)]


def _second() -> Any:
    return runtime_sampling.smaller_wan()


def _drawn(first: Any, second: Any) -> torch.Tensor:
    return runtime_sampling.dual(first, NAME, toys.conditioning(NAME), second)


@contextmanager
def _counted(*models: Any) -> Iterator[list[int]]:
    """How often the network of each is run."""
    calls = [0] * len(models)

    def count(number: int) -> Any:
        def called(*_: Any) -> None:
            calls[number] += 1

        return called

    with ExitStack() as stack:
        for number, model in enumerate(models):
            handle = model.model.diffusion_model.register_forward_pre_hook(count(number))
            stack.callback(handle.remove)
        yield calls


def test_step_cache_on_the_first_answers_for_both() -> None:
    first, second = attach(toys.load(NAME), StepCache(1.25)), _second()
    with _counted(first, second) as calls:
        _drawn(first, second)
    computed = last_report(first).strip_of("evaluation").count("C")
    assert calls == [computed, computed] == [4, 4]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_on_the_second_alone_it_does_nothing_and_says_so(method: Any) -> None:
    plain = _drawn(toys.load(NAME), _second())
    second = attach(_second(), method)
    assert torch.equal(_drawn(toys.load(NAME), second), plain)
    assert last_report(second).nothing_reused_because == SECOND_MODEL
    text = StepCacheReport.execute(second, {"samples": plain}).result[1]
    assert SECOND_MODEL in text


def test_on_both_the_first_one_rules() -> None:
    alone = attach(toys.load(NAME), StepCache(1.25))
    picture = _drawn(alone, _second())
    first, second = attach(toys.load(NAME), StepCache(1.25)), attach(_second(), StepCache(5.0))
    assert torch.equal(_drawn(first, second), picture)
    assert last_report(first).total_reused > 0
    assert last_report(second).nothing_reused_because == SECOND_MODEL


def test_a_model_beside_itself_and_a_run_of_its_own_are_told_as_ever() -> None:
    model = attach(_second(), StepCache(1.25))
    _drawn(model, model)
    assert last_report(model).total_reused > 0
    _drawn(toys.load(NAME), model)
    assert last_report(model).idle == SECOND_MODEL
    toys.sample(model, NAME)
    assert last_report(model).total_reused > 0
