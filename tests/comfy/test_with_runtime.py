"""Laws 1 to 5 with ControlNets, attention patches, other samplers and other weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import cases
import observe
import pytest
import runtime_controls
import runtime_patches
import torch
import toys
from runtime import Setup
from stepcache.cache_core.patching import attach, last_report

BUILDERS = {**cases.BUILDERS, "PAB blocks": cases.BLOCK_BUILDERS[0]}
FITTING = {
    "sd15": frozenset(BUILDERS),
    "sdxl": frozenset(BUILDERS),
    "svd": frozenset(BUILDERS),
    "wan": frozenset(BUILDERS) - {"DeepCache"},
}
"""Methods by model; for the zoo its toys say so."""

SETUPS: list[Setup] = [*runtime_controls.SETUPS, *runtime_patches.SETUPS]


def _cells(*, held: bool = False) -> Any:
    cells = [
        pytest.param(setup, name, method, id=f"{setup}-{name}-{method}")
        for setup in SETUPS
        for name in setup.models
        for method in setup.methods
        if method in FITTING.get(name, toys.TOYS[name].methods | {"PAB blocks"})
        if not held or (setup.asks_alike and BUILDERS[method](name).keeps_answers)
    ]
    return pytest.mark.parametrize(("setup", "name", "method"), cells)


@cache
def _plain(setup: Setup, name: str) -> torch.Tensor:
    return setup.picture(setup.patch(setup.load(name)), name)


@_cells()
def test_the_laws_hold_beside(setup: Setup, name: str, method: str) -> None:
    case = BUILDERS[method](name)
    model, plain = setup.load(name), _plain(setup, name)
    marks = observe.fingerprint(model)

    idle = setup.picture(attach(setup.patch(model), case.idle(setup.steps)), name)
    assert torch.equal(idle, plain), "settings that reuse nothing change the picture"

    settings = case.reusing(setup.steps)
    inner, outer = attach(setup.patch(model), settings), setup.patch(attach(model, settings))
    pictures, counts = [], []
    for patched in (inner, inner, outer):
        pictures.append(setup.picture(patched, name))
        report = last_report(patched)
        assert report.total_reused > 0
        assert {reason for _, reason in report.forced} <= setup.forced
        for kind, plan in report.plans.items():
            assert report.strip_of(kind) == plan or report.forced
        counts.append((report.computed, report.reused))
    assert torch.isfinite(pictures[0]).all()
    assert not torch.equal(pictures[0], plain), "the settings must have an effect to be tested"
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
    assert all(count == counts[0] for count in counts)

    assert torch.equal(setup.picture(setup.patch(model), name), plain)
    assert observe.fingerprint(model) == marks
    assert observe.stored_bytes() == 0


@_cells(held=True)
def test_the_same_question_gets_the_same_answer(setup: Setup, name: str, method: str) -> None:
    case = BUILDERS[method](name)
    patched = attach(setup.patch(setup.load(name)), case.reusing(setup.steps))
    recorded, answers = observe.record_answers(observe.hold_inputs_still(patched))
    setup.picture(recorded, name)
    assert last_report(patched).total_reused > 0
    assert len(answers) >= setup.steps
    for answer in answers:
        if case.is_exact:
            assert torch.equal(answer, answers[0])
        else:
            torch.testing.assert_close(answer, answers[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("setup", "name"),
    [(setup, name) for setup in SETUPS if setup.has_effect for name in setup.models],
    ids=str,
)
def test_every_setup_has_an_effect(setup: Setup, name: str) -> None:
    """A companion that changes nothing would prove nothing."""
    plain = toys.sample(toys.load(name), name, steps=setup.steps)
    picture = _plain(setup, name)
    assert picture.shape != plain.shape or not torch.equal(picture, plain)
