"""The forecast beside other nodes, guiders and unusual prompts: whose answer is continued."""

from __future__ import annotations

import companions
import observe
import pytest
import runtime_controls
import runtime_patches
import runtime_sampling
import runtime_weights
import torch
import toys
from companions import Companion
from runtime import Setup
from stepcache.cache_core.decisions import NOT_STORED
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import StepCache

METHOD = StepCache(2.0, carried="denoised")
MOVING = "announced windows that move"
"""Where its node cuts before we are asked, every window of a step is met for the first time; where
it cuts behind us, what is continued is the whole, which is another one in every step."""

SETUPS: list[Setup] = [
    *runtime_controls.SETUPS, *runtime_patches.SETUPS, *runtime_sampling.SETUPS,
    *runtime_weights.SETUPS,
]  # fmt: skip


@pytest.mark.parametrize("is_behind", [False, True], ids=["in front", "behind"])
@pytest.mark.parametrize(
    ("companion", "name"),
    [pytest.param(c, n, id=f"{c}-{n}") for c in companions.COMPANIONS for n in c.models],
)
def test_what_each_prompt_pass_and_window_says_is_continued_by_itself(
    companion: Companion, name: str, is_behind: bool
) -> None:
    """Where each of them always says the same, its line is exact, and so is the picture."""
    alone = observe.hold_network_still(companion.patch(toys.load(name)), in_denoised=True)
    plain = companion.sample(alone, name)
    if is_behind:
        model = attach(companion.patch(toys.load(name)), METHOD)
    else:
        model = companion.patch(attach(toys.load(name), METHOD))
    model = observe.hold_network_still(model, in_denoised=True)
    found = companion.sample(model, name)
    report = last_report(model)
    if companion.name == MOVING and is_behind:
        assert report.forced["evaluation", NOT_STORED] > 0
    else:
        assert report.total_reused > 0
    assert torch.equal(found, plain) == (companion.name != MOVING or is_behind)


@pytest.mark.parametrize(
    ("setup", "name"),
    [pytest.param(s, n, id=f"{s}-{n}") for s in SETUPS if s.asks_alike for n in s.models],
)
def test_so_it_is_with_controls_patches_other_samplers_and_weights(setup: Setup, name: str) -> None:
    held = observe.hold_network_still(setup.patch(setup.load(name)), in_denoised=True)
    plain = setup.picture(held, name)
    model = attach(setup.patch(setup.load(name)), METHOD)
    found = setup.picture(observe.hold_network_still(model, in_denoised=True), name)
    assert torch.equal(found, plain)
    report = last_report(model)
    assert report.total_reused > 0 or report.forced


def test_nothing_is_stored_after_all_that() -> None:
    assert observe.stored_bytes() == 0
