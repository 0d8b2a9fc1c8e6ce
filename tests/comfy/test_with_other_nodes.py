"""Laws 1 and 2 beside other nodes and unusual prompts, in either order of the nodes."""

from __future__ import annotations

from typing import Any

import companions
import observe
import pytest
import torch
import toys
from companions import Companion
from stepcache.cache_core.methods import PAB, DeepCache
from stepcache.cache_core.patching import attach, last_report
from stepcache.cache_core.schedules import PercentRange

WHOLE_RUN = PercentRange(0.0, 1.0)
METHODS: dict[str, tuple[Any, Any]] = {
    "PAB": (PAB(2, 3, 3, WHOLE_RUN), PAB(1, 1, 1, WHOLE_RUN)),
    "DeepCache 0": (DeepCache(3, 0), DeepCache(1, 0)),
    "DeepCache 2": (DeepCache(3, 2), DeepCache(1, 2)),
    "DeepCache 11": (DeepCache(3, 11), DeepCache(1, 11)),
}
TABLE = [
    pytest.param(companion, name, method, id=f"{companion}-{name}-{method}")
    for companion in companions.COMPANIONS
    for name in companion.models
    for method in METHODS
    if name == "sd15" or method == "PAB"
]
each_combination = pytest.mark.parametrize(("companion", "name", "method"), TABLE)


def _sample(model: Any, companion: Companion, name: str, steps: int = 4) -> torch.Tensor:
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


@pytest.mark.parametrize("companion", companions.COMPANIONS, ids=str)
def test_every_companion_has_an_effect(companion: Companion) -> None:
    """A companion that changes nothing would prove nothing."""
    name = companion.models[0]
    plain = toys.sample(toys.load(name), name, steps=2)
    changed = _sample(companion.patch(toys.load(name)), companion, name, steps=2)
    assert changed.shape != plain.shape or not torch.equal(changed, plain)
