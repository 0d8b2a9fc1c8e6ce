"""Laws 1 and 2 beside other nodes and unusual prompts, in either order of the nodes."""

from __future__ import annotations

from typing import Any

import companions
import observe
import pytest
import torch
import toys
from companions import Companion
from stepcache.cache_core.methods import PAB, DeepCache, FasterCache, SmoothCache, TGate
from stepcache.cache_core.patching import attach, last_report
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

WHOLE_RUN = PercentRange(0.0, 1.0)
STEPS = 4


def _smooth(*row: bool) -> SmoothCache:
    return SmoothCache(((SiteKind.CROSS_ATTENTION, None, row), (SiteKind.FEED_FORWARD, None, row)))


IDLE_FASTERCACHE = FasterCache(1, 1, 1, guidance_interval=1)
METHODS: dict[str, tuple[Any, Any]] = {
    "PAB": (PAB(2, 3, 3, WHOLE_RUN), PAB(1, 1, 1, WHOLE_RUN)),
    "DeepCache 0": (DeepCache(3, 0), DeepCache(1, 0)),
    "DeepCache 2": (DeepCache(3, 2), DeepCache(1, 2)),
    "DeepCache 11": (DeepCache(3, 11), DeepCache(1, 11)),
    "FasterCache's attention": (
        FasterCache(2, 2, 2, attention_window=WHOLE_RUN, guidance_interval=1), IDLE_FASTERCACHE,
    ),
    "SmoothCache": (_smooth(True, False, False, True), _smooth(True, True, True, True)),
}  # fmt: skip
ONE_BRANCH: dict[str, tuple[Any, Any]] = {
    "FasterCache": (
        FasterCache(1, 1, 1, guidance_interval=2, guidance_window=WHOLE_RUN), IDLE_FASTERCACHE,
    ),
    "TGate": (TGate(2, 0, 1, 1), TGate(STEPS, 0, 1, 1)),
}  # fmt: skip
TABLE = [
    pytest.param(companion, name, method, id=f"{companion}-{name}-{method}")
    for companion in companions.COMPANIONS
    for name in companion.models
    for method in METHODS
    if name == "sd15" or method == "PAB"
]
ONE_BRANCH_TABLE = [
    pytest.param(companion, name, method, id=f"{companion}-{name}-{method}")
    for companion in companions.COMPANIONS
    for name in companion.models
    for method in ONE_BRANCH
]
each_combination = pytest.mark.parametrize(("companion", "name", "method"), TABLE)


def _sample(model: Any, companion: Companion, name: str, steps: int = STEPS) -> torch.Tensor:
    torch.manual_seed(0)  # the ControlNet's hint and the patches draw from the global generator
    conds = companion.change(toys.conditioning(name))
    return toys.sample(model, name, steps=steps, conds=conds, **companion.options)


@each_combination
def test_idle_is_bit_identical(companion: Companion, name: str, method: str) -> None:
    idle = METHODS[method][1]
    plain = _sample(companion.patch(toys.load(name)), companion, name)
    assert torch.equal(
        _sample(attach(companion.patch(toys.load(name)), idle), companion, name), plain
    )
    assert torch.equal(
        _sample(companion.patch(attach(toys.load(name), idle)), companion, name), plain
    )


@each_combination
def test_same_question_same_answer(companion: Companion, name: str, method: str) -> None:
    reusing = METHODS[method][0]
    for patched in (
        attach(companion.patch(toys.load(name)), reusing),
        companion.patch(attach(toys.load(name), reusing)),
    ):
        recorded, answers = observe.record_answers(observe.hold_inputs_still(patched))
        _sample(recorded, companion, name)
        report = last_report(patched)
        assert report.total_reused > 0
        assert not report.forced
        assert len(answers) == 4
        assert all(torch.equal(answer, answers[0]) for answer in answers)


@pytest.mark.parametrize(("companion", "name", "method"), ONE_BRANCH_TABLE)
def test_a_branch_less_beside_others(companion: Companion, name: str, method: str) -> None:
    reusing, idle = ONE_BRANCH[method]
    plain = _sample(companion.patch(toys.load(name)), companion, name)
    orders = (
        lambda settings: attach(companion.patch(toys.load(name)), settings),
        lambda settings: companion.patch(attach(toys.load(name), settings)),
    )
    pictures: list[torch.Tensor] = []
    for order in orders:
        assert torch.equal(_sample(order(idle), companion, name), plain)
        patched = order(reusing)
        pictures.append(_sample(patched, companion, name))
        assert torch.isfinite(pictures[-1]).all()
        has_two_branches = companion.options.get("cfg") != 1.0
        strip = last_report(patched).strip_of("guidance")
        assert ("R" in strip) == has_two_branches
    assert torch.equal(*pictures)


@pytest.mark.parametrize("companion", companions.COMPANIONS, ids=str)
def test_every_companion_has_an_effect(companion: Companion) -> None:
    """A companion that changes nothing would prove nothing."""
    name = companion.models[0]
    plain = toys.sample(toys.load(name), name, steps=2)
    changed = _sample(companion.patch(toys.load(name)), companion, name, steps=2)
    assert changed.shape != plain.shape or not torch.equal(changed, plain)
