"""Beside caches of other nodes that answer for whole passes from memory, and are not known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.evaluation.branches import ANSWERED_FOR
from stepcache.cache_core.methods import PAB, FasterCache, TGate
from stepcache.cache_core.schedules import PercentRange

WHOLE_RUN = PercentRange(0.0, 1.0)
STEPS = 9


def cached(model: Any, answers: Callable[[int], bool], inside: bool = False) -> Any:
    """A cache that adds to its input what the network added last, to whichever rows.

    Args:
        answers: whether it does so in a step.
        inside: whether it stands within the call of the model, as those do that exchange forwards.
    """
    clone, kept = model.clone(), {}

    def answer(compute: Callable[[], torch.Tensor], x: torch.Tensor, options: Any) -> torch.Tensor:
        step = int((options["sample_sigmas"] - options["sigmas"][0]).abs().argmin())
        if answers(step) and kept:
            return x + kept["added"]
        out = compute()
        kept["added"] = out - x
        return out

    def within(executor: Any, *args: Any, **kwargs: Any) -> Any:
        options = next(a for a in (*args, *kwargs.values()) if isinstance(a, dict) and "uuids" in a)
        return answer(lambda: executor(*args, **kwargs), args[0], options)

    def around(apply: Any, given: dict[str, Any]) -> torch.Tensor:
        x, t, c = given["input"], given["timestep"], given["c"]
        return answer(lambda: apply(x, t, **c), x, c["transformer_options"])

    if inside:
        clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "cache", within)
    else:
        clone.set_model_unet_function_wrapper(around)
    return clone


def _guided(interval: int) -> FasterCache:
    return FasterCache(1, 1, 1, guidance_interval=interval, guidance_window=WHOLE_RUN)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("method", [_guided(3), TGate(3, 0, 1, 1)], ids=lambda m: m.name)
def test_from_its_first_answer_on_both_branches_run(method: Any, inside: bool) -> None:
    """It answers in the first step that would leave a branch out, so nothing is ever mixed."""
    first = 1 if isinstance(method, FasterCache) else 3

    def answers(step: int) -> bool:
        return step >= first and (step - first) % 2 == 0

    patched = attach(cached(toys.load("wan"), answers, inside), method)
    toys.sample(patched, "wan", steps=STEPS)
    report = last_report(patched)
    assert report.outcome == "finished"
    assert report.strip_of("guidance") == "C" * STEPS
    assert report.forced["guidance", ANSWERED_FOR] > 0
    if isinstance(method, FasterCache):
        plain = toys.sample(cached(toys.load("wan"), answers, inside), "wan", steps=STEPS)
        assert torch.equal(toys.sample(patched, "wan", steps=STEPS), plain)


@pytest.mark.parametrize("inside", [False, True])
def test_what_it_keeps_of_one_branch_answers_for_no_two(inside: bool) -> None:
    """Guidance runs both in steps 0, 3 and 6; there it gives both what it keeps of one."""
    patched = attach(cached(toys.load("wan"), lambda step: step == 3, inside), _guided(3))
    with pytest.raises(ConfigError, match=r"^Apply FasterCache: another node .*Remove the other"):
        toys.sample(patched, "wan", steps=STEPS)
    assert last_report(patched).outcome == "stopped by ConfigError"


@pytest.mark.parametrize("inside", [False, True])
def test_without_guidance_of_ours_it_answers_as_it_likes(inside: bool) -> None:
    patched = attach(
        cached(toys.load("wan"), lambda s: s % 2 == 1, inside), PAB(1, 2, 2, WHOLE_RUN)
    )
    toys.sample(patched, "wan", steps=STEPS)
    assert last_report(patched).outcome == "finished"
