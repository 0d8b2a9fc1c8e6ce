"""Laws 1 to 5 with ControlNets, attention patches, other samplers and other weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import cases
import host
import observe
import pytest
import runtime_controls
import runtime_patches
import runtime_sampling
import runtime_weights
import torch
import toys
from runtime import Setup, sample
from stepcache.cache_core.decisions import NOT_STORED
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.remarks import OTHER_NETWORK

BUILDERS = cases.MORE_BUILDERS
SETUPS: list[Setup] = [
    *runtime_controls.SETUPS, *runtime_patches.SETUPS, *runtime_sampling.SETUPS,
    *runtime_weights.SETUPS,
]  # fmt: skip


def _cells(*, held: bool = False) -> Any:
    cells = [
        pytest.param(setup, name, method, id=f"{setup}-{name}-{method}")
        for setup in SETUPS
        for name in setup.models
        for method in (*setup.methods, *(("StepCache",) if name == setup.models[0] else ()))
        if cases.fits(method, name)
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
    # Two runs of two installations, with the nodes in either order: the same to the last bit.
    orders = (attach(setup.patch(model), settings), setup.patch(attach(model, settings)))
    pictures, counts = [], []
    for patched in orders:
        pictures.append(setup.picture(patched, name))
        report = last_report(patched)
        assert report.total_reused > 0
        forced = {reason for _, reason in report.forced}
        # What was said with a ControlNet is no answer without it.
        is_switched = method == "StepCache" and setup.name == "ControlNet of the first half"
        assert forced == {NOT_STORED} if is_switched else forced <= setup.forced
        for kind, plan in report.plans.items():
            done = report.strip_of(kind)
            assert done == plan or report.forced or set(done) == {"."}
        counts.append((report.computed, report.reused))
    assert torch.isfinite(pictures[0]).all()
    assert not torch.equal(pictures[0], plain), "the settings must have an effect to be tested"
    assert torch.equal(*pictures)
    assert counts[0] == counts[1]
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
            # x + (y - x) is rounded twice where y was rounded once, in every block.
            torch.testing.assert_close(answer, answers[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("setup", "name"),
    [(setup, name) for setup in SETUPS for name in setup.models],
    ids=str,
)
def test_the_model_without_us_is_as_before(setup: Setup, name: str) -> None:
    """After all the runs above. What is tested here must also have an effect of its own."""
    plain = _plain(setup, name)
    assert torch.equal(setup.picture(setup.patch(setup.load(name)), name), plain)
    bare = sample(toys.load(name), name, setup.conds(name))
    assert bare.shape != plain.shape or not torch.equal(bare, plain)


@pytest.mark.parametrize("name", runtime_sampling.EVERY)
def test_a_tile_depends_on_no_other_tile(name: str) -> None:
    model, conds = toys.load(name), toys.conditioning(name)
    settings = BUILDERS["PAB"](name).reusing(5)
    shared = attach(model, settings)
    for tile in runtime_sampling.tiles(name):
        alone = sample(attach(model, settings), name, conds, latent=tile, denoise=0.6)
        assert torch.equal(sample(shared, name, conds, latent=tile, denoise=0.6), alone)


def test_a_second_model_with_other_layers_is_left_as_it_is() -> None:
    """A guider may ask a smaller model for the negative branch."""
    smaller, conds = runtime_sampling.smaller_wan(), toys.conditioning("wan")
    plain = runtime_sampling.dual(toys.load("wan"), "wan", conds, smaller)
    case = BUILDERS["PAB"]("wan")
    idle = attach(toys.load("wan"), case.idle(5))
    assert torch.equal(runtime_sampling.dual(idle, "wan", conds, smaller), plain)
    assert OTHER_NETWORK in last_report(idle).notes
    reusing = attach(toys.load("wan"), case.reusing(5))
    runtime_sampling.dual(reusing, "wan", conds, smaller)
    assert last_report(reusing).total_reused > 0


@pytest.mark.parametrize(
    ("name", "method", "compile_", "is_outer"),
    [
        ("sd15_file", "DeepCache", runtime_weights.COMPILE, False),
        ("sd15_file", "DeepCache", runtime_weights.COMPILE, True),
        ("wan", "PAB", runtime_weights.COMPILE, True),
        ("flux", "PAB blocks", runtime_weights.COMPILE, False),
        ("sd3", "PAB", runtime_weights.COMPILE, False),
        ("flux", "PAB", runtime_weights.compile_blocks, False),
        ("wan", "PAB blocks", runtime_weights.compile_blocks, True),
    ],
)
def test_a_compiled_model_answers_like_one_that_is_not(
    name: str, method: str, compile_: Any, is_outer: bool
) -> None:
    case, conds, model = BUILDERS[method](name), toys.conditioning(name), toys.load(name)
    settings = case.reusing(5)
    expected = attach(model, settings)
    picture = sample(expected, name, conds)
    counts = last_report(expected).computed, last_report(expected).reused
    plain = sample(model, name, conds)
    marks = observe.fingerprint(model)
    patched = compile_(attach(model, settings)) if is_outer else attach(compile_(model), settings)
    try:
        for _ in range(2):
            assert torch.equal(sample(patched, name, conds), picture)
            report = last_report(patched)
            assert (report.computed, report.reused) == counts
        assert torch.equal(sample(attach(compile_(model), case.idle(5)), name, conds), plain)
        assert _without_torchs_own(observe.fingerprint(model)) == _without_torchs_own(marks)
        assert observe.stored_bytes() == 0
    finally:
        torch.compiler.reset()


def _without_torchs_own(marks: dict[str, Any]) -> dict[str, Any]:
    """torch.compile leaves an attribute on what it has compiled."""
    return {
        path: (module, attributes - {"_is_torch_compile"}, children)
        for path, (module, attributes, children) in marks.items()
    }


def test_branches_are_not_left_out_beside_a_cache_of_references() -> None:
    """It holds rows of both branches, and would give one of them the other's."""
    model = host.node("nodes_flux", "FluxKVCache").execute(toys.load("flux2_edit")).result[0]
    reusing = BUILDERS["FasterCache"]("flux2_edit").reusing(5)
    with pytest.raises(ConfigError, match=r"also carries FluxKVCache.*Remove FluxKVCache, or"):
        toys.sample(attach(model, reusing), "flux2_edit")
