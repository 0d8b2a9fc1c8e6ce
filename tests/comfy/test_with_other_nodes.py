"""Laws 1 to 5 beside other nodes and unusual prompts, in either order of the nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import cases
import companions
import observe
import pytest
import torch
import toys
from cases import Case
from companions import Companion
from stepcache.cache_core.methods import FasterCache
from stepcache.cache_core.patching import attach, last_report
from stepcache.cache_core.sites import SiteKind

STEPS = 6


def _guidance(name: str) -> Case:
    """The unconditional branch rebuilt from the last difference, without amplifying it."""
    reusing = FasterCache(
        1, 1, 1, guidance_interval=2, guidance_window=cases.WHOLE_RUN, low_gain=1.0, high_gain=1.0
    )
    idle = FasterCache(1, 1, 1, guidance_interval=1)
    return Case("FasterCache guidance", name, lambda _: reusing, lambda _: idle, is_exact=False)


BUILDERS: dict[str, Callable[[str], Case]] = {
    **cases.BUILDERS,
    "PAB blocks": cases.BLOCK_BUILDERS[0],
    "FasterCache attention": cases._fastercache_attention,
    "FasterCache guidance": _guidance,
    "DeepCache 2": partial(cases.BUILDERS["DeepCache"], branch=2),
    "DeepCache 11": partial(cases.BUILDERS["DeepCache"], branch=11),
}
UNETS = ("sd15", "inpaint")
CROSS = (*UNETS, "wan", "wan_i2v")


def _fits(method: str, name: str) -> bool:
    if method.startswith("DeepCache"):
        return name in UNETS
    return method != "TGate" or name in CROSS


CELLS = [
    pytest.param(companion, BUILDERS[method](name), id=f"{companion}-{name}-{method}")
    for companion in companions.COMPANIONS
    for name in companion.models
    for method in ("PAB", *companion.stress)
    if _fits(method, name)
]
each_cell = pytest.mark.parametrize(("companion", "case"), CELLS)


@cache
def _plain(companion: Companion, name: str) -> torch.Tensor:
    return companion.sample(companion.patch(toys.load(name)), name, STEPS)


@cache
def _held(companion: Companion, name: str) -> torch.Tensor:
    still = observe.hold_network_still(companion.patch(toys.load(name)))
    return companion.sample(still, name, STEPS)


@each_cell
def test_reusing_nothing_is_bit_identical(companion: Companion, case: Case) -> None:
    model = companion.patch(attach(toys.load(case.model), case.idle(STEPS)))
    picture = companion.sample(model, case.model, STEPS)
    assert torch.equal(picture, _plain(companion, case.model))
    assert last_report(model).total_reused == 0


@each_cell
def test_reuse_is_as_planned_and_leaves_nothing(companion: Companion, case: Case) -> None:
    name, settings = case.model, case.reusing(STEPS)
    alone = companion.patch(toys.load(name))
    before, marks = companion.sample(alone, name, STEPS), observe.fingerprint(alone)
    model = attach(companion.patch(toys.load(name)), settings)
    picture = companion.sample(model, name, STEPS)
    report = last_report(model)
    assert torch.isfinite(picture).all()
    assert report.total_reused > 0 or not _may_reuse(companion, case)
    assert bool(report.forced) <= companion.has_forced
    for kind, plan in report.plans.items():
        forced = any(k == kind for k, _ in report.forced)
        silent = kind == SiteKind.GUIDANCE and not companion.has_guidance
        assert silent or forced or report.strip_of(kind) == plan
        if silent and "R" in plan:
            assert any("guidance" in note for note in report.notes)
    assert torch.equal(companion.sample(model, name, STEPS), picture)
    behind = companion.patch(attach(toys.load(name), settings))
    assert torch.equal(companion.sample(behind, name, STEPS), picture)
    assert torch.equal(companion.sample(alone, name, STEPS), before)
    assert observe.fingerprint(alone) == marks


def _may_reuse(companion: Companion, case: Case) -> bool:
    return companion.has_guidance or case.method != "FasterCache guidance"


@each_cell
def test_same_question_same_answer(companion: Companion, case: Case) -> None:
    if not case.keeps_answers:
        pytest.skip("answers with fewer branches than it was asked about")
    patched = attach(companion.patch(toys.load(case.model)), case.reusing(STEPS))
    still = observe.hold_network_still(patched)
    picture, plain = companion.sample(still, case.model, STEPS), _held(companion, case.model)
    if case.is_exact:
        assert torch.equal(picture, plain)
    else:
        torch.testing.assert_close(picture, plain, rtol=1e-3, atol=1e-3 * plain.std().item())


@pytest.mark.parametrize(
    ("companion", "name"),
    [pytest.param(c, n, id=f"{c}-{n}") for c in companions.COMPANIONS for n in c.models],
)
def test_every_companion_has_an_effect(companion: Companion, name: str) -> None:
    """A companion that changes nothing would prove nothing."""
    plain = toys.sample(toys.load(name), name, steps=STEPS)
    changed = _plain(companion, name)
    assert changed.shape != plain.shape or not torch.equal(changed, plain)


def test_nothing_is_stored_after_all_that() -> None:
    assert observe.stored_bytes() == 0
