"""The forecast beside other nodes, guiders and unusual prompts: whose answer is continued."""

from __future__ import annotations

import companions
import observe
import pytest
import torch
import toys
from companions import Companion
from stepcache.cache_core.methods import StepCache
from stepcache.cache_core.patching import attach, last_report

STEPS = 8
CELLS = [pytest.param(c, n, id=f"{c}-{n}") for c in companions.COMPANIONS for n in c.models]
each_cell = pytest.mark.parametrize(("companion", "name"), CELLS)


def _longer(companion: Companion) -> Companion:
    """Steps enough for a plan that reuses."""
    return companion.__class__(**{**vars(companion), "steps": STEPS})


@each_cell
@pytest.mark.parametrize("is_behind", [False, True], ids=["in front", "behind"])
def test_what_each_prompt_pass_and_window_says_is_continued_by_itself(
    companion: Companion, name: str, is_behind: bool
) -> None:
    """Where each of them always says the same, its line is exact, and so is the picture."""
    one, method = _longer(companion), StepCache(2.0, carried="denoised")
    plain = one.sample(observe.hold_network_still(one.patch(toys.load(name)), True), name)
    model = (
        attach(one.patch(toys.load(name)), method)
        if is_behind
        else one.patch(attach(toys.load(name), method))
    )
    model = observe.hold_network_still(model, True)
    assert torch.equal(one.sample(model, name), plain)
    report = last_report(model)
    print(report.to_text())
    assert report.total_reused > 0
