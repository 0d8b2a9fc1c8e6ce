"""Models that are of no known family, damaged, changed by other packs, or no models at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import observe
import pytest
import torch
import toys
from calibrating import STEPS, calibrate
from comfy.ldm.wan.model import WanAttentionBlock, WanSelfAttention
from stepcache.cache_core.errors import UnsupportedModelError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.remarks import PROVED
from stepcache.cache_core.methods import PAB, DeepCache, FasterCache, StepCache, TGate
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind
from torch import nn

WHOLE = PercentRange(0.0, 1.0)
REUSING = PAB(2, 2, 2, WHOLE)


def of_next_month(name: str, change: Callable[[nn.Module], None] = lambda _: None) -> Any:
    """A toy whose network is of a class that nobody has heard of."""
    model = toys.TOYS[name].make()
    network = model.model.diffusion_model
    own = type(network)
    body = {k: v for k, v in vars(own).items() if k not in ("__dict__", "__weakref__")}
    network.__class__ = type("PublishedNextMonth", own.__bases__, body)
    change(network)
    return model


@pytest.mark.parametrize("name", ["wan", "pixart_sigma", "qwen", "lumina2"])
def test_an_unknown_model_is_taken_apart_and_proved_right(name: str) -> None:
    unknown, known = of_next_month(name), toys.load(name)
    toys.sample(unknown, name)
    marks = observe.fingerprint(unknown)
    patched = attach(unknown, REUSING)
    answer = toys.sample(patched, name)
    report = last_report(patched)
    assert report.total_reused > 0
    assert "unknown family" in report.family
    assert PROVED in report.notes
    assert torch.equal(answer, toys.sample(attach(known, REUSING), name))
    assert torch.equal(answer, toys.sample(patched, name))
    assert observe.fingerprint(unknown) == marks
    idle = attach(unknown, PAB(1, 1, 1, WHOLE))
    assert torch.equal(toys.sample(idle, name), toys.sample(known, name))


@pytest.mark.parametrize("methods", [(StepCache(2.0),), (StepCache(2.0), REUSING)], ids=len)
def test_evaluations_of_an_unknown_model_need_no_proof(methods: tuple[Any, ...]) -> None:
    unknown, known = of_next_month("wan"), toys.load("wan")
    for method in methods:
        unknown, known = attach(unknown, method), attach(known, method)
    assert torch.equal(toys.sample(unknown, "wan", steps=8), toys.sample(known, "wan", steps=8))
    report = last_report(unknown)
    assert (PROVED in report.notes) == (len(methods) == 2)
    assert report.plans == last_report(known).plans
    assert not report.forced


@pytest.mark.parametrize("name", ["wan", "qwen"])
def test_an_unknown_model_is_proved_before_it_is_calibrated(name: str) -> None:
    """Calibrating answers for its layers too, in one more call of the network."""
    unknown = of_next_month(name)
    done = calibrate(name, unknown)
    assert PROVED in done.report.notes
    assert torch.equal(done.picture, toys.sample(toys.load(name), name, steps=STEPS))
    assert "layers" in done.calibration.influence
    doubtful = of_next_month("wan", _calls_a_block_twice)
    with pytest.raises(UnsupportedModelError, match=r"^SmoothCache Calibrate: .*called 2 times"):
        calibrate("wan", doubtful)


def _writes_into_its_input(network: nn.Module) -> None:
    block = network.blocks[0]
    block.norm3 = nn.Identity()
    compute = block.cross_attn.forward
    block.cross_attn.forward = lambda x, *args, **kwargs: compute(x.mul_(1.5), *args, **kwargs)


def _calls_a_block_twice(network: nn.Module) -> None:
    block = network.blocks[1]
    compute = block.forward

    def forward(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        compute(x, *args, **kwargs)
        return compute(x, *args, **kwargs)

    block.forward = forward


def _returns_a_list(network: nn.Module) -> None:
    """The blocks of this network take what their attention returns out of a list."""
    for block in network.blocks:
        attend = block.self_attn.forward
        block.self_attn.forward = lambda *a, attend=attend, **k: [attend(*a, **k)]
        block.self_attn.__class__ = _unpacked(type(block.self_attn))


def _unpacked(attention: type[nn.Module]) -> type[nn.Module]:
    def call(self: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        return nn.Module.__call__(self, *args, **kwargs)[0]

    return type(attention.__name__, (attention,), {"__call__": call})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_writes_into_its_input, "answering for its layers changed the result"),
        (_calls_a_block_twice, "was called 2 times in one step"),
        (_returns_a_list, "returns something without a row for every picture"),
    ],
)
def test_an_unknown_model_that_fails_the_proof_is_refused_on_the_first_step(
    change: Callable[[nn.Module], None], reason: str
) -> None:
    unknown = of_next_month("wan", change)
    plain, marks = toys.sample(unknown, "wan"), observe.fingerprint(unknown)
    patched, answers = observe.record_answers(attach(unknown, REUSING))
    with pytest.raises(UnsupportedModelError) as refusal:
        toys.sample(patched, "wan")
    assert reason in str(refusal.value)
    assert str(refusal.value).startswith("Apply PAB: ")
    assert not answers, "the first step was not over"
    assert observe.fingerprint(unknown) == marks
    assert observe.stored_bytes() == 0
    assert torch.equal(toys.sample(unknown, "wan"), plain)


@pytest.mark.parametrize("method", [DeepCache(), TGate(), PAB(block=2)])
def test_what_an_unknown_model_does_not_show_is_refused_in_words(method: Any) -> None:
    with pytest.raises(UnsupportedModelError, match=r"unknown family|no known family") as refusal:
        attach(of_next_month("qwen"), method)
    assert str(refusal.value).startswith(method.name)


def test_a_network_without_blocks_is_refused() -> None:
    model = of_next_month("wan")
    model.model.diffusion_model.blocks = nn.ModuleList()
    with pytest.raises(UnsupportedModelError, match="no row of equal blocks") as refusal:
        attach(model, REUSING)
    assert "PublishedNextMonth" in str(refusal.value)


def test_a_family_without_its_layers_is_refused() -> None:
    model = toys.TOYS["wan"].make()
    for block in model.model.diffusion_model.blocks:
        del block.self_attn, block.cross_attn, block.ffn
    with pytest.raises(UnsupportedModelError, match="none of the layers"):
        attach(model, REUSING)


def test_a_family_that_lacks_some_layers_works_with_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = toys.TOYS["wan"].make()
    for block in model.model.diffusion_model.blocks[:2]:
        block.self_attn = None
        block.forward = lambda x, *_, **__: x
    patched = attach(model, REUSING)
    toys.sample(patched, "wan")
    assert last_report(patched).total_reused > 0


def test_another_pack_replaced_a_class_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    compute = WanSelfAttention.forward

    def louder(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return 1.5 * compute(self, x, *args, **kwargs)

    before = toys.sample(toys.load("wan"), "wan")
    monkeypatch.setattr(WanSelfAttention, "forward", louder)
    model = toys.load("wan")
    plain = toys.sample(model, "wan")
    assert not torch.equal(plain, before)
    assert torch.equal(toys.sample(attach(model, PAB(1, 1, 1, WHOLE)), "wan"), plain)
    patched, answers = observe.record_answers(observe.hold_inputs_still(attach(model, REUSING)))
    toys.sample(patched, "wan")
    assert last_report(patched).total_reused > 0
    assert all(torch.equal(answer, answers[0]) for answer in answers)


def test_another_pack_answers_for_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks never ask our layers: the picture is its own, and the report says so."""
    monkeypatch.setattr(WanAttentionBlock, "forward", lambda self, x, *args, **kwargs: x + 0.1)
    model = toys.load("wan")
    plain = toys.sample(model, "wan")
    patched = attach(model, REUSING)
    assert torch.equal(toys.sample(patched, "wan"), plain)
    assert "never called" in last_report(patched).nothing_reused_because


class _BesideForward(WanSelfAttention):
    """As a class of the host that enters its layers by functions of their own."""

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return WanSelfAttention.forward(self, *args, **kwargs)


def test_layers_that_a_model_computes_by_another_way_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others of the run reuse: without this remark nobody would learn of it."""
    model = toys.load("wan")
    for block in model.model.diffusion_model.blocks:
        monkeypatch.setattr(block.self_attn, "__class__", _BesideForward)
    patched = attach(model, PAB(2, 1, 2, WHOLE))
    toys.sample(patched, "wan")
    report = last_report(patched)
    assert report.total_reused == report.counts_of(SiteKind.CROSS_ATTENTION)[1] > 0
    assert report.counts_of(SiteKind.SELF_ATTENTION) == (0, 0)
    (said,) = (note for note in report.notes if "never called" in note)
    assert said.startswith(f"{SiteKind.SELF_ATTENTION}: these layers were never called")


@pytest.mark.parametrize("method", [REUSING, FasterCache(2, 2, 2, WHOLE, guidance_interval=1)])
def test_a_layer_that_changes_its_shape_in_mid_run_does_no_harm(method: Any) -> None:
    model = toys.TOYS["wan"].make()
    attention = model.model.diffusion_model.blocks[1].self_attn
    compute, calls = attention.forward, []

    def forward(*args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(None)
        output = compute(*args, **kwargs)
        return output if len(calls) < 3 else output.mean(1, keepdim=True)

    attention.forward = forward
    patched = attach(model, method)
    answer = toys.sample(patched, "wan", steps=8)
    assert answer.isfinite().all()
    assert last_report(patched).total_reused > 0


def test_a_layer_that_returns_no_tensor_is_computed_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = toys.TOYS["wan"].make()
    _returns_a_list(model.model.diffusion_model)
    plain = toys.sample(model, "wan")
    patched = attach(model, PAB(2, 1, 1, WHOLE))
    assert torch.equal(toys.sample(patched, "wan"), plain)
    assert "cannot be divided" in last_report(patched).nothing_reused_because


class Clip:
    """Has weights, and is no diffusion model."""

    cond_stage_model = nn.Linear(2, 2)


@pytest.mark.parametrize("thing", [Clip(), None, nn.Linear(2, 2), "model"])
def test_what_is_no_diffusion_model_is_refused(thing: object) -> None:
    with pytest.raises(UnsupportedModelError, match="holds no diffusion network") as refusal:
        attach(thing, REUSING)
    assert type(thing).__name__ in str(refusal.value)
    assert "MODEL output" in str(refusal.value)
