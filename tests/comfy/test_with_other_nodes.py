"""Laws 1 to 5 beside other nodes and unusual prompts, in either order of the nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import cases
import companions
import host
import observe
import pytest
import torch
import toys
from cases import Case
from companions import Companion
from stepcache.cache_core.decisions import NOT_STORED
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.intercept.layer_call import EXCHANGED, FOLLOWED
from stepcache.cache_core.methods import FasterCache, TGate
from stepcache.cache_core.sites import SiteKind


def _guidance(name: str) -> Case:
    """The unconditional branch rebuilt from the last difference, without amplifying it."""
    reusing = FasterCache(
        1, 1, 1, guidance_interval=2, guidance_window=cases.WHOLE_RUN, low_gain=1.0, high_gain=1.0
    )
    idle = FasterCache(1, 1, 1, guidance_interval=1)
    return Case("FasterCache guidance", name, lambda _: reusing, lambda _: idle, is_exact=False)


def _both(name: str) -> Case:
    """Attention extrapolated and every second step with one branch."""
    windows = {"attention_window": cases.WHOLE_RUN, "guidance_window": cases.WHOLE_RUN}
    reusing = FasterCache(2, 2, 2, guidance_interval=2, **windows)
    idle = FasterCache(1, 1, 1, guidance_interval=1)
    return Case("FasterCache", name, lambda _: reusing, lambda _: idle, keeps_answers=False)


def _gate(name: str) -> Case:
    """The gate falls before anything that changes in the middle of the run."""
    return Case(
        "TGate", name, lambda _: TGate(2, 0, 1, 1), lambda steps: TGate(steps, 0, 1, 1),
        keeps_answers=False,
    )  # fmt: skip


BUILDERS: dict[str, Callable[[str], Case]] = {
    **cases.MORE_BUILDERS,
    "FasterCache": _both,
    "FasterCache guidance": _guidance,
    "TGate": _gate,
    "DeepCache 2": partial(cases.BUILDERS["DeepCache"], branch=2),
    "DeepCache 11": partial(cases.BUILDERS["DeepCache"], branch=11),
}
CELLS = [
    pytest.param(companion, BUILDERS[method](name), id=f"{companion}-{name}-{method}")
    for companion in companions.COMPANIONS
    for name in companion.models
    for method in companion.methods(name)
]
each_cell = pytest.mark.parametrize(("companion", "case"), CELLS)
# With a branch less it is another answer.
ALIKE = [cell for cell in CELLS if cell.values[1].keeps_answers]
each_companion = pytest.mark.parametrize(
    ("companion", "name"),
    [pytest.param(c, n, id=f"{c}-{n}") for c in companions.COMPANIONS for n in c.models],
)


@cache
def _plain(companion: Companion, name: str) -> torch.Tensor:
    """The picture without us."""
    return companion.sample(companion.patch(toys.load(name)), name)


@cache
def _held(companion: Companion, name: str) -> torch.Tensor:
    """The picture without us of a network that is asked the same again and again."""
    still = observe.hold_network_still(companion.patch(toys.load(name)))
    return companion.sample(still, name)


def _in_front(companion: Companion, case: Case, settings: Any) -> Any:
    """The model with our node in front of the companion's."""
    return companion.patch(attach(toys.load(case.model), settings))


@each_cell
def test_reusing_nothing_is_bit_identical(companion: Companion, case: Case) -> None:
    model = _in_front(companion, case, case.idle(companion.steps))
    picture = companion.sample(model, case.model)
    assert torch.equal(picture, _plain(companion, case.model))
    assert last_report(model).total_reused == 0


@each_cell
def test_reuse_is_as_planned_and_repeats_itself(companion: Companion, case: Case) -> None:
    name, settings = case.model, case.reusing(companion.steps)
    model = attach(companion.patch(toys.load(name)), settings)
    picture = companion.sample(model, name)
    report = last_report(model)
    assert torch.isfinite(picture).all()
    # Attentions that are several in a block compute where a patch stands around every block, and
    # of windows that never come back nothing is stored twice, of which a line could be made.
    assert report.total_reused > 0 or {reason for _, reason in report.forced} in (
        {FOLLOWED, EXCHANGED},
        {NOT_STORED} if case.method == "StepCache" else None,
    )
    for kind, plan in report.plans.items():
        if kind == SiteKind.GUIDANCE and not companion.has_guidance:
            assert not report.strip_of(kind).strip(".")
            assert any("guidance" in note for note in report.notes) or "R" not in plan
        elif companion.has_forced and any(forced == kind for forced, _ in report.forced):
            assert report.strip_of(kind) != plan
        else:
            assert report.strip_of(kind) == plan
    assert companion.has_forced or not report.forced
    assert torch.equal(companion.sample(model, name), picture)
    if not case.keeps_answers:
        front = _in_front(companion, case, settings)
        is_same = torch.equal(companion.sample(front, name), picture)
        # Around windows that move, whole evaluations are answered; between them, none.
        is_around = case.method == "StepCache" and not report.total_reused
        assert is_same or (is_around and last_report(front).total_reused > 0)


@each_companion
def test_afterwards_the_model_is_as_before(companion: Companion, name: str) -> None:
    alone = companion.patch(toys.load(name))
    before, marks = _plain(companion, name), observe.fingerprint(alone)
    settings = BUILDERS[companion.methods(name)[-1]](name).reusing(companion.steps)
    companion.sample(attach(companion.patch(toys.load(name)), settings), name)
    assert torch.equal(companion.sample(alone, name), before)
    assert observe.fingerprint(alone) == marks


@pytest.mark.parametrize(("companion", "case"), ALIKE)
def test_same_question_same_answer(companion: Companion, case: Case) -> None:
    model = observe.hold_network_still(_in_front(companion, case, case.reusing(companion.steps)))
    picture, plain = companion.sample(model, case.model), _held(companion, case.model)
    assert last_report(model).total_reused > 0
    if case.is_exact:
        assert torch.equal(picture, plain)
    else:
        torch.testing.assert_close(picture, plain, rtol=1e-3, atol=1e-3 * plain.std().item())


ASKS_AGAIN = (
    "perturbed attention", "self-attention guidance", "skip-layer guidance",
    "perpendicular negative", "context windows", "moving context windows",
    "LoRA hook with a schedule",
)  # fmt: skip


@pytest.mark.parametrize(
    ("companion", "name"),
    [
        pytest.param(c, n, id=f"{c}-{n}")
        for c in companions.COMPANIONS
        for n in ("sd15", "wan")
        if c.name in ASKS_AGAIN and n in c.models
    ],
)
def test_after_the_gate_the_prompt_of_the_branch_does_not_matter(
    companion: Companion, name: str
) -> None:
    """What asks the network once more must not keep the frozen attention from being the mean."""
    patch, is_rounded = companion.patch, companion.name == "self-attention guidance"
    if is_rounded:
        # Its mask comes from the self-attention of the unconditional branch; here it has no weight.
        patch = host.applied("nodes_sag", "SelfAttentionGuidance", scale=0.0, blur_sigma=2.0)
    pictures = [
        companion.sample(attach(patch(toys.load(name)), settings), name)
        for settings in (TGate(2, 0, 1, 1, "cond"), TGate(2, 0, 1, 1, "uncond"))
    ]
    # It computes one attention of the unconditional branch by a function of its own.
    tolerance = 1e-6 * pictures[0].abs().max().item() if is_rounded else 0.0
    torch.testing.assert_close(*pictures, rtol=0.0, atol=tolerance)


NAG = next(c for c in companions.COMPANIONS if c.name == "normalized attention guidance")


@pytest.mark.parametrize("name", NAG.models)
@pytest.mark.parametrize("method", ["FasterCache", "TGate"])
def test_guidance_in_attention_is_refused_where_a_branch_is_left_out(
    method: str, name: str
) -> None:
    if method == "TGate" and name != "sd15":
        pytest.skip("no cross-attention")
    for model in (
        attach(NAG.patch(toys.load(name)), BUILDERS[method](name).reusing(NAG.steps)),
        _in_front(NAG, BUILDERS[method](name), BUILDERS[method](name).reusing(NAG.steps)),
    ):
        with pytest.raises(ConfigError, match=r"also carries NAGuidance.*Remove NAGuidance, or"):
            NAG.sample(model, name)
    assert observe.stored_bytes() == 0


@each_companion
def test_every_companion_has_an_effect(companion: Companion, name: str) -> None:
    """A companion that changes nothing would prove nothing."""
    if (companion, name) == (NAG, "krea2"):
        host.skip_if_older("0.30.0", "normalized attention guidance on Krea 2")
    plain = toys.sample(toys.load(name), name, steps=companion.steps, latent=companions.empty(name))
    changed = _plain(companion, name)
    assert changed.shape != plain.shape or not torch.equal(changed, plain)


def test_nothing_is_stored_after_all_that() -> None:
    assert observe.stored_bytes() == 0
